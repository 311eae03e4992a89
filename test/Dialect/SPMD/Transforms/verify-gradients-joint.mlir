// RUN: moe-opt %s --spmd-verify-gradients -split-input-file -verify-diagnostics

// Forward and backward written by hand: no pass has seen these before.

#mesh = #spmd.mesh<dp=2, tp=4>
!X = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
// Right: dx is summed over tp, dw over dp, each once.
func.func @right(%x: !X, %w: !W, %dh: !H) -> (!H, !X, !W) {
  %h = moe.einsum "td,fd->tf" %x, %w : (!X, !W) -> !H
  %0 = moe.einsum "tf,fd->td" %dh, %w : (!H, !W) -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %1 = spmd.claim %0 : !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>> -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %dx = spmd.redistribute %1 : !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>> -> !X
  %2 = moe.einsum "tf,td->fd" %dh, %x : (!H, !X) -> !spmd.tensor<12x4xf32, #mesh, dp: partial<sum>, tp: shard<0>>
  %dw = spmd.all_reduce %2 over ["dp"] : !spmd.tensor<12x4xf32, #mesh, dp: partial<sum>, tp: shard<0>> -> !W
  return %h, %dx, %dw : !H, !X, !W
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!X = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
// Two axes, two faults, each with its own origin and reach.
// expected-note @below {{wrong because of it: dx}}
// expected-note @below {{wrong because of it: dw}}
func.func @missing(%x: !X, %w: !W, %dh: !H) -> (!X {spmd.name = "dx"}, !W {spmd.name = "dw"}) {
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' sums over a dimension that 'tp' cuts, so each rank holds one term of the sum}}
  %0 = moe.einsum "tf,fd->td" %dh, %w : (!H, !W) -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  // expected-note @below {{carried on by 'moe.scale'}}
  %1 = moe.scale %0 by 0.5 : (!spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>) -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %dx = spmd.claim %1 : !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>> -> !X
  // expected-note @below {{it became partial over 'dp' here: 'moe.einsum' sums over a dimension that 'dp' cuts}}
  %2 = moe.einsum "tf,td->fd" %dh, %x : (!H, !X) -> !spmd.tensor<12x4xf32, #mesh, dp: partial<sum>, tp: shard<0>>
  // expected-error @below {{[G1] the value at 'w' is claimed replicate over 'dp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'dp'}}
  %dw = spmd.claim %2 at "w" : !spmd.tensor<12x4xf32, #mesh, dp: partial<sum>, tp: shard<0>> -> !W
  return %dx, %dw : !X, !W
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @too_many(%p: !P) -> !R {
  // expected-note @below {{it was already made the same on all ranks of 'tp' here: 'spmd.redistribute' makes partial<sum> replicate}}
  // expected-note @below {{help: or leave it partial over 'tp' here; -1 collective, -192 B per rank; tried: results equal those of one device}}
  %0 = spmd.redistribute %p : !P -> !R
  // expected-note @below {{carried on by 'moe.scale'}}
  %1 = moe.scale %0 by 2.0 : (!R) -> !R
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but is replicate: a reduction too many}}
  // expected-note @below {{help: claim replicate over 'tp' here}}
  %2 = spmd.claim %1 : !R -> !P
  %3 = spmd.redistribute %2 : !P -> !R
  return %3 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!S0 = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
// expected-note @below {{wrong because of it: result 0}}
func.func @otherwise(%s: !S0) -> !S1 {
  // expected-error @below {{[G3] this value is claimed shard<1> over 'tp', but is shard<0>: it is cut otherwise}}
  // expected-note @below {{help: convert it here (spmd.redistribute): an all-to-all over 'tp'}}
  %0 = spmd.claim %s : !S0 -> !S1
  return %0 : !S1
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!M = !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>
// expected-note @below {{wrong because of it: result 0}}
func.func @kind(
    // expected-note @below {{it is an argument that is partial over 'tp' from outside}}
    %m: !M) -> !spmd.tensor<8x4xf32, #mesh> {
  // expected-error @below {{[G4] this value is claimed partial<sum> over 'tp', but is partial<max>: it is another kind of reduction}}
  // expected-note @below {{help: claim partial<max> over 'tp' here}}
  %0 = spmd.claim %m : !M -> !P
  %1 = spmd.redistribute %0 : !P -> !spmd.tensor<8x4xf32, #mesh>
  return %1 : !spmd.tensor<8x4xf32, #mesh>
}

// -----

// Replicas are their own maximum and mean, not their own sum. What is claimed is what is
// known from there on.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!M = !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>
!A = !spmd.tensor<8x4xf32, #mesh, tp: partial<avg>>
func.func @weaker(%x: !R) -> (!M, !A) {
  %0 = spmd.claim %x : !R -> !M
  %1 = spmd.claim %x : !R -> !A
  return %0, %1 : !M, !A
}

// -----

// A sum of a reduced term and a Partial one has no meaning; who relies on it is
// told, and where the terms came from.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @mixed(
    %p: !P,
    // expected-note @below {{it is an argument that is partial over 'tp' from outside}}
    %q: !P) -> !R {
  // expected-note @below {{it was already made the same on all ranks of 'tp' here: 'spmd.redistribute' makes partial<sum> replicate}}
  // expected-note @below {{help: leave it partial over 'tp' here}}
  %0 = spmd.redistribute %p : !P -> !R
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: or convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute); no communication more}}
  %1 = moe.add %0, %q : (!R, !P) -> !P
  // expected-note @below {{the sum is carried on by 'moe.scale'}}
  %2 = moe.scale %1 by 0.5 : (!P) -> !P
  // expected-error @below {{[G5] 'spmd.redistribute' over 'tp'}}
  %3 = spmd.redistribute %2 : !P -> !R
  return %3 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @twice(%p: !P) -> !R {
  // expected-note @below {{it was already made the same on all ranks of 'tp' here: 'spmd.all_reduce' makes partial<sum> replicate}}
  // expected-note @below {{help: or remove this reduction; -1 collective, -192 B per rank; tried: results equal those of one device}}
  %0 = spmd.all_reduce %p over ["tp"] : !P -> !R
  // expected-error @below {{[G6] 'spmd.all_reduce' over 'tp'}}
  // expected-note @below {{help: remove this reduction; -1 collective, -192 B per rank; tried: results equal those of one device}}
  %1 = spmd.all_reduce %0 over ["tp"] : !R -> !R
  return %1 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
// expected-note @below {{wrong because of it: result 0}}
func.func @typed(%x: !spmd.tensor<8x6xf32, #mesh, tp: shard<1>>, %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>) -> !R {
  // expected-error @below {{[T1] 'moe.einsum' is typed replicate over 'tp', but is partial<sum>}}
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' sums over a dimension that 'tp' cuts}}
  // expected-note @below {{help: write `?` to have the placement inferred, or convert the value with spmd.redistribute}}
  %0 = moe.einsum "tf,fd->td" %x, %w
      : (!spmd.tensor<8x6xf32, #mesh, tp: shard<1>>, !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>) -> !R
  return %0 : !R
}

// -----

// Rows of two dispatches have one placement and different cuts.
#mesh = #spmd.mesh<dp=2, tp=4>
!X = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!I = !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
!N = !spmd.tensor<16x4xf32, #mesh, tp: ragged<0>>
func.func @rows(%x: !X, %i: !I, %j: !I) {
  %0 = moe.dispatch %x, %i of 4 : (!X, !I) -> !N
  %1 = moe.dispatch %x, %j of 4 : (!X, !I) -> !N
  // expected-error @below {{[R4] 'moe.add' over 'tp': its rows are cut by other expert numbers than those it meets here}}
  // expected-note @below {{help: convert an operand with spmd.redistribute}}
  %2 = moe.add %0, %1 : (!N, !N) -> !N
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
func.func @not_inferred(%x: !R) {
  // expected-error @below {{[I2] a placement is not known yet; help: run spmd-infer-placements first}}
  %0 = moe.silu %x : (!R) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
  return
}

// -----

// One false claim is one error: what follows from it is in its reach.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: y, z}}
func.func @one_error(
    // expected-note @below {{it is an argument that is partial over 'tp' from outside}}
    %p: !P, %r: !R) -> (!R {spmd.name = "y"}, !R {spmd.name = "untouched"}, !R {spmd.name = "z"}) {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %0 = spmd.claim %p : !P -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = moe.mul %1, %r : (!R, !R) -> !R
  %3 = moe.silu %r : (!R) -> !R
  return %1, %3, %2 : !R, !R, !R
}

// RUN: moe-opt %s --moe-check --split-input-file --verify-diagnostics

// What is tried, what it costs, and that it was executed.

// Two labels one after the other: the last one meets the gradient first.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, tp: ?>
// expected-note @below {{wrong because of it: grad.x}}
func.func @two_labels(%x: !R {spmd.name = "x"}, %w: !W) -> !H {
  %0 = spmd.boundary %x grad claims <> at "outer" : !R -> !R
  // expected-error @below {{[G1] the gradient at 'inner' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (`grad converts`): an all-reduce over 'tp'; +1 collective, +192 B per rank; tried: gradients equal those of one device}}
  %1 = spmd.boundary %0 grad claims <> at "inner" : !R -> !R
  // expected-note @below {{it became partial over 'tp' here}}
  %2 = moe.einsum "td,fd->tf" %1, %w : (!R, !W) -> !H
  return %2 : !H
}

// -----

// Two changes where none alone is enough.
#mesh = #spmd.mesh<dp=2, tp=4>
!S = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!M = !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>
!R = !spmd.tensor<8x4xf32, #mesh>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @two_changes.vjp(%m: !M) -> !R {
  // expected-error @below {{[G4] this value is claimed partial<sum> over 'tp', but is partial<max>: it is another kind of reduction}}
  // expected-note @below {{help: claim partial<max> over 'tp' here, and in line 35 claim partial<max> over 'tp' here; no communication more; tried: results equal those of one device}}
  %0 = spmd.claim %m : !M -> !P
  %1 = spmd.claim %0 : !P -> !P
  %2 = spmd.redistribute %1 : !P -> !R
  return %2 : !R
}

// -----

// The width of a real layer and 4096 ranks: sizes are reduced before execution.
#mesh = #spmd.mesh<dp=64, tp=64>
!X = !spmd.tensor<65536x8192xbf16, #mesh, dp: shard<0>>
!X_ = !spmd.tensor<65536x8192xbf16, #mesh, dp: ?, tp: ?>
!W = !spmd.tensor<28672x8192xbf16, #mesh, tp: shard<0>>
!H = !spmd.tensor<65536x28672xbf16, #mesh, dp: ?, tp: ?>
// expected-note @below {{wrong because of it: grad.x}}
func.func @large(%x: !X {spmd.name = "x"}, %w: !W) -> !H {
  // expected-error @below {{[G1] the gradient at 'x' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'tp' here; +1 collective, +31.5 MiB per rank; tried: gradients equal those of one device}}
  // expected-note @below {{help: or reduce it here (`grad converts`): an all-reduce over 'tp'; +1 collective, +31.5 MiB per rank; tried: gradients equal those of one device}}
  %0 = spmd.boundary %x grad claims <dp: shard<0>> at "x" : !X -> !X
  // expected-note @below {{it became partial over 'tp' here}}
  %1 = moe.einsum "td,fd->tf" %0, %w : (!X, !W) -> !H
  return %1 : !H
}

// -----

// Numbers of experts are not reduced.
#mesh = #spmd.mesh<tp=2>
!P = !spmd.tensor<8x16777216xf32, #mesh, tp: partial<sum>>
!R = !spmd.tensor<8x16777216xf32, #mesh>
!I = !spmd.tensor<8x2xi32, #mesh>
!C = !spmd.tensor<8x2xf32, #mesh>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @too_large.vjp(%p: !P, %experts: !I) -> !C {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +512.0 MiB per rank; not executed: it is too large for the reference}}
  %0 = spmd.claim %p : !P -> !R
  %1 = moe.gather %0, %experts : (!R, !I) -> !C
  return %1 : !C
}

// -----

// The reference converts no rows that are cut by expert.
#mesh = #spmd.mesh<tp=2>
!X = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!XP = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!I = !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
!N = !spmd.tensor<16x4xf32, #mesh, tp: ragged<0>>
!R = !spmd.tensor<16x4xf32, #mesh>
// expected-note @below {{wrong because of it: result 0}}
func.func @ragged.vjp(%x: !X, %experts: !I) -> !R {
  %0 = moe.dispatch %x, %experts of 4 : (!X, !I) -> !N
  // expected-error @below {{[G3] this value is claimed replicate over 'tp', but is ragged<0>: it is cut}}
  // expected-note @below {{help: convert it here (spmd.redistribute): an all-gather over 'tp'; +1 collective, +128 B per rank; not executed: there is no conversion from ragged<0> to replicate}}
  %1 = spmd.claim %0 : !N -> !R
  return %1 : !R
}

// -----

// As many changes as a sum has terms of the other kind.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, tp: ?>
// expected-note @below {{wrong because of it: grad.x}}
func.func @many_terms(%x: !R {spmd.name = "x"}, %w: !W, %v: !W) -> (!R, !R, !H, !H) {
  // expected-error @below {{[G2] the gradient at 'x' is claimed partial<sum> over 'tp', but one of its terms is replicate and another partial: a reduction too many}}
  %0 = spmd.boundary %x grad claims <tp: partial<sum>> at "x" : !R -> !R
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (`grad converts` on its use), and in line 111 convert the replicated term to partial<sum> over 'tp' before it is added here (`grad converts` on its use); no communication more; tried: gradients equal those of one device}}
  // expected-note @below {{the sum is carried on by 'moe.add' (backward)}}
  %1 = moe.silu %0 : (!R) -> !R
  // expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  %2 = moe.sigmoid %0 : (!R) -> !R
  // expected-note @below {{carried on by 'moe.add' (backward)}}
  %3 = moe.einsum "td,fd->tf" %0, %w : (!R, !W) -> !H
  // expected-note @below {{it became partial over 'tp' here}}
  %4 = moe.einsum "td,fd->tf" %0, %v : (!R, !W) -> !H
  return %1, %2, %3, %4 : !R, !R, !H, !H
}

// -----

// What follows from a false claim is a fault of its own where nothing hides it.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @revealed.vjp(%p: !P, %q: !P) -> !R {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +192 B per rank; tried, others aside: results equal those of one device}}
  %0 = spmd.claim %p : !P -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = moe.add %1, %q : (!R, !P) -> !P
  %3 = spmd.redistribute %2 : !P -> !R
  return %3 : !R
}

// -----

// Nobody can run what only its author knows.
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @opaque.vjp(%x: !x) -> !x {
  // expected-note @below {{it is partial over 'tp' from here on}}
  %0 = spmd.opaque "flash" %x needs [<>] grad [<tp: partial<sum>>] : (!x) -> !p
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +128 B per rank; not executed: the reference can't execute 'spmd.opaque'}}
  %1 = spmd.claim %0 : !p -> !x
  return %1 : !x
}

// -----

// What no rule allows: one operand as the other, which costs nothing.
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!s = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{wrong because of it: result 0}}
func.func @operands.vjp(%x: !x, %s: !s) -> !s {
  // expected-error @below {{[R4] 'moe.add' over 'tp': operand 1 is shard<0>, but operand 0, which has the same dimension, is whole}}
  // expected-note @below {{help: convert operand 0 here (spmd.redistribute): a local slice over 'tp'; no communication more; tried: results equal those of one device}}
  %0 = moe.add %x, %s : (!x, !s) -> !s
  return %0 : !s
}

// -----

// Conversions of what is false are left out, or made over the axis that was meant.
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
!all = !spmd.tensor<8x6xf32, #mesh>
!saved = !spmd.tensor<8x6xf32, #mesh, dp: shard<1>>
// expected-note @below {{wrong because of it: result 0}}
func.func @other_axis.vjp(%x: !x) -> !x {
  // expected-error @below {{[G3] this value is claimed replicate over 'dp', but is shard<0>: it is cut}}
  // expected-note-re @below {{help: claim shard<0> over 'dp' here, and in line {{[0-9]+}} leave it shard<0> over 'dp' here, and in line {{[0-9]+}} leave it shard<0> over 'dp' here; -1 collective, -96 B per rank; tried: results equal those of one device}}
  // expected-note-re @below {{help: or claim shard<0> over 'dp' here, and in line {{[0-9]+}} leave it shard<0> over 'dp' here, and in line {{[0-9]+}} convert it to shard<1> over 'tp' here, and in line {{[0-9]+}} leave it shard<0> over 'dp' here; +0 collectives, -48 B per rank; tried: results equal those of one device}}
  %0 = spmd.claim %x : !x -> !all
  %1 = spmd.redistribute %0 : !all -> !saved
  // expected-note @below {{it was already made the same on all ranks of 'dp' here: 'spmd.redistribute' makes shard<1> replicate}}
  // expected-note @below {{help: convert it to shard<0> over 'dp' here; +0 collectives, -48 B per rank; tried, others aside: results equal those of one device}}
  %2 = spmd.redistribute %1 : !saved -> !all
  // expected-error @below {{[G3] this value is claimed shard<0> over 'dp', but is replicate: it is not cut}}
  // expected-note @below {{help: or convert it here (spmd.redistribute): a local slice over 'dp'; no communication more; tried, others aside: results equal those of one device}}
  %3 = spmd.claim %2 : !all -> !x
  return %3 : !x
}

// -----

// No axis but one of the same size, on which the value is as claimed, can have
// been meant.
#mesh = #spmd.mesh<dp=2, tp=4>
!x = !spmd.tensor<8x8xf32, #mesh, dp: shard<0>>
!all = !spmd.tensor<8x8xf32, #mesh>
!saved = !spmd.tensor<8x8xf32, #mesh, dp: shard<1>>
// expected-note @below {{wrong because of it: result 0}}
func.func @no_other_axis.vjp(%x: !x) -> !x {
  // expected-error @below {{[G3] this value is claimed replicate over 'dp', but is shard<0>: it is cut}}
  // expected-note-re @below {{help: claim shard<0> over 'dp' here, and in line {{[0-9]+}} leave it shard<0> over 'dp' here, and in line {{[0-9]+}} leave it shard<0> over 'dp' here; -1 collective, -128 B per rank; tried: results equal those of one device}}
  // expected-note @below {{help: or claim shard<0> over 'dp' here; +1 collective, +64 B per rank; tried, others aside: results equal those of one device}}
  %0 = spmd.claim %x : !x -> !all
  %1 = spmd.redistribute %0 : !all -> !saved
  // expected-note @below {{it was already made the same on all ranks of 'dp' here: 'spmd.redistribute' makes shard<1> replicate}}
  // expected-note @below {{help: convert it to shard<0> over 'dp' here; +0 collectives, -64 B per rank; tried, others aside: results equal those of one device}}
  %2 = spmd.redistribute %1 : !saved -> !all
  // expected-error @below {{[G3] this value is claimed shard<0> over 'dp', but is replicate: it is not cut}}
  // expected-note @below {{help: or convert it here (spmd.redistribute): a local slice over 'dp'; no communication more; tried, others aside: results equal those of one device}}
  %3 = spmd.claim %2 : !all -> !x
  return %3 : !x
}

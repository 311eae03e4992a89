// RUN: moe-opt %s --moe-check --split-input-file --verify-diagnostics

#mesh = #spmd.mesh<tp=2>

// expected-note @below {{wrong because of it: grad.x}}
func.func @replicate_on_partial(
    %x: !spmd.tensor<8x4xf32, #mesh> {spmd.name = "x"},
    %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>> {spmd.name = "w"},
    %v: !spmd.tensor<4x6xf32, #mesh, tp: shard<1>> {spmd.name = "v"})
    -> (!spmd.tensor<8x4xf32, #mesh> {spmd.name = "y"}) {
  // expected-error @below {{[G1] the gradient at 'x' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'tp' here}}
  // expected-note @below {{help: or reduce it here (`grad converts`): an all-reduce over 'tp'}}
  %0 = spmd.boundary %x grad claims <> at "x"
      : !spmd.tensor<8x4xf32, #mesh> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' (backward) sums over a dimension that 'tp' cuts}}
  %1 = moe.einsum "td,fd->tf" %0, %w
      : (!spmd.tensor<8x4xf32, #mesh, tp: ?>,
         !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>)
      -> !spmd.tensor<8x6xf32, #mesh, tp: ?>
  %2 = moe.silu %1 : (!spmd.tensor<8x6xf32, #mesh, tp: ?>)
      -> !spmd.tensor<8x6xf32, #mesh, tp: ?>
  %3 = moe.einsum "tf,df->td" %2, %v
      : (!spmd.tensor<8x6xf32, #mesh, tp: ?>,
         !spmd.tensor<4x6xf32, #mesh, tp: shard<1>>)
      -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
  %4 = spmd.redistribute %3 : !spmd.tensor<8x4xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x4xf32, #mesh>
  return %4 : !spmd.tensor<8x4xf32, #mesh>
}

// -----

// Gradients of two uses, one of them never Partial: no label of theirs to change.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, tp: ?>
// expected-note @below {{wrong because of it: grad.x}}
func.func @two_uses(%x: !R {spmd.name = "x"}, %w: !W) -> (!R, !H) {
  // expected-error @below {{[G2] the gradient at 'x' is claimed partial<sum> over 'tp', but one of its terms is replicate and another partial: a reduction too many}}
  %0 = spmd.boundary %x grad claims <tp: partial<sum>> at "x" : !R -> !R
  // expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (`grad converts` on its use)}}
  %1 = moe.silu %0 : (!R) -> !R
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' (backward) sums over a dimension that 'tp' cuts}}
  %2 = moe.einsum "td,fd->tf" %0, %w : (!R, !W) -> !H
  return %1, %2 : !R, !H
}

// -----

// With that help.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, tp: ?>
func.func @two_uses_repaired(%x: !R {spmd.name = "x"}, %w: !W) -> (!R, !H) {
  %0 = spmd.boundary %x grad claims <tp: partial<sum>> at "x" : !R -> !R
  %1 = spmd.boundary %0 grad converts <tp: partial<sum>> at "silu.input" : !R -> !R
  %2 = moe.silu %1 : (!R) -> !R
  %3 = moe.einsum "td,fd->tf" %0, %w : (!R, !W) -> !H
  return %2, %3 : !R, !H
}

// -----

// Rows go and come back by the same choice of experts, converted once for each:
// they are cut at the same places.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!X = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!S = !spmd.tensor<8x6xf32, #mesh>
!I = !spmd.tensor<8x2xi32, #mesh>
!J = !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
!N = !spmd.tensor<16x4xf32, #mesh, tp: ?, dp: ?>
!X_ = !spmd.tensor<8x4xf32, #mesh, tp: ?, dp: ?>
func.func @one_choice(%x: !X, %s: !S) -> !X_ {
  %0 = moe.top_k %s : (!S) -> !I
  %1 = spmd.redistribute %0 : !I -> !J
  %2 = moe.dispatch %x, %1 of 6 : (!X, !J) -> !N
  %3 = spmd.redistribute %0 : !I -> !J
  %4 = moe.combine %2, %3 of 6 : (!N, !J) -> !X_
  return %4 : !X_
}

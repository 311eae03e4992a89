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

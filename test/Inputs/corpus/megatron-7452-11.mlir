// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 11: the weight of a norm is a copy on every rank, and each has the gradient of its own heads: without sequence parallelism nothing sums them
// error: G1 'out_norm.weight'
// origin: 'moe.einsum' .backward. sums over a dimension that 'tp' cuts
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!o = !spmd.tensor<5x4x3xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<3xf32, #mesh>
!y_ = !spmd.tensor<5x4x3xf32, #mesh, tp: ?>

func.func @gated_norm(%o: !o {spmd.name = "o"}, %gate: !o {spmd.name = "gate"}, %w: !w {spmd.name = "out_norm.weight"})
    -> (!y_ {spmd.name = "y"}) {
  %0 = spmd.boundary %w grad claims <> at "out_norm.weight" : !w -> !w
  %1 = moe.normalize %o : (!o) -> !y_
  %2 = moe.einsum "thd,d->thd" %1, %0 : (!y_, !w) -> !y_
  %3 = moe.silu %gate : (!o) -> !y_
  %4 = moe.mul %2, %3 : (!y_, !y_) -> !y_
  return %4 : !y_
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!o = !spmd.tensor<5x4x3xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<3xf32, #mesh>
!y_ = !spmd.tensor<5x4x3xf32, #mesh, tp: ?>

func.func @gated_norm(%o: !o {spmd.name = "o"}, %gate: !o {spmd.name = "gate"}, %w: !w {spmd.name = "out_norm.weight"})
    -> (!y_ {spmd.name = "y"}) {
  %0 = spmd.boundary %w grad converts <> at "out_norm.weight" : !w -> !w
  %1 = moe.normalize %o : (!o) -> !y_
  %2 = moe.einsum "thd,d->thd" %1, %0 : (!y_, !w) -> !y_
  %3 = moe.silu %gate : (!o) -> !y_
  %4 = moe.mul %2, %3 : (!y_, !y_) -> !y_
  return %4 : !y_
}

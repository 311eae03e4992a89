// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 08: the attention sink is cut over the heads of tp, and its gradient's norm is taken on one rank as if it were a copy
// error: G1 'norm'
// origin: 'moe.einsum' sums over a dimension that 'tp' cuts
// upstream: https://github.com/NVIDIA/Megatron-LM/pull/7530 marks it as cut over tp, so that the norm sums over it
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!g = !spmd.tensor<6xf32, #mesh, tp: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, tp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @sink_norm(%g: !g {spmd.no_grad}) -> (!n {spmd.name = "norm"}) {
  %0 = moe.einsum "h,h->" %g, %g : (!g, !g) -> !n_
  %1 = spmd.claim %0 at "norm" : !n_ -> !n
  return %1 : !n
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!g = !spmd.tensor<6xf32, #mesh, tp: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, tp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @sink_norm(%g: !g {spmd.no_grad}) -> (!n {spmd.name = "norm"}) {
  %0 = moe.einsum "h,h->" %g, %g : (!g, !g) -> !n_
  %1 = spmd.redistribute %0 at "norm" : !n_ -> !n
  return %1 : !n
}

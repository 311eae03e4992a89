// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 09: each rank divides the sum of its masked losses by its own count of tokens, not by that of the sequence
// error: G1 'tokens'
// origin: 'moe.einsum' sums over a dimension that 'cp' cuts
// upstream: https://github.com/NVIDIA/Megatron-LM/pull/7513 sums the count over cp
//--- faulty.mlir
#mesh = #spmd.mesh<cp=2>
!l = !spmd.tensor<8xf32, #mesh, cp: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, cp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @masked_loss(%loss: !l {spmd.name = "loss"}, %mask: !l {spmd.no_grad}) -> (!n_ {spmd.name = "mean"}) {
  %0 = moe.einsum "t,t->" %loss, %mask : (!l, !l) -> !n_
  %1 = moe.einsum "t->" %mask : (!l) -> !n_
  %2 = spmd.claim %1 at "tokens" : !n_ -> !n
  %3 = moe.div %0, %2 : (!n_, !n) -> !n_
  return %3 : !n_
}
//--- repaired.mlir
#mesh = #spmd.mesh<cp=2>
!l = !spmd.tensor<8xf32, #mesh, cp: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, cp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @masked_loss(%loss: !l {spmd.name = "loss"}, %mask: !l {spmd.no_grad}) -> (!n_ {spmd.name = "mean"}) {
  %0 = moe.einsum "t,t->" %loss, %mask : (!l, !l) -> !n_
  %1 = moe.einsum "t->" %mask : (!l) -> !n_
  %2 = spmd.redistribute %1 at "tokens" : !n_ -> !n
  %3 = moe.div %0, %2 : (!n_, !n) -> !n_
  return %3 : !n_
}

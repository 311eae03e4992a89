// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 03: the loss of the predicted tokens is scaled by a rank's own count of tokens over its own count of predicted ones
// error: G1 'tokens'
// origin: 'moe.einsum' sums over a dimension that 'dp' cuts
// upstream: none for dp; https://github.com/NVIDIA/Megatron-LM/pull/7498 sums both counts over cp
//--- faulty.mlir
#mesh = #spmd.mesh<dp=2>
!l = !spmd.tensor<8xf32, #mesh, dp: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, dp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @mtp_loss(%loss: !l {spmd.name = "loss"}, %mask: !l {spmd.no_grad}, %rolled: !l {spmd.no_grad})
    -> (!n_ {spmd.name = "mtp_loss"}) {
  %0 = moe.einsum "t,t->" %loss, %rolled : (!l, !l) -> !n_
  %1 = moe.einsum "t->" %mask : (!l) -> !n_
  %2 = spmd.claim %1 at "tokens" : !n_ -> !n
  %3 = moe.einsum "t->" %rolled : (!l) -> !n_
  %4 = spmd.claim %3 at "predicted tokens" : !n_ -> !n
  %5 = moe.div %2, %4 : (!n, !n) -> !n
  %6 = moe.mul %0, %5 : (!n_, !n) -> !n_
  return %6 : !n_
}
//--- repaired.mlir
#mesh = #spmd.mesh<dp=2>
!l = !spmd.tensor<8xf32, #mesh, dp: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, dp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @mtp_loss(%loss: !l {spmd.name = "loss"}, %mask: !l {spmd.no_grad}, %rolled: !l {spmd.no_grad})
    -> (!n_ {spmd.name = "mtp_loss"}) {
  %0 = moe.einsum "t,t->" %loss, %rolled : (!l, !l) -> !n_
  %1 = moe.einsum "t->" %mask : (!l) -> !n_
  %2 = spmd.redistribute %1 at "tokens" : !n_ -> !n
  %3 = moe.einsum "t->" %rolled : (!l) -> !n_
  %4 = spmd.redistribute %3 at "predicted tokens" : !n_ -> !n
  %5 = moe.div %2, %4 : (!n, !n) -> !n
  %6 = moe.mul %0, %5 : (!n_, !n) -> !n_
  return %6 : !n_
}

// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 01: label smoothing takes the mean of the logarithms of the probabilities over a rank's own part of the vocabulary
// error: G1 'mean of the log probabilities'
// origin: 'moe.einsum' sums over a dimension that 'tp' cuts
// upstream: https://github.com/NVIDIA/Megatron-LM/pull/7466 sums over the ranks
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x8xf32, #mesh, tp: shard<1>>
!s_ = !spmd.tensor<6xf32, #mesh, tp: ?>
!s = !spmd.tensor<6xf32, #mesh>

func.func @smoothed_loss(%l: !x {spmd.name = "log_probs"}, %loss: !s {spmd.name = "loss"})
    -> (!s {spmd.name = "smoothed"}) {
  %0 = moe.einsum "tv->t" %l : (!x) -> !s_
  %1 = moe.scale %0 by 0.125 : (!s_) -> !s_
  %2 = spmd.claim %1 at "mean of the log probabilities" : !s_ -> !s
  %3 = moe.sub %loss, %2 : (!s, !s) -> !s
  return %3 : !s
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x8xf32, #mesh, tp: shard<1>>
!s_ = !spmd.tensor<6xf32, #mesh, tp: ?>
!s = !spmd.tensor<6xf32, #mesh>

func.func @smoothed_loss(%l: !x {spmd.name = "log_probs"}, %loss: !s {spmd.name = "loss"})
    -> (!s {spmd.name = "smoothed"}) {
  %0 = moe.einsum "tv->t" %l : (!x) -> !s_
  %1 = moe.scale %0 by 0.125 : (!s_) -> !s_
  %2 = spmd.redistribute %1 at "mean of the log probabilities" : !s_ -> !s
  %3 = moe.sub %loss, %2 : (!s, !s) -> !s
  return %3 : !s
}

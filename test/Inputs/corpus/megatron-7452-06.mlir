// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 06: the context of a cross attention is gathered over another group than the one that cuts it, and copies come out one after the other
// error: G3 'context'
// origin: it is claimed replicate over 'tp', but is shard<0>: it is cut
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
!cut = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
!w = !spmd.tensor<4x6xf32, #mesh, tp: shard<0>>
!all = !spmd.tensor<8x6xf32, #mesh>
!k_ = !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>

func.func @keys(%context: !x {spmd.no_grad}, %w: !w {spmd.no_grad}) -> (!k_ {spmd.name = "k"}) {
  %0 = spmd.claim %context at "context" : !x -> !cut
  %1 = spmd.redistribute %0 : !cut -> !all
  %2 = moe.einsum "td,kd->tk" %1, %w : (!all, !w) -> !k_
  return %2 : !k_
}
//--- repaired.mlir
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
!w = !spmd.tensor<4x6xf32, #mesh, tp: shard<0>>
!all = !spmd.tensor<8x6xf32, #mesh>
!k_ = !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>

func.func @keys(%context: !x {spmd.no_grad}, %w: !w {spmd.no_grad}) -> (!k_ {spmd.name = "k"}) {
  %0 = spmd.claim %context at "context" : !x -> !x
  %1 = spmd.redistribute %0 : !x -> !all
  %2 = moe.einsum "td,kd->tk" %1, %w : (!all, !w) -> !k_
  return %2 : !k_
}

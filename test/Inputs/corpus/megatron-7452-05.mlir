// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 05: the padding mask is cut over another group than the tokens that it masks
// error: R4 moe.mul
// origin: operand 1
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<ep=2, tp=2>
!m = !spmd.tensor<8x4xf32, #mesh>
!c = !spmd.tensor<8x4xf32, #mesh, ep: shard<0>>
!s = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!y_ = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>

func.func @masked_scores(%s: !s {spmd.no_grad}, %m: !m {spmd.no_grad}) -> (!y_ {spmd.name = "y"}) {
  %0 = spmd.redistribute %m : !m -> !c
  %1 = moe.mul %s, %0 : (!s, !c) -> !y_
  return %1 : !y_
}
//--- repaired.mlir
#mesh = #spmd.mesh<ep=2, tp=2>
!m = !spmd.tensor<8x4xf32, #mesh>
!c = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!s = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!y_ = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>

func.func @masked_scores(%s: !s {spmd.no_grad}, %m: !m {spmd.no_grad}) -> (!y_ {spmd.name = "y"}) {
  %0 = spmd.redistribute %m : !m -> !c
  %1 = moe.mul %s, %0 : (!s, !c) -> !y_
  return %1 : !y_
}

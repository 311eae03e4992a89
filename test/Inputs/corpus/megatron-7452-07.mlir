// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 07: the embeddings are cut over another group than the model that takes its part of them
// error: G3 'embeddings'
// origin: it is claimed shard<0> over 'tp', but is replicate: it is not cut
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh>
!cut = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
!part = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>

func.func @scatter(%x: !x {spmd.no_grad}) -> (!part {spmd.name = "y"}) {
  %0 = spmd.redistribute %x : !x -> !cut
  %1 = spmd.claim %0 at "embeddings" : !cut -> !part
  %2 = moe.silu %1 : (!part) -> !part
  return %2 : !part
}
//--- repaired.mlir
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh>
!part = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>

func.func @scatter(%x: !x {spmd.no_grad}) -> (!part {spmd.name = "y"}) {
  %0 = spmd.redistribute %x : !x -> !part
  %1 = spmd.claim %0 at "embeddings" : !part -> !part
  %2 = moe.silu %1 : (!part) -> !part
  return %2 : !part
}

// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 04: what is saved for the recomputation of a layer is split and gathered again over another group than the one in which its ranks hold copies, which mixes tokens of different replicas
// error: G3 'hidden states'
// origin: is claimed replicate over 'dp', but is shard<0>: it is cut
// upstream: https://github.com/NVIDIA/Megatron-LM/pull/6760 splits over the layer's own group
//--- faulty.mlir
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
!all = !spmd.tensor<8x6xf32, #mesh>
!saved = !spmd.tensor<8x6xf32, #mesh, dp: shard<1>>

func.func @recompute(%x: !x {spmd.no_grad}) -> (!x {spmd.name = "y"}) {
  %0 = spmd.claim %x at "hidden states" : !x -> !all
  %1 = spmd.redistribute %0 at "save" : !all -> !saved
  %2 = spmd.redistribute %1 at "recompute" : !saved -> !all
  %3 = spmd.claim %2 at "recomputed" : !all -> !x
  %4 = moe.silu %3 : (!x) -> !x
  return %4 : !x
}
//--- repaired.mlir
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
!saved = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>

func.func @recompute(%x: !x {spmd.no_grad}) -> (!x {spmd.name = "y"}) {
  %0 = spmd.claim %x at "hidden states" : !x -> !x
  %1 = spmd.redistribute %0 at "save" : !x -> !saved
  %2 = spmd.redistribute %1 at "recompute" : !saved -> !x
  %3 = spmd.claim %2 at "recomputed" : !x -> !x
  %4 = moe.silu %3 : (!x) -> !x
  return %4 : !x
}

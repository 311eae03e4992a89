// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 10: the counts are summed in place, and what reads them as one rank's own sums them again: the loss on them doubles
// error: G6 'local count'
// origin: 'spmd.all_reduce' at 'global count' makes partial<sum> replicate
// upstream: https://github.com/NVIDIA/Megatron-LM/pull/7481 takes the local count before the sum
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!i = !spmd.tensor<6x2xi32, #mesh, tp: shard<0>>
!c_ = !spmd.tensor<4xi32, #mesh, tp: ?>
!c = !spmd.tensor<4xi32, #mesh>

func.func @local_count(%i: !i) -> (!c {spmd.name = "counts"}) {
  %0 = moe.count %i : (!i) -> !c_
  %1 = spmd.all_reduce %0 over ["tp"] at "global count" : !c_ -> !c
  %2 = spmd.all_reduce %1 over ["tp"] at "local count" : !c -> !c
  return %2 : !c
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!i = !spmd.tensor<6x2xi32, #mesh, tp: shard<0>>
!c_ = !spmd.tensor<4xi32, #mesh, tp: ?>
!c = !spmd.tensor<4xi32, #mesh>

func.func @local_count(%i: !i) -> (!c {spmd.name = "counts"}) {
  %0 = moe.count %i : (!i) -> !c_
  %1 = spmd.all_reduce %0 over ["tp"] at "global count" : !c_ -> !c
  return %1 : !c
}

// source: https://github.com/PaddlePaddle/Paddle/blob/299947c6/paddle/phi/infermeta/spmd_rules/moe_combine.cc
// fault: the rule of the combine's gradient never calls that of the weights Partial, though rows cut along the model dimension make it so
// error: G1 this value is claimed
// origin: 'moe.einsum' sums over a dimension that 'tp' cuts
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!h = !spmd.tensor<6x2x4xf32, #mesh, tp: shard<2>>
!s = !spmd.tensor<6x2xf32, #mesh>
!y = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!ds_ = !spmd.tensor<6x2xf32, #mesh, tp: ?>
!dh = !spmd.tensor<6x2x4xf32, #mesh, tp: shard<2>>

func.func @combine.vjp(%h: !h {spmd.name = "h"}, %s: !s {spmd.name = "scores"}, %dy: !y {spmd.name = "dy"})
    -> (!y {spmd.name = "y"}, !dh {spmd.name = "grad.h"}, !s {spmd.name = "grad.scores"}) {
  %0 = moe.einsum "tkd,tk->td" %h, %s : (!h, !s) -> !y
  %1 = moe.einsum "td,tk->tkd" %dy, %s : (!y, !s) -> !dh
  %2 = moe.einsum "td,tkd->tk" %dy, %h : (!y, !h) -> !ds_
  %3 = spmd.claim %2 : !ds_ -> !s
  return %0, %1, %3 : !y, !dh, !s
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!h = !spmd.tensor<6x2x4xf32, #mesh, tp: shard<2>>
!s = !spmd.tensor<6x2xf32, #mesh>
!y = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!ds_ = !spmd.tensor<6x2xf32, #mesh, tp: ?>
!dh = !spmd.tensor<6x2x4xf32, #mesh, tp: shard<2>>

func.func @combine.vjp(%h: !h {spmd.name = "h"}, %s: !s {spmd.name = "scores"}, %dy: !y {spmd.name = "dy"})
    -> (!y {spmd.name = "y"}, !dh {spmd.name = "grad.h"}, !s {spmd.name = "grad.scores"}) {
  %0 = moe.einsum "tkd,tk->td" %h, %s : (!h, !s) -> !y
  %1 = moe.einsum "td,tk->tkd" %dy, %s : (!y, !s) -> !dh
  %2 = moe.einsum "td,tkd->tk" %dy, %h : (!y, !h) -> !ds_
  %3 = spmd.redistribute %2 : !ds_ -> !s
  return %0, %1, %3 : !y, !dh, !s
}

// source: https://github.com/NVIDIA/Megatron-LM/pull/5916
// fault: experts spread over the ranks are taken for copies of one: the squares of the gradients of one rank's experts stand for those of all, and the norm is too small
// error: G1 'norm'
// origin: 'moe.einsum' sums over a dimension that 'ep' cuts
// upstream: sums over the experts' ranks
//--- faulty.mlir
#mesh = #spmd.mesh<ep=2, tp=2>
!g = !spmd.tensor<4x3x5xf32, #mesh, ep: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, ep: ?, tp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @grad_norm(%g: !g {spmd.no_grad}) -> (!n {spmd.name = "norm"}) {
  %0 = moe.einsum "edf,edf->" %g, %g : (!g, !g) -> !n_
  %1 = spmd.claim %0 at "norm" : !n_ -> !n
  %2 = spmd.compute %1 : (!n) -> !n {
  ^bb0(%s: tensor<f32>):
    %r = math.sqrt %s : tensor<f32>
    spmd.yield %r : tensor<f32>
  }
  return %2 : !n
}
//--- repaired.mlir
#mesh = #spmd.mesh<ep=2, tp=2>
!g = !spmd.tensor<4x3x5xf32, #mesh, ep: shard<0>>
!n_ = !spmd.tensor<f32, #mesh, ep: ?, tp: ?>
!n = !spmd.tensor<f32, #mesh>

func.func @grad_norm(%g: !g {spmd.no_grad}) -> (!n {spmd.name = "norm"}) {
  %0 = moe.einsum "edf,edf->" %g, %g : (!g, !g) -> !n_
  %1 = spmd.redistribute %0 at "norm" : !n_ -> !n
  %2 = spmd.compute %1 : (!n) -> !n {
  ^bb0(%s: tensor<f32>):
    %r = math.sqrt %s : tensor<f32>
    spmd.yield %r : tensor<f32>
  }
  return %2 : !n
}

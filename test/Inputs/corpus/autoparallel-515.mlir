// source: https://github.com/meta-pytorch/autoparallel/issues/515
// fault: local_map takes a gradient to lie as its input does: expert weights replicated over dp, whose gradient each dp rank has a term of
// error: G1 'experts.w1'
// origin: 'moe.einsum' \(backward\) sums over a dimension that 'dp' cuts
// upstream: lets the gradient's placements be given
//--- faulty.mlir
#mesh = #spmd.mesh<dp=2, ep=2>
!x = !spmd.tensor<6x4xf32, #mesh, dp: shard<0>>
!w = !spmd.tensor<4x5x4xf32, #mesh, ep: shard<0>>
!y = !spmd.tensor<6x4x5xf32, #mesh, dp: shard<0>, ep: shard<1>>

func.func @local_map(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "experts.w1"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %w grad claims <ep: shard<0>> at "experts.w1" : !w -> !w
  %1 = moe.einsum "td,efd->tef" %x, %0 : (!x, !w) -> !y
  return %1 : !y
}
//--- repaired.mlir
#mesh = #spmd.mesh<dp=2, ep=2>
!x = !spmd.tensor<6x4xf32, #mesh, dp: shard<0>>
!w = !spmd.tensor<4x5x4xf32, #mesh, ep: shard<0>>
!y = !spmd.tensor<6x4x5xf32, #mesh, dp: shard<0>, ep: shard<1>>

func.func @local_map(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "experts.w1"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %w grad claims <dp: partial<sum>, ep: shard<0>> at "experts.w1" : !w -> !w
  %1 = moe.einsum "td,efd->tef" %x, %0 : (!x, !w) -> !y
  return %1 : !y
}

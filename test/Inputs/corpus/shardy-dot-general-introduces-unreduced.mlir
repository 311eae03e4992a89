// source: https://github.com/openxla/shardy/blob/a0277a83e/shardy/dialect/sdy/transforms/export/test/verify_unreduced_axes.mlir
// fault: the result is called unreduced on an axis that cuts nothing: what reduces it multiplies it by the size of the axis; Shardy's check of sets accepts it
// error: T1 moe.einsum
// origin: typed partial<sum> over 'y', but is replicate
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<x=2, y=2>
!a = !spmd.tensor<6x4xf32, #mesh, x: shard<0>>
!b = !spmd.tensor<4x5xf32, #mesh>
!c = !spmd.tensor<6x5xf32, #mesh, x: shard<0>, y: partial<sum>>
!d = !spmd.tensor<6x5xf32, #mesh, x: shard<0>>

func.func @dot_general(%a: !a {spmd.no_grad}, %b: !b {spmd.no_grad}) -> (!d {spmd.name = "d"}) {
  %0 = moe.einsum "ik,kj->ij" %a, %b : (!a, !b) -> !c
  %1 = spmd.redistribute %0 : !c -> !d
  return %1 : !d
}
//--- repaired.mlir
#mesh = #spmd.mesh<x=2, y=2>
!a = !spmd.tensor<6x4xf32, #mesh, x: shard<0>>
!b = !spmd.tensor<4x5xf32, #mesh>
!c = !spmd.tensor<6x5xf32, #mesh, x: shard<0>>
!d = !spmd.tensor<6x5xf32, #mesh, x: shard<0>>

func.func @dot_general(%a: !a {spmd.no_grad}, %b: !b {spmd.no_grad}) -> (!d {spmd.name = "d"}) {
  %0 = moe.einsum "ik,kj->ij" %a, %b : (!a, !b) -> !c
  %1 = spmd.redistribute %0 : !c -> !d
  return %1 : !d
}

// source: https://github.com/pytorch/pytorch/issues/172932
// fault: to_local() of a Partial tensor labels the gradient Partial by default, where the reduction behind it hands back a whole one
// error: G2 'to_local'
// origin: it is the same on all ranks of 'tp'
// upstream: pytorch #173454: Replicate by default
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<4x5xf32, #mesh, tp: shard<0>>
!p = !spmd.tensor<6x5xf32, #mesh, tp: partial<sum>>
!y = !spmd.tensor<6x5xf32, #mesh>

func.func @round_trip(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = moe.einsum "td,df->tf" %x, %w : (!x, !w) -> !p
  %1 = spmd.boundary %0 grad claims <tp: partial<sum>> at "to_local" : !p -> !p
  %2 = spmd.redistribute %1 : !p -> !y
  return %2 : !y
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<4x5xf32, #mesh, tp: shard<0>>
!p = !spmd.tensor<6x5xf32, #mesh, tp: partial<sum>>
!y = !spmd.tensor<6x5xf32, #mesh>

func.func @round_trip(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = moe.einsum "td,df->tf" %x, %w : (!x, !w) -> !p
  %1 = spmd.boundary %0 grad claims <> at "to_local" : !p -> !p
  %2 = spmd.redistribute %1 : !p -> !y
  return %2 : !y
}

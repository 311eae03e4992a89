// source: https://github.com/pytorch/torchtitan/pull/2106
// fault: gpt-oss adds a bias to a row-parallel product; the gradient of the product is marked Partial, as the product is, and reduced once more
// error: G2 'z'
// origin: it is the same on all ranks of 'tp'
// upstream: labels it Replicate
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<4x5xf32, #mesh, tp: shard<0>>
!b = !spmd.tensor<6x5xf32, #mesh>
!p = !spmd.tensor<6x5xf32, #mesh, tp: partial<sum>>

func.func @row_parallel(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}, %b: !b {spmd.name = "b"})
    -> (!b {spmd.name = "y"}) {
  %0 = moe.einsum "td,df->tf" %x, %w : (!x, !w) -> !p
  %1 = spmd.boundary %0 grad claims <tp: partial<sum>> at "z" : !p -> !p
  %2 = spmd.redistribute %b : !b -> !p
  %3 = moe.add %1, %2 : (!p, !p) -> !p
  %4 = spmd.redistribute %3 : !p -> !b
  return %4 : !b
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<4x5xf32, #mesh, tp: shard<0>>
!b = !spmd.tensor<6x5xf32, #mesh>
!p = !spmd.tensor<6x5xf32, #mesh, tp: partial<sum>>

func.func @row_parallel(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}, %b: !b {spmd.name = "b"})
    -> (!b {spmd.name = "y"}) {
  %0 = moe.einsum "td,df->tf" %x, %w : (!x, !w) -> !p
  %1 = spmd.boundary %0 grad claims <> at "z" : !p -> !p
  %2 = spmd.redistribute %b : !b -> !p
  %3 = moe.add %1, %2 : (!p, !p) -> !p
  %4 = spmd.redistribute %3 : !p -> !b
  return %4 : !b
}

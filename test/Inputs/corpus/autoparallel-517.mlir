// source: https://github.com/meta-pytorch/autoparallel/issues/517
// fault: a gradient that all ranks of dp have whole is called Partial: it is reduced twice
// error: G2 'w'
// origin: it is the same on all ranks of 'dp'
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<dp=2, ep=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!w = !spmd.tensor<5x4xf32, #mesh>
!y = !spmd.tensor<6x5xf32, #mesh>

func.func @local_map(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %w grad claims <dp: partial<sum>> at "w" : !w -> !w
  %1 = moe.einsum "td,fd->tf" %x, %0 : (!x, !w) -> !y
  return %1 : !y
}
//--- repaired.mlir
#mesh = #spmd.mesh<dp=2, ep=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!w = !spmd.tensor<5x4xf32, #mesh>
!y = !spmd.tensor<6x5xf32, #mesh>

func.func @local_map(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %w grad claims <> at "w" : !w -> !w
  %1 = moe.einsum "td,fd->tf" %x, %0 : (!x, !w) -> !y
  return %1 : !y
}

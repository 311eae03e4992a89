#mesh = #spmd.mesh<tp=2>
!X = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x6xf32, #mesh, tp: ?>

func.func @gate(%x: !X {spmd.name = "x"}, %w: !W {spmd.name = "w"},
                %v: !W {spmd.name = "v"}) -> (!H {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad claims <> at "x" : !X -> !X
  %1 = moe.einsum "td,fd->tf" %0, %w : (!X, !W) -> !H
  %2 = moe.einsum "td,fd->tf" %0, %v : (!X, !W) -> !H
  %3 = toy.mul %1, %2 : (!H, !H) -> !H
  return %3 : !H
}

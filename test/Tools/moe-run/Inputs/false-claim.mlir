// y = x w^T; the label on x is false: grad.x needs a reduction.
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<2x4xf32, #mesh>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!h_ = !spmd.tensor<2x6xf32, #mesh, tp: ?>

func.func @project(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"})
    -> (!h_ {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad claims <> at "x" : !x -> !x
  %1 = moe.einsum "td,fd->tf" %0, %w : (!x, !w) -> !h_
  return %1 : !h_
}

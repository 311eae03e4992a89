#mesh = #spmd.mesh<dp=2>
!x = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!w = !spmd.tensor<6x4xf32, #mesh>
!w_ = !spmd.tensor<6x4xf32, #mesh, dp: partial<sum>>
!y = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>

func.func @project.vjp(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}, %dy: !y {spmd.name = "dy"})
    -> (!w_ {spmd.name = "grad.w"}) {
  %0 = moe.einsum "tf,td->fd" %dy, %x : (!y, !x) -> !w_
  return %0 : !w_
}

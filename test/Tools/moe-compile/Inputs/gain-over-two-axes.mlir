#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!g = !spmd.tensor<4xf32, #mesh>
!v = !spmd.tensor<4x6xf32, #mesh, tp: shard<1>>
!h_ = !spmd.tensor<8x6xf32, #mesh, dp: ?, tp: ?>
!y_ = !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
!y = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
func.func @mlp(%x: !x {spmd.name = "x"}, %g: !g {spmd.name = "g"}, %w: !w {spmd.name = "w"}, %v: !v {spmd.name = "v"}) -> (!y {spmd.name = "y"}) {
  %n = moe.einsum "td,d->td" %x, %g : (!x, !g) -> !y_
  %0 = moe.einsum "td,fd->tf" %n, %w : (!y_, !w) -> !h_
  %1 = moe.silu %0 : (!h_) -> !h_
  %2 = moe.einsum "tf,df->td" %1, %v : (!h_, !v) -> !y_
  %3 = spmd.redistribute %2 : !y_ -> !y
  return %3 : !y
}

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!x_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>
!h_ = !spmd.tensor<8x6xf32, #mesh, tp: ?>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>

func.func private @mlp(%x: !x, %w: !w) -> !x {
  %1 = moe.einsum "td,fd->tf" %x, %w : (!x, !w) -> !h_
  %2 = moe.silu %1 : (!h_) -> !h_
  %3 = moe.einsum "tf,fd->td" %2, %w : (!h_, !w) -> !x_
  %4 = spmd.redistribute %3 : !x_ -> !x
  return %4 : !x
}

func.func @layers(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"},
                  %v: !w {spmd.name = "v"}) -> (!x {spmd.name = "y"}) {
  %0 = func.call @mlp(%x, %w) : (!x, !w) -> !x
  %1 = func.call @mlp(%0, %v) : (!x, !w) -> !x
  return %1 : !x
}

// Forward only; tokens are cut over dp, hidden sizes over tp.
#mesh = #spmd.mesh<dp=2, tp=3>
!x = !spmd.tensor<10x7xf32, #mesh, dp: shard<0>>
!w1 = !spmd.tensor<12x7xf32, #mesh, tp: shard<0>>
!w2 = !spmd.tensor<5x12xf32, #mesh, tp: shard<1>>
!g = !spmd.tensor<3x5xf32, #mesh>
!s = !spmd.tensor<5xf32, #mesh>
!h_ = !spmd.tensor<10x12xf32, #mesh, dp: ?, tp: ?>
!o_ = !spmd.tensor<10x5xf32, #mesh, dp: ?, tp: ?>
!o = !spmd.tensor<10x5xf32, #mesh, dp: shard<0>>
!y = !spmd.tensor<10x3xf32, #mesh, dp: shard<0>>

func.func @mlp(%x: !x {spmd.name = "x"}, %w1: !w1 {spmd.name = "w1"}, %w2: !w2 {spmd.name = "w2"},
               %g: !g {spmd.name = "g"}, %s: !s {spmd.name = "s"}) -> (!y {spmd.name = "y"}) {
  %0 = moe.einsum "td,fd->tf" %x, %w1 : (!x, !w1) -> !h_
  %1 = moe.silu %0 : (!h_) -> !h_
  %2 = moe.einsum "tf,df->td" %1, %w2 : (!h_, !w2) -> !o_
  %3 = spmd.redistribute %2 : !o_ -> !o
  %4 = moe.einsum "td,d->td" %3, %s : (!o, !s) -> !o_
  %5 = moe.einsum "td,ed->te" %4, %g : (!o_, !g) -> !y
  return %5 : !y
}

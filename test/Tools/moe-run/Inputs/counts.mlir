#mesh = #spmd.mesh<tp=2>
!n = !spmd.tensor<6x4xf32, #mesh>
!w = !spmd.tensor<3x5x4xf32, #mesh, tp: shard<1>>
!c = !spmd.tensor<3xi32, #mesh>
!h = !spmd.tensor<6x5xf32, #mesh, tp: shard<1>>
func.func @counts.vjp(%x: !n {spmd.name = "x"}, %w: !w {spmd.name = "w"}, %c: !c {spmd.name = "c"}) -> (!h {spmd.name = "y"}) {
  %0 = moe.grouped_einsum "nd,efd->nf" %x, %w counts %c : (!n, !w, !c) -> !h
  return %0 : !h
}

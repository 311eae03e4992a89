#mesh = #spmd.mesh<tp=2>
!s = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!b = !spmd.tensor<4xf32, #mesh>
!i = !spmd.tensor<6x2xi32, #mesh, tp: shard<0>>
!c = !spmd.tensor<4xi32, #mesh>
func.func @routing.vjp(%s: !s {spmd.name = "s"}, %b: !b {spmd.name = "b"}, %i: !i {spmd.name = "i"})
    -> (!i {spmd.name = "experts"}, !c {spmd.name = "counts"}) {
  %0 = moe.top_k %s bias %b {groups = 2 : i64, limited_groups = 1 : i64} : (!s, !b) -> !i
  %1 = moe.count %i : (!i) -> !spmd.tensor<4xi32, #mesh, tp: partial<sum>>
  %2 = spmd.redistribute %1 : !spmd.tensor<4xi32, #mesh, tp: partial<sum>> -> !c
  return %0, %2 : !i, !c
}

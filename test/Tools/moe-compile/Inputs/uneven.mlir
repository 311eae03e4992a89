#mesh = #spmd.mesh<tp=3>
!s = !spmd.tensor<7x4xf32, #mesh, tp: shard<0>>
!r = !spmd.tensor<7x4xf32, #mesh>
func.func @gather.vjp(%x: !s {spmd.name = "x"}) -> (!r {spmd.name = "y"}) {
  %0 = spmd.redistribute %x : !s -> !r
  return %0 : !r
}

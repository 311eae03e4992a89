// source: https://github.com/pytorch/torchtitan/commit/2cfa75357
// fault: the quantized column-parallel product's backward gives each rank the input's gradient by its own columns; nothing reduces it
// error: G1 'x'
// origin: 'spmd.opaque' \(backward\) says so
// upstream: reduces it
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!w = !spmd.tensor<5x4xf32, #mesh, tp: shard<0>>
!y = !spmd.tensor<6x5xf32, #mesh, tp: shard<1>>

func.func @quantized(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad claims <> at "x" : !x -> !x
  %1 = spmd.opaque "nvfp4_linear" %0, %w needs [<>, <tp: shard<0>>]
      grad [<tp: partial<sum>>, <tp: shard<0>>] : (!x, !w) -> !y
  return %1 : !y
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!w = !spmd.tensor<5x4xf32, #mesh, tp: shard<0>>
!y = !spmd.tensor<6x5xf32, #mesh, tp: shard<1>>

func.func @quantized(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad converts <> at "x" : !x -> !x
  %1 = spmd.opaque "nvfp4_linear" %0, %w needs [<>, <tp: shard<0>>]
      grad [<tp: partial<sum>>, <tp: shard<0>>] : (!x, !w) -> !y
  return %1 : !y
}

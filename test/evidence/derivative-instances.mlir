// One operation per function, for derivative-sweep: those that have a derivative
// and whose placement rule is no table to try, so rule-instances.mlir lacks them.
#mesh = #spmd.mesh<a=2>

func.func @redistribute(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.redistribute %x : !spmd.tensor<6x5xf32, #mesh> -> !spmd.tensor<6x5xf32, #mesh, a: shard<1>>
  return
}

func.func @claim(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.claim %x : !spmd.tensor<6x5xf32, #mesh> -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @boundary_claims(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.boundary %x grad claims <a: partial<sum>> : !spmd.tensor<6x5xf32, #mesh> -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @boundary_converts(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.boundary %x grad converts <> : !spmd.tensor<6x5xf32, #mesh> -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @einsum_spread(%x: !spmd.tensor<3x4x5xf32, #mesh>, %y: !spmd.tensor<4x2xf32, #mesh>) {
  %r = moe.einsum "abc,bd->ad" %x, %y : (!spmd.tensor<3x4x5xf32, #mesh>, !spmd.tensor<4x2xf32, #mesh>) -> !spmd.tensor<3x2xf32, #mesh>
  return
}

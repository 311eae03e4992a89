// RUN: moe-opt %s --convert-spmd-to-shard --split-input-file --verify-diagnostics

#mesh = #spmd.mesh<tp=2>
func.func @terms(%x: !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>, %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>) -> !spmd.tensor<8x6xf32, #mesh> {
  // expected-error @below {{the value is partial<sum> over 'tp', which 'shard' cannot say; help: reduce it first}}
  %0 = moe.einsum "td,fd->tf" %x, %w
      : (!spmd.tensor<8x4xf32, #mesh, tp: shard<1>>, !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>)
      -> !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
  %1 = spmd.redistribute %0 : !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<8x6xf32, #mesh>
  return %1 : !spmd.tensor<8x6xf32, #mesh>
}

// -----

#mesh = #spmd.mesh<tp=2>
// expected-error @below {{the value is partial<max> over 'tp', which 'shard' cannot say}}
func.func @argument(%x: !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>) -> !spmd.tensor<8x4xf32, #mesh, tp: partial<max>> {
  return %x : !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>
}

// -----

#mesh = #spmd.mesh<ep=2>
// expected-error @below {{the value's rows are cut over 'ep' as routing decides, which 'shard' cannot say}}
func.func @ragged(%x: !spmd.tensor<8x4xf32, #mesh, ep: ragged<0>>) -> !spmd.tensor<8x4xf32, #mesh, ep: ragged<0>> {
  return %x : !spmd.tensor<8x4xf32, #mesh, ep: ragged<0>>
}

// -----

#mesh = #spmd.mesh<tp=3>
// expected-error @below {{8 rows are cut into 3 parts, which are not equal}}
func.func @uneven(%x: !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>) -> !spmd.tensor<8x4xf32, #mesh, tp: shard<0>> {
  return %x : !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
}

// -----

#mesh = #spmd.mesh<tp=2>
func.func @unknown(%x: !spmd.tensor<8x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?> {
  // expected-error @below {{how the value lies over 'tp' is not inferred yet; help: run spmd-infer-placements}}
  %0 = moe.add %x, %x : (!spmd.tensor<8x4xf32, #mesh>, !spmd.tensor<8x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
  return %0 : !spmd.tensor<8x4xf32, #mesh, tp: ?>
}

// -----

#mesh = #spmd.mesh<tp=2>
func.func @label(%x: !spmd.tensor<8x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh> {
  // expected-error @below {{'spmd.boundary' op is about gradients, of which 'shard' says nothing}}
  %0 = spmd.boundary %x grad claims <> at "x" : !spmd.tensor<8x4xf32, #mesh> -> !spmd.tensor<8x4xf32, #mesh>
  return %0 : !spmd.tensor<8x4xf32, #mesh>
}

// -----

#mesh = #spmd.mesh<tp=2>
func.func @operation(%x: !spmd.tensor<8x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh> {
  // expected-error @below {{'moe.silu' op has no form in upstream's dialects here}}
  %0 = moe.silu %x : (!spmd.tensor<8x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh>
  return %0 : !spmd.tensor<8x4xf32, #mesh>
}

// -----

#mesh = #spmd.mesh<tp=2>
// expected-error @below {{a value of type 'index' has no form in 'shard'}}
func.func @index(%x: !spmd.tensor<8x4xf32, #mesh>, %n: index) -> !spmd.tensor<8x4xf32, #mesh> {
  return %x : !spmd.tensor<8x4xf32, #mesh>
}

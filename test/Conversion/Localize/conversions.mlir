// RUN: moe-opt %s --spmd-localize --canonicalize --split-input-file | FileCheck %s

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
!S = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>

// The rank, then a memref per argument and per result; names and global types
// stay beside them.
// CHECK-LABEL: func.func @all_reduce
// CHECK-SAME: (%[[RANK:.*]]: !llvm.ptr, %[[IN:.*]]: memref<8x6xf32>, %[[OUT:.*]]: memref<8x6xf32>)
// CHECK-SAME: moert.values = {arguments = [{name = "a", type = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>}], results = [{name = "y"
func.func @all_reduce(%a: !P {spmd.name = "a"}) -> (!R {spmd.name = "y"}) {
  // CHECK: %[[A:.*]] = bufferization.to_tensor %[[IN]] restrict
  // CHECK: %[[R:.*]] = moert.all_reduce %[[RANK]] ins(%[[A]] : tensor<8x6xf32>)
  // CHECK-SAME: {axes = array<i32: 1>, global_types = [!spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>], reduction = 0 : i32, site = "here"}
  // CHECK: bufferization.materialize_in_destination %[[R]] in restrict writable %[[OUT]]
  // CHECK-NEXT: return
  %0 = spmd.redistribute %a at "here" : !P -> !R
  return %0 : !R
}

// CHECK-LABEL: func.func @reduce_scatter
// CHECK-SAME: %{{.*}}: memref<8x6xf32>, %{{.*}}: memref<2x6xf32>
func.func @reduce_scatter(%a: !P) -> !S {
  // CHECK: moert.reduce_scatter {{.*}} ins(%{{.*}} : tensor<8x6xf32>) outs(%{{.*}} : tensor<2x6xf32>)
  // CHECK-SAME: dim = 0 : i64
  %0 = spmd.redistribute %a : !P -> !S
  return %0 : !S
}

// CHECK-LABEL: func.func @all_gather
func.func @all_gather(%a: !S) -> !R {
  // CHECK: moert.all_gather {{.*}} ins(%{{.*}} : tensor<2x6xf32>) outs(%{{.*}} : tensor<8x6xf32>)
  %0 = spmd.redistribute %a : !S -> !R
  return %0 : !R
}

// CHECK-LABEL: func.func @slice
func.func @slice(%a: !R) -> !S {
  // CHECK: %[[I:.*]] = moert.axis_index %{{.*}} {axis = 1 : i32}
  // CHECK: tensor.extract_slice {{.*}} [2, 6] [1, 1] : tensor<8x6xf32> to tensor<2x6xf32>
  // CHECK-NOT: moert.all
  %0 = spmd.redistribute %a : !R -> !S
  return %0 : !S
}

// CHECK-LABEL: func.func @pad
func.func @pad(%a: !S) -> !P {
  // CHECK: %[[ZEROS:.*]] = linalg.fill
  // CHECK: tensor.insert_slice %{{.*}} into %[[ZEROS]]
  %0 = spmd.redistribute %a : !S -> !P
  return %0 : !P
}

// CHECK-LABEL: func.func @keep_first
func.func @keep_first(%a: !R) -> !P {
  // CHECK: %[[I:.*]] = moert.axis_index
  // CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[I]]
  // CHECK: arith.select %[[FIRST]]
  %0 = spmd.redistribute %a : !R -> !P
  return %0 : !P
}

// The dimension that was cut is gathered, the other one cut.
// CHECK-LABEL: func.func @other_dimension
func.func @other_dimension(%a: !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>)
    -> !spmd.tensor<8x12xf32, #mesh, tp: shard<1>> {
  // CHECK: moert.all_gather {{.*}} ins(%{{.*}} : tensor<2x12xf32>) outs(%{{.*}} : tensor<8x12xf32>)
  // CHECK: tensor.extract_slice {{.*}} : tensor<8x12xf32> to tensor<8x3xf32>
  %0 = spmd.redistribute %a : !spmd.tensor<8x12xf32, #mesh, tp: shard<0>> -> !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
  return %0 : !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
}

// Two axes cut one dimension: the inner one is gathered first.
// CHECK-LABEL: func.func @nested
func.func @nested(%a: !spmd.tensor<16x6xf32, #mesh, dp: shard<0>, tp: shard<0>>) -> !spmd.tensor<16x6xf32, #mesh> {
  // CHECK: moert.all_gather {{.*}} ins(%{{.*}} : tensor<2x6xf32>) outs(%{{.*}} : tensor<8x6xf32>) {axes = array<i32: 1>
  // CHECK: moert.all_gather {{.*}} ins(%{{.*}} : tensor<8x6xf32>) outs(%{{.*}} : tensor<16x6xf32>) {axes = array<i32: 0>
  %0 = spmd.redistribute %a : !spmd.tensor<16x6xf32, #mesh, dp: shard<0>, tp: shard<0>> -> !spmd.tensor<16x6xf32, #mesh>
  return %0 : !spmd.tensor<16x6xf32, #mesh>
}

// An uneven cut has a size that only the rank knows.
// CHECK-LABEL: func.func @uneven
// CHECK-SAME: memref<?x6xf32>
func.func @uneven(%a: !spmd.tensor<7x6xf32, #mesh, tp: shard<0>>) -> !spmd.tensor<7x6xf32, #mesh> {
  // CHECK: moert.all_gather {{.*}} ins(%{{.*}} : tensor<?x6xf32>) outs(%{{.*}} : tensor<7x6xf32>)
  %0 = spmd.redistribute %a : !spmd.tensor<7x6xf32, #mesh, tp: shard<0>> -> !spmd.tensor<7x6xf32, #mesh>
  return %0 : !spmd.tensor<7x6xf32, #mesh>
}

// Claims and what acts on cotangents only are nothing at run time.
// CHECK-LABEL: func.func @identity
func.func @identity(%a: !R) -> !R {
  // CHECK: %[[A:.*]] = bufferization.to_tensor
  // CHECK-NEXT: bufferization.materialize_in_destination %[[A]]
  %0 = spmd.claim %a : !R -> !R
  %1 = spmd.boundary %0 grad claims <tp: partial<sum>> : !R -> !R
  %2 = spmd.grad_all_reduce %1 over ["tp"] : !R -> !R
  return %2 : !R
}

// What has a joint function is dropped.
// CHECK-NOT: @primal
func.func @primal(%a: !R) -> !R attributes {spmd.vjp = @identity} {
  return %a : !R
}

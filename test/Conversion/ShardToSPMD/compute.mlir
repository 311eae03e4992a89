// RUN: moe-opt %s --convert-shard-to-spmd | FileCheck %s

// CHECK: #[[$MESH:.*]] = #spmd.mesh<axis0=2>
shard.grid @grid(shape = 2)

// What has no form in moe stands in a spmd.compute, with the constants it uses.
//
// CHECK-LABEL: func.func @compute
// CHECK-SAME: (%[[X:.*]]: !spmd.tensor<8x6xf32, #[[$MESH]], axis0: shard<1>>)
func.func @compute(%x: tensor<8x6xf32>) -> (tensor<8x6xf32>, tensor<8xf32>) {
  %s = shard.sharding @grid split_axes = [[], [0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x6xf32>
  %half = arith.constant dense<0.5> : tensor<8x6xf32>
  // CHECK: %[[SHIFTED:.*]] = spmd.compute %[[X]]
  // CHECK-NEXT: ^bb0(%[[IN:.*]]: tensor<8x6xf32>):
  // CHECK-NEXT: %[[HALF:.*]] = arith.constant dense<5.000000e-01>
  // CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[IN]], %[[HALF]]
  // CHECK-NEXT: spmd.yield %[[SUM]]
  %1 = arith.addf %0, %half : tensor<8x6xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  // Constants of constants too, once each.
  // CHECK: spmd.compute %[[SHIFTED]]
  // CHECK-NEXT: ^bb0
  // CHECK-NEXT: tensor.empty
  // CHECK-NEXT: arith.constant 0.0
  // CHECK-NEXT: linalg.fill
  // CHECK-NEXT: linalg.reduce
  %2 = linalg.reduce ins(%1 : tensor<8x6xf32>) outs(%z : tensor<8xf32>) dimensions = [1]
    (%in: f32, %sum: f32) {
      %next = arith.maximumf %in, %sum : f32
      linalg.yield %next : f32
    }
  return %1, %2 : tensor<8x6xf32>, tensor<8xf32>
}

// A contraction that goes on from other values is no einsum.
// CHECK-LABEL: func.func @accumulate
// CHECK: spmd.compute
// CHECK: linalg.matmul
func.func @accumulate(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %s = shard.sharding @grid split_axes = [[]] : !shard.sharding
  %0 = shard.shard %a to %s : tensor<4x4xf32>
  %1 = linalg.matmul ins(%0, %b : tensor<4x4xf32>, tensor<4x4xf32>) outs(%0 : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %1 : tensor<4x4xf32>
}

// Not annotated: left alone.
// CHECK-LABEL: func.func @other
// CHECK-SAME: tensor<2xf32>
func.func @other(%x: tensor<2xf32>) -> tensor<2xf32> {
  return %x : tensor<2xf32>
}

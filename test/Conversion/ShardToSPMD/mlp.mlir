// A program of the shard dialect, checked and executed.
//
// RUN: moe-opt %s --convert-shard-to-spmd | FileCheck %s
// RUN: moe-opt %s --convert-shard-to-spmd=axes=dp,tp | FileCheck %s --check-prefix=NAMES
// RUN: moe-opt %s --convert-shard-to-spmd -o %t.mlir
// RUN: moe-run %t.mlir --exact | FileCheck %s --check-prefix=EXACT

// NAMES: #spmd.mesh<dp=2, tp=3>
// CHECK: #[[$MESH:.*]] = #spmd.mesh<axis0=2, axis1=3>
// CHECK-NOT: shard.grid
shard.grid @grid(shape = 2x3)

// Rows of %x over the first axis, columns of the hidden layer over the second. The
// sum over the latter is taken where the result is asked for by rows alone.
//
// CHECK-LABEL: func.func @mlp
// CHECK-SAME: (%[[X:.*]]: !spmd.tensor<8x4xf32, #[[$MESH]], axis0: shard<0>>,
// CHECK-SAME: %[[U:.*]]: !spmd.tensor<4x6xf32, #[[$MESH]], axis1: shard<1>>,
// CHECK-SAME: %[[D:.*]]: !spmd.tensor<6x4xf32, #[[$MESH]]>)
func.func @mlp(%x: tensor<8x4xf32>, %up: tensor<4x6xf32>, %down: tensor<6x4xf32>) -> tensor<8x4xf32> {
  %rows = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %columns = shard.sharding @grid split_axes = [[], [1]] : !shard.sharding
  %hidden = shard.sharding @grid split_axes = [[1]] : !shard.sharding
  %0 = shard.shard %x to %rows : tensor<8x4xf32>
  %1 = shard.shard %up to %columns : tensor<4x6xf32>
  // CHECK: %[[CUT:.*]] = spmd.redistribute %[[D]] : {{.*}} -> !spmd.tensor<6x4xf32, #[[$MESH]], axis1: shard<0>>
  %2 = shard.shard %down to %hidden annotate_for_users : tensor<6x4xf32>
  %zero = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<8x6xf32>
  %z0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<8x6xf32>) -> tensor<8x6xf32>
  // CHECK: %[[UP:.*]] = moe.einsum "ac,cb->ab" %[[X]], %[[U]]
  %3 = linalg.matmul ins(%0, %1 : tensor<8x4xf32>, tensor<4x6xf32>) outs(%z0 : tensor<8x6xf32>) -> tensor<8x6xf32>
  // CHECK: %[[TWICE:.*]] = moe.add %[[UP]], %[[UP]]
  %4 = arith.addf %3, %3 : tensor<8x6xf32>
  // CHECK: moe.mul %[[UP]], %[[TWICE]]
  %e1 = tensor.empty() : tensor<8x6xf32>
  %5 = linalg.mul ins(%3, %4 : tensor<8x6xf32>, tensor<8x6xf32>) outs(%e1 : tensor<8x6xf32>) -> tensor<8x6xf32>
  %e2 = tensor.empty() : tensor<8x4xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<8x4xf32>) -> tensor<8x4xf32>
  // CHECK: %[[DOWN:.*]] = moe.einsum "ac,cb->ab"
  %6 = linalg.matmul ins(%5, %2 : tensor<8x6xf32>, tensor<6x4xf32>) outs(%z1 : tensor<8x4xf32>) -> tensor<8x4xf32>
  // CHECK: %[[Y:.*]] = spmd.redistribute %[[DOWN]]
  // CHECK-SAME: -> !spmd.tensor<8x4xf32, #[[$MESH]], axis0: shard<0>>
  %7 = shard.shard %6 to %rows : tensor<8x4xf32>
  // CHECK: return %[[Y]]
  return %7 : tensor<8x4xf32>
}

// EXACT-COUNT-4: exactly equal, sharded and unsharded

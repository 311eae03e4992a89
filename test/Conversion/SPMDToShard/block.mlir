// Placed tensors become annotated ones, and upstream's own passes take them.
//
// RUN: moe-opt %s --convert-spmd-to-shard -o %t.mlir && FileCheck %s --input-file %t.mlir
// RUN: mlir-opt %t.mlir --pass-pipeline='builtin.module(func.func(sharding-propagation,shard-partition,canonicalize))' | FileCheck %s --check-prefix=LOCAL
//
// There and back it is the same function.
// RUN: moe-opt %t.mlir --convert-shard-to-spmd=axes=dp,ep,tp -o %t.back.mlir
// RUN: moe-run %t.back.mlir --exact | FileCheck %s --check-prefix=EXACT

#mesh = #spmd.mesh<dp=(dp_outer=2, ep=2), tp=3>

// Axes are the mesh's leaves.
// CHECK: shard.grid @grid(shape = 2x2x3)
//
// CHECK-LABEL: func.func @block
// CHECK-SAME: (%[[X:.*]]: tensor<8x4xf32>, %[[W:.*]]: tensor<6x4xf32>) -> tensor<8x6xf32>
// CHECK: %[[ROWS:.*]] = shard.sharding @grid split_axes = {{\[\[}}0, 1]]
// CHECK: %[[XS:.*]] = shard.shard %[[X]] to %[[ROWS]] : tensor<8x4xf32>
// CHECK: %[[CUT:.*]] = shard.sharding @grid split_axes = {{\[\[}}2]]
// CHECK: %[[WS:.*]] = shard.shard %[[W]] to %[[CUT]] : tensor<6x4xf32>
//
// LOCAL-LABEL: func.func @block
// LOCAL-SAME: tensor<2x4xf32>
// LOCAL-SAME: tensor<2x4xf32>
// LOCAL: shard.all_gather
func.func @block(
    %x: !spmd.tensor<8x4xf32, #mesh, dp: shard<0>> {spmd.name = "x"},
    %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>> {spmd.name = "w"})
    -> (!spmd.tensor<8x6xf32, #mesh, dp: shard<0>> {spmd.name = "y"}) {
  // CHECK: %[[ZEROS:.*]] = linalg.fill
  // CHECK: %[[H:.*]] = linalg.generic
  // CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
  // CHECK-SAME: ins(%[[XS]], %[[WS]]
  // CHECK-SAME: outs(%[[ZEROS]]
  // CHECK: shard.sharding @grid split_axes = {{\[\[}}0, 1], [2]]
  // CHECK: %[[HS:.*]] = shard.shard %[[H]]
  %0 = moe.einsum "td,fd->tf" %x, %w
      : (!spmd.tensor<8x4xf32, #mesh, dp: shard<0>>, !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>)
      -> !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>
  // CHECK: linalg.add ins(%[[HS]], %[[HS]]
  %1 = moe.add %0, %0
      : (!spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>,
         !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>)
      -> !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>
  // CHECK: linalg.sub
  %2 = moe.sub %1, %0
      : (!spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>,
         !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>)
      -> !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>
  // CHECK: %[[P:.*]] = linalg.mul
  // CHECK: %[[PS:.*]] = shard.shard %[[P]]
  %3 = moe.mul %2, %0
      : (!spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>,
         !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>)
      -> !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>
  // Two conversions are one.
  // CHECK: %[[R:.*]] = shard.shard %[[PS]] to %{{.*}} annotate_for_users
  %4 = spmd.redistribute %3 : !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>> -> !spmd.tensor<8x6xf32, #mesh>
  // CHECK: %[[Y:.*]] = shard.shard %[[PS]] to %{{.*}} annotate_for_users
  %5 = spmd.redistribute %4 : !spmd.tensor<8x6xf32, #mesh> -> !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
  // CHECK: return %[[Y]]
  return %5 : !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
}

// EXACT-COUNT-3: exactly equal, sharded and unsharded

// RUN: moe-opt %s --convert-spmd-to-shard | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>

// CHECK-LABEL: func.func @compute
// CHECK: %[[X:.*]] = shard.shard %arg0
// CHECK: %[[E:.*]] = math.exp %[[X]] : tensor<8x4xf32>
// CHECK: %[[Y:.*]] = shard.shard %[[E]]
// CHECK: return %[[Y]]
func.func @compute(%x: !x) -> !x {
  %0 = spmd.compute %x : (!x) -> !x {
  ^bb0(%a: tensor<8x4xf32>):
    %1 = math.exp %a : tensor<8x4xf32>
    spmd.yield %1 : tensor<8x4xf32>
  }
  return %0 : !x
}

// Not placed: left alone.
// CHECK-LABEL: func.func @other
// CHECK-NOT: shard.shard
func.func @other(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  return %x : tensor<8x4xf32>
}

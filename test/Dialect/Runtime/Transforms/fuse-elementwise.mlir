// RUN: moe-opt %s --moert-fuse-elementwise | FileCheck %s

#rows = affine_map<(i, j) -> (i)>
#all = affine_map<(i, j) -> (i, j)>
#line = affine_map<(i) -> (i)>

// The sum visits each square once: they are joined.
// CHECK-LABEL: func.func @once
// CHECK: linalg.generic
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK-NOT: linalg.generic
func.func @once(%x: tensor<4x6xf32>, %square: tensor<4x6xf32>, %zeros: tensor<4xf32>)
    -> tensor<4xf32> {
  %0 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x6xf32>) outs(%square : tensor<4x6xf32>) {
  ^bb0(%a: f32, %out: f32):
    %p = arith.mulf %a, %a : f32
    linalg.yield %p : f32
  } -> tensor<4x6xf32>
  %1 = linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "reduction"]}
      ins(%0 : tensor<4x6xf32>) outs(%zeros : tensor<4xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %p = arith.addf %sum, %a : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// Each of four numbers is read six times: it is not computed again each time.
// CHECK-LABEL: func.func @again
// CHECK: arith.divf
// CHECK: linalg.generic
// CHECK: arith.mulf
func.func @again(%x: tensor<4xf32>, %y: tensor<4x6xf32>, %small: tensor<4xf32>)
    -> tensor<4x6xf32> {
  %0 = linalg.generic {indexing_maps = [#line, #line], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%small : tensor<4xf32>) {
  ^bb0(%a: f32, %out: f32):
    %one = arith.constant 1.0 : f32
    %p = arith.divf %one, %a : f32
    linalg.yield %p : f32
  } -> tensor<4xf32>
  %1 = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel"]}
      ins(%y, %0 : tensor<4x6xf32>, tensor<4xf32>) outs(%y : tensor<4x6xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}

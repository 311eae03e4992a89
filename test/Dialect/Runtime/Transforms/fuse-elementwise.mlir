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

// A small loop with two readers is computed in both; a number that only went
// from loop to loop is not rounded to bf16 on the way.
// CHECK-LABEL: func.func @copied
// CHECK-COUNT-2: arith.negf %{{.*}} : f32
// CHECK-NOT: arith.negf
// CHECK: return
func.func @copied(%x: tensor<4x6xbf16>, %y: tensor<4x6xbf16>)
    -> (tensor<4x6xbf16>, tensor<4x6xbf16>) {
  %0 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x6xbf16>) outs(%y : tensor<4x6xbf16>) {
  ^bb0(%a: bf16, %out: bf16):
    %w = arith.extf %a : bf16 to f32
    %n = arith.negf %w : f32
    %r = arith.truncf %n : f32 to bf16
    linalg.yield %r : bf16
  } -> tensor<4x6xbf16>
  %1 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<4x6xbf16>) outs(%y : tensor<4x6xbf16>) {
  ^bb0(%a: bf16, %out: bf16):
    %w = arith.extf %a : bf16 to f32
    %n = arith.addf %w, %w : f32
    %r = arith.truncf %n : f32 to bf16
    linalg.yield %r : bf16
  } -> tensor<4x6xbf16>
  %2 = linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%0, %x : tensor<4x6xbf16>, tensor<4x6xbf16>) outs(%y : tensor<4x6xbf16>) {
  ^bb0(%a: bf16, %b: bf16, %out: bf16):
    %w = arith.extf %a : bf16 to f32
    %v = arith.extf %b : bf16 to f32
    %n = arith.mulf %w, %v : f32
    %r = arith.truncf %n : f32 to bf16
    linalg.yield %r : bf16
  } -> tensor<4x6xbf16>
  return %1, %2 : tensor<4x6xbf16>, tensor<4x6xbf16>
}

// What is picked by index is computed where it is picked.
// CHECK-LABEL: func.func @picked
// CHECK: linalg.generic
// CHECK: %[[INDEX:.*]] = linalg.index 0
// CHECK: %[[A:.*]] = tensor.extract %arg0[%[[INDEX]], %{{.*}}]
// CHECK: %[[S:.*]] = tensor.extract %arg1[%[[INDEX]]]
// CHECK: arith.mulf %[[A]], %[[S]]
// CHECK-NOT: linalg.generic
// CHECK: return
func.func @picked(%x: tensor<4x6xf32>, %s: tensor<4xf32>, %y: tensor<4x6xf32>)
    -> tensor<4x6xf32> {
  %0 = linalg.generic {indexing_maps = [#all, #rows, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x, %s : tensor<4x6xf32>, tensor<4xf32>) outs(%y : tensor<4x6xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %p = arith.mulf %a, %b : f32
    linalg.yield %p : f32
  } -> tensor<4x6xf32>
  %1 = linalg.generic {indexing_maps = [#all], iterator_types = ["parallel", "parallel"]}
      outs(%y : tensor<4x6xf32>) {
  ^bb0(%out: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %p = tensor.extract %0[%i, %j] : tensor<4x6xf32>
    linalg.yield %p : f32
  } -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}

// RUN: moe-opt %s --moert-separate-destinations | FileCheck %s

// CHECK-LABEL: func.func @empty
func.func @empty(%x: tensor<8xf32>, %y: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  // CHECK: %[[E:.*]] = tensor.empty
  // CHECK-NEXT: linalg.exp {{.*}} outs(%[[E]] :
  // CHECK-NEXT: %[[F:.*]] = tensor.empty
  // CHECK-NEXT: linalg.exp {{.*}} outs(%[[F]] :
  %e = tensor.empty() : tensor<8xf32>
  %a = linalg.exp ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %b = linalg.exp ins(%y : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  return %a, %b : tensor<8xf32>, tensor<8xf32>
}

// A fill that is read as well stays as it is, and so does an empty tensor that only
// says a shape. Two outputs of one operation are two destinations.
// CHECK-LABEL: func.func @fill
func.func @fill(%rank: !llvm.ptr, %x: tensor<6xf32>, %e: tensor<4x3xi32>, %at: index)
    -> (tensor<8xf32>, tensor<8xf32>, tensor<12xi64>, tensor<12xi64>) {
  %zero = arith.constant 0.0 : f32
  // CHECK: %[[E:.*]] = tensor.empty() : tensor<8xf32>
  // CHECK-NEXT: %[[FILL:.*]] = linalg.fill {{.*}} outs(%[[E]] :
  // CHECK-NEXT: %[[F:.*]] = tensor.empty() : tensor<8xf32>
  // CHECK-NEXT: %[[COPY:.*]] = linalg.fill {{.*}} outs(%[[F]] :
  // CHECK-NEXT: tensor.insert_slice %{{.*}} into %[[COPY]]
  %empty = tensor.empty() : tensor<8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<8xf32>) -> tensor<8xf32>
  %a = tensor.insert_slice %x into %fill[%at] [6] [1] : tensor<6xf32> into tensor<8xf32>
  // CHECK-NEXT: %[[G:.*]] = tensor.empty() : tensor<12xi64>
  // CHECK-NEXT: %[[H:.*]] = tensor.empty() : tensor<12xi64>
  // CHECK-NEXT: moert.sort_rows {{.*}} outs(%[[G]], %[[H]] :
  %table = tensor.empty() : tensor<12xi64>
  %rows:2 = moert.sort_rows %rank ins(%e : tensor<4x3xi32>)
      outs(%table, %table : tensor<12xi64>, tensor<12xi64>) {num_experts = 5 : i64}
      -> tensor<12xi64>, tensor<12xi64>
  // CHECK-NEXT: return %{{.*}}, %[[FILL]],
  return %a, %fill, %rows#0, %rows#1
      : tensor<8xf32>, tensor<8xf32>, tensor<12xi64>, tensor<12xi64>
}

// RUN: moe-opt %s --moert-number-collectives | FileCheck %s

// In the order of the program, whatever numbers they had, also inside regions;
// each function by itself.
// CHECK-LABEL: func.func @first
func.func @first(%rank: !llvm.ptr, %x: tensor<8xf32>, %send: tensor<2xi64>, %again: i1) -> tensor<8xf32> {
  // CHECK: moert.all_gather {{.*}} collective = 0 : i32
  %0 = moert.all_gather %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, collective = 7 : i32, dim = 0 : i64} -> tensor<8xf32>
  %1 = scf.if %again -> tensor<8xf32> {
    // CHECK: moert.reduce_scatter {{.*}} collective = 1 : i32
    %2 = moert.reduce_scatter %rank ins(%0 : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 1>, dim = 0 : i64, reduction = 0 : i32} -> tensor<8xf32>
    scf.yield %2 : tensor<8xf32>
  } else {
    scf.yield %0 : tensor<8xf32>
  }
  // CHECK: moert.all_to_all {{.*}} collective = 2 : i32
  %3 = moert.all_to_all %rank ins(%1, %send, %send : tensor<8xf32>, tensor<2xi64>, tensor<2xi64>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>} -> tensor<8xf32>
  return %3 : tensor<8xf32>
}

// CHECK-LABEL: func.func @second
func.func @second(%rank: !llvm.ptr, %x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: moert.all_reduce {{.*}} collective = 0 : i32
  %0 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, reduction = 0 : i32} -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// RUN: moe-opt %s --moert-insert-waits --split-input-file --verify-diagnostics | FileCheck %s

// Before the first kernel that touches the result, through a view too; the one
// that only reads something else need not wait. What nobody touches is waited
// for in the end.
// CHECK-LABEL: func.func @f
func.func @f(%rank: !llvm.ptr, %x: memref<4x6xf32>, %other: memref<8xf32>, %y: memref<4x6xf32>)
    attributes {moert.values = {}} {
  %c1 = arith.constant 1 : index
  %sum = memref.alloc() : memref<4x6xf32>
  %last = memref.alloc() : memref<8xf32>
  // CHECK: moert.all_reduce
  moert.all_reduce %rank ins(%x : memref<4x6xf32>) outs(%sum : memref<4x6xf32>)
      {axes = array<i32: 0>, collective = 0 : i32, reduction = 0 : i32}
  // CHECK-NEXT: moert.all_reduce
  moert.all_reduce %rank ins(%other : memref<8xf32>) outs(%last : memref<8xf32>)
      {axes = array<i32: 0>, collective = 1 : i32, reduction = 0 : i32}
  // CHECK-NEXT: memref.collapse_shape
  %flat = memref.collapse_shape %sum [[0, 1]] : memref<4x6xf32> into memref<24xf32>
  // CHECK-NEXT: moert.launch {{.*}}@a_0
  moert.launch %rank @kernels::@a_0 grid(%c1, %c1, %c1) block 32 shared 0
      args(%y : memref<4x6xf32>) work(%c1, %c1)
  // CHECK-NEXT: moert.wait %{{.*}} {collective = 0 : i32}
  // CHECK-NEXT: moert.launch {{.*}}@b_1
  moert.launch %rank @kernels::@b_1 grid(%c1, %c1, %c1) block 32 shared 0
      args(%flat, %y : memref<24xf32>, memref<4x6xf32>) work(%c1, %c1)
  // CHECK-NEXT: moert.wait %{{.*}} {collective = 1 : i32}
  // CHECK-NEXT: return
  return
}

// -----

func.func @unnumbered(%rank: !llvm.ptr, %x: memref<8xf32>) attributes {moert.values = {}} {
  // expected-error @below {{it has no number; help: run moert-number-collectives before}}
  moert.all_reduce %rank ins(%x : memref<8xf32>) outs(%x : memref<8xf32>)
      {axes = array<i32: 0>, reduction = 0 : i32}
  return
}

// RUN: moe-opt %s --moert-plan-buffers --split-input-file --verify-diagnostics | FileCheck %s

// %a and %c are not needed at the same time and share memory; %b is needed with
// both. The larger %b has the first place.
// CHECK-LABEL: func.func @share
// CHECK-SAME: moert.arena_bytes = 1536 : i64
func.func @share(%rank: !llvm.ptr, %x: memref<64xf32>) attributes {moert.values = {}} {
  %c1 = arith.constant 1 : index
  // CHECK: moert.arena %{{.*}}[] {offset = 1280 : i64} : memref<64xf32>
  %a = memref.alloc() : memref<64xf32>
  // CHECK: moert.arena %{{.*}}[] {offset = 0 : i64} : memref<300xf32>
  %b = memref.alloc() : memref<300xf32>
  moert.launch %rank @kernels::@k_0 grid(%c1, %c1, %c1) block 32 shared 0
      args(%x, %a, %b : memref<64xf32>, memref<64xf32>, memref<300xf32>) work(%c1, %c1)
  // CHECK: moert.arena %{{.*}}[] {offset = 1280 : i64} : memref<64xf32>
  %c = memref.alloc() : memref<64xf32>
  moert.launch %rank @kernels::@k_1 grid(%c1, %c1, %c1) block 32 shared 0
      args(%b, %c : memref<300xf32>, memref<64xf32>) work(%c1, %c1)
  return
}

// -----

// A buffer of a collective is needed until its wait: %c may not lie there.
// CHECK-LABEL: func.func @collective
// CHECK-SAME: moert.arena_bytes = 512 : i64
func.func @collective(%rank: !llvm.ptr, %x: memref<64xf32>) attributes {moert.values = {}} {
  %c1 = arith.constant 1 : index
  // CHECK: moert.arena %{{.*}}[] {offset = 0 : i64}
  %a = memref.alloc() : memref<64xf32>
  moert.all_reduce %rank ins(%a : memref<64xf32>) outs(%x : memref<64xf32>)
      {axes = array<i32: 0>, collective = 0 : i32, reduction = 0 : i32}
  // CHECK: moert.arena %{{.*}}[] {offset = 256 : i64}
  %c = memref.alloc() : memref<64xf32>
  moert.launch %rank @kernels::@k_0 grid(%c1, %c1, %c1) block 32 shared 0
      args(%c : memref<64xf32>) work(%c1, %c1)
  moert.wait %rank {collective = 0 : i32}
  return
}

// -----

// Rows that routing decides take the room of all rows there are: 24 * 8 * 4
// bytes; a chunk that is cut unevenly that of the largest.
// CHECK-LABEL: func.func @bounds
// CHECK-SAME: moert.arena_bytes = 1024 : i64
func.func @bounds(%rank: !llvm.ptr, %counts: memref<2x8xi32>) attributes {moert.values = {}} {
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c7 = arith.constant 7 : index
  %n = moert.count_received %rank, %counts {axis = 0 : i32, max_rows = 24 : i64} : memref<2x8xi32>
  %i = moert.axis_index %rank {axis = 0 : i32}
  %begin = arith.muli %i, %c4 : index
  %first = arith.minui %begin, %c7 : index
  %left = arith.subi %c7, %first : index
  %mine = arith.minui %c4, %left : index
  %rows = memref.alloc(%n) : memref<?x8xf32>
  %chunk = memref.alloc(%mine) : memref<?xf32>
  moert.launch %rank @kernels::@k_0 grid(%c1, %c1, %c1) block 32 shared 0
      args(%rows, %chunk : memref<?x8xf32>, memref<?xf32>) work(%c1, %c1)
  return
}

// -----

// A dimension of an argument or a result that is cut unevenly takes the room of the largest
// chunk: of 129 elements 65, and of 7 columns, cut by one axis and then the next, 2.
#mesh = #spmd.mesh<dp=2, tp=2>
// CHECK-LABEL: func.func @uneven
// CHECK-SAME: moert.arena_bytes = 768 : i64
func.func @uneven(%rank: !llvm.ptr, %x: memref<3x?xf32>, %y: memref<?xf32>) attributes {
    moert.values = {
      arguments = [{name = "x", type = !spmd.tensor<3x7xf32, #mesh, dp: shard<1>, tp: shard<1>>}],
      results = [{name = "y", type = !spmd.tensor<129xf32, #mesh, tp: shard<0>>}]}} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c1 : memref<3x?xf32>
  %m = memref.dim %y, %c0 : memref<?xf32>
  // CHECK: moert.arena %{{.*}}[%{{.*}}] {offset = 0 : i64} : memref<?xf32>
  %b = memref.alloc(%m) : memref<?xf32>
  // CHECK: moert.arena %{{.*}}[%{{.*}}] {offset = 512 : i64} : memref<3x?xf32>
  %a = memref.alloc(%n) : memref<3x?xf32>
  moert.launch %rank @kernels::@k_0 grid(%c1, %c1, %c1) block 32 shared 0
      args(%a, %b : memref<3x?xf32>, memref<?xf32>) work(%c1, %c1)
  return
}

// -----

func.func @unbounded(%rank: !llvm.ptr, %n: index) attributes {moert.values = {}} {
  // expected-error @below {{the size of this buffer has no bound known before the run; help: compile with --target cpu, or report it}}
  %0 = memref.alloc(%n) : memref<?xf32>
  return
}

// RUN: moe-opt %s --convert-moert-to-llvm | FileCheck %s
// RUN: moe-opt %s --convert-moert-to-llvm=target=abacus \
// RUN:   | FileCheck %s --check-prefix=TARGET

#mesh = #spmd.mesh<tp=2>

// TARGET: @moert_program("{{.*}}\22target\22:\22abacus\22

// Texts are there once. The description, then the program, then what the runtime
// calls.
// CHECK-COUNT-2: llvm.mlir.global internal constant @moert_text_
// CHECK-NOT: @moert_text_
// CHECK: llvm.mlir.global external constant @moert_program("{
// CHECK-SAME: \22collectives\22:[{\22axes\22:[0],\22kind\22:\22all_reduce\22,\22location\22:\22{{[^ ]*}}calls.mlir:[[#]]:3\22,\22phase\22:\22forward\22,\22site\22:\22here\22}
// CHECK-SAME: \22kind\22:\22all_gather\22
// CHECK-SAME: \22mesh\22:[{\22name\22:\22tp\22,\22size\22:2}]
// CHECK-LABEL: func.func private @f
func.func @f(%rank: !llvm.ptr, %x: memref<4x6xf32>, %y: memref<8x6xf32>)
    attributes {moert.values = {
      arguments = [{name = "x", type = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>}],
      results = [{name = "y", type = !spmd.tensor<8x6xf32, #mesh>}]}} {
  // CHECK: %[[NUMBER:.*]] = llvm.mlir.constant(0 : i32)
  // CHECK: call @moert_all_reduce(%arg0, %[[NUMBER]]
  moert.all_reduce %rank ins(%x : memref<4x6xf32>) outs(%x : memref<4x6xf32>)
      {axes = array<i32: 0>, collective = 0 : i32, reduction = 0 : i32, site = "here"}
  // CHECK: %[[NEXT:.*]] = llvm.mlir.constant(1 : i32)
  // CHECK: call @moert_all_gather(%arg0, %[[NEXT]]
  moert.all_gather %rank ins(%x : memref<4x6xf32>) outs(%y : memref<8x6xf32>)
      {axes = array<i32: 0>, collective = 1 : i32, dim = 0 : i64}
  // CHECK: scf.if %{{.*}} {
  // CHECK: %[[LINE:.*]] = llvm.mlir.addressof @moert_text_
  // CHECK: %[[TEXT:.*]] = llvm.mlir.addressof @moert_text_
  // CHECK: call @moert_fail(%arg0, %[[LINE]], %[[TEXT]])
  %wrong = llvm.mlir.constant(true) : i1
  moert.fail_if %rank, %wrong, "it is wrong" loc("f.mlir":3:4)
  moert.fail_if %rank, %wrong, "it is wrong" loc("f.mlir":3:4)
  return
}

// Memrefs of the caller's buffers: x of this rank's chunk, then y.
// CHECK-LABEL: func.func @moert_main(%arg0: !llvm.ptr, %arg1: !llvm.ptr) -> i32
// CHECK: llvm.getelementptr %arg1[0]
// CHECK: call @moert_axis_index
// CHECK: llvm.getelementptr %arg1[1]
// CHECK: call @f(%arg0

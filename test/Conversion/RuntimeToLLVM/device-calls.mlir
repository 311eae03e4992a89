// RUN: moe-opt %s --convert-moert-to-llvm=target=cuda:sm_90a | FileCheck %s

#mesh = #spmd.mesh<tp=2>

// The description has the kernels, what they may complain of, and the arena.
// CHECK: llvm.mlir.global external constant @moert_program("{
// CHECK-SAME: \22arena_bytes\22:1536
// CHECK-SAME: \22capturable\22:false
// CHECK-SAME: \22kernels\22:[{
// CHECK-SAME: \22fault\22:\22no {}\22,\22fault_help\22:\22do this\22
// CHECK-SAME: \22name\22:\22twice_0\22,\22op\22:\22twice\22,\22phase\22:\22forward\22,\22shared\22:128
// CHECK-SAME: \22target\22:\22cuda:sm_90a\22

module attributes {gpu.container_module} {
  // CHECK-LABEL: func.func private @f
  func.func @f(%rank: !llvm.ptr, %x: memref<4x6xf32>, %y: memref<8x6xf32>)
      attributes {moert.arena_bytes = 1536 : i64, moert.values = {
        arguments = [{name = "x", type = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>}],
        results = [{name = "y", type = !spmd.tensor<8x6xf32, #mesh>}]}} {
    %n = arith.constant 5 : index
    %one = arith.constant 1 : index
    // 4 * 6 elements of 4 bytes, then as many rows of 6 bf16 as a run says.
    // CHECK-DAG: %[[WHERE:.*]] = llvm.mlir.constant(256 : i64)
    // CHECK-DAG: %[[BYTES:.*]] = {{.*}}constant{{.*}}96 : i64
    // CHECK: call @moert_buffer(%arg0, %[[WHERE]], %[[BYTES]]) : (!llvm.ptr, i64, i64) -> !llvm.ptr
    %a = moert.arena %rank[] {offset = 256 : i64} : memref<4x6xf32>
    // CHECK: arith.muli
    // CHECK: call @moert_buffer(%arg0, %{{.*}}, %{{.*}}) : (!llvm.ptr, i64, i64) -> !llvm.ptr
    %b = moert.arena %rank[%n] {offset = 512 : i64} : memref<?x6xbf16>
    // CHECK: %[[FAULT:.*]] = call @moert_fault(%arg0)
    %fault = moert.fault %rank
    // The kernel's number, the grid, the block and shared memory; memrefs element by
    // element behind pointers.
    // CHECK: call @moert_launch(%arg0, %{{.*}}) : (!llvm.ptr, i32, i32, i32, i32, i32, i32, !llvm.ptr, i64, i64) -> ()
    moert.launch %rank @kernels::@twice_0 grid(%n, %one, %one) block 256 shared 128
        args(%a, %n, %fault : memref<4x6xf32>, index, !llvm.ptr) work(%n, %one)
    // CHECK: call @moert_all_gather(%arg0
    moert.all_gather %rank ins(%x : memref<4x6xf32>) outs(%y : memref<8x6xf32>)
        {axes = array<i32: 0>, collective = 0 : i32, dim = 0 : i64}
    // CHECK: call @moert_wait(%arg0, %{{.*}}) : (!llvm.ptr, i32) -> ()
    moert.wait %rank {collective = 0 : i32}
    %host = memref.alloca() : memref<2x3xi32>
    %counts = moert.arena %rank[] {offset = 1024 : i64} : memref<2x3xi32>
    // CHECK: %[[SIZE:.*]] = {{.*}}constant{{.*}}24 : i64
    // CHECK: call @moert_fetch(%arg0, %{{.*}}, %{{.*}}, %{{.*}}) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()
    moert.fetch %rank ins(%counts : memref<2x3xi32>) outs(%host : memref<2x3xi32>)
    return
  }
  gpu.module @kernels {
    gpu.func @twice_0(%a: memref<4x6xf32>, %n: index, %fault: !llvm.ptr) kernel
        attributes {moert.fault = ["no {}", "do this"]} {
      gpu.return
    }
  }
}

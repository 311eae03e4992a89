// RUN: moe-opt %s --moert-bucket-collectives=max-bytes=64 -mlir-print-debuginfo -mlir-print-local-scope | FileCheck %s
// RUN: not moe-opt %s --moert-bucket-collectives=cost-file=%t.none.json 2>&1 | FileCheck %s --check-prefix=COSTS
// COSTS: error: cost file {{.*}}none.json: No such file or directory; help: the file must exist and be readable
// RUN: moe-opt %s --moert-bucket-collectives=max-bytes=0 | FileCheck %s --check-prefix=NONE
// RUN: moe-opt %s --moert-bucket-collectives | FileCheck %s --check-prefix=DEFAULT

#mesh = #spmd.mesh<dp=2, tp=3>
!V = !spmd.tensor<8xf32, #mesh, dp: partial<sum>>
!M = !spmd.tensor<2x6xf32, #mesh, dp: partial<sum>, tp: shard<1>>
!N = !spmd.tensor<f32, #mesh, dp: partial<sum>>

// One buffer in the order of the program; what needs an earlier member comes
// after the bucket, what does not stays where it is.
// CHECK-LABEL: func.func @bucket
// NONE-LABEL: func.func @bucket
// NONE-COUNT-3: moert.all_reduce
func.func @bucket(%rank: !llvm.ptr, %x: tensor<8xf32>, %y: tensor<2x2xf32>, %z: tensor<f32>)
    -> (tensor<8xf32>, tensor<2x2xf32>, tensor<f32>, tensor<8xf32>) {
  // CHECK-NOT: moert.all_reduce
  // CHECK: %[[FREE:.*]] = math.absf %arg1
  // CHECK: %[[FLAT:.*]] = tensor.empty() : tensor<13xf32>
  // CHECK: %[[OUT:.*]] = tensor.empty() : tensor<13xf32>
  // CHECK: %[[F0:.*]] = tensor.insert_slice %arg1 into %[[FLAT]][0] [8] [1]
  // CHECK: %[[Y:.*]] = tensor.collapse_shape %arg2 {{\[\[}}0, 1]] : tensor<2x2xf32> into tensor<4xf32>
  // CHECK: %[[F1:.*]] = tensor.insert_slice %[[Y]] into %[[F0]][8] [4] [1]
  // CHECK: %[[Z:.*]] = tensor.expand_shape %arg3 [] output_shape [1]
  // CHECK: %[[F2:.*]] = tensor.insert_slice %[[Z]] into %[[F1]][12] [1] [1]
  // CHECK: %[[R:.*]] = moert.all_reduce %arg0 ins(%[[F2]] : tensor<13xf32>) outs(%[[OUT]] : tensor<13xf32>)
  // CHECK-SAME: axes = array<i32: 0>
  // CHECK-SAME: global_types = [!spmd.tensor<8xf32, #spmd.mesh<dp=2, tp=3>, dp: partial<sum>>,
  // CHECK-SAME: !spmd.tensor<2x6xf32, #spmd.mesh<dp=2, tp=3>, dp: partial<sum>, tp: shard<1>>,
  // CHECK-SAME: !spmd.tensor<f32, #spmd.mesh<dp=2, tp=3>, dp: partial<sum>>]
  // CHECK-SAME: site = "a, c"
  // CHECK-SAME: loc(fused["a.py":1:1, "a.py":2:1, "a.py":3:1])
  // CHECK: %[[A:.*]] = tensor.extract_slice %[[R]][0] [8] [1]
  // CHECK: %[[B:.*]] = tensor.extract_slice %[[R]][8] [4] [1]
  // CHECK: %[[BB:.*]] = tensor.expand_shape %[[B]] {{\[\[}}0, 1]] output_shape [2, 2]
  // CHECK: %[[C:.*]] = tensor.extract_slice %[[R]][12] [1] [1]
  // CHECK: %[[CC:.*]] = tensor.collapse_shape %[[C]] []
  // CHECK: %[[ABS:.*]] = math.absf %[[A]]
  // CHECK: %[[EXP:.*]] = math.exp %[[ABS]]
  // CHECK: return %[[EXP]], %[[BB]], %[[CC]], %[[FREE]]
  %e8 = tensor.empty() : tensor<8xf32>
  %a = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%e8 : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32, site = "a"} -> tensor<8xf32> loc("a.py":1:1)
  %abs = math.absf %a : tensor<8xf32>
  %free = math.absf %x : tensor<8xf32>
  %exp = math.exp %abs : tensor<8xf32>
  %e4 = tensor.empty() : tensor<2x2xf32>
  %b = moert.all_reduce %rank ins(%y : tensor<2x2xf32>) outs(%e4 : tensor<2x2xf32>) {axes = array<i32: 0>, global_types = [!M], reduction = 0 : i32} -> tensor<2x2xf32> loc("a.py":2:1)
  %e1 = tensor.empty() : tensor<f32>
  %c = moert.all_reduce %rank ins(%z : tensor<f32>) outs(%e1 : tensor<f32>) {axes = array<i32: 0>, global_types = [!N], reduction = 0 : i32, site = "c"} -> tensor<f32> loc("a.py":3:1)
  return %exp, %b, %c, %free : tensor<8xf32>, tensor<2x2xf32>, tensor<f32>, tensor<8xf32>
}

// Of a chain, each waits for the one before; through a region too.
// CHECK-LABEL: func.func @chain
// CHECK-COUNT-3: moert.all_reduce {{.*}} tensor<8xf32>
// CHECK-NOT: moert.all_reduce
func.func @chain(%rank: !llvm.ptr, %x: tensor<8xf32>, %n: index) -> tensor<8xf32> {
  %e = tensor.empty() : tensor<8xf32>
  %a = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %b = moert.all_reduce %rank ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %loop = scf.for %i = %zero to %n step %one iter_args(%s = %x) -> tensor<8xf32> {
    %t = arith.addf %s, %b : tensor<8xf32>
    scf.yield %t : tensor<8xf32>
  }
  %c = moert.all_reduce %rank ins(%loop : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  return %c : tensor<8xf32>
}

// Two buckets would wait for each other: the second pair stays apart.
// CHECK-LABEL: func.func @cross
// CHECK: moert.all_reduce {{.*}} : tensor<8xf32>) {axes = array<i32: 0>
// CHECK: moert.all_reduce {{.*}} : tensor<16xf32>) {axes = array<i32: 1>
// CHECK: moert.all_reduce {{.*}} : tensor<8xf32>) {axes = array<i32: 0>
// CHECK-NOT: moert.all_reduce
func.func @cross(%rank: !llvm.ptr, %x: tensor<8xf32>, %y: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %e = tensor.empty() : tensor<8xf32>
  %a = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %d = moert.all_reduce %rank ins(%y : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 1>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %b = moert.all_reduce %rank ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 1>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %c = moert.all_reduce %rank ins(%d : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  return %b, %c : tensor<8xf32>, tensor<8xf32>
}

// Other axes, other reductions, other elements, another phase: no.
// CHECK-LABEL: func.func @apart
// CHECK-COUNT-5: moert.all_reduce
// DEFAULT-LABEL: func.func @apart
// DEFAULT-COUNT-5: moert.all_reduce
func.func @apart(%rank: !llvm.ptr, %x: tensor<4xf32>, %y: tensor<4xbf16>)
    -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xbf16>) {
  %e = tensor.empty() : tensor<4xf32>
  %f = tensor.empty() : tensor<4xbf16>
  %a = moert.all_reduce %rank ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {axes = array<i32: 0>, global_types = [!spmd.tensor<4xf32, #mesh>], reduction = 0 : i32} -> tensor<4xf32>
  %b = moert.all_reduce %rank ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {axes = array<i32: 1>, global_types = [!spmd.tensor<4xf32, #mesh>], reduction = 0 : i32} -> tensor<4xf32>
  %c = moert.all_reduce %rank ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {axes = array<i32: 0>, global_types = [!spmd.tensor<4xf32, #mesh>], reduction = 2 : i32} -> tensor<4xf32>
  %d = moert.all_reduce %rank ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {axes = array<i32: 0>, global_types = [!spmd.tensor<4xf32, #mesh>], reduction = 0 : i32} -> tensor<4xf32> loc(fused<"vjp">["a.py":1:1])
  %g = moert.all_reduce %rank ins(%y : tensor<4xbf16>) outs(%f : tensor<4xbf16>) {axes = array<i32: 0>, global_types = [!spmd.tensor<4xbf16, #mesh>], reduction = 0 : i32} -> tensor<4xbf16>
  return %a, %b, %c, %d, %g : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xbf16>
}

// The buffer has at most 64 bytes, or 4096; a size that only the run decides
// stays alone.
// CHECK-LABEL: func.func @full
// CHECK: moert.all_reduce {{.*}} tensor<16xf32>
// CHECK: moert.all_reduce {{.*}} tensor<8xf32>
// CHECK: moert.all_reduce {{.*}} tensor<?xf32>
// CHECK-NOT: moert.all_reduce
// DEFAULT-LABEL: func.func @full
// DEFAULT: moert.all_reduce {{.*}} tensor<24xf32>
// DEFAULT: moert.all_reduce {{.*}} tensor<?xf32>
// DEFAULT-NOT: moert.all_reduce
func.func @full(%rank: !llvm.ptr, %x: tensor<8xf32>, %y: tensor<8xf32>, %z: tensor<8xf32>, %w: tensor<?xf32>)
    -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<?xf32>) {
  %e = tensor.empty() : tensor<8xf32>
  %a = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %b = moert.all_reduce %rank ins(%y : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %c = moert.all_reduce %rank ins(%z : tensor<8xf32>) outs(%e : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<8xf32>
  %d = moert.all_reduce %rank ins(%w : tensor<?xf32>) outs(%w : tensor<?xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32} -> tensor<?xf32>
  return %a, %b, %c, %d : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<?xf32>
}

// On buffers, and where nothing says what the operand is part of: no.
// CHECK-LABEL: func.func @unknown
// DEFAULT-LABEL: func.func @unknown
// CHECK-COUNT-4: moert.all_reduce
func.func @unknown(%rank: !llvm.ptr, %x: tensor<8xf32>, %m: memref<8xf32>, %o: memref<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  moert.all_reduce %rank ins(%m : memref<8xf32>) outs(%o : memref<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32}
  moert.all_reduce %rank ins(%m : memref<8xf32>) outs(%o : memref<8xf32>) {axes = array<i32: 0>, global_types = [!V], reduction = 0 : i32}
  %a = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, reduction = 0 : i32} -> tensor<8xf32>
  %b = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, reduction = 1 : i32} -> tensor<8xf32>
  return %a, %b : tensor<8xf32>, tensor<8xf32>
}

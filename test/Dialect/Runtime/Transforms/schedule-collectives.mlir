// RUN: rm -rf %t && split-file %s %t
// RUN: moe-opt %t/program.mlir --moert-schedule-collectives=cost-file=%t/costs.json | FileCheck %s
// RUN: moe-opt %t/program.mlir -mlir-disable-threading --moert-schedule-collectives=cost-file=%t/costs.json -o /dev/null \
// RUN:   --remarks-filter=moert-schedule-collectives --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: moe-opt %t/program.mlir --moert-schedule-collectives="cost-file=%t/costs.json arena-bytes=100000" | FileCheck %s --check-prefix=ROOM
// RUN: not moe-opt %t/unpriced.mlir --moert-schedule-collectives 2>&1 | FileCheck %s --check-prefix=UNPRICED
// RUN: not moe-opt %t/program.mlir --moert-schedule-collectives=arena-bytes=-2 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not moe-opt %t/program.mlir --moert-schedule-collectives=cost-file=%t/zero.json 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: not moe-opt %t/program.mlir --moert-schedule-collectives=cost-file=%t/slow.json 2>&1 | FileCheck %s --check-prefix=SLOW
// RUN: not moe-opt %t/program.mlir --moert-schedule-collectives=cost-file=%t/half.json 2>&1 | FileCheck %s --check-prefix=HALF
// RUN: not moe-opt %t/program.mlir --moert-schedule-collectives=cost-file=%t/list.json 2>&1 | FileCheck %s --check-prefix=LIST

// UNPRICED: error: nothing says what it costs; help: give it global_types, as spmd-localize does
// NEGATIVE: error: arena-bytes is negative; help: give a number of bytes
// ZERO: error: cost file {{.*}}zero.json: the entry kernels.gb_per_s is 0; help: a rate is more than 0
// SLOW: error: cost file {{.*}}slow.json: the entry kernels.start_us is -1; help: times and sizes are not negative
// HALF: error: cost file {{.*}}half.json: the entry kernels.f32_tflops is missing; help: kernels has start_us, bf16_tflops, f32_tflops and gb_per_s
// LIST: error: cost file {{.*}}list.json: the entry kernels is no object; help: it has start_us, bf16_tflops, f32_tflops and gb_per_s

// A kernel takes 10 us, a collective 15.

// The gradient of a weight that leaves the function goes behind what others wait
// for; the gather goes before the kernels that do not need it, until they hide it.
// CHECK-LABEL: func.func @both
// CHECK: linalg.exp
// CHECK: moert.all_gather
// CHECK: linalg.log
// CHECK: linalg.sqrt
// CHECK: linalg.add
// CHECK: moert.all_reduce
// CHECK: linalg.abs
// CHECK: return

// REMARK: schedule | {{.*}} Function=both | bytes_arena_after=768, bytes_arena_before=768, us_after=55.000, us_before=80.000, us_exposed_after=5.000, us_exposed_before=30.000
// REMARK: overlap | {{.*}} Function=both | beside="10.000 linalg.log {{.*}}program.mlir:11:8", beside="5.000 linalg.sqrt {{.*}}program.mlir:13:8", collective=0, us_alone=15.000, us_exposed_after=0.000, us_exposed_before=15.000
// REMARK: overlap | {{.*}} Function=both | beside="10.000 linalg.abs {{.*}}", collective=1, us_alone=15.000, us_exposed_after=5.000, us_exposed_before=15.000

// The logarithm could hide the rest of the sum, but needs 32 KiB at a time when
// others are in use: there must be room for it.
// CHECK-LABEL: func.func @memory
// CHECK: moert.all_reduce
// CHECK: linalg.exp
// CHECK: linalg.abs
// CHECK: linalg.log
// ROOM-LABEL: func.func @memory
// ROOM: moert.all_reduce
// ROOM: linalg.exp
// ROOM: linalg.log
// ROOM: linalg.abs

// Nothing passes what has effects, or has collectives inside.
// CHECK-LABEL: func.func @barrier
// CHECK: linalg.exp
// CHECK: moert.fail_if
// CHECK-NEXT: tensor.empty
// CHECK-NEXT: moert.all_reduce

// What is written over stays behind its readers.
// CHECK-LABEL: func.func @in_place
// CHECK: linalg.exp
// CHECK: tensor.insert_slice
// CHECK: moert.all_reduce

//--- program.mlir
#mesh = #spmd.mesh<tp=2>
!T = tensor<8xf32>
!G = !spmd.tensor<16xf32, #mesh, tp: shard<0>>
!P = !spmd.tensor<8xf32, #mesh, tp: partial<sum>>
func.func @both(%rank: !llvm.ptr, %x: !T, %y: !T) -> (!T, !T, tensor<16xf32>)
    attributes {moert.values = {}} {
  %e = tensor.empty() : !T
  %f = tensor.empty() : tensor<16xf32>
  %a = linalg.exp ins(%x : !T) outs(%e : !T) -> !T
  %e1 = tensor.empty() : !T
  %b = linalg.log ins(%y : !T) outs(%e1 : !T) -> !T
  %e2 = tensor.empty() : !T
  %c = linalg.sqrt ins(%b : !T) outs(%e2 : !T) -> !T
  %g = moert.all_gather %rank ins(%a : !T) outs(%f : tensor<16xf32>)
      {axes = array<i32: 0>, dim = 0 : i64, global_types = [!G]} -> tensor<16xf32>
  %s = tensor.extract_slice %g[0] [8] [1] : tensor<16xf32> to !T
  %e3 = tensor.empty() : !T
  %d = linalg.add ins(%c, %s : !T, !T) outs(%e3 : !T) -> !T
  %e4 = tensor.empty() : !T
  %w = linalg.abs ins(%y : !T) outs(%e4 : !T) -> !T
  %e5 = tensor.empty() : !T
  %r = moert.all_reduce %rank ins(%d : !T) outs(%e5 : !T)
      {axes = array<i32: 0>, reduction = 0 : i32, global_types = [!P]} -> !T
  return %r, %w, %g : !T, !T, tensor<16xf32>
}

!L = tensor<8192xf32>
func.func @memory(%rank: !llvm.ptr, %x: !T, %y: !L) -> (tensor<f32>, tensor<f32>)
    attributes {moert.values = {}} {
  %zero = arith.constant 0 : index
  %e = tensor.empty() : !T
  %r = moert.all_reduce %rank ins(%x : !T) outs(%e : !T)
      {axes = array<i32: 0>, reduction = 0 : i32, global_types = [!P]} -> !T
  %e1 = tensor.empty() : !L
  %a = linalg.exp ins(%y : !L) outs(%e1 : !L) -> !L
  %e2 = tensor.empty() : !T
  %u = linalg.abs ins(%r : !T) outs(%e2 : !T) -> !T
  %first = tensor.extract %u[%zero] : !T
  %f = tensor.empty() : tensor<f32>
  %init = linalg.fill ins(%first : f32) outs(%f : tensor<f32>) -> tensor<f32>
  %s = linalg.reduce ins(%a : !L) outs(%init : tensor<f32>) dimensions = [0]
      (%in: f32, %out: f32) { %0 = arith.addf %in, %out : f32 linalg.yield %0 : f32 }
  %e3 = tensor.empty() : !L
  %b = linalg.log ins(%y : !L) outs(%e3 : !L) -> !L
  %t = linalg.reduce ins(%b : !L) outs(%init : tensor<f32>) dimensions = [0]
      (%in: f32, %out: f32) { %0 = arith.addf %in, %out : f32 linalg.yield %0 : f32 }
  return %s, %t : tensor<f32>, tensor<f32>
}

func.func @barrier(%rank: !llvm.ptr, %x: !T, %bad: i1) -> (!T, !T)
    attributes {moert.values = {}} {
  %e = tensor.empty() : !T
  %a = linalg.exp ins(%x : !T) outs(%e : !T) -> !T
  moert.fail_if %rank, %bad, "bad"
  %e1 = tensor.empty() : !T
  %r = moert.all_reduce %rank ins(%x : !T) outs(%e1 : !T)
      {axes = array<i32: 0>, reduction = 0 : i32, global_types = [!P]} -> !T
  return %a, %r : !T, !T
}

func.func @in_place(%rank: !llvm.ptr, %x: !T, %y: tensor<4xf32>) -> (!T, !T, !T)
    attributes {moert.values = {}} {
  %e = tensor.empty() : !T
  %a = linalg.abs ins(%x : !T) outs(%e : !T) -> !T
  %e1 = tensor.empty() : !T
  %b = linalg.exp ins(%a : !T) outs(%e1 : !T) -> !T
  %c = tensor.insert_slice %y into %a[2] [4] [1] : tensor<4xf32> into !T
  %e2 = tensor.empty() : !T
  %r = moert.all_reduce %rank ins(%c : !T) outs(%e2 : !T)
      {axes = array<i32: 0>, reduction = 0 : i32, global_types = [!P]} -> !T
  return %b, %c, %r : !T, !T, !T
}

//--- unpriced.mlir
func.func @f(%rank: !llvm.ptr, %x: tensor<8xf32>) -> tensor<8xf32> attributes {moert.values = {}} {
  %e = tensor.empty() : tensor<8xf32>
  %r = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>)
      {axes = array<i32: 0>, reduction = 0 : i32} -> tensor<8xf32>
  return %r : tensor<8xf32>
}

//--- costs.json
{"kernels": {"start_us": 10, "bf16_tflops": 1e9, "f32_tflops": 1e9, "gb_per_s": 1e9},
 "default": {"all_reduce": [{"alpha_us": 15, "beta_us_per_mib": 0}],
             "all_gather": [{"alpha_us": 15, "beta_us_per_mib": 0}],
             "reduce_scatter": [{"alpha_us": 15, "beta_us_per_mib": 0}],
             "all_to_all": [{"alpha_us": 15, "beta_us_per_mib": 0}]}}
//--- zero.json
{"kernels": {"start_us": 0, "bf16_tflops": 1, "f32_tflops": 1, "gb_per_s": 0}, "default": {}}
//--- slow.json
{"kernels": {"start_us": -1, "bf16_tflops": 1, "f32_tflops": 1, "gb_per_s": 1}, "default": {}}
//--- half.json
{"kernels": {"start_us": 1, "bf16_tflops": 1, "gb_per_s": 1}, "default": {}}
//--- list.json
{"kernels": [1, 2], "default": {}}

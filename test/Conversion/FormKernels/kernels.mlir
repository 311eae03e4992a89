// RUN: moe-opt %s --moert-form-kernels --split-input-file --verify-diagnostics | FileCheck %s

#rows = affine_map<(i, j) -> (i)>
#all = affine_map<(i, j) -> (i, j)>

// A thread per element: 6 columns take 8 threads, so a block has 32 rows.
// CHECK-LABEL: func.func @element
// CHECK: moert.launch %{{.*}} @kernels::@map_0 grid(%c2{{.*}}, %c1{{.*}}, %c1{{.*}}) block 256 shared 0 args(%arg1, %arg2 :
// CHECK-NOT: linalg
// CHECK: gpu.func @map_0(%[[X:.*]]: memref<40x6xf32>, %[[Y:.*]]: memref<40x6xf32>) kernel
// CHECK: arith.constant 8 : index
// CHECK: scf.if
// CHECK: %[[A:.*]] = memref.load %[[X]]
// CHECK: %[[P:.*]] = arith.mulf %[[A]], %[[A]]
// CHECK: memref.store %[[P]], %[[Y]]
func.func @element(%rank: !llvm.ptr, %x: memref<40x6xf32>, %y: memref<40x6xf32>)
    attributes {moert.values = {}} {
  linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x : memref<40x6xf32>) outs(%y : memref<40x6xf32>) {
  ^bb0(%a: f32, %out: f32):
    %p = arith.mulf %a, %a : f32
    linalg.yield %p : f32
  }
  return
}

// -----

#rows = affine_map<(i, j) -> (i)>
#all = affine_map<(i, j) -> (i, j)>

// A warp per row, and the fill has no kernel of its own.
// CHECK-LABEL: func.func @sums
// CHECK: moert.launch %{{.*}} @kernels::@rows_0 grid(%c5{{.*}}
// CHECK-NOT: moert.launch
// CHECK: gpu.func @rows_0
// CHECK: scf.for %{{.*}} = %{{.*}} to %c64{{.*}} step %c32
// CHECK-COUNT-5: gpu.shuffle xor
func.func @sums(%rank: !llvm.ptr, %x: memref<40x64xf32>, %y: memref<40xf32>)
    attributes {moert.values = {}} {
  %zero = arith.constant 0.0 : f32
  %sum = memref.alloc() : memref<40xf32>
  linalg.fill ins(%zero : f32) outs(%sum : memref<40xf32>)
  linalg.generic {indexing_maps = [#all, #rows], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<40x64xf32>) outs(%sum : memref<40xf32>) {
  ^bb0(%a: f32, %out: f32):
    %p = arith.addf %out, %a : f32
    linalg.yield %p : f32
  }
  memref.copy %sum, %y : memref<40xf32> to memref<40xf32>
  return
}

// -----

// bf16 rows of whole words: tensor cores. f32, and a last dimension of 6: the
// threads' own arithmetic.
// CHECK-LABEL: func.func @products
// CHECK: moert.launch {{.*}}@product_tensor_cores_0 grid(%c1{{.*}} block 128 shared 98304
// CHECK: moert.launch {{.*}}@product_threads_1 {{.*}} block 256 shared 0
// CHECK: moert.launch {{.*}}@product_threads_2
// CHECK: gpu.func @product_tensor_cores_0
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync
// CHECK: gpu.func @product_threads_1
// CHECK: gpu.barrier
func.func @products(%rank: !llvm.ptr, %a: memref<40x64xbf16>, %b: memref<24x64xbf16>,
                    %c: memref<40x24xbf16>, %d: memref<40x64xf32>, %e: memref<24x64xf32>,
                    %f: memref<40x24xf32>, %g: memref<40x6xbf16>, %h: memref<24x6xbf16>)
    attributes {moert.values = {}} {
  moert.einsum %rank ins(%a, %b : memref<40x64xbf16>, memref<24x64xbf16>)
      outs(%c : memref<40x24xbf16>) {equation = "td,ed->te"}
  moert.einsum %rank ins(%d, %e : memref<40x64xf32>, memref<24x64xf32>)
      outs(%f : memref<40x24xf32>) {equation = "td,ed->te"}
  moert.einsum %rank ins(%g, %h : memref<40x6xbf16>, memref<24x6xbf16>)
      outs(%c : memref<40x24xbf16>) {equation = "td,ed->te"}
  return
}

// -----

// Both products of rows use one list of tiles; the gradient of the matrices has
// a grid over experts.
// CHECK-LABEL: func.func @grouped
// CHECK: %[[TILES:.*]] = memref.alloc() : memref<7x3xi32>
// CHECK: moert.launch {{.*}}@tiles_0 {{.*}}args(%arg3, %[[TILES]],
// CHECK: moert.launch {{.*}}@product_rows_threads_1 {{.*}}%[[TILES]]
// CHECK: moert.launch {{.*}}@product_rows_threads_2 {{.*}}%[[TILES]]
// CHECK: moert.launch {{.*}}@product_experts_threads_3 grid(%c1{{[_0-9]*}}, %c4
func.func @grouped(%rank: !llvm.ptr, %x: memref<40x16xf32>, %w: memref<4x24x16xf32>,
                   %offsets: memref<5xi64>, %h: memref<40x24xf32>,
                   %dx: memref<40x16xf32>, %dw: memref<4x24x16xf32>)
    attributes {moert.values = {}} {
  moert.grouped_einsum %rank
      ins(%x, %w, %offsets : memref<40x16xf32>, memref<4x24x16xf32>, memref<5xi64>)
      outs(%h : memref<40x24xf32>) {equation = "nd,efd->nf"}
  moert.grouped_einsum %rank
      ins(%h, %w, %offsets : memref<40x24xf32>, memref<4x24x16xf32>, memref<5xi64>)
      outs(%dx : memref<40x16xf32>) {equation = "nf,efd->nd"}
  moert.grouped_einsum %rank
      ins(%h, %x, %offsets : memref<40x24xf32>, memref<40x16xf32>, memref<5xi64>)
      outs(%dw : memref<4x24x16xf32>) {equation = "nf,nd->efd"}
  return
}

// -----

// The choice, the counts and the order; a device reports what cannot be.
// CHECK-LABEL: func.func @routing
// CHECK: %[[FAULT:.*]] = moert.fault
// CHECK: moert.launch {{.*}}@top_k_0 {{.*}}%[[FAULT]] :
// CHECK: moert.launch {{.*}}@map_1
// CHECK: moert.launch {{.*}}@count_2
// CHECK: moert.launch {{.*}}@count_chunks_3
// CHECK: moert.launch {{.*}}@prefix_4
// CHECK: moert.launch {{.*}}@rank_5
// CHECK: gpu.func @top_k_0({{.*}}moert.fault = ["the scores of this rank's token {} have no order: not all are finite numbers", "look for
// CHECK: gpu.func @count_2({{.*}}moert.fault = ["there is no expert {}", "look at
func.func @routing(%rank: !llvm.ptr, %scores: memref<40x8xf32>, %bias: memref<8xf32>,
                   %experts: memref<40x2xi32>, %counts: memref<8xi32>,
                   %order: memref<80xi64>, %rows: memref<80xi64>)
    attributes {moert.values = {}} {
  moert.top_k %rank ins(%scores, %bias : memref<40x8xf32>, memref<8xf32>)
      outs(%experts : memref<40x2xi32>) {groups = 4 : i64, limited_groups = 2 : i64}
  moert.count_rows %rank ins(%experts : memref<40x2xi32>) outs(%counts : memref<8xi32>)
  moert.sort_rows %rank ins(%experts : memref<40x2xi32>)
      outs(%order, %rows : memref<80xi64>, memref<80xi64>) {num_experts = 8 : i64}
  return
}

// -----

// The host fetches the counts once; the permutation is a kernel's.
// CHECK-LABEL: func.func @exchange
// CHECK: %[[SEND:.*]] = memref.alloca() : memref<2xi64>
// CHECK: %[[HOST:.*]] = memref.alloca() : memref<2x8xi32>
// CHECK: moert.fetch %{{.*}} ins(%arg1 : memref<2x8xi32>) outs(%[[HOST]] :
// CHECK: moert.count_received %{{.*}}, %[[HOST]]
// CHECK: moert.launch {{.*}}@exchange_0
// CHECK-NOT: moert.fetch
// CHECK: moert.plan_exchange %{{.*}} ins(%[[HOST]] : memref<2x8xi32>) outs(%[[SEND]], %{{.*}} : memref<2xi64>, memref<2xi64>)
func.func @exchange(%rank: !llvm.ptr, %counts: memref<2x8xi32>)
    attributes {moert.values = {}} {
  %send = memref.alloc() : memref<2xi64>
  %receive = memref.alloc() : memref<2xi64>
  %n = moert.count_received %rank, %counts {axis = 0 : i32, max_rows = 24 : i64} : memref<2x8xi32>
  %arrival = memref.alloc(%n) : memref<?xi64>
  %departure = memref.alloc(%n) : memref<?xi64>
  moert.plan_exchange %rank ins(%counts : memref<2x8xi32>)
      outs(%send, %receive, %arrival, %departure
           : memref<2xi64>, memref<2xi64>, memref<?xi64>, memref<?xi64>) {axis = 0 : i32}
  return
}

// -----

func.func @groups(%rank: !llvm.ptr, %scores: memref<40x66xf32>, %experts: memref<40x2xi32>)
    attributes {moert.values = {}} {
  // expected-error @below {{top-k over 33 groups has no kernel; help: a device takes 32 at most}}
  moert.top_k %rank ins(%scores : memref<40x66xf32>)
      outs(%experts : memref<40x2xi32>) {groups = 33 : i64, limited_groups = 2 : i64}
  return
}

// -----

func.func @odd(%rank: !llvm.ptr, %x: memref<40xf32>, %w: memref<4x16xf32>,
               %offsets: memref<5xi64>, %y: memref<40x16xf32>)
    attributes {moert.values = {}} {
  // expected-error @below {{the grouped product "n,ef->nf" has no kernel; help: give rows [n, k] and matrices [e, m, k]}}
  moert.grouped_einsum %rank
      ins(%x, %w, %offsets : memref<40xf32>, memref<4x16xf32>, memref<5xi64>)
      outs(%y : memref<40x16xf32>) {equation = "n,ef->nf"}
  return
}

// -----

func.func @unknown(%rank: !llvm.ptr, %x: memref<40xf32>) attributes {moert.values = {}} {
  %c0 = arith.constant 0 : index
  // expected-error @below {{'memref.load' has no kernel; help: compile with --target cpu, or report it}}
  %0 = memref.load %x[%c0] : memref<40xf32>
  return
}

// -----

// Operands of bf16 and a result of f32: tensor cores, whose sums are stored as they are.
// CHECK-LABEL: func.func @wide_result
// CHECK: moert.launch {{.*}}@product_tensor_cores_0
// CHECK: gpu.func @product_tensor_cores_0
// CHECK: nvvm.mma.sync
// CHECK-NOT: arith.truncf
// CHECK: llvm.store {{.*}} {alignment = 8 : i64} : vector<2xf32>
// CHECK: gpu.return
func.func @wide_result(%rank: !llvm.ptr, %a: memref<40x64xbf16>, %b: memref<24x64xbf16>,
                       %c: memref<40x24xf32>) attributes {moert.values = {}} {
  moert.einsum %rank ins(%a, %b : memref<40x64xbf16>, memref<24x64xbf16>)
      outs(%c : memref<40x24xf32>) {equation = "td,ed->te"}
  return
}

// -----

#row = affine_map<(i, j) -> (i)>
#both = affine_map<(i, j) -> (i, j)>

// A buffer that held something else before: only what comes after the fill counts, so the
// sum of each row begins with zero by itself, in a warp.
// CHECK-LABEL: func.func @used_before
// CHECK: moert.launch {{.*}}@map_0
// CHECK-NOT: moert.launch
// CHECK: moert.launch {{.*}}@rows_1
// CHECK-NOT: moert.launch
// CHECK: gpu.module
func.func @used_before(%rank: !llvm.ptr, %x: memref<40x64xf32>, %y: memref<40xf32>,
                       %s: memref<40xf32>) attributes {moert.values = {}} {
  %zero = arith.constant 0.0 : f32
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
                  iterator_types = ["parallel"]}
      ins(%s : memref<40xf32>) outs(%y : memref<40xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  linalg.fill ins(%zero : f32) outs(%y : memref<40xf32>)
  linalg.generic {indexing_maps = [#both, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<40x64xf32>) outs(%y : memref<40xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %next = arith.addf %sum, %a : f32
    linalg.yield %next : f32
  }
  return
}

// -----

#row = affine_map<(i, j) -> (i)>
#both = affine_map<(i, j) -> (i, j)>

// What is read between the fill and the sum needs the zeros in memory.
// CHECK-LABEL: func.func @read_between
// CHECK: moert.launch {{.*}}@map_2
// CHECK: moert.launch {{.*}}@map_0
// CHECK: moert.launch {{.*}}@sum_1
func.func @read_between(%rank: !llvm.ptr, %x: memref<40x64xf32>, %y: memref<40xf32>,
                        %s: memref<40xf32>) attributes {moert.values = {}} {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<40xf32>)
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
                  iterator_types = ["parallel"]}
      ins(%y : memref<40xf32>) outs(%s : memref<40xf32>) {
  ^bb0(%a: f32, %out: f32):
    linalg.yield %a : f32
  }
  linalg.generic {indexing_maps = [#both, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<40x64xf32>) outs(%y : memref<40xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %next = arith.addf %sum, %a : f32
    linalg.yield %next : f32
  }
  return
}

// RUN: moe-opt %s | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | moe-opt | FileCheck %s

// CHECK-LABEL: func.func @collectives
func.func @collectives(%rank: !llvm.ptr, %x: tensor<4x6xf32>, %all: tensor<8x6xf32>,
                       %half: tensor<4x3xf32>, %buffer: memref<4x6xf32>) {
  // CHECK: moert.axis_index %{{.*}} {axis = 1 : i32}
  %0 = moert.axis_index %rank {axis = 1 : i32}
  // CHECK: moert.all_reduce %{{.*}} ins(%{{.*}} : tensor<4x6xf32>) outs(%{{.*}} : tensor<4x6xf32>) {axes = array<i32: 0, 2>, collective = 7 : i32, reduction = 0 : i32, site = "x"} -> tensor<4x6xf32>
  %1 = moert.all_reduce %rank ins(%x : tensor<4x6xf32>) outs(%x : tensor<4x6xf32>)
      {axes = array<i32: 0, 2>, collective = 7 : i32, reduction = 0 : i32, site = "x"}
      -> tensor<4x6xf32>
  // CHECK: moert.all_reduce %{{.*}} ins(%{{.*}} : memref<4x6xf32>) outs(%{{.*}} : memref<4x6xf32>) {axes = array<i32: 0>, reduction = 1 : i32}{{$}}
  moert.all_reduce %rank ins(%buffer : memref<4x6xf32>) outs(%buffer : memref<4x6xf32>)
      {axes = array<i32: 0>, reduction = 1 : i32}
  // CHECK: moert.all_gather %{{.*}} {axes = array<i32: 0>, dim = 0 : i64} -> tensor<8x6xf32>
  %2 = moert.all_gather %rank ins(%x : tensor<4x6xf32>) outs(%all : tensor<8x6xf32>)
      {axes = array<i32: 0>, dim = 0 : i64} -> tensor<8x6xf32>
  // CHECK: moert.reduce_scatter %{{.*}} {axes = array<i32: 0>, dim = 1 : i64, reduction = 0 : i32} -> tensor<4x3xf32>
  %3 = moert.reduce_scatter %rank ins(%x : tensor<4x6xf32>) outs(%half : tensor<4x3xf32>)
      {axes = array<i32: 0>, dim = 1 : i64, reduction = 0 : i32} -> tensor<4x3xf32>
  return
}

// CHECK-LABEL: func.func @routing
func.func @routing(%rank: !llvm.ptr, %scores: tensor<4x8xf32>, %bias: tensor<8xf32>,
                   %chosen: tensor<4x3xi32>, %counts: tensor<8xi32>,
                   %everybody: tensor<2x8xi32>, %places: tensor<12xi64>,
                   %shares: tensor<2xi64>, %arrivals: tensor<?xi64>,
                   %rows: tensor<12x6xf32>, %arrived: tensor<?x6xf32>) {
  // CHECK: moert.top_k %{{.*}} ins(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<8xf32>) outs(%{{.*}} : tensor<4x3xi32>) {groups = 4 : i64, limited_groups = 2 : i64} -> tensor<4x3xi32>
  %0 = moert.top_k %rank ins(%scores, %bias : tensor<4x8xf32>, tensor<8xf32>)
      outs(%chosen : tensor<4x3xi32>) {groups = 4 : i64, limited_groups = 2 : i64}
      -> tensor<4x3xi32>
  // CHECK: moert.count_rows %{{.*}} ins(%{{.*}} : tensor<4x3xi32>) outs(%{{.*}} : tensor<8xi32>) -> tensor<8xi32>
  %1 = moert.count_rows %rank ins(%0 : tensor<4x3xi32>) outs(%counts : tensor<8xi32>)
      -> tensor<8xi32>
  // CHECK: moert.sort_rows %{{.*}} {num_experts = 8 : i64} -> tensor<12xi64>, tensor<12xi64>
  %2:2 = moert.sort_rows %rank ins(%0 : tensor<4x3xi32>)
      outs(%places, %places : tensor<12xi64>, tensor<12xi64>) {num_experts = 8 : i64}
      -> tensor<12xi64>, tensor<12xi64>
  // CHECK: moert.count_received %{{.*}}, %{{.*}} {axis = 0 : i32, max_rows = 24 : i64} : tensor<2x8xi32>
  %3 = moert.count_received %rank, %everybody {axis = 0 : i32, max_rows = 24 : i64}
      : tensor<2x8xi32>
  // CHECK: moert.plan_exchange %{{.*}} {axis = 0 : i32} -> tensor<2xi64>, tensor<2xi64>, tensor<?xi64>, tensor<?xi64>
  %4:4 = moert.plan_exchange %rank ins(%everybody : tensor<2x8xi32>)
      outs(%shares, %shares, %arrivals, %arrivals
           : tensor<2xi64>, tensor<2xi64>, tensor<?xi64>, tensor<?xi64>) {axis = 0 : i32}
      -> tensor<2xi64>, tensor<2xi64>, tensor<?xi64>, tensor<?xi64>
  // CHECK: moert.all_to_all %{{.*}} ins(%{{.*}}, %{{.*}}#0, %{{.*}}#1 : tensor<12x6xf32>, tensor<2xi64>, tensor<2xi64>) outs(%{{.*}} : tensor<?x6xf32>) {axes = array<i32: 0>} -> tensor<?x6xf32>
  %5 = moert.all_to_all %rank
      ins(%rows, %4#0, %4#1 : tensor<12x6xf32>, tensor<2xi64>, tensor<2xi64>)
      outs(%arrived : tensor<?x6xf32>) {axes = array<i32: 0>} -> tensor<?x6xf32>
  return
}

// CHECK-LABEL: func.func @products
func.func @products(%rank: !llvm.ptr, %x: tensor<?x6xf32>, %w: tensor<5x6xf32>,
                    %experts: tensor<4x5x6xf32>, %offsets: tensor<5xi64>,
                    %init: tensor<?x5xf32>) {
  // CHECK: moert.einsum %{{.*}} ins(%{{.*}}, %{{.*}} : tensor<?x6xf32>, tensor<5x6xf32>) outs(%{{.*}} : tensor<?x5xf32>) {equation = "td,ed->te"} -> tensor<?x5xf32>
  %0 = moert.einsum %rank ins(%x, %w : tensor<?x6xf32>, tensor<5x6xf32>)
      outs(%init : tensor<?x5xf32>) {equation = "td,ed->te"} -> tensor<?x5xf32>
  // CHECK: moert.grouped_einsum %{{.*}} {equation = "nd,efd->nf"} -> tensor<?x5xf32>
  %1 = moert.grouped_einsum %rank
      ins(%x, %experts, %offsets : tensor<?x6xf32>, tensor<4x5x6xf32>, tensor<5xi64>)
      outs(%init : tensor<?x5xf32>) {equation = "nd,efd->nf"} -> tensor<?x5xf32>
  return
}

// CHECK-LABEL: func.func @device
func.func @device(%rank: !llvm.ptr, %counts: memref<2x8xi32>, %host: memref<2x8xi32>,
                  %n: index) {
  // CHECK: %[[BUFFER:.*]] = moert.arena %{{.*}}[%{{.*}}] {offset = 512 : i64} : memref<?x8xi32>
  %0 = moert.arena %rank[%n] {offset = 512 : i64} : memref<?x8xi32>
  // CHECK: %[[FAULT:.*]] = moert.fault %{{.*}}
  %1 = moert.fault %rank
  // CHECK: moert.launch %{{.*}} @kernels::@count_0 grid(%{{.*}}, %{{.*}}, %{{.*}}) block 256 shared 64 args(%[[BUFFER]], %[[FAULT]] : memref<?x8xi32>, !llvm.ptr) work(%{{.*}}, %{{.*}})
  moert.launch %rank @kernels::@count_0 grid(%n, %n, %n) block 256 shared 64
      args(%0, %1 : memref<?x8xi32>, !llvm.ptr) work(%n, %n)
  // CHECK: moert.fetch %{{.*}} ins(%{{.*}} : memref<2x8xi32>) outs(%{{.*}} : memref<2x8xi32>)
  moert.fetch %rank ins(%counts : memref<2x8xi32>) outs(%host : memref<2x8xi32>)
  // CHECK: moert.wait %{{.*}} {collective = 3 : i32}
  moert.wait %rank {collective = 3 : i32}
  return
}

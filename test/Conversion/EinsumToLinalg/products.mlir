// RUN: moe-opt %s --convert-moert-einsum-to-linalg | FileCheck %s
// RUN: moe-opt %s --convert-moert-einsum-to-linalg=keep-products \
// RUN:   | FileCheck %s --check-prefix=KEEP

// CHECK-LABEL: func.func @dense
// CHECK: %[[ZEROS:.*]] = linalg.fill
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: outs(%[[ZEROS]] : tensor<4x8xf32>)
// CHECK: arith.mulf
// CHECK: arith.addf
// KEEP-LABEL: func.func @dense
// KEEP: moert.einsum
func.func @dense(%rank: !llvm.ptr, %a: tensor<4x6xf32>, %b: tensor<8x6xf32>,
                 %init: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = moert.einsum %rank ins(%a, %b : tensor<4x6xf32>, tensor<8x6xf32>)
      outs(%init : tensor<4x8xf32>) {equation = "td,ed->te"} -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// Nothing is summed: no addition. The letter t is of both and of the result, so
// this is no matrix product.
// CHECK-LABEL: func.func @scaled_rows
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel"]
// CHECK: arith.mulf
// CHECK-NOT: arith.addf
// CHECK: return
// KEEP-LABEL: func.func @scaled_rows
// KEEP-NOT: moert.einsum
// KEEP: return
func.func @scaled_rows(%rank: !llvm.ptr, %a: tensor<4x6xf32>, %b: tensor<4xf32>,
                       %init: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = moert.einsum %rank ins(%a, %b : tensor<4x6xf32>, tensor<4xf32>)
      outs(%init : tensor<4x6xf32>) {equation = "td,t->td"} -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// Sums of bf16 are taken in f32 and rounded once.
// CHECK-LABEL: func.func @narrow
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<4x8xf32>)
// CHECK: arith.extf
// CHECK: arith.extf
// CHECK: arith.mulf %{{.*}} : f32
// CHECK: arith.addf %{{.*}} : f32
// CHECK: linalg.generic
// CHECK: arith.truncf %{{.*}} : f32 to bf16
func.func @narrow(%rank: !llvm.ptr, %a: tensor<4x6xbf16>, %b: tensor<8x6xbf16>,
                  %init: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  %0 = moert.einsum %rank ins(%a, %b : tensor<4x6xbf16>, tensor<8x6xbf16>)
      outs(%init : tensor<4x8xbf16>) {equation = "td,ed->te"}
      -> tensor<4x8xbf16>
  return %0 : tensor<4x8xbf16>
}

// One product per expert, of the rows from its offset to the next one's, of which
// there may not be more than rows.
// CHECK-LABEL: func.func @grouped
// CHECK: %[[ROWS:.*]] = tensor.dim %arg1
// CHECK: %[[LAST:.*]] = arith.index_cast
// CHECK: %[[MANY:.*]] = arith.cmpi ugt, %[[LAST]], %[[ROWS]]
// CHECK: moert.fail_if %arg0, %[[MANY]], "the counts of experts are of more rows than there are"
// CHECK: scf.for %[[EXPERT:.*]] = %c0{{.*}} to
// CHECK: %[[NEXT:.*]] = arith.addi %[[EXPERT]], %c1
// CHECK: tensor.extract %{{.*}}[%[[EXPERT]]]
// CHECK: tensor.extract %{{.*}}[%[[NEXT]]]
// CHECK: tensor.extract_slice %arg1
// CHECK: tensor.extract_slice %arg2[%[[EXPERT]], 0, 0] [1, 5, 6]
// CHECK: linalg.generic
// CHECK: tensor.insert_slice
// KEEP-LABEL: func.func @grouped
// KEEP: moert.grouped_einsum
func.func @grouped(%rank: !llvm.ptr, %x: tensor<12x6xf32>, %w: tensor<3x5x6xf32>,
                   %offsets: tensor<4xi64>, %init: tensor<12x5xf32>)
    -> tensor<12x5xf32> {
  %0 = moert.grouped_einsum %rank
      ins(%x, %w, %offsets : tensor<12x6xf32>, tensor<3x5x6xf32>, tensor<4xi64>)
      outs(%init : tensor<12x5xf32>) {equation = "nd,efd->nf"}
      -> tensor<12x5xf32>
  return %0 : tensor<12x5xf32>
}

// Sums are taken in the widest type. Tensor cores take operands of one type: a wide one is
// rounded where the result is as narrow as the other.
// CHECK-LABEL: func.func @mixed
// CHECK: linalg.generic
// CHECK: ^bb0(%[[A:.*]]: f32, %[[B:.*]]: bf16, %{{.*}}: f32):
// CHECK: %[[WIDE:.*]] = arith.extf %[[B]] : bf16 to f32
// CHECK: arith.mulf %[[A]], %[[WIDE]] : f32
// CHECK: arith.truncf %{{.*}} : f32 to bf16
// KEEP-LABEL: func.func @mixed
// KEEP: linalg.generic {{.*}} ins(%arg1 : tensor<4x8xf32>) outs(%{{.*}} : tensor<4x8xbf16>)
// KEEP: arith.truncf
// KEEP: moert.einsum {{.*}} ins(%{{.*}}, %arg2 : tensor<4x8xbf16>, tensor<8x6xbf16>)
func.func @mixed(%rank: !llvm.ptr, %a: tensor<4x8xf32>, %b: tensor<8x6xbf16>,
                 %init: tensor<4x6xbf16>) -> tensor<4x6xbf16> {
  %0 = moert.einsum %rank ins(%a, %b : tensor<4x8xf32>, tensor<8x6xbf16>)
      outs(%init : tensor<4x6xbf16>) {equation = "te,ed->td"} -> tensor<4x6xbf16>
  return %0 : tensor<4x6xbf16>
}

// CHECK-LABEL: func.func @wide_result
// CHECK: arith.extf
// CHECK-NOT: arith.truncf
// CHECK: return
// KEEP-LABEL: func.func @wide_result
// KEEP-NEXT: moert.einsum {{.*}} ins(%arg1, %arg2 : tensor<4x6xbf16>, tensor<8x6xbf16>)
func.func @wide_result(%rank: !llvm.ptr, %a: tensor<4x6xbf16>, %b: tensor<8x6xbf16>,
                       %init: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = moert.einsum %rank ins(%a, %b : tensor<4x6xbf16>, tensor<8x6xbf16>)
      outs(%init : tensor<4x8xf32>) {equation = "td,ed->te"} -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

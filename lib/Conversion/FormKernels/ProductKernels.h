//===- ProductKernels.h - Matrix products on the device ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_FORMKERNELS_PRODUCTKERNELS_H
#define MOE_LIB_CONVERSION_FORMKERNELS_PRODUCTKERNELS_H

#include "KernelBuilder.h"

namespace moe {

/// C[m, n] = sum over k of A[m, k] B[n, k], of which there may be one per
/// expert.
struct Product {
  enum Grouping {
    Dense,
    /// m are rows sorted by expert: B has one matrix per expert.
    Rows,
    /// k are rows sorted by expert: C has one matrix per expert.
    Experts,
  };
  Grouping grouping = Dense;
  Value a, b, c;
  /// Where k is contiguous; else m or n is.
  bool kLastInA = true, kLastInB = true;
  /// Grouped: offsets [E + 1] of i64.
  Value offsets;

  mlir::MemRefType typeOf(Value value) const {
    return mlir::cast<mlir::MemRefType>(value.getType());
  }
  /// Dimensions of m, n and k where they stand in A, B and A.
  int64_t mDim() const { return kLastInA ? 0 : 1; }
  int64_t nDim() const {
    return (grouping == Rows ? 1 : 0) + (kLastInB ? 0 : 1);
  }
  int64_t kDim() const { return kLastInA ? 1 : 0; }
  Type elementOf(Value value) const { return typeOf(value).getElementType(); }
};

/// The tile of the result that a block computes, and the part of k it sums.
/// Values of i64 in the kernel.
struct BlockTile {
  Value firstRow, endRow;
  Value firstColumn, numColumns;
  Value firstK, endK;
  /// The expert; null if dense.
  Value expert;
};

/// A kernel's block of threads, seen by a tile's inner loop.
struct ProductKernel {
  OpBuilder &k;
  Location loc;
  const Product &product;
  /// Arguments of the kernel.
  Value a, b, c;
  BlockTile tile;
};

/// Threads, shared memory and tile of one way to compute a product.
struct ProductShape {
  int64_t tileM, tileN;
  int32_t threads;
  /// Bytes of dynamic shared memory.
  int32_t shared;
  mlir::StringRef name;
};

/// Whether the tensor cores can take it: operands of bf16, a result of bf16 or
/// f32, and rows of whole 16-byte words.
bool fitsTensorCores(const Product &product);
ProductShape getTensorCoreShape();
void emitTensorCoreBody(const ProductKernel &kernel);

ProductShape getThreadShape();
void emitThreadBody(const ProductKernel &kernel, mlir::gpu::GPUFuncOp function);

} // namespace moe

#endif // MOE_LIB_CONVERSION_FORMKERNELS_PRODUCTKERNELS_H

//===- Buffers.h - What buffers are of, their sizes and places --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_BUFFERS_H
#define MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_BUFFERS_H

#include "mlir/IR/Operation.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>

namespace moe::rt {

/// The allocation or argument that `memref` is a view of.
mlir::Value getRoot(mlir::Value memref);

/// The roots of all memrefs that `op` takes, without repetition.
llvm::SmallVector<mlir::Value> getRoots(mlir::Operation *op);

/// Rows that routing sends to a rank: the most that there can be, or as many as
/// if all ranks got equally many.
enum class Rows { Most, Even };

/// What the dimension of a tensor or memref is, or is at most; nothing where
/// that is not known before the run.
std::optional<int64_t> getSize(mlir::Value shaped, int64_t dim, Rows rows);

/// Of the elements of a tensor or memref, as above.
std::optional<int64_t> getBytes(mlir::Value shaped, Rows rows);

/// From when until when a buffer is needed, and its place.
struct BufferLife {
  int64_t first = 0, last = 0;
  int64_t bytes = 0;
  int64_t offset = 0;

  bool overlaps(const BufferLife &other) const {
    return first <= other.last && other.first <= last;
  }
};

/// Larger buffers first, each at the lowest offset that is free while it is
/// needed. Returns the bytes of the arena.
int64_t placeBuffers(llvm::MutableArrayRef<BufferLife> buffers);

} // namespace moe::rt

#endif // MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_BUFFERS_H

//===- Buffers.h - What a view is a view of ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_BUFFERS_H
#define MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_BUFFERS_H

#include "mlir/IR/Operation.h"
#include "llvm/ADT/SmallVector.h"

namespace moe::rt {

/// The allocation or argument that `memref` is a view of.
mlir::Value getRoot(mlir::Value memref);

/// The roots of all memrefs that `op` takes, without repetition.
llvm::SmallVector<mlir::Value> getRoots(mlir::Operation *op);

} // namespace moe::rt

#endif // MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_BUFFERS_H

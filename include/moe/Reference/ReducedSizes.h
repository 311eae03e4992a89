//===- ReducedSizes.h - The same program with small sizes -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Whether a claim is true does not depend on how large a dimension is, only on
// what it is cut into. So the claims of a layer with a width of 4096 are
// executed with a width of a few numbers: dimensions that operations demand to
// be equal shrink together, and what an axis cut evenly, unevenly or not at all
// it still cuts so.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_REDUCEDSIZES_H
#define MOE_REFERENCE_REDUCEDSIZES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <optional>

namespace moe::reference {

/// A copy of `function`, alone in a module, with small dimensions: a few
/// multiples of the ranks that cut them. Numbers of experts and experts per
/// token stay. Its operations are those of `function` in the same order. Axes
/// of a mesh with more than 16 ranks shrink to 2 ranks.
///
/// With `onlyAxis`, a leaf axis, this one gets 2 ranks and all others 1, and
/// dimensions are as small as they can be.
///
/// Fails silently where it does not know how the sizes of an operation depend
/// on each other, or the smaller program is no valid one.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
reduceSizes(mlir::func::FuncOp function,
            std::optional<unsigned> onlyAxis = std::nullopt);

/// About how many multiplications one rank in place of all needs; saturates.
int64_t estimateWork(mlir::func::FuncOp function);

} // namespace moe::reference

#endif // MOE_REFERENCE_REDUCEDSIZES_H

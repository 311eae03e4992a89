//===- Differentiate.h - Reverse mode on the global function ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_AUTODIFF_DIFFERENTIATE_H
#define MOE_AUTODIFF_DIFFERENTIATE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"

namespace moe {

/// Whether `moe-differentiate` makes a joint function of it: it has a body and
/// a result with a gradient, its name does not end in `.vjp`, and it is not
/// private, which makes it a part of those that call it.
bool isDifferentiated(mlir::func::FuncOp function);

/// Adds the joint function of `primal`, whose placements are known, after it.
/// Placements of the backward part are `?`. Errors (A1, A2) are reported where
/// they are.
mlir::LogicalResult differentiate(mlir::func::FuncOp primal,
                                  mlir::SymbolTable &symbols);

/// The name of the joint function of `primal`.
std::string getJointName(mlir::func::FuncOp primal);

} // namespace moe

#endif // MOE_AUTODIFF_DIFFERENTIATE_H

//===- Equation.h - The equation of an einsum -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_MOE_IR_EQUATION_H
#define MOE_LIB_DIALECT_MOE_IR_EQUATION_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <string>

namespace moe {

/// `"td,ed->te"`, taken apart. The terms point into the text.
struct Equation {
  llvm::SmallVector<llvm::StringRef, 2> operands;
  llvm::StringRef result;

  /// Constraint (E1), but for the number of terms; `error` says what is wrong.
  /// With `grouped`, the letter `e` follows from rows `n`.
  static mlir::FailureOr<Equation> parse(llvm::StringRef text, bool grouped,
                                         std::string &error);
};

} // namespace moe

#endif // MOE_LIB_DIALECT_MOE_IR_EQUATION_H

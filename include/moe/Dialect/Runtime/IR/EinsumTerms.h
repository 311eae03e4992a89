//===- EinsumTerms.h - The letters of an equation ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_RUNTIME_IR_EINSUMTERMS_H
#define MOE_DIALECT_RUNTIME_IR_EINSUMTERMS_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

namespace moe::rt {

/// `"td,ed->te"`, which `moe.einsum`'s verifier has checked.
struct EinsumTerms {
  explicit EinsumTerms(llvm::StringRef equation);

  llvm::SmallVector<llvm::StringRef> operands;
  llvm::StringRef result;

  /// Whether this is C[m, n] = sum over k of A[m, k] B[n, k], with any order of
  /// the two letters of each term.
  bool isMatrixProduct() const;
};

} // namespace moe::rt

#endif // MOE_DIALECT_RUNTIME_IR_EINSUMTERMS_H

//===- Scalars.h - Scalar operations of arith and math ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_SCALARS_H
#define MOE_LIB_REFERENCE_SCALARS_H

#include "mlir/IR/Operation.h"
#include "moe/Reference/Numerics.h"
#include <string>
#include <variant>

namespace moe::reference {

/// A number of type T, or an integer, a boolean or an index.
template <typename T>
using Scalar = std::variant<T, int64_t>;

/// The element that the attribute of a constant states.
template <typename T>
mlir::FailureOr<Scalar<T>> toScalar(mlir::Attribute element,
                                    std::string &error);

/// The result of `op` on scalars, though its types may be tensors. In the field
/// a function that is no polynomial is one of its own, and so is rounding to a
/// narrower type; its order is that of residues.
template <typename T>
mlir::FailureOr<Scalar<T>> evaluateScalar(mlir::Operation *op,
                                          llvm::ArrayRef<Scalar<T>> operands,
                                          std::string &error);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_SCALARS_H

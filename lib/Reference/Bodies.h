//===- Bodies.h - Upstream operations on one rank ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_REFERENCE_BODIES_H
#define MOE_LIB_REFERENCE_BODIES_H

#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Reference/Tensor.h"

namespace moe::reference {

/// Executes the body of a `spmd.compute` on the tensors that one rank holds.
/// Its types are those of the global program: sizes are taken from `arguments`,
/// and a tensor of one element has whatever size it meets. T is double or
/// Field. What does not fit gives a failure and one sentence in `error`.
template <typename T>
mlir::FailureOr<Value<T>>
evaluateBody(spmd::ComputeOp op, llvm::ArrayRef<const Value<T> *> arguments,
             std::string &error);

} // namespace moe::reference

#endif // MOE_LIB_REFERENCE_BODIES_H

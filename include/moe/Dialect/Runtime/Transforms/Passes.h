//===- Passes.h - One rank's program before it becomes code -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_RUNTIME_TRANSFORMS_PASSES_H
#define MOE_DIALECT_RUNTIME_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace moe::rt {

#define GEN_PASS_DECL
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"

} // namespace moe::rt

#endif // MOE_DIALECT_RUNTIME_TRANSFORMS_PASSES_H

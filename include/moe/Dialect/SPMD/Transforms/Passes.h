//===- Passes.h - Inference and verification of placements ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_TRANSFORMS_PASSES_H
#define MOE_DIALECT_SPMD_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace moe::spmd {

#define GEN_PASS_DECL
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_TRANSFORMS_PASSES_H

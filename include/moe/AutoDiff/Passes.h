//===- Passes.h - Reverse-mode differentiation ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_AUTODIFF_PASSES_H
#define MOE_AUTODIFF_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace moe {

#define GEN_PASS_DECL
#include "moe/AutoDiff/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "moe/AutoDiff/Passes.h.inc"

} // namespace moe

#endif // MOE_AUTODIFF_PASSES_H

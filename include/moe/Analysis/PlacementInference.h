//===- PlacementInference.h - Fill in what is believed ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ANALYSIS_PLACEMENTINFERENCE_H
#define MOE_ANALYSIS_PLACEMENTINFERENCE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace moe::spmd {

/// Replaces every `?` in `function` by what the operations' rules give, and its
/// result types by those of what it returns. Errors (I1, R1 to R6) are reported
/// where they are.
mlir::LogicalResult inferPlacements(mlir::func::FuncOp function);

} // namespace moe::spmd

#endif // MOE_ANALYSIS_PLACEMENTINFERENCE_H

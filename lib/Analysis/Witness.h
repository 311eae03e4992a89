//===- Witness.h - Where a value became what it is --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_ANALYSIS_WITNESS_H
#define MOE_LIB_ANALYSIS_WITNESS_H

#include "moe/Analysis/PlacementAnalysis.h"

namespace moe::spmd {

/// The name of a leaf axis of the mesh of `value`, quoted.
std::string axisName(mlir::Value value, unsigned axis);

/// What to do about a rule that is broken.
llvm::StringRef ruleHelp(llvm::StringRef label);

/// The operation where `value` became Partial, and in `path` those that carried
/// it on, latest first. Null for an argument; `value` is where the path begins.
mlir::Operation *
findPartialOrigin(const PlacementAnalysis &analysis, mlir::Value &value,
                  unsigned axis,
                  llvm::SmallVectorImpl<mlir::Operation *> &path);

/// The nearest operation before `value` that made it the same on all ranks out
/// of what was not; null if it was so all along.
mlir::Operation *findReduction(const PlacementAnalysis &analysis,
                               mlir::Value value, unsigned axis,
                               llvm::SmallVectorImpl<mlir::Operation *> &path);

/// The sum where a replicated term met a partial one, before `value`.
mlir::Operation *findMix(const PlacementAnalysis &analysis, mlir::Value value,
                         unsigned axis,
                         llvm::SmallVectorImpl<mlir::Operation *> &path);

} // namespace moe::spmd

#endif // MOE_LIB_ANALYSIS_WITNESS_H

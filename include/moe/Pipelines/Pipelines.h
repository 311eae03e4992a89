//===- Pipelines.h - The order of the passes --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_PIPELINES_PIPELINES_H
#define MOE_PIPELINES_PIPELINES_H

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace moe {

/// Infer, differentiate, infer, and with `verify`, verify. Runs on a module;
/// functions that are joint already are only inferred and verified.
void buildMoECheckPipeline(mlir::OpPassManager &pm, bool verify = true);

/// Registers the passes and `--moe-check`.
void registerMoEPassesAndPipelines();

} // namespace moe

#endif // MOE_PIPELINES_PIPELINES_H

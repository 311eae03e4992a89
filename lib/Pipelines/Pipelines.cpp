//===- Pipelines.cpp - The order of the passes ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Pipelines/Pipelines.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

using namespace mlir;

void moe::buildMoECheckPipeline(OpPassManager &pm, bool verify) {
  pm.addNestedPass<func::FuncOp>(spmd::createInferPlacements());
  pm.addPass(createDifferentiate());
  pm.addNestedPass<func::FuncOp>(spmd::createInferPlacements());
  if (verify)
    pm.addNestedPass<func::FuncOp>(spmd::createVerifyGradients());
}

void moe::registerMoEPassesAndPipelines() {
  registerAutoDiffPasses();
  spmd::registerSPMDPasses();
  PassPipelineRegistration<>(
      "moe-check", "infer placements, differentiate, verify every gradient",
      [](OpPassManager &pm) { buildMoECheckPipeline(pm); });
}

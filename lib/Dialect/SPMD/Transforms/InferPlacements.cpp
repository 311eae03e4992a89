//===- InferPlacements.cpp - Fill in what is believed ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementInference.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_INFERPLACEMENTS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

namespace {

struct InferPlacementsPass
    : moe::spmd::impl::InferPlacementsBase<InferPlacementsPass> {
  void runOnOperation() override {
    if (failed(moe::spmd::inferPlacements(getOperation())))
      signalPassFailure();
  }
};

} // namespace

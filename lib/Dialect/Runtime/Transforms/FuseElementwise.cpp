//===- FuseElementwise.cpp - Join loops over elements ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"

namespace moe::rt {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;

/// Whether the reader visits each element of `operand` once.
static bool isVisitedOnce(OpOperand *operand) {
  auto reader = cast<linalg::LinalgOp>(operand->getOwner());
  return reader.getMatchingIndexingMap(operand).isPermutation();
}

namespace {
struct FuseElementwisePass
    : moe::rt::impl::FuseElementwiseBase<FuseElementwisePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(
        patterns, [](OpOperand *operand) {
          Operation *producer = operand->get().getDefiningOp();
          return producer && producer->hasOneUse() && isVisitedOnce(operand);
        });
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

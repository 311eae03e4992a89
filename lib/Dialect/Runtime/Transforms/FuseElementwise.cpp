//===- FuseElementwise.cpp - Join loops over elements ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"

namespace moe::rt {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;

/// A body of more operations is not copied to several readers.
static constexpr int64_t kMostCopied = 24;

/// Whether the reader is a loop that visits each element of `operand` once.
static bool isVisitedOnce(OpOperand *operand) {
  auto reader = dyn_cast<linalg::GenericOp>(operand->getOwner());
  return reader && reader.isDpsInput(operand) &&
         reader.getMatchingIndexingMap(operand).isPermutation();
}

/// A loop that computes each element of its one result by itself.
static bool isElementwise(linalg::GenericOp op) {
  return op.getNumResults() == 1 && op.getNumReductionLoops() == 0 &&
         op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity();
}

/// Whether the loop that makes `operand` can move into its only reader.
static bool canMove(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  return producer && producer->hasOneUse() && isVisitedOnce(operand);
}

namespace {

/// Gives each reader of a small loop one of its own, if it can move there.
struct CopyToReaders : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp loop,
                                PatternRewriter &rewriter) const override {
    if (!isElementwise(loop) || loop->use_empty() || loop->hasOneUse() ||
        llvm::range_size(loop.getBody()->getOperations()) > kMostCopied ||
        !llvm::all_of(loop->getUses(),
                      [](OpOperand &use) { return isVisitedOnce(&use); }))
      return failure();
    SmallVector<OpOperand *> uses;
    for (OpOperand &use : loop->getUses())
      uses.push_back(&use);
    for (OpOperand *use : ArrayRef(uses).drop_front()) {
      Operation *copy = rewriter.clone(*loop);
      rewriter.modifyOpInPlace(use->getOwner(),
                               [&] { use->set(copy->getResult(0)); });
    }
    return success();
  }
};

/// An element that is picked out of a loop's result is computed where it is
/// picked, if nobody else reads the result.
struct PickElement : OpRewritePattern<tensor::ExtractOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ExtractOp pick,
                                PatternRewriter &rewriter) const override {
    auto loop = pick.getTensor().getDefiningOp<linalg::GenericOp>();
    if (!loop || !loop->hasOneUse() || !isElementwise(loop) ||
        !pick->getParentOfType<linalg::GenericOp>())
      return failure();
    for (OpOperand *input : loop.getDpsInputOperands()) {
      AffineMap map = loop.getMatchingIndexingMap(input);
      if (!isa<RankedTensorType>(input->get().getType()) ||
          !map.isProjectedPermutation())
        return failure();
    }
    IRMapping mapping;
    Block &body = *loop.getBody();
    for (OpOperand *input : loop.getDpsInputOperands()) {
      SmallVector<Value> indices;
      for (AffineExpr expr : loop.getMatchingIndexingMap(input).getResults())
        indices.push_back(
            pick.getIndices()[cast<AffineDimExpr>(expr).getPosition()]);
      mapping.map(loop.getMatchingBlockArgument(input),
                  tensor::ExtractOp::create(rewriter, pick.getLoc(),
                                            input->get(), indices)
                      .getResult());
    }
    // The init is not read: an element-wise loop has no sum.
    for (Operation &op : body.without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(op))
        mapping.map(index.getResult(), pick.getIndices()[index.getDim()]);
      else
        rewriter.clone(op, mapping);
    }
    Value result = body.getTerminator()->getOperand(0);
    rewriter.replaceOp(pick, mapping.lookupOrDefault(result));
    return success();
  }
};

/// A number that is narrowed only because it left one loop for another is not
/// narrowed any more when they are one.
struct KeepWide : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::ExtFOp widen,
                                PatternRewriter &rewriter) const override {
    auto narrow = widen.getIn().getDefiningOp<arith::TruncFOp>();
    if (!narrow || narrow.getIn().getType() != widen.getType())
      return failure();
    rewriter.replaceOp(widen, narrow.getIn());
    return success();
  }
};

struct FuseElementwisePass
    : moe::rt::impl::FuseElementwiseBase<FuseElementwisePass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    linalg::populateElementwiseOpsFusionPatterns(patterns, canMove);
    patterns.add<CopyToReaders, PickElement, KeepWide>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

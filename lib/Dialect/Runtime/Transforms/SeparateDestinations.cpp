//===- SeparateDestinations.cpp - A destination for each operation --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"

namespace moe::rt {
#define GEN_PASS_DEF_SEPARATEDESTINATIONS
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;

/// Whether `use` is what its owner's result is written over.
static bool isDestination(OpOperand &use) {
  auto owner = dyn_cast<DestinationStyleOpInterface>(use.getOwner());
  if (owner && owner.isDpsInit(&use))
    return true;
  auto insert = dyn_cast<tensor::InsertSliceOp>(use.getOwner());
  return insert && use == insert.getDestMutable();
}

/// Each destination gets a copy of `op`, which makes its result of nothing; the
/// first keeps `op` itself if nobody else uses it.
static void separate(Operation *op) {
  SmallVector<OpOperand *> destinations;
  bool isRead = false;
  for (OpOperand &use : op->getUses()) {
    if (isDestination(use) && use.getOwner()->getBlock() == op->getBlock())
      destinations.push_back(&use);
    else
      isRead = true;
  }
  llvm::sort(destinations, [](OpOperand *a, OpOperand *b) {
    return a->getOwner() == b->getOwner()
               ? a->getOperandNumber() < b->getOperandNumber()
               : a->getOwner()->isBeforeInBlock(b->getOwner());
  });
  for (auto [i, use] : llvm::enumerate(destinations)) {
    if (i == 0 && !isRead)
      continue;
    OpBuilder b(use->getOwner());
    use->set(b.clone(*op)->getResult(0));
  }
}

namespace {
struct SeparateDestinationsPass
    : moe::rt::impl::SeparateDestinationsBase<SeparateDestinationsPass> {
  void runOnOperation() override {
    // Fills first: copies of them share what they fill.
    SmallVector<Operation *> fills, empties;
    getOperation().walk([&](linalg::FillOp op) {
      if (op->getNumResults() == 1)
        fills.push_back(op);
    });
    llvm::for_each(fills, separate);
    getOperation().walk([&](tensor::EmptyOp op) { empties.push_back(op); });
    llvm::for_each(empties, separate);
  }
};
} // namespace

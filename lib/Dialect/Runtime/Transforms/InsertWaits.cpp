//===- InsertWaits.cpp - When a collective's buffers are needed again -----===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"
#include "llvm/ADT/STLExtras.h"

namespace moe::rt {
#define GEN_PASS_DEF_INSERTWAITS
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;
using namespace moe::rt;

/// The first operation after `collective` that touches one of its buffers; the
/// terminator if none does. Collectives run one after the other, so that one
/// need not wait for another.
static Operation *findFirstUse(CollectiveOpInterface collective) {
  SmallVector<Value> roots = getRoots(collective);
  for (Operation *op = collective->getNextNode();; op = op->getNextNode()) {
    if (op->hasTrait<OpTrait::IsTerminator>())
      return op;
    if (isa<ViewLikeOpInterface, CollectiveOpInterface>(op))
      continue;
    if (llvm::any_of(getRoots(op), [&](Value root) {
          return llvm::is_contained(roots, root);
        }))
      return op;
  }
}

namespace {
struct InsertWaitsPass : moe::rt::impl::InsertWaitsBase<InsertWaitsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (!function->hasAttr("moert.values"))
      return;
    SmallVector<CollectiveOpInterface> collectives(
        function.getOps<CollectiveOpInterface>());
    Value rank = function.getArgument(0);
    for (CollectiveOpInterface collective : collectives) {
      IntegerAttr number = collective.getCollectiveAttr();
      if (!number) {
        collective.emitError("it has no number; help: run "
                             "moert-number-collectives before");
        return signalPassFailure();
      }
      OpBuilder atUse(findFirstUse(collective));
      WaitOp::create(atUse, collective.getLoc(), rank, number);
    }
  }
};
} // namespace

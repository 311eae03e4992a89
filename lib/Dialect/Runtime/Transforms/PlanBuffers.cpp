//===- PlanBuffers.cpp - One arena for all buffers ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"

namespace moe::rt {
#define GEN_PASS_DEF_PLANBUFFERS
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;
using namespace moe::rt;

static FailureOr<int64_t> getBytes(memref::AllocOp alloc) {
  if (std::optional<int64_t> bytes = getBytes(alloc.getResult(), Rows::Most))
    return *bytes;
  return alloc.emitError("the size of this buffer has no bound known before "
                         "the run; help: compile with --target cpu, or "
                         "report it");
}

namespace {
struct PlanBuffersPass : moe::rt::impl::PlanBuffersBase<PlanBuffersPass> {
  void runOnOperation() override;
};
} // namespace

void PlanBuffersPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (!function->hasAttr("moert.values"))
    return;
  SmallVector<memref::AllocOp> allocs;
  SmallVector<BufferLife> lives;
  llvm::DenseMap<Value, unsigned> numbers;
  llvm::DenseMap<int64_t, Operation *> collectives;
  int64_t number = 0;
  auto use = [&](Value root) {
    auto found = numbers.find(root);
    if (found == numbers.end())
      return;
    BufferLife &life = lives[found->second];
    if (life.first == 0)
      life.first = number;
    life.last = number;
  };
  for (Operation &op : function.getBody().front()) {
    ++number;
    if (auto alloc = dyn_cast<memref::AllocOp>(op)) {
      FailureOr<int64_t> bytes = getBytes(alloc);
      if (failed(bytes))
        return signalPassFailure();
      numbers[alloc.getResult()] = lives.size();
      allocs.push_back(alloc);
      lives.push_back({0, 0, *bytes});
      continue;
    }
    if (auto collective = dyn_cast<CollectiveOpInterface>(op))
      collectives[collective.getCollectiveAttr().getInt()] = &op;
    if (auto wait = dyn_cast<WaitOp>(op))
      llvm::for_each(getRoots(collectives[wait.getCollective()]), use);
    if (!isa<ViewLikeOpInterface, memref::DimOp>(op))
      llvm::for_each(getRoots(&op), use);
  }
  int64_t total = placeBuffers(lives);
  for (auto [alloc, life] : llvm::zip_equal(allocs, lives)) {
    OpBuilder b(alloc);
    Value place = ArenaOp::create(
        b, alloc.getLoc(), alloc.getType(), function.getArgument(0),
        alloc.getDynamicSizes(), b.getI64IntegerAttr(life.offset));
    alloc.replaceAllUsesWith(place);
    alloc.erase();
  }
  function->setAttr("moert.arena_bytes",
                    Builder(&getContext()).getI64IntegerAttr(total));
}

//===- NumberCollectives.cpp - One order of all collectives ---------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/Builders.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"

namespace moe::rt {
#define GEN_PASS_DEF_NUMBERCOLLECTIVES
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;

namespace {

struct NumberCollectivesPass
    : moe::rt::impl::NumberCollectivesBase<NumberCollectivesPass> {
  void runOnOperation() override {
    Builder b(&getContext());
    int32_t number = 0;
    getOperation().walk([&](moe::rt::CollectiveOpInterface op) {
      op.setCollectiveAttr(b.getI32IntegerAttr(number++));
    });
  }
};

} // namespace

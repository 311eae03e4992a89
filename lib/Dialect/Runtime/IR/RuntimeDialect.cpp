//===- RuntimeDialect.cpp - The moert dialect -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/Builders.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"

using namespace mlir;
using namespace moe::rt;

#include "moe/Dialect/Runtime/IR/RuntimeDialect.cpp.inc"

#define GET_OP_CLASSES
#include "moe/Dialect/Runtime/IR/RuntimeOps.cpp.inc"

void MoERTDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "moe/Dialect/Runtime/IR/RuntimeOps.cpp.inc"
      >();
}

using Effects = SmallVectorImpl<MemoryEffects::EffectInstance>;

/// Tensors are values; memrefs are read as inputs and written as outputs.
static void addDestinationEffects(DestinationStyleOpInterface op,
                                  Effects &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  }
}

void AllReduceOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void AllGatherOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void ReduceScatterOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void AllToAllOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void TopKOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void CountRowsOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void EinsumOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void GroupedEinsumOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void FetchOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
/// A kernel may write any buffer it gets.
void LaunchOp::getEffects(Effects &effects) {
  for (OpOperand &operand : getArgumentsMutable())
    if (isa<MemRefType>(operand.get().getType())) {
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    }
}
/// Orders what is before and after.
void WaitOp::getEffects(Effects &effects) {
  effects.emplace_back(MemoryEffects::Read::get());
  effects.emplace_back(MemoryEffects::Write::get());
}
void SortRowsOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}
void PlanExchangeOp::getEffects(Effects &effects) {
  addDestinationEffects(*this, effects);
}

void CountReceivedOp::getEffects(Effects &effects) {
  if (isa<MemRefType>(getCounts().getType()))
    effects.emplace_back(MemoryEffects::Read::get(), &getCountsMutable());
}

//===- Witness.cpp - Where a value became what it is ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Witness.h"
#include "llvm/ADT/STLExtras.h"
#include <deque>

using namespace mlir;
using namespace moe::spmd;

std::string moe::spmd::axisName(Value value, unsigned axis) {
  MeshAttr mesh = getMeshOf(value);
  return "'" + mesh.getLeafAxes()[axis].getName().str() + "'";
}

/// The operation by which `value` is what it is; for what a loop carries, the
/// loop. Null for an argument of a function.
static Operation *getCarrier(Value value) {
  if (Operation *op = value.getDefiningOp())
    return op;
  Operation *parent = value.getParentBlock()->getParentOp();
  return isStructured(parent) ? parent : nullptr;
}

namespace {

/// Goes from results of calls into the functions, and out again by the call
/// that it came by.
class CallSteps {
public:
  /// What the result of a call is inside; null if the function is not seen.
  Value enter(Value result) {
    auto call = result.getDefiningOp<func::CallOp>();
    func::FuncOp callee = getCallee(call);
    if (!callee || !llvm::hasSingleElement(callee.getBody()))
      return {};
    OperandRange returned = getReturned(callee);
    if (returned.empty())
      return {};
    calls[callee] = call;
    return returned[cast<OpResult>(result).getResultNumber()];
  }

  /// What an argument is outside: of a function that was not entered and can't
  /// be called from elsewhere, by its first call. Null if that is not seen.
  OpOperand *leave(BlockArgument argument) {
    auto callee = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
    if (!callee)
      return nullptr;
    func::CallOp call = calls.lookup(callee);
    if (!call && callee.isPrivate())
      callee->getParentOp()->walk([&](func::CallOp other) {
        if (other.getCallee() != callee.getName())
          return WalkResult::advance();
        call = other;
        return WalkResult::interrupt();
      });
    return call ? &call->getOpOperand(argument.getArgNumber()) : nullptr;
  }

private:
  DenseMap<Operation *, func::CallOp> calls;
};

} // namespace

Operation *moe::spmd::findPartialOrigin(const PlacementAnalysis &analysis,
                                        Value &value, unsigned axis,
                                        SmallVectorImpl<Operation *> &path) {
  // A witness that is longer shows nothing.
  constexpr size_t mostInCalls = 64, mostSteps = 100'000;
  CallSteps calls;
  auto step = [&](Operation *op, Value to) {
    // A loop that gives what it carries is one step.
    if (path.empty() || path.back() != op)
      path.push_back(op);
    value = to;
  };
  for (size_t i = 0; i < mostSteps; ++i) {
    Operation *op = getCarrier(value);
    if (!op) {
      auto argument = dyn_cast<BlockArgument>(value);
      OpOperand *outside = argument ? calls.leave(argument) : nullptr;
      if (!outside)
        return nullptr;
      step(outside->getOwner(), outside->get());
      continue;
    }
    if (isa<func::CallOp>(op)) {
      Value inside = path.size() < mostInCalls ? calls.enter(value) : Value();
      if (!inside)
        return op;
      step(op, inside);
      continue;
    }
    const Derivation &derivation = analysis.get(value, axis);
    if (derivation.step != TransferStep::Carried || !derivation.from)
      return op;
    step(op, derivation.from);
  }
  return nullptr;
}

Operation *moe::spmd::findReduction(const PlacementAnalysis &analysis,
                                    Value value, unsigned axis,
                                    SmallVectorImpl<Operation *> &path) {
  std::deque<Value> queue{value};
  DenseMap<Value, Value> next;
  CallSteps calls;
  next[value] = {};
  while (!queue.empty()) {
    Value current = queue.front();
    queue.pop_front();
    Operation *op = current.getDefiningOp();
    if (isa_and_nonnull<RedistributeOp, AllReduceOp, AllGatherOp, ClaimOp,
                        BoundaryOp>(op) &&
        !analysis.get(op->getOperand(0), axis).placement.isReplicate()) {
      for (Value step = next[current]; step; step = next[step]) {
        Operation *carrier = getCarrier(step);
        if (carrier && (path.empty() || path.back() != carrier))
          path.push_back(carrier);
      }
      return op;
    }
    SmallVector<Value> before;
    if (SmallVector<OpOperand *, 2> sources = getSources(current);
        !sources.empty()) {
      for (OpOperand *source : sources)
        before.push_back(source->get());
    } else if (isa_and_nonnull<func::CallOp>(op)) {
      if (Value inside = calls.enter(current))
        before.push_back(inside);
    } else if (op) {
      llvm::append_range(before, op->getOperands());
    } else if (OpOperand *outside = calls.leave(cast<BlockArgument>(current))) {
      before.push_back(outside->get());
    }
    for (Value operand : before)
      if (analysis.knows(operand) &&
          analysis.get(operand, axis).placement.isReplicate() &&
          next.try_emplace(operand, current).second)
        queue.push_back(operand);
  }
  return nullptr;
}

Operation *moe::spmd::findMix(const PlacementAnalysis &analysis, Value value,
                              unsigned axis,
                              SmallVectorImpl<Operation *> &path) {
  while (Operation *op = value.getDefiningOp()) {
    const Derivation &derivation = analysis.get(value, axis);
    if (derivation.step == TransferStep::Mixed)
      return op;
    path.push_back(op);
    value = derivation.from;
  }
  return nullptr;
}

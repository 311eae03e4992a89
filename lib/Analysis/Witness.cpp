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

Operation *moe::spmd::findPartialOrigin(const PlacementAnalysis &analysis,
                                        Value &value, unsigned axis,
                                        SmallVectorImpl<Operation *> &path) {
  while (Operation *op = value.getDefiningOp()) {
    const Derivation &derivation = analysis.get(value, axis);
    if (derivation.step != TransferStep::Carried || !derivation.from)
      return op;
    path.push_back(op);
    value = derivation.from;
  }
  return nullptr;
}

Operation *moe::spmd::findReduction(const PlacementAnalysis &analysis,
                                    Value value, unsigned axis,
                                    SmallVectorImpl<Operation *> &path) {
  std::deque<Value> queue{value};
  DenseMap<Value, Value> next;
  next[value] = {};
  while (!queue.empty()) {
    Value current = queue.front();
    queue.pop_front();
    Operation *op = current.getDefiningOp();
    if (!op)
      continue;
    if (isa<RedistributeOp, AllReduceOp, AllGatherOp, ClaimOp, BoundaryOp>(
            op) &&
        !analysis.get(op->getOperand(0), axis).placement.isReplicate()) {
      for (Value step = next[current]; step; step = next[step])
        path.push_back(step.getDefiningOp());
      return op;
    }
    for (Value operand : op->getOperands())
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

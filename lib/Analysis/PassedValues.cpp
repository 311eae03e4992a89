//===- PassedValues.cpp - Into and out of loops, branches, calls ----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The part of PlacementAnalysis about values that pass between blocks. A sum
// without meaning is refused where it passes, so a body is visited once: what
// it starts with is what the types say, in every iteration.
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementAnalysis.h"

using namespace mlir;
using namespace moe::spmd;

static PlacedTensorType placedType(Value value) {
  return dyn_cast<PlacedTensorType>(value.getType());
}

/// Other values may be wrong for reasons of their own.
bool PlacementAnalysis::isReported(Operation *op, Value value, unsigned axis,
                                   std::optional<unsigned> result) {
  if (taints.contains(value)) {
    consequences.push_back({op, axis});
    return true;
  }
  Operation *mix = getMix(value, axis);
  if (!mix)
    return false;
  auto [entry, isNew] = mixes.try_emplace({mix, axis}, findings.size());
  if (isNew)
    return false;
  consequences.push_back({op, axis});
  if (result)
    findings[entry->second].reaches.insert(*result);
  return true;
}

/// A value leaves or enters a block: whoever takes it relies on its type.
void PlacementAnalysis::visitPassed(OpOperand &operand, ValueRange targets,
                                    StringRef verb) {
  Value value = operand.get();
  PlacedTensorType type = placedType(value);
  if (!type || (isAsBelieved(value) && !taints.contains(value)))
    return;
  Operation *op = operand.getOwner();
  std::optional<unsigned> result;
  if (isa<func::ReturnOp>(op))
    result = operand.getOperandNumber();
  SmallVector<unsigned> found;
  for (auto [axis, meshAxis] : llvm::enumerate(type.getMesh().getLeafAxes())) {
    Placement truth = getTruth(value, axis);
    if (meshAxis.getSize() == 1 || !truth.isMixed() ||
        isReported(op, value, axis, result))
      continue;
    Finding finding;
    finding.op = op;
    finding.value = value;
    finding.axis = axis;
    finding.label = "G5";
    finding.reason = (verb + " a sum in which a replicated term met a partial "
                             "one, as if it were partial<sum>")
                         .str();
    finding.truth = truth;
    finding.believed = type.getPlacements()[axis];
    if (result)
      finding.reaches.insert(*result);
    found.push_back(findings.size());
    findings.push_back(std::move(finding));
  }
  if (result && taints.contains(value))
    for (unsigned index : getTaints(value))
      findings[index].reaches.insert(*result);
  for (Value target : targets) {
    if (auto known = taints.find(value); known != taints.end())
      inheritTaint(target, known->second);
    for (unsigned index : found)
      taint(target, index);
  }
}

void PlacementAnalysis::visitReturn(func::ReturnOp op) {
  for (OpOperand &operand : op->getOpOperands())
    visitPassed(operand, {}, "returns");
}

/// Ranks that go different ways wait for each other in different collectives.
void PlacementAnalysis::checkSame(Operation *op, Value scalar,
                                  const Twine &what) {
  Operation *culprit = findRankDependence(scalar, sameOnAllRanks);
  if (!culprit)
    return;
  Finding finding;
  finding.op = op;
  finding.value = scalar;
  finding.label = "R8";
  finding.reason = (what + " may differ between ranks, for '" +
                    culprit->getName().getStringRef() + "' computes it")
                       .str();
  findings.push_back(std::move(finding));
}

/// What is known of where rows are cut holds on the other side, if the same is
/// known of all that `value` may be.
void PlacementAnalysis::passCuts(Operation *op, Value value) {
  if (!placedType(value) || !isRagged(value))
    return;
  SmallVector<OpOperand *, 2> sources = getSources(value);
  Value named = cuts.lookup(sources.front()->get());
  if (named)
    cuts[value] = named;
  if (isa<BlockArgument>(value))
    return;
  for (OpOperand *source : sources) {
    Value cut = cuts.lookup(source->get());
    if (cut == named)
      continue;
    recordRows(op, value,
               "rows that are cut by different expert numbers become "
               "one value");
    return;
  }
}

/// What follows from `value` by way of the next iteration.
void PlacementAnalysis::spreadTaint(Value value) {
  unsigned number = taints.lookup(value);
  llvm::SmallSetVector<Value, 16> reached;
  reached.insert(value);
  for (unsigned i = 0; i < reached.size(); ++i)
    for (OpOperand &use : reached[i].getUses()) {
      Operation *user = use.getOwner();
      if (isa<scf::YieldOp>(user) || isStructured(user))
        reached.insert_range(getTargets(use));
      else
        reached.insert_range(user->getResults());
    }
  for (Value follows : reached)
    if (follows != value)
      inheritTaint(follows, number);
}

void PlacementAnalysis::visitStructured(Operation *op, Visit &visited) {
  if (!touchesPlacedTensors(op))
    return;
  auto loop = dyn_cast<scf::ForOp>(op);
  if (loop) {
    checkSame(op, loop.getLowerBound(), "its lower bound");
    checkSame(op, loop.getUpperBound(), "its upper bound");
    checkSame(op, loop.getStep(), "its step");
    for (OpOperand &init : loop.getInitArgsMutable()) {
      Value argument = loop.getTiedLoopRegionIterArg(&init);
      visitPassed(init, argument, "starts with");
      passCuts(op, argument);
    }
  } else {
    checkSame(op, cast<scf::IfOp>(op).getCondition(), "its condition");
  }
  for (Region &region : op->getRegions()) {
    if (region.empty())
      continue;
    visitBlock(region.front(), visited);
    for (OpOperand &operand : region.front().getTerminator()->getOpOperands())
      visitPassed(operand, op->getResult(operand.getOperandNumber()), "yields");
  }
  for (Value result : op->getResults()) {
    passCuts(op, result);
    if (!loop)
      continue;
    // It may not be run at all.
    SmallVector<OpOperand *, 2> sources = getSources(result);
    if (auto known = taints.find(sources[0]->get()); known != taints.end())
      inheritTaint(result, known->second);
    if (!taints.contains(sources[1]->get()))
      continue;
    Value argument =
        loop.getRegionIterArg(cast<OpResult>(result).getResultNumber());
    inheritTaint(argument, taints.lookup(result));
    spreadTaint(argument);
  }
}

/// The callee's signature is what both sides rely on. Where rows are cut by
/// expert it does not say.
void PlacementAnalysis::visitCall(func::CallOp call) {
  for (OpOperand &operand : call->getOpOperands()) {
    visitPassed(operand, call.getResults(), "passes");
    if (!placedType(operand.get()) &&
        operand.get().getType().isIntOrIndexOrFloat())
      checkSame(call, operand.get(),
                "operand " + Twine(operand.getOperandNumber()));
  }
  auto ragged = [&](Value value) {
    return placedType(value) && isRagged(value);
  };
  for (ValueRange values :
       {ValueRange(call.getOperands()), ValueRange(call.getResults())}) {
    auto rows = llvm::find_if(values, ragged);
    if (rows == values.end())
      continue;
    recordRows(call, *rows,
               "rows that are cut by expert pass through a call, and a "
               "signature does not say where they are cut");
    return;
  }
}

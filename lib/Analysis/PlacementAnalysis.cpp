//===- PlacementAnalysis.cpp - The truth about placements -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Analysis/AlikeOperations.h"

using namespace mlir;
using namespace moe::spmd;

static PlacedTensorType placedType(Value value) {
  return dyn_cast<PlacedTensorType>(value.getType());
}

/// The operand of a `spmd.compute` that an argument of its body stands for; any
/// other value itself.
static Value resolve(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument)
    return value;
  auto compute = dyn_cast<ComputeOp>(argument.getOwner()->getParentOp());
  return compute ? compute.getInputs()[argument.getArgNumber()] : value;
}

MeshAttr moe::spmd::getMeshOf(Value value) {
  value = resolve(value);
  if (PlacedTensorType type = placedType(value))
    return type.getMesh();
  auto compute = value.getParentRegion()->getParentOfType<ComputeOp>();
  return placedType(compute.getResult()).getMesh();
}

/// What follows from a false claim is one error with it. A claim further on,
/// and a collective that sums, are statements of their own.
static bool isConsequence(StringRef label) {
  return label.starts_with("R") || label == "G5" || label == "T1";
}

/// The label of a claim that `truth` contradicts.
static StringRef claimLabel(Placement truth, Placement claimed) {
  if (truth.isCut() ||
      (claimed.isCut() && !truth.isPartial() && !truth.isMixed()))
    return "G3";
  if (claimed.isPartial() && truth.isPartial())
    return "G4";
  return claimed.isPartial() ? "G2" : "G1";
}

namespace {

/// What is known of operations that are alike and whose operands are what their
/// types say.
struct Outcome {
  /// Their rule allows it, and gives what is believed of the results.
  bool holds = false;
  /// They have to do with ragged rows; see PlacementRule for `cutsOperand`.
  bool hasRows = false;
  int cutsOperand = -1;
};

} // namespace

struct PlacementAnalysis::Visit {
  AlikeOperations<Outcome> alike;
};

PlacementAnalysis::PlacementAnalysis(func::FuncOp function)
    : function(function) {
  Visit visited;
  visitBlock(function.getBody().front(), visited);
}

void PlacementAnalysis::visitBlock(Block &block, Visit &visited) {
  for (Operation &op : block)
    visit(&op, visited);
}

Placement PlacementAnalysis::getTruth(Value value, unsigned axis) const {
  auto known = derivations.find(value);
  return known == derivations.end() ? placedType(value).getPlacements()[axis]
                                    : known->second[axis].placement;
}

Derivation PlacementAnalysis::get(Value value, unsigned axis) const {
  value = resolve(value);
  if (auto known = derivations.find(value); known != derivations.end())
    return known->second[axis];
  PlacedTensorType type = placedType(value);
  Derivation derivation{type.getPlacements()[axis], TransferStep::Stated, {}};
  Operation *op = value.getDefiningOp();
  SmallVector<OpOperand *, 2> sources = getSources(value);
  if (!sources.empty()) {
    // What a loop gives is what it yields, rather than where it starts.
    bool isLoop = isa_and_nonnull<scf::ForOp>(op);
    derivation.step = derivation.placement.isReplicate()
                          ? TransferStep::Replicated
                      : derivation.placement.isCut() ? TransferStep::Cut
                                                     : TransferStep::Carried;
    derivation.from = sources[isLoop ? 1 : 0]->get();
    return derivation;
  }
  if (!isa_and_nonnull<PlacementOpInterface>(op))
    return derivation;
  derivation.step = TransferStep::Replicated;
  if (type.getMesh().getLeafAxes()[axis].getSize() == 1)
    return derivation;
  SmallVector<Placement> operands;
  for (Value operand : op->getOperands())
    operands.push_back(getTruth(operand, axis));
  Transfer transfer =
      cast<PlacementOpInterface>(op).transferPlacements(axis, operands);
  derivation.step = transfer.step;
  if (transfer.operand >= 0)
    derivation.from = op->getOperand(transfer.operand);
  return derivation;
}

bool PlacementAnalysis::knows(Value value) const {
  value = resolve(value);
  return placedType(value) || derivations.contains(value);
}

bool PlacementAnalysis::isAsBelieved(Value value) const {
  auto known = derivations.find(value);
  if (known == derivations.end())
    return true;
  PlacedTensorType type = placedType(value);
  return type &&
         llvm::all_of_zip(known->second, type.getPlacements(),
                          [](const Derivation &derivation, Placement believed) {
                            return derivation.placement == believed;
                          });
}

bool PlacementAnalysis::isRagged(Value value) const {
  auto known = derivations.find(value);
  if (known == derivations.end())
    return llvm::any_of(placedType(value).getPlacements(),
                        [](Placement p) { return p.isRagged(); });
  return llvm::any_of(known->second, [](const Derivation &derivation) {
    return derivation.placement.isRagged();
  });
}

bool PlacementAnalysis::isTainted(Operation *op) const {
  return llvm::any_of(op->getOperands(),
                      [&](Value v) { return taints.contains(resolve(v)); });
}

SmallVector<ArrayRef<Finding>> PlacementAnalysis::getErrors() const {
  SmallVector<ArrayRef<Finding>> errors;
  for (const Finding &finding : findings) {
    bool isSame =
        !errors.empty() && errors.back().front().op == finding.op &&
        errors.back().front().value == finding.value &&
        errors.back().front().label.front() == finding.label.front() &&
        !finding.label.starts_with("R") && !isa<func::ReturnOp>(finding.op);
    if (isSame)
      errors.back() = {errors.back().data(), errors.back().size() + 1};
    else
      errors.push_back(finding);
  }
  return errors;
}

/// The sum where a replicated term met a partial one, before `value`; null if
/// there is none.
Operation *PlacementAnalysis::getMix(Value value, unsigned axis) const {
  while (Operation *op = value ? value.getDefiningOp() : nullptr) {
    const Derivation &derivation = get(value, axis);
    if (!derivation.placement.isMixed())
      return nullptr;
    if (derivation.step == TransferStep::Mixed)
      return op;
    value = derivation.from;
  }
  return nullptr;
}

/// A collective that sums what a false claim takes for whole, and what is
/// partial<sum> in truth.
bool PlacementAnalysis::isSummedClaim(const Finding &finding) const {
  if (finding.label != "G6")
    return false;
  return llvm::any_of(getTaints(finding.value), [&](unsigned index) {
    const Finding &cause = findings[index];
    return isa<ClaimOp, BoundaryOp>(cause.op) && cause.axis == finding.axis &&
           cause.truth.isPartial() && cause.believed.isReplicate();
  });
}

void PlacementAnalysis::record(Finding finding) {
  if (isConsequence(finding.label) && isTainted(finding.op)) {
    consequences.push_back({finding.op, finding.axis});
    return;
  }
  // Right, once the claim says what is true.
  if (isSummedClaim(finding))
    return;
  unsigned index = findings.size();
  Operation *mix =
      finding.truth.isMixed() ? getMix(finding.value, finding.axis) : nullptr;
  if (mix) {
    // Whoever relies on one sum without meaning is told once, but a claim.
    auto [entry, isNew] = mixes.try_emplace({mix, finding.axis}, index);
    if (!isNew && !isa<ClaimOp, BoundaryOp>(finding.op)) {
      consequences.push_back({finding.op, finding.axis});
      for (Value result : finding.op->getResults())
        taint(result, entry->second);
      return;
    }
  }
  findings.push_back(std::move(finding));
  for (Value result : findings.back().op->getResults())
    taint(result, index);
}

/// The same numbers, however they lie: what `value` was before conversions.
static Value beforeConversions(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<SPMDDialect>(op->getDialect()) || isa<ComputeOp, OpaqueOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

void PlacementAnalysis::recordRows(Operation *op, Value rows,
                                   StringRef reason) {
  Finding finding;
  finding.op = op;
  finding.value = rows;
  finding.label = "R4";
  finding.reason = reason.str();
  unsigned numAxes = placedType(finding.value).getPlacements().size();
  for (unsigned axis = 0; axis < numAxes; ++axis)
    if (getTruth(finding.value, axis).isRagged())
      finding.axis = axis;
  finding.truth = getTruth(finding.value, finding.axis);
  record(std::move(finding));
}

/// Rows of two dispatches are cut at different places, which no placement says.
void PlacementAnalysis::checkRows(Operation *op, int cutsOperand) {
  Value named;
  if (cutsOperand >= 0)
    named = beforeConversions(op->getOperand(cutsOperand));
  for (Value operand : op->getOperands()) {
    Value cut = cuts.lookup(operand);
    if (!cut)
      continue;
    if (named && cut != named) {
      recordRows(op, operand,
                 "its rows are cut by other expert numbers than those it "
                 "meets here");
      return;
    }
    named = cut;
  }
  for (Value result : op->getResults())
    if (named && placedType(result) && isRagged(result))
      cuts[result] = named;
}

bool PlacementAnalysis::visitAxis(Operation *op, unsigned axis) {
  SmallVector<Placement> operands;
  for (Value operand : op->getOperands())
    operands.push_back(getTruth(operand, axis));
  Transfer transfer =
      cast<PlacementOpInterface>(op).transferPlacements(axis, operands);

  bool isClaim = isa<ClaimOp, BoundaryOp>(op);
  Finding finding;
  finding.op = op;
  finding.axis = axis;
  if (!transfer.ok) {
    finding.value = op->getOperand(std::max(transfer.operand, 0));
    finding.label = transfer.label;
    finding.reason = transfer.reason;
    finding.truth = operands[std::max(transfer.operand, 0)];
    record(finding);
  }
  bool holds = transfer.ok;
  for (auto [i, result] : llvm::enumerate(op->getResults())) {
    Placement believed = placedType(result).getPlacements()[axis];
    Derivation derivation{believed, transfer.step, {}};
    if (transfer.operand >= 0)
      derivation.from = op->getOperand(transfer.operand);
    if (transfer.ok)
      derivation.placement = transfer.results[i];
    // Before anything is recorded, which looks back from here.
    derivations[result].push_back(derivation);
    if (transfer.ok) {
      Placement truth = transfer.results[i];
      if (isClaim && !operands[0].implies(truth)) {
        finding.value = op->getOperand(0);
        finding.label = claimLabel(operands[0], truth);
        finding.truth = operands[0];
        finding.believed = truth;
        record(finding);
        holds = false;
      } else if (truth != believed) {
        holds = false;
        if (truth.isMixed() && believed == Placement::partial())
          continue;
        // A sum without meaning is reported where something relies on it.
        finding.value = result;
        finding.label = "T1";
        finding.truth = truth;
        finding.believed = believed;
        record(finding);
        derivations[result].back().placement = believed;
      }
    }
  }
  return holds;
}

void PlacementAnalysis::visit(Operation *op, Visit &visited) {
  if (auto ret = dyn_cast<func::ReturnOp>(op))
    return visitReturn(ret);
  // Its operation looks at it.
  if (isa<scf::YieldOp>(op))
    return;
  if (isStructured(op))
    return visitStructured(op, visited);
  if (auto call = dyn_cast<func::CallOp>(op))
    return visitCall(call);
  bool hasRule = hasPlacementRule(op);
  if (!hasRule && !touchesPlacedTensors(op))
    return;
  // Inherited before anything new is found here.
  if (!taints.empty())
    inheritTaints(op);
  Outcome *outcome = nullptr;
  if (hasRule &&
      llvm::all_of(op->getOperands(), [&](Value v) { return isAsBelieved(v); }))
    outcome = visited.alike.find(op);
  if (outcome && outcome->holds) {
    if (outcome->hasRows)
      checkRows(op, outcome->cutsOperand);
    return;
  }
  for (Value result : op->getResults())
    derivations.try_emplace(result);
  if (!hasRule)
    return visitForeign(op);
  if (auto compute = dyn_cast<ComputeOp>(op))
    return visitCompute(compute);
  bool holds = visitAxes(op);
  int cutsOperand =
      cast<PlacementOpInterface>(op).getPlacementRule().cutsOperand;
  checkRows(op, cutsOperand);
  if (!holds)
    return;
  for (Value result : op->getResults())
    derivations.erase(result);
  if (!outcome)
    return;
  outcome->holds = true;
  outcome->cutsOperand = cutsOperand;
  auto ragged = [&](Value value) { return isRagged(value); };
  outcome->hasRows = llvm::any_of(op->getOperands(), ragged) ||
                     llvm::any_of(op->getResults(), ragged);
}

/// Whether the rule allows it and gives what is believed, on every axis.
bool PlacementAnalysis::visitAxes(Operation *op) {
  bool holds = true;
  auto mesh = placedType(op->getOperand(0)).getMesh();
  for (auto [axis, meshAxis] : llvm::enumerate(mesh.getLeafAxes())) {
    if (meshAxis.getSize() > 1) {
      holds &= visitAxis(op, axis);
      continue;
    }
    // One rank has the value, whatever it is called.
    for (Value result : op->getResults())
      derivations[result].push_back({placedType(result).getPlacements()[axis],
                                     TransferStep::Replicated,
                                     {}});
  }
  return holds;
}

void PlacementAnalysis::inheritTaint(Value value, unsigned number) {
  auto [entry, isNew] = taints.try_emplace(value, number);
  if (isNew || entry->second == number)
    return;
  taintList.push_back({std::nullopt, {entry->second, number}});
  entry->second = taintList.size() - 1;
}

void PlacementAnalysis::taint(Value value, unsigned finding) {
  taintList.push_back({finding, {}});
  inheritTaint(value, taintList.size() - 1);
}

SmallVector<unsigned> PlacementAnalysis::getTaints(Value value) const {
  SmallVector<unsigned> findings;
  auto first = taints.find(value);
  if (first == taints.end())
    return findings;
  llvm::SmallSetVector<unsigned, 8> reached;
  reached.insert(first->second);
  for (unsigned i = 0; i < reached.size(); ++i) {
    const Taint &taint = taintList[reached[i]];
    if (taint.finding)
      findings.push_back(*taint.finding);
    reached.insert_range(taint.parents);
  }
  return findings;
}

void PlacementAnalysis::inheritTaints(Operation *op) {
  llvm::SmallSetVector<unsigned, 4> inherited;
  for (Value operand : op->getOperands())
    if (auto known = taints.find(resolve(operand)); known != taints.end())
      inherited.insert(known->second);
  if (inherited.empty())
    return;
  unsigned number = inherited.front();
  if (inherited.size() > 1) {
    number = taintList.size();
    taintList.push_back({std::nullopt, inherited.takeVector()});
  }
  for (Value result : op->getResults())
    inheritTaint(result, number);
}

void PlacementAnalysis::visitBodyAxis(Operation *op, unsigned axis) {
  Transfer transfer = transferThroughBody(
      op, axis, [&](Value value) { return get(value, axis).placement; });
  Value decided;
  if (transfer.operand >= 0)
    decided = resolve(op->getOperand(transfer.operand));
  if (!transfer.ok) {
    Finding finding;
    finding.op = transfer.culprit ? transfer.culprit : op;
    finding.axis = axis;
    finding.value = decided ? decided : op->getResult(0);
    finding.label = transfer.label;
    finding.reason = transfer.reason;
    if (decided)
      finding.truth = get(decided, axis).placement;
    if (!isTainted(op)) {
      for (Value result : op->getResults())
        taint(result, findings.size());
      findings.push_back(std::move(finding));
    }
  }
  for (unsigned i = 0; i < op->getNumResults(); ++i)
    derivations[op->getResult(i)].push_back(
        {transfer.ok ? transfer.results[i] : Placement::replicate(),
         transfer.step, decided});
}

/// Values of the body are believed to be what they are: only the result has a
/// type.
void PlacementAnalysis::visitCompute(ComputeOp op) {
  auto axes = getMeshOf(op.getResult()).getLeafAxes();
  for (Operation &inner : op.getBody().front().without_terminator()) {
    for (Value result : inner.getResults())
      derivations.try_emplace(result);
    inheritTaints(&inner);
    for (auto [axis, meshAxis] : llvm::enumerate(axes)) {
      if (meshAxis.getSize() > 1) {
        visitBodyAxis(&inner, axis);
        continue;
      }
      for (Value result : inner.getResults())
        derivations[result].push_back(
            {Placement::replicate(), TransferStep::Replicated, {}});
    }
  }
  Value yielded = resolve(op.getYielded());
  if (auto known = taints.find(yielded); known != taints.end())
    inheritTaint(op.getResult(), known->second);
  for (auto [axis, meshAxis] : llvm::enumerate(axes)) {
    Placement truth = get(yielded, axis).placement;
    Placement believed = placedType(op.getResult()).getPlacements()[axis];
    TransferStep step =
        truth.isReplicate() ? TransferStep::Replicated : TransferStep::Carried;
    if (meshAxis.getSize() == 1)
      truth = believed;
    bool excused = truth.isMixed() && believed == Placement::partial();
    // Before anything is recorded, which looks back from here.
    derivations[op.getResult()].push_back({truth, step, yielded});
    if (truth != believed && !excused) {
      Finding finding;
      finding.op = op;
      finding.axis = axis;
      finding.value = op.getResult();
      finding.label = "T1";
      finding.truth = truth;
      finding.believed = believed;
      record(std::move(finding));
      derivations[op.getResult()].back().placement = believed;
    }
  }
  checkRows(op, /*cutsOperand=*/-1);
}

/// An operation without a rule: what is believed of its results stands.
void PlacementAnalysis::visitForeign(Operation *op) {
  for (Value result : op->getResults())
    if (PlacedTensorType type = placedType(result))
      for (Placement placement : type.getPlacements())
        derivations[result].push_back({placement, TransferStep::Stated, {}});
  Finding finding;
  finding.op = op;
  finding.label = "R6";
  record(std::move(finding));
}

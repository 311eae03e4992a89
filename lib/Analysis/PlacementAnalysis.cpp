//===- PlacementAnalysis.cpp - The truth about placements -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementAnalysis.h"

using namespace mlir;
using namespace moe::spmd;

static PlacedTensorType placedType(Value value) {
  return dyn_cast<PlacedTensorType>(value.getType());
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

bool moe::spmd::touchesPlacedTensors(Operation *op) {
  auto isPlaced = [](Value value) {
    return isa<PlacedTensorType>(value.getType());
  };
  return op
      ->walk([&](Operation *inner) {
        return llvm::any_of(inner->getOperands(), isPlaced) ||
                       llvm::any_of(inner->getResults(), isPlaced)
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

PlacementAnalysis::PlacementAnalysis(func::FuncOp function)
    : function(function) {
  for (BlockArgument argument : function.getArguments())
    if (PlacedTensorType type = placedType(argument)) {
      auto &list = derivations[argument];
      for (Placement placement : type.getPlacements())
        list.push_back({placement, TransferStep::Stated, {}});
    }
  for (Operation &op : function.getBody().front())
    visit(&op);
}

const Derivation &PlacementAnalysis::get(Value value, unsigned axis) const {
  return derivations.find(value)->second[axis];
}

bool PlacementAnalysis::isTainted(Operation *op) const {
  return llvm::any_of(op->getOperands(),
                      [&](Value v) { return taints.contains(v); });
}

SmallVector<ArrayRef<Finding>> PlacementAnalysis::getErrors() const {
  SmallVector<ArrayRef<Finding>> errors;
  for (const Finding &finding : findings) {
    bool isSame =
        !errors.empty() && errors.back().front().op == finding.op &&
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
  auto taint = taints.find(finding.value);
  if (finding.label != "G6" || taint == taints.end())
    return false;
  return llvm::any_of(taint->second, [&](unsigned index) {
    const Finding &cause = findings[index];
    return isa<ClaimOp, BoundaryOp>(cause.op) && cause.axis == finding.axis &&
           cause.truth.isPartial() && cause.believed.isReplicate();
  });
}

void PlacementAnalysis::record(Finding finding) {
  if ((isConsequence(finding.label) && isTainted(finding.op)) ||
      isSummedClaim(finding))
    return;
  unsigned index = findings.size();
  Operation *mix =
      finding.truth.isMixed() ? getMix(finding.value, finding.axis) : nullptr;
  if (mix) {
    // Whoever relies on one sum without meaning is told once, but a claim.
    auto [entry, isNew] = mixes.try_emplace({mix, finding.axis}, index);
    if (!isNew && !isa<ClaimOp, BoundaryOp>(finding.op)) {
      for (Value result : finding.op->getResults())
        taints[result].insert(entry->second);
      return;
    }
  }
  findings.push_back(std::move(finding));
  for (Value result : findings.back().op->getResults())
    taints[result].insert(index);
}

/// Rows of two dispatches are cut at different places, which no placement says.
void PlacementAnalysis::checkRows(Operation *op) {
  PlacementRule rule = cast<PlacementOpInterface>(op).getPlacementRule();
  Value named;
  if (rule.cutsOperand >= 0)
    named = op->getOperand(rule.cutsOperand);
  for (Value operand : op->getOperands()) {
    Value cut = cuts.lookup(operand);
    if (!cut)
      continue;
    if (named && cut != named) {
      Finding finding;
      finding.op = op;
      finding.value = operand;
      finding.label = "R4";
      finding.reason = "its rows are cut by other expert numbers than those it "
                       "meets here";
      for (auto [axis, derivation] : llvm::enumerate(derivations[operand]))
        if (derivation.placement.isRagged())
          finding.axis = axis;
      finding.truth = get(operand, finding.axis).placement;
      record(std::move(finding));
      return;
    }
    named = cut;
  }
  for (Value result : op->getResults())
    if (named && placedType(result) &&
        llvm::any_of(derivations[result], [](const Derivation &d) {
          return d.placement.isRagged();
        }))
      cuts[result] = named;
}

void PlacementAnalysis::visitAxis(Operation *op, unsigned axis) {
  SmallVector<Placement> operands;
  for (Value operand : op->getOperands())
    operands.push_back(get(operand, axis).placement);
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
  for (auto [i, result] : llvm::enumerate(op->getResults())) {
    Placement believed = placedType(result).getPlacements()[axis];
    Derivation derivation{believed, transfer.step, {}};
    if (transfer.operand >= 0)
      derivation.from = op->getOperand(transfer.operand);
    if (transfer.ok) {
      Placement truth = transfer.results[i];
      derivation.placement = truth;
      if (isClaim && truth != operands[0]) {
        finding.value = op->getOperand(0);
        finding.label = claimLabel(operands[0], truth);
        finding.truth = operands[0];
        finding.believed = truth;
        record(finding);
      } else if (truth != believed &&
                 !(truth.isMixed() && believed == Placement::partial())) {
        // A sum without meaning is reported where something relies on it.
        finding.value = result;
        finding.label = "T1";
        finding.truth = truth;
        finding.believed = believed;
        record(finding);
        derivation.placement = believed;
      }
    }
    derivations[result].push_back(derivation);
  }
}

void PlacementAnalysis::visitReturn(func::ReturnOp op) {
  for (auto [i, value] : llvm::enumerate(op.getOperands())) {
    PlacedTensorType type = placedType(value);
    if (!type)
      continue;
    for (auto [axis, meshAxis] :
         llvm::enumerate(type.getMesh().getLeafAxes())) {
      Placement truth = get(value, axis).placement;
      Placement believed = type.getPlacements()[axis];
      if (meshAxis.getSize() == 1 || !truth.isMixed())
        continue;
      Finding finding;
      finding.op = op;
      finding.value = value;
      finding.axis = axis;
      finding.label = "G5";
      finding.reason = "returns a sum in which a replicated term met a partial "
                       "one, as if it were partial<sum>";
      finding.truth = truth;
      finding.believed = believed;
      finding.reaches.insert(i);
      // Other results may be wrong for reasons of their own.
      if (taints.contains(value))
        continue;
      if (Operation *mix = getMix(value, axis)) {
        auto [entry, isNew] = mixes.try_emplace({mix, axis}, findings.size());
        if (!isNew) {
          findings[entry->second].reaches.insert(i);
          continue;
        }
      }
      findings.push_back(std::move(finding));
    }
    if (auto taint = taints.find(value); taint != taints.end())
      for (unsigned index : taint->second)
        findings[index].reaches.insert(i);
  }
}

void PlacementAnalysis::visit(Operation *op) {
  if (auto ret = dyn_cast<func::ReturnOp>(op))
    return visitReturn(ret);
  bool hasRule = isa<PlacementOpInterface>(op);
  if (!hasRule && !touchesPlacedTensors(op))
    return;
  for (Value result : op->getResults())
    derivations.try_emplace(result);
  // Inherited before anything new is found here.
  for (Value operand : op->getOperands())
    if (auto taint = taints.find(operand); taint != taints.end()) {
      llvm::SetVector<unsigned> inherited = taint->second;
      for (Value result : op->getResults())
        taints[result].insert_range(inherited);
    }
  if (!hasRule)
    return visitForeign(op);
  auto mesh = placedType(op->getOperand(0)).getMesh();
  for (auto [axis, meshAxis] : llvm::enumerate(mesh.getLeafAxes())) {
    if (meshAxis.getSize() > 1) {
      visitAxis(op, axis);
      continue;
    }
    // One rank has the value, whatever it is called.
    for (Value result : op->getResults())
      derivations[result].push_back({placedType(result).getPlacements()[axis],
                                     TransferStep::Replicated,
                                     {}});
  }
  checkRows(op);
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

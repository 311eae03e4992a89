//===- RepairCandidates.cpp - What may repair a fault ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RepairTrial.h"
#include "Witness.h"
#include "moe/Dialect/SPMD/IR/Locations.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

/// Whether spmd.redistribute takes the one to the other.
static bool canConvert(Placement from, Placement to) {
  if (from.isMixed() || from == to || to.isRagged() || to.isUnknown())
    return false;
  if (to.isPartial())
    return !from.isRagged() && !from.isPartial() && to == Placement::partial();
  return to.isReplicate() || !from.isRagged();
}

namespace {

/// The edits that may help with one finding of a trial.
class Candidates {
public:
  explicit Candidates(const RepairTrial &trial) : trial(trial) {}

  void addFor(const Finding &finding);
  SmallVector<Edit> getLeftPartial(const Finding &finding);
  SmallVector<SmallVector<Edit>> takeLists() { return std::move(lists); }

private:
  void add(Edit edit) { addAll({edit}); }
  void addAll(SmallVector<Edit> edits) {
    if (!edits.empty() && !llvm::is_contained(lists, edits))
      lists.push_back(std::move(edits));
  }
  /// The operation of the program that `op` belongs to; null for what none
  /// wrote.
  Operation *getWritten(Operation *op) const {
    unsigned number = getNumber(op->getLoc());
    return number < trial.program.getNumOperations()
               ? trial.program.getOperation(number)
               : nullptr;
  }
  std::optional<Edit> getLabel(Operation *op, unsigned axis, Placement from,
                               Placement to, bool converts) const;
  void addLabel(Operation *op, unsigned axis, Placement from, Placement to,
                bool converts) {
    if (auto edit = getLabel(op, axis, from, to, converts))
      add(*edit);
  }
  void addSum(Operation *op, unsigned axis, Placement truth);
  void addTerms(Operation *mix, unsigned axis);
  void addAllTerms(const Finding &finding);
  std::optional<Edit> getTerm(OpOperand &term, unsigned axis, Placement to,
                              bool leave) const;
  void addOrigins(const Finding &finding);
  void addConversions(const Finding &finding);
  void addOperands(Operation *op, unsigned axis);

  const RepairTrial &trial;
  /// Edits that are made together.
  SmallVector<SmallVector<Edit>> lists;
};

} // namespace

/// What `op` takes its operand for, or turns it into, becomes `to`.
std::optional<Edit> Candidates::getLabel(Operation *op, unsigned axis,
                                         Placement from, Placement to,
                                         bool converts) const {
  Operation *written = getWritten(op);
  if (!written)
    return std::nullopt;
  Edit edit{};
  edit.op = getNumber(op->getLoc());
  edit.axis = axis;
  edit.from = from;
  edit.placement = to;
  if (isBackward(op->getLoc())) {
    if (!isa<BoundaryOp>(written))
      return std::nullopt;
    edit.kind = Edit::SetGradient;
    edit.converts = converts;
    return edit;
  }
  if (!isa<ClaimOp, BoundaryOp, RedistributeOp>(op))
    return std::nullopt;
  edit.kind = converts ? Edit::InsertConversion : Edit::SetResult;
  return edit;
}

/// `op` sums what is not partial<sum>.
void Candidates::addSum(Operation *op, unsigned axis, Placement truth) {
  Operation *written = getWritten(op);
  if (!written || !isa<AllReduceOp, ReduceScatterOp, GradAllReduceOp>(written))
    return;
  Edit edit{};
  edit.kind = truth.isReplicate() ? Edit::RemoveSum : Edit::ConvertInstead;
  edit.op = getNumber(op->getLoc());
  edit.axis = axis;
  edit.from = truth;
  add(edit);
}

/// The terms of a sum become all Partial, or all replicated, before it.
void Candidates::addTerms(Operation *mix, unsigned axis) {
  Operation *written = getWritten(mix);
  for (Placement to : {Placement::partial(), Placement::replicate()}) {
    Edit edit{};
    edit.axis = axis;
    edit.placement = to;
    if (!isBackward(mix->getLoc())) {
      edit.kind = Edit::InsertConversion;
      edit.op = getNumber(mix->getLoc());
      for (auto [i, term] : llvm::enumerate(mix->getOperands())) {
        edit.operand = i;
        edit.from = trial.analysis->get(term, axis).placement;
        if (written && canConvert(edit.from, to))
          add(edit);
      }
      continue;
    }
    // The sum is that of a value's cotangents: one for each use.
    if (!written)
      continue;
    edit.kind = Edit::InsertBoundary;
    edit.from = to.isPartial() ? Placement::replicate() : Placement::partial();
    for (Value value : written->getOperands())
      for (OpOperand &use : value.getUses()) {
        edit.op = getNumber(use.getOwner()->getLoc());
        edit.operand = use.getOperandNumber();
        if (!isa<func::ReturnOp>(use.getOwner()))
          add(edit);
      }
  }
}

/// The edit that makes one term of a sum lie as `to`: with `leave` where it was
/// reduced, else by a conversion.
std::optional<Edit> Candidates::getTerm(OpOperand &term, unsigned axis,
                                        Placement to, bool leave) const {
  const PlacementAnalysis &analysis = *trial.analysis;
  Placement from = analysis.get(term.get(), axis).placement;
  Operation *sum = term.getOwner();
  Edit edit{};
  edit.axis = axis;
  edit.placement = to;
  edit.from = from;
  if (!isBackward(sum->getLoc())) {
    edit.kind = Edit::InsertConversion;
    edit.op = getNumber(sum->getLoc());
    edit.operand = term.getOperandNumber();
    return getWritten(sum) ? std::optional(edit) : std::nullopt;
  }
  SmallVector<Operation *> path;
  Operation *reducer = leave && to.isPartial()
                           ? findReduction(analysis, term.get(), axis, path)
                           : nullptr;
  if (reducer && analysis.get(reducer->getOperand(0), axis).placement == to)
    if (auto label = getLabel(reducer, axis, to, to, /*converts=*/false))
      return label;
  // Where the label on its use is, or by a new one.
  Operation *op = term.get().getDefiningOp();
  Operation *user = op ? getWritten(op) : nullptr;
  if (!user || !isBackward(op->getLoc()))
    return std::nullopt;
  bool wasSo = isa<RedistributeOp, ClaimOp>(op) &&
               analysis.get(op->getOperand(0), axis).placement == to;
  if (auto label = getLabel(op, axis, wasSo ? to : from, to, !wasSo))
    return label;
  edit.kind = Edit::InsertBoundary;
  edit.op = getNumber(op->getLoc());
  auto shape = cast<PlacedTensorType>(term.get().getType()).getShape();
  for (OpOperand &use : user->getOpOperands()) {
    auto type = dyn_cast<PlacedTensorType>(use.get().getType());
    if (!type || type.getShape() != shape)
      continue;
    edit.operand = use.getOperandNumber();
    return edit;
  }
  return std::nullopt;
}

/// All terms of a sum without meaning become Partial, or all replicated, and
/// with them what is claimed of the sum.
void Candidates::addAllTerms(const Finding &finding) {
  const PlacementAnalysis &analysis = *trial.analysis;
  unsigned axis = finding.axis;
  SmallVector<OpOperand *> terms;
  SmallVector<Value> sums{finding.value};
  DenseSet<Value> seen;
  while (!sums.empty()) {
    Operation *op = sums.pop_back_val().getDefiningOp();
    if (!op)
      continue;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<PlacedTensorType>(operand.get().getType()))
        continue;
      Placement placement = analysis.get(operand.get(), axis).placement;
      if (!placement.isMixed())
        terms.push_back(&operand);
      else if (seen.insert(operand.get()).second)
        sums.push_back(operand.get());
    }
  }
  auto addFor = [&](Placement to, bool leave) {
    SmallVector<Edit> edits;
    for (OpOperand *term : terms) {
      Placement from = analysis.get(term->get(), axis).placement;
      if (from == to || from.isCut())
        continue;
      std::optional<Edit> edit = getTerm(*term, axis, to, leave);
      if (!edit)
        return;
      if (!llvm::is_contained(edits, *edit))
        edits.push_back(*edit);
    }
    addAll(edits);
    if (!isa<ClaimOp, BoundaryOp>(finding.op) || finding.believed == to)
      return;
    for (bool converts : {false, true})
      if (auto label = getLabel(finding.op, axis, to,
                                converts ? finding.believed : to, converts)) {
        SmallVector<Edit> both = edits;
        both.push_back(*label);
        addAll(both);
      }
  };
  addFor(Placement::partial(), /*leave=*/true);
  addFor(Placement::partial(), /*leave=*/false);
  addFor(Placement::replicate(), /*leave=*/false);
}

/// Where the value became what it is.
void Candidates::addOrigins(const Finding &finding) {
  const PlacementAnalysis &analysis = *trial.analysis;
  unsigned axis = finding.axis;
  auto leavePartial = [&](Value value) {
    SmallVector<Operation *> path;
    Operation *reducer = findReduction(analysis, value, axis, path);
    if (!reducer)
      return;
    Placement before = analysis.get(reducer->getOperand(0), axis).placement;
    if (!before.isPartial())
      return;
    addLabel(reducer, axis, before, before, /*converts=*/false);
    addSum(reducer, axis, Placement::replicate());
  };
  if (finding.truth.isReplicate())
    return leavePartial(finding.value);
  SmallVector<Operation *> path;
  if (finding.truth.isPartial()) {
    // A label on the way may reduce it before.
    Value value = finding.value;
    findPartialOrigin(analysis, value, axis, path);
    for (Operation *op : path)
      if (isa<ClaimOp>(op) && canConvert(finding.truth, finding.believed))
        addLabel(op, axis, finding.truth, finding.believed, /*converts=*/true);
    return;
  }
  if (!finding.truth.isMixed())
    return;
  Operation *mix = findMix(analysis, finding.value, axis, path);
  if (!mix)
    return;
  for (Value term : mix->getOperands())
    if (analysis.get(term, axis).placement.isReplicate())
      leavePartial(term);
  addTerms(mix, axis);
  addAllTerms(finding);
}

/// What is claimed becomes what is true, and conversions of it, which were
/// meant for what is false, are left out or made over an axis where it is so.
void Candidates::addConversions(const Finding &finding) {
  const PlacementAnalysis &analysis = *trial.analysis;
  unsigned axis = finding.axis;
  Placement truth = finding.truth;
  if (truth.isMixed() || isBackward(finding.op->getLoc()))
    return;
  auto leave = [&](Value value) {
    return getLabel(value.getDefiningOp(), axis, truth, truth,
                    /*converts=*/false);
  };
  SmallVector<Value> values{finding.op->getResult(0)}, converted;
  while (!values.empty())
    for (Operation *user : values.pop_back_val().getUsers())
      if (isa<RedistributeOp>(user) && leave(user->getResult(0))) {
        values.push_back(user->getResult(0));
        converted.push_back(user->getResult(0));
      }
  auto claim = leave(finding.op->getResult(0));
  if (!claim || converted.empty())
    return;

  SmallVector<Edit> left{*claim};
  for (Value value : converted)
    left.push_back(*leave(value));
  addAll(left);

  SmallVector<MeshAxisAttr> axes = getMeshOf(finding.value).getLeafAxes();
  for (unsigned other = 0; other < axes.size(); ++other) {
    auto isBelieved = [&](Value value) {
      return analysis.get(value, other).placement == finding.believed;
    };
    if (other == axis || axes[other].getSize() != axes[axis].getSize() ||
        !isBelieved(finding.value) || !llvm::all_of(converted, isBelieved))
      continue;
    SmallVector<Edit> moved{*claim};
    for (Value value : converted) {
      moved.push_back(*leave(value));
      Placement to = analysis.get(value, axis).placement;
      if (to != finding.believed)
        moved.push_back(*getLabel(value.getDefiningOp(), other,
                                  finding.believed, to, /*converts=*/false));
    }
    addAll(moved);
  }
}

/// An operand becomes whole, as another one is, or as opaque code needs it.
void Candidates::addOperands(Operation *op, unsigned axis) {
  // What a body does with an operand is repaired before the body.
  if (auto compute = op->getParentOfType<ComputeOp>())
    op = compute;
  if (!getWritten(op) || isBackward(op->getLoc()))
    return;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<PlacedTensorType>(operand.get().getType());
    if (!type)
      continue;
    SmallVector<Placement> targets{Placement::replicate()};
    for (Value other : op->getOperands())
      if (isa<PlacedTensorType>(other.getType()))
        targets.push_back(trial.analysis->get(other, axis).placement);
    if (auto opaque = dyn_cast<OpaqueOp>(op)) {
      // Verified to resolve; the callback never runs.
      auto needed =
          cast<PlacementsAttr>(opaque.getNeeds()[operand.getOperandNumber()])
              .resolve(type.getMesh(), [&] { return op->emitError(); });
      targets = {(*needed)[axis]};
    }
    Edit edit{};
    edit.kind = Edit::InsertConversion;
    edit.op = getNumber(op->getLoc());
    edit.operand = operand.getOperandNumber();
    edit.axis = axis;
    edit.from = trial.analysis->get(operand.get(), axis).placement;
    auto moved = operand.get().getDefiningOp<RedistributeOp>();
    for (Placement to : targets) {
      edit.placement = to;
      // Where it was converted already, or before the operation.
      if (moved && edit.from != to)
        addLabel(moved, axis, edit.from, to, /*converts=*/false);
      if (canConvert(edit.from, to))
        add(edit);
    }
  }
}

void Candidates::addFor(const Finding &finding) {
  bool isClaim = isa<ClaimOp, BoundaryOp>(finding.op);
  unsigned axis = finding.axis;
  if (isClaim) {
    if (!finding.truth.isMixed())
      addLabel(finding.op, axis, finding.truth, finding.truth,
               /*converts=*/false);
    if (canConvert(finding.truth, finding.believed))
      addLabel(finding.op, axis, finding.truth, finding.believed,
               /*converts=*/true);
    // Where it was converted already, to something else.
    auto moved = finding.value.getDefiningOp<RedistributeOp>();
    if (moved && !finding.truth.isMixed() && finding.truth != finding.believed)
      addLabel(moved, axis, finding.truth, finding.believed,
               /*converts=*/false);
    addConversions(finding);
  } else if (finding.label == "G6") {
    addSum(finding.op, axis, finding.truth);
  } else if (finding.label == "T1") {
    Operation *written = getWritten(finding.op);
    if (written && !isBackward(finding.op->getLoc())) {
      Edit edit{};
      edit.kind = Edit::SetResult;
      edit.op = getNumber(finding.op->getLoc());
      edit.axis = axis;
      add(edit);
    }
  } else if (finding.label.starts_with("R")) {
    addOperands(finding.op, axis);
  }
  if (finding.label != "T1")
    addOrigins(finding);
}

SmallVector<Edit> Candidates::getLeftPartial(const Finding &finding) {
  unsigned axis = finding.axis;
  bool isClaim = isa<ClaimOp, BoundaryOp>(finding.op);
  Placement truth = finding.truth;
  SmallVector<Edit> edits;
  if (truth.isMixed()) {
    truth = Placement::partial();
    addAllTerms(finding);
    // The first list leaves all terms Partial.
    if (lists.empty())
      return {};
    edits = lists.front();
  }
  if (isClaim && finding.believed != truth) {
    auto label = getLabel(finding.op, axis, truth, truth, /*converts=*/false);
    if (!label)
      return {};
    edits.push_back(*label);
  }
  return edits;
}

SmallVector<Edit> moe::spmd::getLeftPartial(const RepairTrial &trial,
                                            const Finding &finding) {
  return Candidates(trial).getLeftPartial(finding);
}

SmallVector<SmallVector<Edit>>
moe::spmd::getRepairCandidates(const RepairTrial &trial,
                               const Finding &finding) {
  Candidates candidates(trial);
  candidates.addFor(finding);
  return candidates.takeLists();
}

//===- Diagnostics.cpp - Say what is wrong, since when, and the way out ---===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/ADT/STLExtras.h"
#include <deque>

using namespace mlir;
using namespace moe::spmd;

static std::string axisName(Value value, unsigned axis) {
  auto mesh = cast<PlacedTensorType>(value.getType()).getMesh();
  return "'" + mesh.getLeafAxes()[axis].getName().str() + "'";
}

static int64_t axisSize(Value value, unsigned axis) {
  auto mesh = cast<PlacedTensorType>(value.getType()).getMesh();
  return mesh.getLeafAxes()[axis].getSize();
}

/// What an operation is called; one that differentiation made says so, since
/// its location is that of the forward operation.
static std::string describe(Operation *op) {
  std::string name = ("'" + op->getName().getStringRef() + "'").str();
  if (auto site = op->getAttrOfType<StringAttr>("site"))
    name += " at '" + site.str() + "'";
  return isBackward(op->getLoc()) ? name + " (backward)" : name;
}

/// What a false belief is about.
static std::string subject(const Finding &finding) {
  if (auto site = finding.op->getAttrOfType<StringAttr>("site"))
    return (isBackward(finding.op->getLoc()) ? "the gradient at '"
                                             : "the value at '") +
           site.str() + "'";
  return isBackward(finding.op->getLoc()) ? "this gradient" : "this value";
}

LogicalResult moe::spmd::emitRuleError(Operation *op, unsigned axis,
                                       const Transfer &transfer) {
  Value value = op->getOperand(std::max(transfer.operand, 0));
  return emitError(op->getLoc())
         << "[" << transfer.label << "] " << describe(op) << " over "
         << axisName(value, axis) << ": " << transfer.reason
         << "; help: convert an operand with "
            "spmd.redistribute";
}

LogicalResult moe::spmd::emitMissingRule(Operation *op) {
  return emitError(op->getLoc())
         << "[R6] '" << op->getName()
         << "' has no placement rule, so nothing is known of "
            "its result; help: give it PlacementOpInterface";
}

LogicalResult moe::spmd::checkSingleBlock(func::FuncOp function) {
  if (llvm::hasSingleElement(function.getBody()) ||
      !touchesPlacedTensors(function))
    return success();
  return emitError(function.getLoc())
         << "[R6] nothing is known of placements that pass between the blocks "
            "of a function; help: use structured operations";
}

//===----------------------------------------------------------------------===//
// The witness
//===----------------------------------------------------------------------===//

/// Notes from `value` back to where it became Partial, latest step last.
static void notePartial(InFlightDiagnostic &diag,
                        const PlacementAnalysis &analysis, Value value,
                        unsigned axis) {
  SmallVector<Operation *> path;
  Operation *origin = nullptr;
  while (Operation *op = value.getDefiningOp()) {
    const Derivation &derivation = analysis.get(value, axis);
    if (derivation.step != TransferStep::Carried || !derivation.from) {
      origin = op;
      break;
    }
    path.push_back(op);
    value = derivation.from;
  }
  std::string over = axisName(value, axis);
  if (!origin) {
    diag.attachNote(value.getLoc())
        << "it is an argument that is partial over " << over << " from outside";
  } else {
    Diagnostic &note = diag.attachNote(origin->getLoc());
    switch (analysis.get(value, axis).step) {
    case TransferStep::Contracted:
      note << "it became partial over " << over << " here: " << describe(origin)
           << " sums over a dimension that " << over
           << " cuts, so each rank holds one term of the sum";
      break;
    case TransferStep::Masked:
      note << "it became partial over " << over << " here: " << describe(origin)
           << " gives zeros for rows of experts that a rank does not hold";
      break;
    case TransferStep::Moved:
      note << "it became partial over " << over << " here: " << describe(origin)
           << " leaves each rank its own part and zeros elsewhere";
      break;
    default:
      note << "it is partial over " << over
           << " from here on: " << describe(origin) << " says so";
    }
  }
  for (Operation *op : llvm::reverse(path))
    diag.attachNote(op->getLoc()) << "carried on by " << describe(op);
}

/// The nearest operation before `value` that made it the same on all ranks out
/// of what was not; null if it was so all along.
static Operation *findReduction(const PlacementAnalysis &analysis, Value value,
                                unsigned axis,
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
      if (isa<PlacedTensorType>(operand.getType()) &&
          analysis.get(operand, axis).placement.isReplicate() &&
          next.try_emplace(operand, current).second)
        queue.push_back(operand);
  }
  return nullptr;
}

static Operation *noteReplicated(InFlightDiagnostic &diag,
                                 const PlacementAnalysis &analysis, Value value,
                                 unsigned axis) {
  std::string over = axisName(value, axis);
  SmallVector<Operation *> path;
  Operation *origin = findReduction(analysis, value, axis, path);
  if (!origin) {
    Location loc = value.getLoc();
    diag.attachNote(loc) << "it is the same on all ranks of " << over
                         << ": all that it is computed from is";
    return nullptr;
  }
  bool claimed = isa<ClaimOp, BoundaryOp>(origin);
  diag.attachNote(origin->getLoc())
      << (claimed ? "it is taken as the same on all ranks of "
                  : "it was already made the same on all ranks of ")
      << over << " here: " << describe(origin) << " makes "
      << analysis.get(origin->getOperand(0), axis).placement.str()
      << " into replicate";
  for (Operation *op : path)
    diag.attachNote(op->getLoc()) << "carried on by " << describe(op);
  return origin;
}

/// The sum where a replicated term met a partial one, before `value`.
static Operation *findMix(const PlacementAnalysis &analysis, Value value,
                          unsigned axis, SmallVectorImpl<Operation *> &path) {
  while (Operation *op = value.getDefiningOp()) {
    const Derivation &derivation = analysis.get(value, axis);
    if (derivation.step == TransferStep::Mixed)
      return op;
    path.push_back(op);
    value = derivation.from;
  }
  return nullptr;
}

namespace {
/// Where a sum without meaning came from: the addition, and the operation that
/// reduced the replicated term, null if none did.
struct MixedOrigin {
  Operation *mix = nullptr;
  Operation *reducer = nullptr;
};
} // namespace

/// Notes for a sum without meaning.
static MixedOrigin noteMixed(InFlightDiagnostic &diag,
                             const PlacementAnalysis &analysis, Value value,
                             unsigned axis) {
  SmallVector<Operation *> path;
  Operation *mix = findMix(analysis, value, axis, path);
  if (!mix)
    return {};
  std::string over = axisName(value, axis);
  Operation *reducer = nullptr;
  for (Value term : mix->getOperands()) {
    if (analysis.get(term, axis).placement.isReplicate()) {
      reducer = noteReplicated(diag, analysis, term, axis);
      diag.attachNote(mix->getLoc())
          << "and is added here to a sum that is partial over " << over
          << ": a later reduction counts it " << axisSize(value, axis)
          << " times";
    }
  }
  for (Value term : mix->getOperands())
    if (analysis.get(term, axis).placement.isPartial())
      notePartial(diag, analysis, term, axis);
  for (Operation *op : llvm::reverse(path))
    diag.attachNote(op->getLoc())
        << "the sum is carried on by " << describe(op);
  return {mix, reducer};
}

//===----------------------------------------------------------------------===//
// Repairs
//===----------------------------------------------------------------------===//

/// Whether with `repair` the fault is gone and no other appears.
static bool repairHolds(func::FuncOp function, const Finding &finding,
                        size_t numFindings, const Repair &repair) {
  PlacementAnalysis repaired(function, &repair);
  if (repaired.getFindings().size() >= numFindings)
    return false;
  return llvm::none_of(repaired.getFindings(), [&](const Finding &other) {
    return other.op == finding.op && other.axis == finding.axis;
  });
}

/// Whether spmd.redistribute takes the one to the other, where what is cut or
/// whole is taken for cut otherwise, whole or terms of a sum.
static bool canConvert(Placement from, Placement to) {
  if (from.isMixed() || from.isPartial() || to.isRagged())
    return false;
  if (to.isPartial())
    return !from.isRagged() && to == Placement::partial();
  return to.isReplicate() || !from.isRagged();
}

static StringRef describeConversion(Placement from, Placement to) {
  if (to.isReplicate())
    return "an all-gather";
  if (to.isPartial())
    return "zeros elsewhere";
  return from.isCut() ? "an all-to-all" : "a local slice";
}

static void noteRepairs(InFlightDiagnostic &diag,
                        const PlacementAnalysis &analysis,
                        func::FuncOp function, const Finding &finding,
                        MixedOrigin origin) {
  size_t numFindings = analysis.getFindings().size();
  auto holds = [&](Operation *op, Placement placement, bool moves) {
    return repairHolds(function, finding, numFindings,
                       {op, finding.axis, placement, moves});
  };
  std::string over = axisName(finding.value, finding.axis);
  bool isClaim = isa<ClaimOp, BoundaryOp>(finding.op);
  bool helped = false;
  if (isClaim && !finding.truth.isMixed() &&
      holds(finding.op, finding.truth, /*moves=*/false)) {
    diag.attachNote(finding.op->getLoc())
        << "help: claim " << finding.truth.str() << " over " << over << " here"
        << (finding.truth.isPartial()
                ? ", and whatever reduces it later reduces it once"
                : "");
    helped = true;
  }
  bool reducible =
      isClaim && finding.truth.isPartial() && !finding.believed.isPartial();
  if (reducible && holds(finding.op, finding.believed, /*moves=*/true)) {
    diag.attachNote(finding.op->getLoc())
        << (helped ? "help: or" : "help:") << " reduce it here ("
        << (isBackward(finding.op->getLoc()) ? "`grad converts`"
                                             : "spmd.redistribute")
        << "): "
        << (finding.believed.isReplicate() ? "an all-reduce"
                                           : "a reduce-scatter")
        << " over " << over;
    helped = true;
  }
  Operation *reducer = origin.reducer;
  if (reducer && holds(reducer, Placement::partial(), /*moves=*/false)) {
    diag.attachNote(reducer->getLoc())
        << "help: leave it partial over " << over << " here"
        << (isBackward(reducer->getLoc()) ? " (`grad claims`)" : "")
        << ", so that it is reduced once, with the sum";
    helped = true;
  }
  if (!isClaim && finding.label == "G6" &&
      holds(finding.op, finding.truth, /*moves=*/false)) {
    diag.attachNote(finding.op->getLoc()) << "help: remove this reduction";
    helped = true;
  }
  if (!helped && isClaim && canConvert(finding.truth, finding.believed) &&
      holds(finding.op, finding.believed, /*moves=*/true)) {
    diag.attachNote(finding.op->getLoc())
        << "help: convert it here ("
        << (isBackward(finding.op->getLoc()) ? "`grad converts`"
                                             : "spmd.redistribute")
        << "): " << describeConversion(finding.truth, finding.believed)
        << " over " << over;
    helped = true;
  }
  if (!helped && origin.mix &&
      holds(origin.mix, Placement::partial(), /*moves=*/true)) {
    diag.attachNote(origin.mix->getLoc())
        << "help: convert the replicated term to partial<sum> over " << over
        << " before it is added here ("
        << (isBackward(origin.mix->getLoc()) ? "`grad converts` on its use"
                                             : "spmd.redistribute")
        << ")";
    helped = true;
  }
  if (!helped) {
    bool first = &finding == analysis.getFindings().begin();
    diag.attachNote(finding.op->getLoc())
        << "help: no change of this one place is enough"
        << (first ? "" : "; start with the first error");
  }
}

//===----------------------------------------------------------------------===//
// One finding
//===----------------------------------------------------------------------===//

static void describeFault(InFlightDiagnostic &diag, const Finding &finding) {
  std::string over = axisName(finding.value, finding.axis);
  diag << "[" << finding.label << "] ";
  bool isClaim = isa<ClaimOp, BoundaryOp>(finding.op);
  if (finding.label == "T1") {
    diag << describe(finding.op) << " is typed " << finding.believed.str()
         << " over " << over << ", but is " << finding.truth.str();
    return;
  }
  if (!isClaim) {
    diag << describe(finding.op) << " over " << over << ": " << finding.reason;
    return;
  }
  diag << subject(finding) << " is claimed " << finding.believed.str()
       << " over " << over << ", but ";
  if (finding.truth.isMixed())
    diag << "one of its terms is replicate and another partial: ";
  else
    diag << "is " << finding.truth.str() << ": ";
  if (finding.label == "G1")
    diag << "a reduction is missing";
  else if (finding.label == "G2")
    diag << "a reduction too many";
  else if (finding.label == "G4")
    diag << "it is another kind of reduction";
  else if (!finding.truth.isCut())
    diag << "it is not cut";
  else if (!finding.believed.isCut())
    diag << "it is cut";
  else
    diag << "it is cut otherwise";
}

void moe::spmd::emitFinding(const PlacementAnalysis &analysis,
                            func::FuncOp function, const Finding &finding) {
  if (finding.label == "R6") {
    (void)emitMissingRule(finding.op);
    return;
  }
  InFlightDiagnostic diag = emitError(finding.op->getLoc());
  describeFault(diag, finding);

  MixedOrigin origin;
  if (finding.label != "T1") {
    if (finding.truth.isPartial())
      notePartial(diag, analysis, finding.value, finding.axis);
    else if (finding.truth.isMixed())
      origin = noteMixed(diag, analysis, finding.value, finding.axis);
    else if (finding.truth.isReplicate())
      noteReplicated(diag, analysis, finding.value, finding.axis);
  } else if (finding.truth.isPartial()) {
    notePartial(diag, analysis, finding.value, finding.axis);
  }

  if (!finding.reaches.empty()) {
    SmallVector<unsigned> reached(finding.reaches.begin(),
                                  finding.reaches.end());
    llvm::sort(reached);
    Diagnostic &note = diag.attachNote(function.getLoc());
    note << "wrong because of it: ";
    llvm::interleaveComma(reached, note, [&](unsigned i) {
      auto name =
          function.getResultAttrOfType<StringAttr>(i, SPMDDialect::kNameAttr);
      if (name)
        note << name.getValue();
      else
        note << "result " << i;
    });
  }
  if (finding.label.starts_with("G"))
    noteRepairs(diag, analysis, function, finding, origin);
  else if (finding.label == "T1")
    diag.attachNote(finding.op->getLoc())
        << "help: write `?` to have the placement inferred, or convert the "
           "value with spmd.redistribute";
  else
    diag.attachNote(finding.op->getLoc())
        << "help: convert an operand with spmd.redistribute";
}

//===- Diagnostics.cpp - Say what is wrong, since when, and the way out ---===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Witness.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace moe::spmd;

static int64_t axisSize(Value value, unsigned axis) {
  return getMeshOf(value).getLeafAxes()[axis].getSize();
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

/// The number of a rule in docs/Rules.md, to follow what rests on it. An
/// operation without rules has none, and a `spmd.compute` those of its body.
static std::string citeRule(Operation *op, unsigned clause) {
  auto known = dyn_cast<PlacementOpInterface>(op);
  if (!known || isa<ComputeOp>(op))
    return "";
  return llvm::formatv(" [rule {0}.{1}]", known.getRuleNumber(), clause);
}

/// The operation by whose rule the result of `op` is placed as it is.
static Operation *deciding(Operation *op) {
  if (auto compute = dyn_cast<ComputeOp>(op))
    if (Operation *inner = compute.getYielded().getDefiningOp())
      return inner;
  return op;
}

/// The rule by which the results of `op` are what they are.
static std::string citeRule(const PlacementAnalysis &analysis, Operation *op,
                            unsigned axis) {
  if (!isa<PlacementOpInterface>(op))
    return "";
  return citeRule(op, getClause(analysis.get(op->getResult(0), axis).step));
}

StringRef moe::spmd::ruleHelp(StringRef label) {
  if (label == "R8")
    return "compute it of constants, of arguments and of what loops count, "
           "with arith and math";
  return label == "R6"
             ? "give it PlacementOpInterface, or compute it of operands"
             : "convert an operand with spmd.redistribute";
}

LogicalResult moe::spmd::emitRuleError(Operation *op, unsigned axis,
                                       const Transfer &transfer) {
  Operation *culprit = transfer.culprit ? transfer.culprit : op;
  if (transfer.label == "R6" && transfer.reason.empty())
    return emitMissingRule(culprit);
  return emitError(culprit->getLoc())
         << "[" << transfer.label << "] " << describe(culprit) << " over "
         << axisName(op->getOperand(0), axis) << ": " << transfer.reason
         << citeRule(culprit, getClause(transfer))
         << "; help: " << ruleHelp(transfer.label);
}

InFlightDiagnostic moe::spmd::emitMissingRule(Operation *op) {
  if (op->getNumRegions())
    return emitError(op->getLoc())
           << "[R6] '" << op->getName()
           << "' holds placed tensors in a region, and nothing is known of how "
              "they pass in and out; help: use scf.for or scf.if";
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

LogicalResult moe::spmd::checkRecursion(ArrayRef<func::FuncOp> functions) {
  func::CallOp call = findRecursion(functions);
  if (!call)
    return success();
  return emitError(call.getLoc())
         << "[R9] by this call '@" << call.getCallee()
         << "' calls itself, and does not end; help: use scf.for";
}

/// That ranks may go different ways.
static InFlightDiagnostic emitRankDependence(const Finding &finding) {
  InFlightDiagnostic diag = emitError(finding.op->getLoc());
  diag << "[R8] " << describe(finding.op) << ": " << finding.reason
       << ": ranks that go different ways wait for each other in different "
          "collectives; help: "
       << moe::spmd::ruleHelp(finding.label);
  DenseSet<Value> known;
  if (Operation *culprit = findRankDependence(finding.value, known))
    diag.attachNote(culprit->getLoc()) << "it is computed here";
  return diag;
}

//===----------------------------------------------------------------------===//
// The witness
//===----------------------------------------------------------------------===//

/// Notes from `value` back to where it became Partial, latest step last.
static void notePartial(InFlightDiagnostic &diag,
                        const PlacementAnalysis &analysis, Value value,
                        unsigned axis) {
  SmallVector<Operation *> path;
  Operation *origin = findPartialOrigin(analysis, value, axis, path);
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
    note << citeRule(analysis, origin, axis);
  }
  for (Operation *op : llvm::reverse(path))
    diag.attachNote(op->getLoc())
        << "carried on by " << describe(op) << citeRule(analysis, op, axis);
}

static void noteReplicated(InFlightDiagnostic &diag,
                           const PlacementAnalysis &analysis, Value value,
                           unsigned axis) {
  std::string over = axisName(value, axis);
  SmallVector<Operation *> path;
  Operation *origin = findReduction(analysis, value, axis, path);
  if (!origin) {
    Location loc = value.getLoc();
    diag.attachNote(loc) << "it is the same on all ranks of " << over
                         << ": all that it is computed from is";
    return;
  }
  bool claimed = isa<ClaimOp, BoundaryOp>(origin);
  diag.attachNote(origin->getLoc())
      << (claimed ? "it is taken as the same on all ranks of "
                  : "it was already made the same on all ranks of ")
      << over << " here: " << describe(origin) << " makes "
      << analysis.get(origin->getOperand(0), axis).placement.str()
      << " replicate" << citeRule(analysis, origin, axis);
  for (Operation *op : path)
    diag.attachNote(op->getLoc())
        << "carried on by " << describe(op) << citeRule(analysis, op, axis);
}

/// Notes for a sum without meaning.
static void noteMixed(InFlightDiagnostic &diag,
                      const PlacementAnalysis &analysis, Value value,
                      unsigned axis) {
  SmallVector<Operation *> path;
  Operation *mix = findMix(analysis, value, axis, path);
  if (!mix)
    return;
  std::string over = axisName(value, axis);
  for (Value term : mix->getOperands()) {
    if (analysis.get(term, axis).placement.isReplicate()) {
      noteReplicated(diag, analysis, term, axis);
      diag.attachNote(mix->getLoc())
          << "and is added here to a sum that is partial over " << over
          << ": a later reduction counts it " << axisSize(value, axis)
          << " times" << citeRule(analysis, mix, axis);
    }
  }
  for (Value term : mix->getOperands())
    if (analysis.get(term, axis).placement.isPartial())
      notePartial(diag, analysis, term, axis);
  for (Operation *op : llvm::reverse(path))
    diag.attachNote(op->getLoc()) << "the sum is carried on by " << describe(op)
                                  << citeRule(analysis, op, axis);
}

//===----------------------------------------------------------------------===//
// One error
//===----------------------------------------------------------------------===//

/// What is claimed of the operand, and what is true.
static void describeClaim(InFlightDiagnostic &diag, const Finding &finding) {
  diag << "claimed " << finding.believed.str() << " over "
       << axisName(finding.value, finding.axis) << ", but ";
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

/// The faults of one operation, axis by axis.
static void describeFaults(InFlightDiagnostic &diag,
                           const PlacementAnalysis &analysis,
                           ArrayRef<Finding> findings) {
  for (const Finding &finding : findings) {
    bool isFirst = &finding == findings.begin();
    std::string over = axisName(finding.value, finding.axis);
    diag << (isFirst ? "[" : "; [") << finding.label << "] ";
    if (isa<ClaimOp, BoundaryOp>(finding.op)) {
      diag << (isFirst ? subject(finding) + " is " : "it is ");
      describeClaim(diag, finding);
      continue;
    }
    if (isFirst)
      diag << describe(finding.op) << " ";
    if (finding.label == "T1")
      diag << "is typed " << finding.believed.str() << " over " << over
           << ", but is " << finding.truth.str()
           << citeRule(analysis, deciding(finding.op), finding.axis);
    else
      diag << "over " << over << ": " << finding.reason
           << citeRule(finding.op, getClause(finding.label));
  }
}

static void noteReach(InFlightDiagnostic &diag, func::FuncOp function,
                      ArrayRef<Finding> findings) {
  llvm::SmallSetVector<unsigned, 8> reaches;
  for (const Finding &finding : findings)
    reaches.insert_range(finding.reaches);
  if (reaches.empty())
    return;
  SmallVector<unsigned> reached = reaches.takeVector();
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

InFlightDiagnostic moe::spmd::emitError(const PlacementAnalysis &analysis,
                                        func::FuncOp function,
                                        ArrayRef<Finding> findings) {
  if (findings.front().label == "R6" && findings.front().reason.empty())
    return emitMissingRule(findings.front().op);
  if (findings.front().label == "R8")
    return emitRankDependence(findings.front());
  InFlightDiagnostic diag = mlir::emitError(findings.front().op->getLoc());
  describeFaults(diag, analysis, findings);
  for (const Finding &finding : findings) {
    if (finding.truth.isPartial())
      notePartial(diag, analysis, finding.value, finding.axis);
    else if (finding.label == "T1")
      continue;
    else if (finding.truth.isMixed())
      noteMixed(diag, analysis, finding.value, finding.axis);
    else if (finding.truth.isReplicate())
      noteReplicated(diag, analysis, finding.value, finding.axis);
  }
  noteReach(diag, function, findings);
  return diag;
}

//===- RepairNotes.cpp - Say what repairs there are -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RepairTrial.h"
#include "Witness.h"
#include "moe/Analysis/Repairs.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace moe::spmd;

/// The most repairs that an error shows.
static constexpr size_t kMostShown = 2;

static constexpr StringLiteral kWriteUnknown =
    "write `?` to have the placement inferred, or convert the value with "
    "spmd.redistribute";

static Operation *getWritten(func::FuncOp written, const Edit &edit) {
  SmallVector<Operation *> operations = getOperations(written);
  return edit.op < operations.size() ? operations[edit.op] : nullptr;
}

/// `an all-reduce`, or what else the conversion does.
static StringRef describeConversion(Placement from, Placement to) {
  if (from == to)
    return "nothing to do";
  if (from.isPartial())
    return to.isReplicate() ? "an all-reduce" : "a reduce-scatter";
  if (to.isReplicate())
    return "an all-gather";
  if (to.isPartial())
    return "zeros elsewhere";
  return from.isCut() ? "an all-to-all" : "a local slice";
}

static std::string describeInsertion(Operation *op, const Edit &edit,
                                     StringRef over, bool isBackward) {
  StringRef how =
      isBackward ? "`grad converts` on its use" : "spmd.redistribute";
  if (isa_and_nonnull<ClaimOp, BoundaryOp>(op) && !isBackward)
    return llvm::formatv("{0} it here ({1}): {2} over {3}",
                         edit.from.isPartial() ? "reduce" : "convert", how,
                         describeConversion(edit.from, edit.placement), over);
  if (edit.placement.isPartial())
    return llvm::formatv("convert the replicated term to partial<sum> over {0} "
                         "before it is added here ({1})",
                         over, how);
  if (isBackward)
    return llvm::formatv("reduce the partial term over {0} before it is added "
                         "here ({1})",
                         over, how);
  return llvm::formatv("{0} operand {1} here ({2}): {3} over {4}",
                       edit.from.isPartial() ? "reduce" : "convert",
                       edit.operand, how,
                       describeConversion(edit.from, edit.placement), over);
}

static std::string describeEdit(Operation *op, const Edit &edit,
                                StringRef over) {
  switch (edit.kind) {
  case Edit::SetGradient: {
    auto boundary = dyn_cast_or_null<BoundaryOp>(op);
    if (edit.converts)
      return llvm::formatv("{0} it here (`grad converts`): {1} over {2}",
                           edit.from.isPartial() ? "reduce" : "convert",
                           describeConversion(edit.from, edit.placement), over);
    if (boundary && boundary.getConverts())
      return llvm::formatv(
          "leave it {0} over {1} here (`grad claims`)",
          edit.placement.isPartial() ? "partial" : edit.placement.str(), over);
    return llvm::formatv("claim {0} over {1} here", edit.placement.str(), over);
  }
  case Edit::SetResult:
    if (edit.placement.isUnknown())
      return kWriteUnknown.str();
    if (isa_and_nonnull<ClaimOp, BoundaryOp>(op))
      return llvm::formatv("claim {0} over {1} here", edit.placement.str(),
                           over);
    if (edit.placement.isPartial())
      return llvm::formatv("leave it partial over {0} here", over);
    if (edit.from == edit.placement)
      return llvm::formatv("leave it {0} over {1} here", edit.placement.str(),
                           over);
    return llvm::formatv("convert it to {0} over {1} here",
                         edit.placement.str(), over);
  case Edit::InsertConversion:
    return describeInsertion(op, edit, over, /*isBackward=*/false);
  case Edit::InsertBoundary:
    return describeInsertion(op, edit, over, /*isBackward=*/true);
  case Edit::RemoveSum:
    return "remove this reduction";
  case Edit::ConvertInstead:
    return llvm::formatv("convert it in place of summing it ({0})",
                         isa_and_nonnull<GradAllReduceOp>(op)
                             ? "`grad converts`"
                             : "spmd.redistribute");
  }
  llvm_unreachable("every kind of edit is above");
}

static std::string describeBytes(int64_t bytes) {
  StringRef sign = bytes < 0 ? "-" : "+";
  double size = std::abs(static_cast<double>(bytes));
  if (size < 1024)
    return llvm::formatv("{0}{1:f0} B", sign, size);
  for (StringRef unit : {"KiB", "MiB", "GiB"}) {
    size /= 1024;
    if (size < 1024)
      return llvm::formatv("{0}{1:f1} {2}", sign, size, unit);
  }
  return llvm::formatv("{0}{1:f1} TiB", sign, size / 1024);
}

std::string moe::spmd::describeCost(Communication cost) {
  if (!cost.collectives && !cost.bytes)
    return "no communication more";
  return llvm::formatv("{0}{1} collective{2}, {3} per rank",
                       cost.collectives < 0 ? "" : "+", cost.collectives,
                       std::abs(cost.collectives) == 1 ? "" : "s",
                       describeBytes(cost.bytes));
}

std::pair<Location, std::string>
moe::spmd::describeRepair(func::FuncOp written, const Finding &finding,
                          const Repair &repair) {
  std::string text;
  std::optional<Location> first;
  for (const Edit &edit : repair.edits) {
    Operation *op = getWritten(written, edit);
    Location loc = op ? op->getLoc() : finding.op->getLoc();
    std::string place = getPlace(loc);
    if (first) {
      text += ", and ";
      if (!place.empty() && place != getPlace(*first))
        text += "in line " +
                StringRef(place).rsplit(':').first.rsplit(':').second.str() +
                " ";
    } else {
      first = loc;
    }
    text += describeEdit(op, edit, axisName(finding.value, edit.axis));
  }
  return {*first, text};
}

//===----------------------------------------------------------------------===//
// Edits of the text
//===----------------------------------------------------------------------===//

/// The `grad` clause of a boundary as it is written.
static std::string printClause(BoundaryOp boundary) {
  std::string text = boundary.getConverts() ? "grad converts " : "grad claims ";
  llvm::raw_string_ostream os(text);
  std::string list;
  llvm::raw_string_ostream(list) << boundary.getGrad();
  os << StringRef(list).drop_until([](char c) { return c == '<'; });
  return text;
}

static void attachClauseEdits(Diagnostic &note, func::FuncOp written,
                              const Repair &repair) {
  EditableProgram edited = EditableProgram(written).clone();
  llvm::SmallSetVector<unsigned, 2> boundaries;
  for (const Edit &edit : repair.edits) {
    if (edit.kind != Edit::SetGradient || failed(edited.apply(edit)))
      return;
    boundaries.insert(edit.op);
  }
  for (unsigned number : boundaries) {
    auto boundary = cast<BoundaryOp>(edited.getOperation(number));
    auto &metadata = note.getMetadata();
    metadata.emplace_back(LocationAttr(boundary.getLoc()));
    metadata.emplace_back(
        StringAttr::get(written.getContext(), printClause(boundary)));
  }
}

ClauseEdits moe::spmd::getClauseEdits(Diagnostic &note) {
  ClauseEdits edits;
  std::optional<Location> loc;
  for (const DiagnosticArgument &argument : note.getMetadata()) {
    if (argument.getKind() !=
        DiagnosticArgument::DiagnosticArgumentKind::Attribute)
      continue;
    if (auto place = dyn_cast<LocationAttr>(argument.getAsAttribute()))
      loc = Location(place);
    else if (auto text = dyn_cast<StringAttr>(argument.getAsAttribute());
             text && loc)
      edits.push_back({*loc, text});
  }
  return edits;
}

//===----------------------------------------------------------------------===//
// Notes
//===----------------------------------------------------------------------===//

void moe::spmd::noteRepairs(InFlightDiagnostic &diag, func::FuncOp written,
                            ArrayRef<Finding> error, RepairSearch &search) {
  const Finding &finding = error.front();
  SmallVector<Repair> repairs = search.find(error);
  bool isGradient = isBackward(finding.op->getLoc());
  StringRef opening = "help: ";
  for (const Repair &repair : ArrayRef(repairs).take_front(kMostShown)) {
    auto [loc, text] = describeRepair(written, finding, repair);
    Diagnostic &note = diag.attachNote(loc);
    note << opening << text << "; " << describeCost(repair.cost) << "; ";
    if (!repair.notExecuted.empty())
      note << "not executed: " << repair.notExecuted;
    else
      note << (repair.numLeft ? "tried, others aside: " : "tried: ")
           << (isGradient ? "gradients" : "results")
           << " equal those of one device";
    attachClauseEdits(note, written, repair);
    opening = "help: or ";
  }
  if (!repairs.empty())
    return;
  Diagnostic &note = diag.attachNote(finding.op->getLoc());
  if (finding.label == "T1")
    note << "help: " << kWriteUnknown;
  else if (finding.label.starts_with("R"))
    note << "help: " << ruleHelp(finding.label);
  else if (search.isUsable())
    note << "help: no repair found, of " << search.getNumTried() << " tried";
  else
    note << "help: no repair could be tried; start with the other errors";
}

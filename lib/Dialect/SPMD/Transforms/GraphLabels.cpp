//===- GraphLabels.cpp - What a drawn graph says --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GraphLabels.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace moe::spmd;
using namespace moe::spmd::graph;

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

/// Names may hold any bytes; Graphviz takes printable UTF-8 only.
static std::string makePrintable(StringRef text) {
  std::string valid = llvm::json::fixUTF8(text);
  for (char &c : valid)
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || c == 127)
      c = ' ';
  return valid;
}

std::string moe::spmd::graph::html(StringRef text) {
  std::string escaped;
  llvm::raw_string_ostream os(escaped);
  llvm::printHTMLEscaped(makePrintable(text), os);
  return escaped;
}

std::string moe::spmd::graph::quote(StringRef text) {
  std::string quoted = "\"";
  for (char c : makePrintable(text)) {
    if (c == '"' || c == '\\')
      quoted += '\\';
    quoted += c == '\n' ? "\\n" : std::string(1, c);
  }
  return quoted + "\"";
}

std::string moe::spmd::graph::formatBytes(int64_t bytes) {
  if (bytes < 1024)
    return std::to_string(bytes) + " B";
  if (bytes < 1 << 20)
    return llvm::formatv("{0:f1} KiB", double(bytes) / 1024).str();
  return llvm::formatv("{0:f1} MiB", double(bytes) / (1 << 20)).str();
}

std::string moe::spmd::graph::formatTime(int64_t picoseconds) {
  return llvm::formatv("{0:f1} us", double(picoseconds) / 1e6).str();
}

std::string moe::spmd::graph::formatShape(Type type) {
  std::string text;
  llvm::raw_string_ostream os(text);
  auto placed = dyn_cast<PlacedTensorType>(type);
  if (!placed)
    os << type;
  else if (placed.getShape().empty())
    os << placed.getElementType();
  else
    os << llvm::join(llvm::map_range(
                         placed.getShape(),
                         [](int64_t size) { return std::to_string(size); }),
                     "x")
       << " " << placed.getElementType();
  return text;
}

//===----------------------------------------------------------------------===//
// Placements
//===----------------------------------------------------------------------===//

Colour moe::spmd::graph::colourOf(const Placement &placement) {
  switch (placement.kind) {
  case PlacementKind::Replicate:
    return {"#BBBBBB", "replicate: the same on all ranks"};
  case PlacementKind::Shard:
    return {"#56B4E9", "shard: cut along a dimension"};
  case PlacementKind::Ragged:
    return {"#009E73", "ragged: rows cut by expert"};
  case PlacementKind::Partial:
  case PlacementKind::Mixed:
    return {"#D55E00", "partial: a term of a sum"};
  case PlacementKind::Unknown:
    break;
  }
  return {"#FFFFFF", "?: not inferred"};
}

std::string moe::spmd::graph::chipsOf(Type type) {
  auto placed = dyn_cast<PlacedTensorType>(type);
  if (!placed)
    return "";
  std::string cells;
  for (auto [axis, placement] : llvm::zip_equal(placed.getMesh().getLeafAxes(),
                                                placed.getPlacements())) {
    if (axis.getSize() == 1)
      continue;
    std::string text = html(axis.getName().str() + ": " + placement.str());
    if (placement.isPartial())
      text = "<B>" + text + "</B>";
    cells +=
        ("<TD BGCOLOR=\"" + colourOf(placement).fill + "\">" + text + "</TD>")
            .str();
  }
  return cells;
}

std::string moe::spmd::graph::describe(Type type) {
  std::string text = formatShape(type);
  if (auto placed = dyn_cast<PlacedTensorType>(type))
    for (auto [axis, placement] : llvm::zip_equal(
             placed.getMesh().getLeafAxes(), placed.getPlacements()))
      if (axis.getSize() > 1)
        text += ", " + axis.getName().str() + ": " + placement.str();
  return text;
}

std::string moe::spmd::graph::strokeOf(Type type) {
  auto placed = dyn_cast<PlacedTensorType>(type);
  if (!placed)
    return "style=dotted";
  std::string colours;
  bool partial = false;
  for (auto [axis, placement] : llvm::zip_equal(placed.getMesh().getLeafAxes(),
                                                placed.getPlacements())) {
    if (axis.getSize() == 1)
      continue;
    StringRef fill = colourOf(placement).fill;
    colours += (colours.empty() ? "" : ":") +
               (placement.isUnknown() ? std::string("#000000") : fill.str());
    partial |= placement.isPartial();
  }
  if (colours.empty())
    return "color=\"#BBBBBB\"";
  return "color=\"" + colours + "\" penwidth=" + (partial ? "4" : "2");
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

static StringRef nameOfArgument(BlockArgument argument) {
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto name = function ? function.getArgAttrOfType<StringAttr>(
                             argument.getArgNumber(), SPMDDialect::kNameAttr)
                       : StringAttr();
  return name ? name.getValue() : "";
}

std::string moe::spmd::graph::nameOf(Operation *op) {
  if (auto opaque = dyn_cast<OpaqueOp>(op))
    return opaque.getCallee().str();
  StringRef name = op->getName().getStringRef();
  // These are what is drawn; others say whose they are.
  if (!name.consume_front("moe."))
    name.consume_front("spmd.");
  std::string text = name.str();
  if (isa<ComputeOp>(op))
    for (Operation &inner : op->getRegion(0).front().without_terminator())
      text += " " + inner.getName().getStringRef().str();
  for (NamedAttribute attr : op->getAttrs()) {
    if (auto string = dyn_cast<StringAttr>(attr.getValue());
        string && attr.getName() != "site")
      text += " \"" + string.str() + "\"";
    if (auto symbol = dyn_cast<FlatSymbolRefAttr>(attr.getValue()))
      text += " @" + symbol.getValue().str();
  }
  return text;
}

bool moe::spmd::graph::isTrivial(Operation *op) {
  if (op->getNumOperands() != 1 || op->getNumResults() != 1 ||
      op->getNumRegions() != 0)
    return false;
  auto from = dyn_cast<PlacedTensorType>(op->getOperand(0).getType());
  auto to = dyn_cast<PlacedTensorType>(op->getResult(0).getType());
  if (!from || !to || from.getNumElements() != to.getNumElements() ||
      !llvm::equal(from.getPlacements(), to.getPlacements(),
                   [](const Placement &lhs, const Placement &rhs) {
                     return lhs.kind == rhs.kind;
                   }))
    return false;
  if (isa<RedistributeOp, ClaimOp, BoundaryOp, GradAllReduceOp>(op))
    return from == to;
  auto known = dyn_cast<PlacementOpInterface>(op);
  return known && known.getPlacementRule().movesData;
}

std::string moe::spmd::graph::nameOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isTrivial(op) && !isa<RedistributeOp>(op))
      break;
    value = op->getOperand(0);
  }
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    StringRef name = nameOfArgument(argument);
    return name.empty() ? "argument " + std::to_string(argument.getArgNumber())
                        : name.str();
  }
  return nameOf(value.getDefiningOp());
}

StringRef moe::spmd::graph::shorten(StringRef place) {
  size_t slash = place.rfind('/');
  return slash == StringRef::npos ? place : place.drop_front(slash + 1);
}

bool moe::spmd::graph::isInteger(Type type) {
  auto placed = dyn_cast<PlacedTensorType>(type);
  return (placed ? placed.getElementType() : getElementTypeOrSelf(type))
      .isIntOrIndex();
}

/// All are placed, and none is `?`.
static bool hasKnownOperands(Operation *op) {
  return llvm::all_of(op->getOperandTypes(), [](Type type) {
    auto placed = dyn_cast<PlacedTensorType>(type);
    return placed && llvm::none_of(placed.getPlacements(),
                                   [](Placement p) { return p.isUnknown(); });
  });
}

SmallVector<CollectiveStep, 2> moe::spmd::graph::findSteps(Operation *op,
                                                           bool &byRouting) {
  byRouting = false;
  if (op->getNumOperands() == 0 || op->getNumResults() == 0 ||
      !hasKnownOperands(op))
    return {};
  SmallVector<CollectiveStep, 2> steps = getCollectiveSteps(op);
  auto known = dyn_cast<PlacementOpInterface>(op);
  if (!steps.empty() || !known || known.getPlacementRule().cutsOperand < 0)
    return steps;
  auto from = dyn_cast<PlacedTensorType>(op->getOperand(0).getType());
  auto to = dyn_cast<PlacedTensorType>(op->getResult(0).getType());
  if (!from || !to)
    return steps;
  for (auto [i, axis] : llvm::enumerate(from.getMesh().getLeafAxes())) {
    bool in = from.getPlacements()[i].isRagged();
    if (in == to.getPlacements()[i].isRagged() || axis.getSize() == 1)
      continue;
    byRouting = true;
    int64_t held = getLocalBytes(in ? from : to);
    steps.push_back({"all_to_all",
                     {unsigned(i)},
                     held,
                     getBytesSent(Placement::shard(0), Placement::shard(1),
                                  axis.getSize(), held)});
  }
  return steps;
}

static StringRef describeStep(TransferStep step) {
  switch (step) {
  case TransferStep::Replicated:
    return "computed of what all ranks have alike";
  case TransferStep::Cut:
    return "cut as an operand is";
  case TransferStep::Carried:
    return "the terms of an operand are those of the result";
  case TransferStep::Contracted:
    return "sums over a dimension that is cut: partial from here on";
  case TransferStep::Masked:
    return "rows of experts held elsewhere are zero: partial from here on";
  case TransferStep::Mixed:
    return "a whole term meets those of a sum";
  case TransferStep::Moved:
    return "data moves";
  case TransferStep::Stated:
    return "stated";
  }
  llvm_unreachable("covered switch");
}

std::string moe::spmd::graph::explain(Operation *op) {
  auto known = dyn_cast<PlacementOpInterface>(op);
  if (!known || op->getNumOperands() == 0 || !hasKnownOperands(op))
    return "";
  std::string text;
  auto type = cast<PlacedTensorType>(op->getOperand(0).getType());
  for (auto [i, axis] : llvm::enumerate(type.getMesh().getLeafAxes())) {
    if (axis.getSize() == 1)
      continue;
    SmallVector<Placement> operands;
    for (Value value : op->getOperands())
      operands.push_back(
          cast<PlacedTensorType>(value.getType()).getPlacements()[i]);
    Transfer transfer = known.transferPlacements(i, operands);
    text += "\n" + axis.getName().str() + ": " +
            (transfer.ok ? describeStep(transfer.step).str() : transfer.reason);
    // A spmd.compute has the rules of its body.
    if (!isa<ComputeOp>(op))
      text += llvm::formatv(" [rule {0}.{1}]", known.getRuleNumber(),
                            getClause(transfer));
  }
  return text;
}

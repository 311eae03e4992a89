//===- DrawnGraph.cpp - One function as Graphviz reads it -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DrawnGraph.h"
#include "GraphLabels.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe::spmd;
using namespace moe::spmd::graph;

static std::string small(StringRef text) {
  return text.empty() ? "" : "<FONT POINT-SIZE=\"9\">" + html(text) + "</FONT>";
}

static std::string tooltip(Operation *op) {
  std::string text = ("'" + op->getName().getStringRef() + "'").str();
  if (isBackward(op->getLoc()))
    text += " (backward)";
  return quote(text + " at " + getPlace(op->getLoc()) + explain(op));
}

static std::string siteOf(Operation *op) {
  auto site = op->getAttrOfType<StringAttr>("site");
  return site ? "at " + site.str() : "";
}

/// What the backward pass keeps of the forward pass is named, not linked: else
/// its edges cover all others.
bool Graph::isLinked(OpOperand &operand) const {
  Value value = operand.get();
  if (options.all)
    return true;
  if (sources.lookup(value).node.empty())
    return false;
  Operation *source = value.getDefiningOp();
  return !isBackward(operand.getOwner()->getLoc()) ||
         (source ? isBackward(source->getLoc()) : !kept.contains(value));
}

/// Draws an edge to `node`, if there is something at its start.
void Graph::connect(OpOperand &operand, const std::string &node) {
  Value value = operand.get();
  if (!isLinked(operand))
    return;
  if (sources.lookup(value).node.empty() && options.all)
    outside += drawValue(value);
  Source source = sources.lookup(value);
  std::string label = html(formatShape(value.getType()));
  if (!source.folded.empty())
    label += "<BR/><I>" + html(source.folded) + "</I>";
  edges += "    " + source.node + " -> " + node + " [label=<" + label + "> " +
           strokeOf(value.getType()) +
           " tooltip=" + quote(describe(value.getType())) + "]\n";
}

/// An argument, or what is computed outside the drawn part.
std::string Graph::drawValue(Value value) {
  std::string node = newNode();
  sources[value] = {node, ""};
  return "    " + node +
         " [shape=plain tooltip=" + quote(describe(value.getType())) +
         " label=<<TABLE BORDER=\"1\" STYLE=\"ROUNDED\" CELLBORDER=\"0\" "
         "BGCOLOR=\"#FFFFFF\"><TR><TD><B>" +
         html(nameOf(value)) + "</B></TD>" + chipsOf(value.getType()) +
         "</TR></TABLE>>]\n";
}

/// Those that only the drawn part uses; of a whole graph all.
std::string Graph::drawArguments(Block &block) {
  std::string text;
  for (BlockArgument argument : block.getArguments()) {
    if (llvm::any_of(argument.getUsers(), [&](Operation *user) {
          return !isBackward(block.findAncestorOpInBlock(*user)->getLoc());
        }))
      kept.insert(argument);
    if (!argument.use_empty() && (whole || !kept.contains(argument)))
      text += drawValue(argument);
  }
  return text;
}

std::string Graph::drawCollective(Operation *op, ArrayRef<CollectiveStep> steps,
                                  bool byRouting, StringRef place) {
  std::string node = newNode();
  MeshAttr mesh = cast<PlacedTensorType>(op->getOperand(0).getType()).getMesh();
  SmallVector<std::string> lines;
  bool reduces = false;
  for (const CollectiveStep &step : steps) {
    std::string axes;
    for (unsigned axis : step.axes)
      axes +=
          (axes.empty() ? "" : ",") + mesh.getLeafAxes()[axis].getName().str();
    int64_t cost = getCost(step, mesh, options.model);
    lines.push_back("<B>" + step.name.str() + "</B> over " + html(axes));
    lines.push_back(formatBytes(step.sent) + ", " + formatTime(cost));
    reduces |= step.name == "all_reduce" || step.name == "reduce_scatter";
    Total &total = byRouting ? rows : conversions;
    ++total.count;
    total.bytes += step.sent;
    total.picoseconds += cost;
  }
  if (byRouting)
    lines.append({"where routing is even", html(nameOf(op))});
  for (const std::string &line : {html(siteOf(op)), small(place)})
    if (!line.empty())
      lines.push_back(line);
  for (OpOperand &operand : op->getOpOperands())
    connect(operand, node);
  return "    " + node + " [shape=" + (reduces ? "doubleoctagon" : "hexagon") +
         " style=filled fillcolor=\"" + kCollective.str() +
         "\" tooltip=" + tooltip(op) + " label=<" + llvm::join(lines, "<BR/>") +
         ">]\n";
}

/// A conversion that sends nothing: to a sum, or to a part.
static bool makesTerms(Operation *op) {
  return llvm::any_of(
      cast<PlacedTensorType>(op->getResult(0).getType()).getPlacements(),
      [](Placement placement) { return placement.isPartial(); });
}

std::string Graph::drawOperation(Operation *op, StringRef place) {
  std::string node = newNode();
  for (OpOperand &operand : op->getOpOperands())
    connect(operand, node);
  size_t columns = 1;
  std::string rows;
  auto addRow = [&](const std::string &head, Type type) {
    std::string chips = chipsOf(type);
    columns = std::max(columns, 1 + StringRef(chips).count("<TD "));
    rows += "<TR><TD ALIGN=\"LEFT\">" + head + "</TD>" + chips + "</TR>";
  };
  for (OpOperand &operand : op->getOpOperands())
    if (Type type = operand.get().getType();
        !isLinked(operand) && !isInteger(type))
      addRow("<FONT POINT-SIZE=\"10\">of " + html(nameOf(operand.get())) +
                 "</FONT>",
             type);
  for (Value result : op->getResults())
    addRow("<FONT POINT-SIZE=\"10\">result</FONT>", result.getType());
  std::string name = nameOf(op);
  if (isa<RedistributeOp>(op))
    name = makesTerms(op) ? "zeros elsewhere" : "slice";
  std::string head = "<B>" + html(name) + "</B>";
  if (std::string site = siteOf(op); !site.empty())
    head += " " + html(site);
  return "    " + node + " [shape=plain tooltip=" + tooltip(op) +
         " label=<<TABLE BORDER=\"1\" CELLBORDER=\"0\" CELLSPACING=\"0\" "
         "BGCOLOR=\"#FFFFFF\"><TR><TD COLSPAN=\"" +
         std::to_string(columns) + "\">" + head + " " + small(place) +
         "</TD></TR>" + rows + "</TABLE>>]\n";
}

/// A cluster with what is inside, between its operands and its results.
std::string Graph::drawRegions(Operation *op, StringRef place) {
  std::string enter = newNode(), leave = newNode(), name = html(nameOf(op));
  std::string text = "    subgraph cluster_" + prefix +
                     std::to_string(numClusters++) + " {\n    label=<" + name +
                     " " + small(place) +
                     "> style=\"rounded,bold\" bgcolor=\"#FFFFFF\"\n    " +
                     enter + " [shape=box label=<" + name + ">]\n    " + leave +
                     " [shape=box label=<results of " + name + ">]\n";
  for (OpOperand &operand : op->getOpOperands())
    connect(operand, enter);
  for (Region &region : op->getRegions())
    for (Block &block : region) {
      for (BlockArgument argument : block.getArguments())
        sources[argument] = {enter, ""};
      text += drawBlock(block);
      if (block.mightHaveTerminator())
        for (OpOperand &operand : block.getTerminator()->getOpOperands())
          connect(operand, leave);
    }
  edges += "    " + enter + " -> " + leave + " [style=invis]\n";
  for (Value result : op->getResults())
    sources[result] = {leave, ""};
  return text + "    }\n";
}

std::string Graph::drawNode(Operation *op, StringRef place) {
  // A spmd.compute is named after its body.
  if (op->getNumRegions() > 0 && !isa<ComputeOp>(op))
    return drawRegions(op, place);
  bool byRouting;
  SmallVector<CollectiveStep, 2> steps = findSteps(op, byRouting);
  Source source{prefix + std::to_string(numNodes), ""};
  std::string text = steps.empty()
                         ? drawOperation(op, place)
                         : drawCollective(op, steps, byRouting, place);
  for (Value result : op->getResults())
    sources[result] = source;
  return text;
}

/// What is not drawn passes its operand on, by its name.
void Graph::fold(Operation *op) {
  Source source = sources.lookup(op->getOperand(0));
  if (source.node.empty())
    return;
  std::string name = isa<RedistributeOp>(op) ? "" : nameOf(op);
  for (const std::string &text : {name, siteOf(op)})
    if (!text.empty())
      source.folded += (source.folded.empty() ? "" : " ") + text;
  sources[op->getResult(0)] = std::move(source);
}

/// Operations of one place in the source are one cluster, those of the backward
/// pass for themselves.
std::string Graph::drawBlock(Block &block) {
  struct Group {
    unsigned size = 0;
    std::string text;
  };
  llvm::MapVector<std::pair<StringAttr, unsigned>, Group> groups;
  auto keyOf = [](Operation &op) {
    return std::pair(StringAttr::get(op.getContext(), getPlace(op.getLoc())),
                     unsigned(isBackward(op.getLoc())));
  };
  auto drawn = [&](Operation &op) {
    return isDrawn(&op) && !op.hasTrait<OpTrait::IsTerminator>();
  };
  for (Operation &op : block)
    if (drawn(op) && (options.all || !isTrivial(&op)))
      ++groups[keyOf(op)].size;
  for (Operation &op : block) {
    if (!drawn(op))
      continue;
    if (!options.all && isTrivial(&op)) {
      fold(&op);
      continue;
    }
    auto key = keyOf(op);
    Group &group = groups.find(key)->second;
    group.text +=
        drawNode(&op, group.size > 1 ? "" : shorten(key.first.getValue()));
  }
  std::string text;
  for (const auto &[key, group] : groups) {
    if (group.size == 1) {
      text += group.text;
      continue;
    }
    StringRef place = key.first.getValue();
    text += "    subgraph cluster_" + prefix + std::to_string(numClusters++) +
            " {\n    label=<<FONT POINT-SIZE=\"10\">" + html(shorten(place)) +
            " " + html(forward.lookup(place)) +
            (key.second ? ", backward" : "") +
            "</FONT>> labeljust=l style=rounded color=\"#999999\"\n" +
            group.text + "    }\n";
  }
  return text;
}

std::string Graph::drawResults(Operation *op) {
  std::string text;
  for (OpOperand &operand : op->getOpOperands()) {
    if (sources.lookup(operand.get()).node.empty())
      continue;
    unsigned number = operand.getOperandNumber();
    auto name = function.getResultAttrOfType<StringAttr>(
        number, SPMDDialect::kNameAttr);
    std::string node = newNode();
    text += "    " + node +
            " [shape=plain label=<<TABLE BORDER=\"1\" STYLE=\"ROUNDED\" "
            "CELLBORDER=\"0\" BGCOLOR=\"#FFFFFF\"><TR><TD><B>" +
            html(name ? name.getValue() : "result " + std::to_string(number)) +
            "</B></TD>" + chipsOf(operand.get().getType()) +
            "</TR></TABLE>>]\n";
    connect(operand, node);
  }
  return text;
}

static std::string summarize(const Total &total) {
  return std::to_string(total.count) +
         (total.count == 1 ? " collective, " : " collectives, ") +
         formatBytes(total.bytes) + ", " + formatTime(total.picoseconds);
}

void Graph::write(llvm::raw_ostream &os) {
  Block &block = function.getBody().front();
  // Deferral puts conversions where the operation is that they serve.
  for (bool conversions : {false, true})
    for (Operation &op : block)
      if (!isBackward(op.getLoc()) && isa<RedistributeOp>(op) == conversions)
        forward.try_emplace(getPlace(op.getLoc()), nameOf(&op));
  std::string text = drawArguments(block);
  text += drawBlock(block);
  text += drawResults(block.getTerminator());
  os << "  subgraph cluster_" << prefix << "all {\n    label=<<B>"
     << html(title) << "</B>: " << summarize(conversions)
     << (rows.count ? "; by routing, if it is even: " + summarize(rows) : "")
     << ">\n    fontsize=16 style=solid color=\"#000000\" bgcolor=\"#F7F7F7\"\n"
     << text << outside << edges << "  }\n";
}

//===- PrintGraph.cpp - A function's graph as Graphviz reads it -----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Upstream's view-op-graph draws any operation alike; here placements decide
// what is drawn and how. docs/Rendering.md says how to read it.
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/Transforms/PrintGraph.h"
#include "DrawnGraph.h"
#include "GraphLabels.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"
#include "moe/Support/OutputFile.h"
#include "llvm/Support/FormatVariadic.h"

namespace moe::spmd {
#define GEN_PASS_DEF_PRINTGRAPH
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;
using namespace moe::spmd::graph;

static std::string makeLegend() {
  std::string cells;
  for (Placement placement :
       {Placement::partial(), Placement::shard(0), Placement::ragged(0),
        Placement::replicate(), Placement::unknown()})
    cells +=
        llvm::formatv(R"(<TD BGCOLOR="{0}">{1}</TD>)", colourOf(placement).fill,
                      colourOf(placement).meaning);
  return llvm::formatv(
      R"(<<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="4"><TR>{0}</TR><TR>)"
      R"(<TD COLSPAN="5" BGCOLOR="{1}">octagon: reduction, hexagon: other )"
      R"(collective; bytes that a rank sends, estimated time</TD></TR></TABLE>>)",
      cells, kCollective);
}

/// Over placed tensors, not replaced by a joint function, and no part of
/// others.
static bool isCandidate(func::FuncOp function) {
  return !function.isDeclaration() && !function.isPrivate() &&
         !function->hasAttr(SPMDDialect::kVjpAttr) &&
         llvm::any_of(function.getArgumentTypes(),
                      [](Type type) { return isa<PlacedTensorType>(type); });
}

FailureOr<func::FuncOp> moe::spmd::findGraph(ModuleOp module, StringRef name) {
  SmallVector<func::FuncOp> found;
  std::string names;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isDeclaration())
      continue;
    names += (names.empty() ? "" : ", ") + function.getName().str();
    if (name.empty() ? isCandidate(function) : function.getName() == name)
      found.push_back(function);
  }
  if (found.size() == 1)
    return found.front();
  if (!name.empty())
    return emitError(module.getLoc())
           << "there is no function '" << name << "' to draw; help: there are "
           << (names.empty() ? "none" : names);
  return emitError(module.getLoc())
         << found.size()
         << " functions over placed tensors could be drawn; help: keep one in "
            "the file, or name one of "
         << (names.empty() ? "none" : names) << " with function=";
}

LogicalResult moe::spmd::writeGraph(llvm::raw_ostream &os,
                                    ArrayRef<GraphState> states,
                                    const GraphOptions &options) {
  bool whole = options.part == GraphPart::Whole;
  for (const GraphState &state : states) {
    func::FuncOp function = state.function;
    if (!function.getBody().hasOneBlock())
      return emitError(function.getLoc(),
                       "a function of several blocks is not drawn; "
                       "help: use structured operations");
    bool backward = llvm::any_of(function.getOps(), [](Operation &op) {
      return isBackward(op.getLoc());
    });
    if (options.part == GraphPart::Backward && !backward)
      return emitError(function.getLoc(),
                       "it has no backward pass to draw; help: run "
                       "moe-differentiate first, or draw part=whole");
    if (options.part == GraphPart::Any && !backward)
      whole = true;
    for (Type type : function.getArgumentTypes())
      if (auto placed = dyn_cast<PlacedTensorType>(type))
        if (llvm::Error error = options.model.check(placed.getMesh()))
          return emitError(function.getLoc())
                 << llvm::toString(std::move(error));
  }
  os << "digraph {\n"
        "  graph [labelloc=t fontname=\"Helvetica\" ranksep=0.35 nodesep=0.3 "
        "newrank=false compound=true]\n"
        "  node [fontname=\"Helvetica\" fontsize=11]\n"
        "  edge [fontname=\"Helvetica\" fontsize=9]\n"
        "  label="
     << makeLegend() << "\n";
  for (auto [i, state] : llvm::enumerate(states))
    Graph(state, options, whole, i).write(os);
  os << "}\n";
  return success();
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

namespace {

struct PrintGraphPass : moe::spmd::impl::PrintGraphBase<PrintGraphPass> {
  using PrintGraphBase::PrintGraphBase;

  void runOnOperation() override;
};

} // namespace

void PrintGraphPass::runOnOperation() {
  markAllAnalysesPreserved();
  Location loc = getOperation().getLoc();
  auto fail = [&](const Twine &message) {
    emitError(loc) << message;
    signalPassFailure();
  };
  if (!part.empty() && part != "backward" && part != "whole")
    return fail("unknown part '" + part + "'; help: use backward or whole");
  llvm::Expected<CostModel> model = CostModel::load(costFile);
  if (!model)
    return fail(llvm::toString(model.takeError()));
  FailureOr<func::FuncOp> found = findGraph(getOperation(), function);
  if (failed(found))
    return signalPassFailure();
  GraphOptions graph(*model);
  graph.part = part.empty()      ? GraphPart::Any
               : part == "whole" ? GraphPart::Whole
                                 : GraphPart::Backward;
  graph.all = all;
  std::string text;
  llvm::raw_string_ostream os(text);
  if (failed(writeGraph(os, {{found->getName().str(), *found}}, graph)))
    return signalPassFailure();
  if (llvm::Error error = moe::writeOutputFile(output, text))
    fail(llvm::toString(std::move(error)) +
         "; help: the folder must exist, be writable and have space left");
}

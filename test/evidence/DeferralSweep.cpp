//===- DeferralSweep.cpp - Programs before and after deferral -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Draws small programs that type-check, every other one with its derivative,
// and executes them in the prime field on simulated ranks before and after
// spmd-defer-reductions, whose policy is drawn as well. Results must be placed
// as before and mean the same elements.
//
//===----------------------------------------------------------------------===//

#include "RandomGraphs.h"
#include "Samples.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace moe::evidence;
using namespace moe::reference;
using mlir::failed;
using mlir::func::FuncOp;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;

namespace cl = llvm::cl;

static GraphFlags flags;
static cl::opt<std::string>
    wrong("wrong",
          cl::desc("Plant a defect: the first reduction is claimed, not done"),
          cl::value_desc("lost"));

namespace {

struct Counts {
  int64_t graphs = 0, operations = 0, results = 0, changed = 0, differing = 0,
          refused = 0, ranks = 0;
  spmd::Communication before, after;
};

} // namespace

static spmd::Communication communicationOf(FuncOp function) {
  spmd::Communication total;
  for (mlir::Operation &op : function.getBody().front())
    total += spmd::getCommunication(&op);
  return total;
}

/// The defect that --wrong plants.
static void loseReduction(FuncOp function) {
  for (auto op : function.getBody().front().getOps<spmd::RedistributeOp>()) {
    bool sums =
        llvm::any_of(llvm::zip_equal(typeOf(op.getInput()).getPlacements(),
                                     typeOf(op.getResult()).getPlacements()),
                     [](auto pair) {
                       return std::get<0>(pair).isPartial() &&
                              std::get<1>(pair).isReplicate();
                     });
    if (!sums)
      continue;
    mlir::OpBuilder builder(op);
    op.replaceAllUsesWith(
        spmd::ClaimOp::create(builder, op.getLoc(), op.getType(), op.getInput())
            .getResult());
    op.erase();
    return;
  }
}

static mlir::LogicalResult compare(mlir::ModuleOp module, bool derive,
                                   Random &random, Counts &counts) {
  if (derive) {
    mlir::PassManager pm(module.getContext());
    buildMoECheckPipeline(pm);
    if (failed(pm.run(module))) {
      ++counts.refused;
      return mlir::success();
    }
  }
  auto function = module.lookupSymbol<FuncOp>(derive ? "graph.vjp" : "graph");
  mlir::OwningOpRef<FuncOp> before(llvm::cast<FuncOp>(function->clone()));
  spmd::DeferReductionsOptions options;
  constexpr llvm::StringLiteral policies[] = {"min-cut", "min-cut", "boundary",
                                              "eager"};
  options.policy = policies[random() % std::size(policies)].str();
  mlir::PassManager pm(module.getContext());
  pm.addNestedPass<FuncOp>(spmd::createDeferReductions(options));
  if (failed(pm.run(module)))
    return mlir::failure();
  counts.before += communicationOf(*before);
  counts.after += communicationOf(function);
  if (wrong == "lost")
    loseReduction(function);

  std::string error;
  auto mesh = RankMesh::get(typeOf(function.getArgument(0)).getMesh(), error);
  if (failed(mesh))
    return module.emitError(error);
  auto arguments = drawArguments<Field>(
      *before, random, [&] { return Numerics<Field>::sample(random); });
  if (failed(arguments))
    return mlir::failure();
  auto locals =
      placeArguments<Field>(function, *mesh, arguments->globals, random);
  if (failed(locals))
    return mlir::failure();
  auto expected = runOnRanks<Field>(*before, *mesh, *locals);
  auto found = runOnRanks<Field>(function, *mesh, *locals);
  if (failed(expected) || (failed(found) && wrong.empty()))
    return mlir::failure();

  ++counts.graphs;
  if (failed(found)) {
    // A planted defect may leave counts that no longer count the rows.
    ++counts.differing;
    return mlir::success();
  }
  counts.operations += function.getBody().front().getOperations().size();
  counts.ranks = std::max<int64_t>(counts.ranks, mesh->numRanks());
  bool differs = before->getFunctionType() != function.getFunctionType();
  for (auto [value, other] : llvm::zip_equal(*expected, *found)) {
    ++counts.results;
    differs |= !value || !other || !value->hasSameBits(*other);
  }
  counts.differing += differs;
  counts.changed += !mlir::OperationEquivalence::isEquivalentTo(
      *before, function, mlir::OperationEquivalence::IgnoreLocations);
  if (differs && flags.print)
    llvm::outs() << "DIFFERS (" << options.policy << "):\n"
                 << *before << "\n"
                 << function << "\n";
  return mlir::success();
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv,
                              "programs before and after deferral compared\n");
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<mlir::func::FuncDialect, spmd::SPMDDialect, MoEDialect>();
  Random random(flags.seed);
  Counts counts;
  constexpr llvm::StringLiteral meshes[] = {
      "tp=2",     "tp=3", "a=2, b=2", "tp=4",
      "a=2, b=3", "tp=8", "a=4, b=2", "a=2, b=2, c=2"};
  for (int64_t i = 0; counts.graphs + counts.refused < flags.graphs; ++i) {
    auto module =
        drawGraph(parseMesh(&context, meshes[i % std::size(meshes)]), random);
    if (!module)
      continue;
    std::string text;
    llvm::raw_string_ostream(text) << *module;
    if (failed(compare(*module, i % 2, random, counts))) {
      llvm::outs() << "FAILED:\n" << text << '\n';
      return 1;
    }
  }
  llvm::outs() << "graphs " << counts.graphs << "\noperations "
               << counts.operations << "\nresults " << counts.results
               << "\nranks " << counts.ranks << "\nchanged " << counts.changed
               << "\nrefused " << counts.refused << "\nbytes_before "
               << counts.before.bytes << "\nbytes_after " << counts.after.bytes
               << "\ndiffering " << counts.differing << '\n';
  return counts.differing == 0 && counts.refused == 0 ? 0 : 1;
}

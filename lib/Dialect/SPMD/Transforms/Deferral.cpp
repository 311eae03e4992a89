//===- Deferral.cpp - Put the reductions of a function elsewhere ----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

class Deferral {
public:
  Deferral(func::FuncOp function, const DeferralAxes &axes,
           const CostModel &model, const DeferralOptions &options)
      : function(function), axes(axes), model(model), options(options),
        trees(axes, model), graph(function, axes) {}

  LogicalResult run();

private:
  LogicalResult solve(SolvedProblem &solved);
  LogicalResult solveAll();
  void addEstimates(DeferralRemarks &remarks);

  func::FuncOp function;
  const DeferralAxes &axes;
  const CostModel &model;
  const DeferralOptions &options;
  ConversionTrees trees;
  DeferralGraph graph;
  DeferralSolution solution;
};

} // namespace

LogicalResult Deferral::solve(SolvedProblem &solved) {
  DeferralSearch search(solved.problem, trees);
  auto plan = search.run(options);
  if (!plan) {
    MeshAxisAttr meshAxis = axes.mesh.getLeafAxes()[axes.leaves[search.axis]];
    return function.emitError("partial values over the axis '")
           << meshAxis.getName().getValue() << "' do not fit in "
           << *options.memoryBudget
           << " bytes; help: the smallest memory-budget that they fit in is "
           << search.smallest;
  }
  solved.plan = std::move(*plan);
  for (auto [i, item] : llvm::enumerate(solved.problem.items)) {
    const ConversionTree &tree = search.getTree(solved.plan, i);
    solved.trees.push_back(tree);
    auto &types = solved.types.emplace_back();
    types.push_back(
        axes.typeOf(item.type, getComputedForm(item, solved.plan[i])));
    for (const ConversionTree::Step &step : tree.steps)
      types.push_back(axes.typeOf(item.type, step.to));
  }
  return success();
}

LogicalResult Deferral::solveAll() {
  // What is partial at one time concerns all values.
  bool together = options.memoryBudget.has_value();
  using Parting = DeferralGraph::Parting;
  unsigned numGroups =
      graph.formGroups(together                           ? Parting::None
                       : options.policy == Policy::MinCut ? Parting::Settled
                                                          : Parting::Unrelated,
                       trees);
  llvm::DenseMap<uint64_t, SmallVector<unsigned, 1>> known;
  auto next = std::make_unique<SolvedProblem>();
  for (unsigned group = 0; group < numGroups; ++group) {
    graph.build(group, together, next->problem);
    // The map keeps the largest two for itself.
    auto &alike = known[next->problem.getHash() >> 2];
    auto *same = llvm::find_if(alike, [&](unsigned number) {
      return solution.solved[number]->problem == next->problem;
    });
    if (same != alike.end()) {
      solution.problemOf.push_back(*same);
      continue;
    }
    if (failed(solve(*next)))
      return failure();
    alike.push_back(solution.solved.size());
    solution.problemOf.push_back(solution.solved.size());
    solution.solved.push_back(std::move(next));
    next = std::make_unique<SolvedProblem>();
  }
  return success();
}

void Deferral::addEstimates(DeferralRemarks &remarks) {
  // What is settled for the cheapest plan is not for the others.
  unsigned numGroups =
      graph.formGroups(DeferralGraph::Parting::Unrelated, trees);
  DeferralProblem problem;
  for (unsigned group = 0; group < numGroups; ++group) {
    graph.build(group, /*placed=*/false, problem);
    DeferralSearch search(problem, trees);
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      remarks.addEstimate(axis, search.estimate(axis));
  }
}

LogicalResult Deferral::run() {
  if (!options.remarks) {
    if (failed(solveAll()))
      return failure();
    applyDeferral(graph, solution, /*made=*/nullptr);
    return success();
  }
  DeferralRemarks remarks(function, graph, solution, model);
  addEstimates(remarks);
  if (failed(solveAll()))
    return failure();
  MadeConversions made;
  applyDeferral(graph, solution, &made);
  remarks.emit(made, options.policy);
  return success();
}

LogicalResult moe::spmd::deferReductions(func::FuncOp function, MeshAttr mesh,
                                         const CostModel &model,
                                         const DeferralOptions &options) {
  SmallVector<unsigned> leaves;
  for (auto [leaf, axis] : llvm::enumerate(mesh.getLeafAxes()))
    if (axis.getSize() > 1)
      leaves.push_back(leaf);
  // Of more axes than a form has, some come after the others.
  for (ArrayRef<unsigned> left = leaves; !left.empty();) {
    DeferralAxes axes;
    axes.mesh = mesh;
    axes.leaves.assign(left.take_front(Form::maxAxes).begin(),
                       left.take_front(Form::maxAxes).end());
    left = left.drop_front(axes.size());
    if (failed(Deferral(function, axes, model, options).run()))
      return failure();
  }
  return success();
}

//===- Deferral.h - Put the reductions of a function elsewhere --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H

#include "DeferralGraph.h"

namespace moe::spmd {

/// A problem, and what was decided about it.
struct SolvedProblem {
  DeferralProblem problem;
  DeferralPlan plan;
  /// By item: its conversions, and the types of what is computed and of what
  /// each conversion makes.
  std::vector<ConversionTree> trees;
  std::vector<llvm::SmallVector<PlacedTensorType, 2>> types;
};

/// What was decided about a whole function: most groups have the same problem
/// as another one.
struct DeferralSolution {
  std::vector<std::unique_ptr<SolvedProblem>> solved;
  /// By group.
  std::vector<unsigned> problemOf;

  const SolvedProblem &of(const DeferralGraph::Value &value) const {
    return *solved[problemOf[value.group]];
  }
  const DeferralChoice &choiceOf(const DeferralGraph::Value &value) const {
    return of(value).plan[value.index];
  }
  /// The form that a use takes its value in.
  Form getNeed(const DeferralGraph &graph, const DeferralGraph::Use &use) const;
};

/// By value, the collectives that its reductions are now.
using MadeConversions = std::vector<llvm::SmallVector<RedistributeOp, 1>>;

/// Rewrites the function to what was decided. `made` is filled if there is one.
void applyDeferral(const DeferralGraph &graph, const DeferralSolution &solution,
                   MadeConversions *made);

/// Says what becomes of each reduction of a function, and why.
class DeferralRemarks {
public:
  /// Notes the reductions that there are.
  DeferralRemarks(mlir::func::FuncOp function, const DeferralGraph &graph,
                  const DeferralSolution &solution, const CostModel &model);
  /// What each policy is estimated to cost.
  void addEstimate(unsigned axis, const DeferralEstimate &estimate);
  /// After `applyDeferral`, with what it made.
  void emit(const MadeConversions &made, Policy policy);

private:
  /// A reduction of the program as it was.
  struct Reduction {
    unsigned value;
    mlir::Location loc;
    mlir::StringAttr site;
    PlacedTensorType type;
    /// The cut that it makes; `whole` if it makes none.
    int16_t target;
    /// What reduces its terms now.
    llvm::SetVector<mlir::Operation *> places;
    mlir::Operation *own = nullptr;
  };

  Placement at(mlir::Value value) const;
  llvm::StringRef kindOf(mlir::Operation *op) const;
  bool isPartial(unsigned number) const;
  void addMade(unsigned value, Reduction &reduction) const;
  void findLater(unsigned value, Reduction &reduction,
                 llvm::BitVector &visited) const;
  void findEarlier(unsigned number, Reduction &reduction,
                   llvm::BitVector &visited) const;
  mlir::Operation *findOwn(const Reduction &reduction) const;
  void emitEstimate();
  void emitAxis(std::vector<Reduction> &reductions, Policy policy);
  void emitRemark(const Reduction &reduction, llvm::StringRef fate,
                  const std::string &why);
  std::string explainKept(const Reduction &reduction, Policy policy);

  mlir::func::FuncOp function;
  const DeferralGraph &graph;
  const DeferralSolution &solution;
  const CostModel &model;
  std::array<std::vector<Reduction>, Form::maxAxes> reductionsOf;
  std::array<DeferralEstimate, Form::maxAxes> estimates;
  /// The uses of each value.
  std::vector<llvm::SmallVector<unsigned, 2>> usesOf;
  /// While remarks are emitted: on which axis, and what was made.
  unsigned axis = 0;
  const MadeConversions *made = nullptr;
};

/// Applies a policy to all axes of a function.
mlir::LogicalResult deferReductions(mlir::func::FuncOp function, MeshAttr mesh,
                                    const CostModel &model,
                                    const DeferralOptions &options);

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H

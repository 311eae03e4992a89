//===- PlacementAnalysis.h - The truth about placements ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ANALYSIS_PLACEMENTANALYSIS_H
#define MOE_ANALYSIS_PLACEMENTANALYSIS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace moe::spmd {

/// How the truth about one value on one axis came about.
struct Derivation {
  Placement placement;
  TransferStep step = TransferStep::Stated;
  /// The operand of the defining operation that decided it; null at the start.
  mlir::Value from;
};

/// One fault: a belief that is not true, or an operation that its rule forbids.
struct Finding {
  /// The claim, conversion, collective, return or operation at fault.
  mlir::Operation *op = nullptr;
  /// The value about which something false is believed.
  mlir::Value value;
  /// Leaf axis of the mesh.
  unsigned axis = 0;
  /// Rule label, see docs/Diagnostics.md.
  llvm::StringRef label;
  /// For rules: what is wrong, as the rule says it.
  std::string reason;
  Placement truth;
  Placement believed;
  /// Numbers of the function's results that follow from the belief.
  llvm::SetVector<unsigned> reaches;
};

/// Recomputes the truth of every placement in a function from its arguments'
/// types and the operations' rules. Claims are identities: the truth passes
/// through them. Where a belief turns out false the analysis records a finding
/// and goes on with the belief.
///
/// What a loop carries, a branch gives, or is passed to and returned by a
/// function has to mean what its type says where it passes, in every iteration.
/// So each body is visited once.
class PlacementAnalysis {
public:
  explicit PlacementAnalysis(mlir::func::FuncOp function);

  llvm::ArrayRef<Finding> getFindings() const { return findings; }
  /// The same, in runs that are one error each: a claim that is false on
  /// several axes is one false claim.
  llvm::SmallVector<llvm::ArrayRef<Finding>> getErrors() const;
  /// Operations, and axes, whose fault was taken for what follows from another.
  llvm::ArrayRef<std::pair<mlir::Operation *, unsigned>>
  getConsequences() const {
    return consequences;
  }
  /// The truth about `value` on leaf axis `axis`; for an operand of a false
  /// claim, what it really is. An argument of a `spmd.compute`'s body is the
  /// operand that it stands for.
  Derivation get(mlir::Value value, unsigned axis) const;
  /// Whether `get` knows `value`.
  bool knows(mlir::Value value) const;

private:
  struct Visit;

  void visitBlock(mlir::Block &block, Visit &visited);
  void visit(mlir::Operation *op, Visit &visited);
  void visitStructured(mlir::Operation *op, Visit &visited);
  void visitCall(mlir::func::CallOp call);
  void visitPassed(mlir::OpOperand &operand, mlir::ValueRange targets,
                   llvm::StringRef verb);
  void passCuts(mlir::Operation *op, mlir::Value value);
  void spreadTaint(mlir::Value value);
  void checkSame(mlir::Operation *op, mlir::Value scalar,
                 const llvm::Twine &what);
  bool visitAxes(mlir::Operation *op);
  void visitForeign(mlir::Operation *op);
  void visitCompute(ComputeOp op);
  void visitBodyAxis(mlir::Operation *op, unsigned axis);
  bool visitAxis(mlir::Operation *op, unsigned axis);
  Placement getTruth(mlir::Value value, unsigned axis) const;
  bool isAsBelieved(mlir::Value value) const;
  bool isRagged(mlir::Value value) const;
  void inheritTaints(mlir::Operation *op);
  void inheritTaint(mlir::Value value, unsigned number);
  void taint(mlir::Value value, unsigned finding);
  /// The findings that `value` follows from.
  llvm::SmallVector<unsigned> getTaints(mlir::Value value) const;
  void visitReturn(mlir::func::ReturnOp op);
  /// Whether what is wrong with `value` on `axis` is said elsewhere.
  bool isReported(mlir::Operation *op, mlir::Value value, unsigned axis,
                  std::optional<unsigned> result);
  void checkRows(mlir::Operation *op, int cutsOperand);
  bool isTainted(mlir::Operation *op) const;
  bool isSummedClaim(const Finding &finding) const;
  mlir::Operation *getMix(mlir::Value value, unsigned axis) const;
  void record(Finding finding);
  /// Records what is wrong with ragged rows, on the axis that cuts them (R4).
  void recordRows(mlir::Operation *op, mlir::Value rows,
                  llvm::StringRef reason);

  mlir::func::FuncOp function;
  /// Of the values whose truth is not their type's, or whose operation is at
  /// fault, and of bodies. That of any other follows from types alone.
  llvm::DenseMap<mlir::Value, llvm::SmallVector<Derivation, 2>> derivations;
  /// Scalars that all ranks have alike.
  llvm::DenseSet<mlir::Value> sameOnAllRanks;
  /// For ragged rows: the expert numbers that say where they are cut.
  llvm::DenseMap<mlir::Value, mlir::Value> cuts;
  /// What a value follows from: a finding, or all that others do. As a list of
  /// findings for each value it would grow with their product.
  struct Taint {
    std::optional<unsigned> finding;
    llvm::SmallVector<unsigned, 4> parents;
  };
  std::vector<Taint> taintList;
  llvm::DenseMap<mlir::Value, unsigned> taints;
  llvm::SmallVector<Finding> findings;
  llvm::SmallVector<std::pair<mlir::Operation *, unsigned>> consequences;
  /// Sums without meaning that a finding is about already, by axis.
  llvm::DenseMap<std::pair<mlir::Operation *, unsigned>, unsigned> mixes;
};

/// The mesh that a placed tensor, or a value in the body of a `spmd.compute`,
/// lies on.
MeshAttr getMeshOf(mlir::Value value);
/// Whether `op` has a rule, and operands that it is about: those of arith have
/// one, but are on scalars where they stand in no body.
inline bool hasPlacementRule(mlir::Operation *op) {
  return op->getNumOperands() != 0 && isa<PlacementOpInterface>(op) &&
         isa<PlacedTensorType>(op->getOperand(0).getType());
}
/// Reports (R9) that one of `functions`, or one that they call, calls itself,
/// through others or not.
mlir::LogicalResult
checkRecursion(llvm::ArrayRef<mlir::func::FuncOp> functions);
/// Reports (R6) a function with placed tensors in several blocks: nothing is
/// known of placements that pass between blocks.
mlir::LogicalResult checkSingleBlock(mlir::func::FuncOp function);
/// Reports that the rule of `op` forbids its operands on `axis`.
mlir::LogicalResult emitRuleError(mlir::Operation *op, unsigned axis,
                                  const Transfer &transfer);
/// Reports (R6) that nothing is known of how placements pass through `op`.
mlir::InFlightDiagnostic emitMissingRule(mlir::Operation *op);
/// Reports the findings of one error with their witnesses.
mlir::InFlightDiagnostic emitError(const PlacementAnalysis &analysis,
                                   mlir::func::FuncOp function,
                                   llvm::ArrayRef<Finding> findings);

} // namespace moe::spmd

#endif // MOE_ANALYSIS_PLACEMENTANALYSIS_H

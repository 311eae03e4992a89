//===- PlacementAnalysis.h - The truth about placements ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ANALYSIS_PLACEMENTANALYSIS_H
#define MOE_ANALYSIS_PLACEMENTANALYSIS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
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

/// A repair to try: the operation's result on the axis becomes `placement`
/// instead. With `moves` data is moved to make it so, without, it is what the
/// operand's local values already are.
struct Repair {
  mlir::Operation *op = nullptr;
  unsigned axis = 0;
  Placement placement;
  bool moves = false;
};

/// Recomputes the truth of every placement in a function from its arguments'
/// types and the operations' rules. Claims are identities: the truth passes
/// through them. Where a belief turns out false the analysis records a finding
/// and goes on with the belief.
///
/// With a `repair` it also ignores the types that inference wrote, so that the
/// repair's consequences replace them.
class PlacementAnalysis {
public:
  explicit PlacementAnalysis(mlir::func::FuncOp function,
                             const Repair *repair = nullptr);

  llvm::ArrayRef<Finding> getFindings() const { return findings; }
  /// The truth about `value` on leaf axis `axis`; for an operand of a false
  /// claim, what it really is.
  const Derivation &get(mlir::Value value, unsigned axis) const;

private:
  void visit(mlir::Operation *op);
  void visitForeign(mlir::Operation *op);
  void visitAxis(mlir::Operation *op, unsigned axis);
  void visitReturn(mlir::func::ReturnOp op);
  void checkRows(mlir::Operation *op);
  bool isTainted(mlir::Operation *op) const;
  void record(Finding finding);

  mlir::func::FuncOp function;
  const Repair *repair;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<Derivation, 2>> derivations;
  /// For ragged rows: the expert numbers that say where they are cut.
  llvm::DenseMap<mlir::Value, mlir::Value> cuts;
  /// Findings that a value follows from.
  llvm::DenseMap<mlir::Value, llvm::SetVector<unsigned>> taints;
  llvm::SmallVector<Finding> findings;
};

/// Whether placed tensors are operands or results of `op` or of an operation in
/// its regions.
bool touchesPlacedTensors(mlir::Operation *op);
/// Reports (R6) a function with placed tensors in several blocks: nothing is
/// known of placements that pass between blocks.
mlir::LogicalResult checkSingleBlock(mlir::func::FuncOp function);
/// Reports that the rule of `op` forbids its operands on `axis`.
mlir::LogicalResult emitRuleError(mlir::Operation *op, unsigned axis,
                                  const Transfer &transfer);
/// Reports (R6) that nothing is known of how placements pass through `op`.
mlir::LogicalResult emitMissingRule(mlir::Operation *op);
/// Reports one finding with its witness and repairs.
void emitFinding(const PlacementAnalysis &analysis, mlir::func::FuncOp function,
                 const Finding &finding);

} // namespace moe::spmd

#endif // MOE_ANALYSIS_PLACEMENTANALYSIS_H

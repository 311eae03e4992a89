//===- PlacementInference.cpp - Fill in what is believed ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Types are what the program's author believes. A function is one block of
// operations on values, so one sweep in order reaches the fixed point.
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementInference.h"
#include "moe/Analysis/AlikeOperations.h"
#include "moe/Analysis/PlacementAnalysis.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

class PlacementInference {
public:
  LogicalResult run(func::FuncOp function);

private:
  static LogicalResult checkArguments(func::FuncOp function);
  LogicalResult inferOperation(Operation *op);
  /// Finds the result types of an operation on its own.
  LogicalResult inferTypes(Operation *op, SmallVectorImpl<Type> &types);
  /// The placement of each result on `axis`, or an error.
  FailureOr<SmallVector<Placement>> inferAxis(Operation *op, unsigned axis);

  /// Values that follow from a claim that contradicts its operand. What becomes
  /// of them is no fault of its own.
  DenseSet<Value> doubtful;

  struct Inferred {
    /// Empty if not known.
    SmallVector<Type, 2> types;
    /// Claims what its operand does not imply.
    bool contradicts = false;
  };
  AlikeOperations<Inferred> alike;
};

LogicalResult PlacementInference::checkArguments(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (auto type = dyn_cast<PlacedTensorType>(argument.getType()))
      if (type.hasUnknownPlacement())
        return emitError(argument.getLoc())
               << "[I1] the placement of argument " << argument.getArgNumber()
               << " is not given: " << type
               << "; help: state one per mesh axis, nothing implies it";
  return success();
}

FailureOr<SmallVector<Placement>> PlacementInference::inferAxis(Operation *op,
                                                                unsigned axis) {
  SmallVector<Placement> operands;
  for (Value operand : op->getOperands())
    operands.push_back(
        cast<PlacedTensorType>(operand.getType()).getPlacements()[axis]);
  Transfer transfer =
      cast<PlacementOpInterface>(op).transferPlacements(axis, operands);
  if (transfer.ok || !transfer.results.empty()) {
    SmallVector<Placement> results;
    llvm::append_range(results, transfer.results);
    for (Placement &result : results)
      if (result.isMixed())
        result = Placement::partial();
    return results;
  }
  bool excused = llvm::any_of(op->getOperands(),
                              [&](Value v) { return doubtful.contains(v); });
  if (!excused)
    return emitRuleError(op, axis, transfer);
  return SmallVector<Placement>(op->getNumResults(), Placement::replicate());
}

LogicalResult PlacementInference::inferTypes(Operation *op,
                                             SmallVectorImpl<Type> &types) {
  SmallVector<SmallVector<Placement>> placements;
  for (Value result : op->getResults())
    placements.emplace_back(
        cast<PlacedTensorType>(result.getType()).getPlacements());
  auto mesh = cast<PlacedTensorType>(op->getOperand(0).getType()).getMesh();
  for (auto [axis, meshAxis] : llvm::enumerate(mesh.getLeafAxes())) {
    if (llvm::none_of(placements, [&](ArrayRef<Placement> p) {
          return p[axis].isUnknown();
        }))
      continue;
    // One rank has the value, whatever it is called.
    SmallVector<Placement> inferred(op->getNumResults(),
                                    Placement::replicate());
    if (meshAxis.getSize() > 1) {
      FailureOr<SmallVector<Placement>> results = inferAxis(op, axis);
      if (failed(results))
        return failure();
      inferred = *results;
    }
    for (auto [i, result] : llvm::enumerate(inferred))
      if (placements[i][axis].isUnknown())
        placements[i][axis] = result;
  }
  for (auto [result, placement] : llvm::zip(op->getResults(), placements)) {
    auto type = cast<PlacedTensorType>(result.getType());
    // Axes are inferred one by one; together they may not make a type (T3).
    if (failed(PlacedTensorType::verify([&] { return op->emitError(); },
                                        type.getShape(), type.getElementType(),
                                        type.getMesh(), placement)))
      return failure();
    types.push_back(type.withPlacements(placement));
  }
  return success();
}

/// Whether `op` claims what its operand does not imply.
static bool contradictsOperand(Operation *op) {
  auto placementsOf = [](Value value) {
    return cast<PlacedTensorType>(value.getType()).getPlacements();
  };
  return isa<ClaimOp, BoundaryOp>(op) &&
         !llvm::all_of_zip(
             placementsOf(op->getOperand(0)), placementsOf(op->getResult(0)),
             [](Placement p, Placement q) { return p.implies(q); });
}

LogicalResult PlacementInference::inferOperation(Operation *op) {
  if (isa<func::ReturnOp>(op))
    return success();
  if (!isa<PlacementOpInterface>(op))
    return touchesPlacedTensors(op) ? LogicalResult(emitMissingRule(op))
                                    : success();

  bool isDoubtful = !doubtful.empty() &&
                    llvm::any_of(op->getOperands(),
                                 [&](Value v) { return doubtful.contains(v); });
  // What is found of a value in doubt may be no more than a way to go on.
  Inferred own, *inferred = alike.find(op);
  if (!inferred || (isDoubtful && inferred->types.empty()))
    inferred = &own;
  bool isNew = inferred->types.empty();
  if (isNew && failed(inferTypes(op, inferred->types)))
    return failure();
  for (auto [result, type] : llvm::zip_equal(op->getResults(), inferred->types))
    result.setType(type);
  if (isNew)
    inferred->contradicts = contradictsOperand(op);
  if (isDoubtful || inferred->contradicts)
    doubtful.insert_range(op->getResults());
  return success();
}

LogicalResult PlacementInference::run(func::FuncOp function) {
  if (function.isDeclaration())
    return success();
  if (failed(checkArguments(function)) || failed(checkSingleBlock(function)))
    return failure();
  for (Operation &op : function.getBody().front())
    if (failed(inferOperation(&op)))
      return failure();
  if (auto ret =
          dyn_cast<func::ReturnOp>(function.getBody().front().getTerminator()))
    function.setFunctionType(FunctionType::get(function.getContext(),
                                               function.getArgumentTypes(),
                                               ret.getOperandTypes()));
  return success();
}

} // namespace

LogicalResult moe::spmd::inferPlacements(func::FuncOp function) {
  return PlacementInference().run(function);
}

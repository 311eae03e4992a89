//===- PlacementInference.cpp - Fill in what is believed ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Types are what the program's author believes. One sweep in order reaches the
// fixed point, also where there are loops: what a loop carries is placed as it
// starts, which is known when the sweep comes to the loop, and a placement that
// is known never changes. What is yielded agrees with it, or that is an error.
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/PlacementInference.h"
#include "moe/Analysis/AlikeOperations.h"
#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

class PlacementInference {
public:
  LogicalResult run(func::FuncOp function);

private:
  static LogicalResult checkArguments(func::FuncOp function);
  LogicalResult inferBlock(Block &block);
  LogicalResult inferOperation(Operation *op);
  LogicalResult inferLoop(scf::ForOp loop);
  LogicalResult inferBranch(scf::IfOp branch);
  static LogicalResult checkCall(func::CallOp call);
  /// `value` is placed as `source`, from which it comes.
  void pass(Value source, Value value);
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

void PlacementInference::pass(Value source, Value value) {
  value.setType(source.getType());
  if (doubtful.contains(source))
    doubtful.insert(value);
}

/// The first leaf axis on which two placed tensors lie differently, if any.
static std::optional<unsigned> findDifference(Type lhs, Type rhs) {
  auto one = dyn_cast<PlacedTensorType>(lhs),
       other = dyn_cast<PlacedTensorType>(rhs);
  if (!one || !other)
    return std::nullopt;
  for (auto [axis, a, b] :
       llvm::enumerate(one.getPlacements(), other.getPlacements()))
    if (a != b)
      return axis;
  return std::nullopt;
}

/// Reports (I3) that a value of `op` is placed in two ways, at `one` and
/// `other`.
static LogicalResult emitTwoPlacements(Operation *op, unsigned axis,
                                       OpOperand &one, OpOperand &other) {
  auto placementOf = [&](OpOperand &operand) {
    return cast<PlacedTensorType>(operand.get().getType())
        .getPlacements()[axis]
        .str();
  };
  auto mesh = cast<PlacedTensorType>(one.get().getType()).getMesh();
  bool isLoop = isa<scf::ForOp>(op);
  InFlightDiagnostic diag = emitError(op->getLoc());
  diag << "[I3] '" << op->getName() << "' over '"
       << mesh.getLeafAxes()[axis].getName().getValue() << "': "
       << (isLoop ? "carries a value that starts "
                  : "gives a value that one branch has ")
       << placementOf(one)
       << (isLoop ? " and is yielded " : " and the other one ")
       << placementOf(other)
       << "; help: convert the one or the other with spmd.redistribute";
  auto note = [&](OpOperand &operand, StringRef what) {
    diag.attachNote(isa<scf::YieldOp>(operand.getOwner())
                        ? operand.getOwner()->getLoc()
                        : operand.get().getLoc())
        << "it is " << placementOf(operand) << " " << what;
  };
  note(one, isLoop ? "where it starts" : "here");
  note(other, isLoop ? "where it is yielded" : "here");
  return diag;
}

LogicalResult PlacementInference::inferLoop(scf::ForOp loop) {
  for (auto [init, argument] :
       llvm::zip_equal(loop.getInitArgs(), loop.getRegionIterArgs()))
    pass(init, argument);
  if (failed(inferBlock(*loop.getBody())))
    return failure();
  for (Value result : loop.getResults()) {
    SmallVector<OpOperand *, 2> sources = getSources(result);
    if (auto axis = findDifference(sources[0]->get().getType(),
                                   sources[1]->get().getType()))
      return emitTwoPlacements(loop, *axis, *sources[0], *sources[1]);
    pass(sources[0]->get(), result);
    if (doubtful.contains(sources[1]->get()))
      doubtful.insert(result);
  }
  return success();
}

LogicalResult PlacementInference::inferBranch(scf::IfOp branch) {
  for (Region &region : branch->getRegions())
    for (Block &block : region)
      if (failed(inferBlock(block)))
        return failure();
  for (Value result : branch.getResults()) {
    SmallVector<OpOperand *, 2> sources = getSources(result);
    if (auto axis = findDifference(sources[0]->get().getType(),
                                   sources[1]->get().getType()))
      return emitTwoPlacements(branch, *axis, *sources[0], *sources[1]);
    for (OpOperand *source : sources)
      pass(source->get(), result);
  }
  return success();
}

/// The callee's signature says how what is passed and returned lies.
LogicalResult PlacementInference::checkCall(func::CallOp call) {
  for (auto [i, type] : llvm::enumerate(call.getResultTypes()))
    if (auto placed = dyn_cast<PlacedTensorType>(type);
        placed && placed.hasUnknownPlacement())
      return emitError(call.getLoc())
             << "[I4] how result " << i << " of '@" << call.getCallee()
             << "' lies is not given: " << type
             << "; help: state it in the function's signature, on which those "
                "who call it rely";
  return success();
}

LogicalResult PlacementInference::inferBlock(Block &block) {
  for (Operation &op : block)
    if (failed(inferOperation(&op)))
      return failure();
  return success();
}

LogicalResult PlacementInference::inferOperation(Operation *op) {
  if (isa<func::ReturnOp, scf::YieldOp>(op))
    return success();
  if (auto call = dyn_cast<func::CallOp>(op))
    return checkCall(call);
  if (isStructured(op)) {
    if (!touchesPlacedTensors(op))
      return success();
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return inferLoop(loop);
    return inferBranch(cast<scf::IfOp>(op));
  }
  if (!hasPlacementRule(op))
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
  if (failed(inferBlock(function.getBody().front())))
    return failure();
  auto ret =
      dyn_cast<func::ReturnOp>(function.getBody().front().getTerminator());
  // What was stated stays: others may be reading it.
  if (ret && ret.getOperandTypes() != function.getResultTypes())
    function.setFunctionType(FunctionType::get(function.getContext(),
                                               function.getArgumentTypes(),
                                               ret.getOperandTypes()));
  return success();
}

} // namespace

LogicalResult moe::spmd::inferPlacements(func::FuncOp function) {
  return PlacementInference().run(function);
}

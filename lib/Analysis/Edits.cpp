//===- Edits.cpp - Changes of a program's labels --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/IRMapping.h"
#include "moe/Analysis/Repairs.h"

using namespace mlir;
using namespace moe::spmd;

bool Edit::operator==(const Edit &other) const {
  return kind == other.kind && op == other.op && operand == other.operand &&
         axis == other.axis && placement == other.placement &&
         converts == other.converts;
}

EditableProgram::EditableProgram(func::FuncOp function)
    : function(function), operations(moe::spmd::getOperations(function)) {}

EditableProgram EditableProgram::clone() const {
  EditableProgram copy;
  IRMapping mapping;
  Operation *op = function;
  copy.module = ModuleOp::create(op->getLoc());
  copy.function = cast<func::FuncOp>(op->clone(mapping));
  copy.function->removeAttr(SPMDDialect::kVjpAttr);
  copy.module->push_back(copy.function);
  // What it calls comes with it.
  for (func::FuncOp callee : getCallees(function))
    copy.module->push_back(callee.clone());
  for (Operation *op : operations)
    copy.operations.push_back(op ? mapping.lookup(op) : nullptr);
  return copy;
}

/// `type` with one placement changed; null if that is no type.
static PlacedTensorType withPlacement(PlacedTensorType type, unsigned axis,
                                      Placement placement) {
  SmallVector<Placement> placements(type.getPlacements());
  placements[axis] = placement;
  MLIRContext *context = type.getContext();
  ScopedDiagnosticHandler silence(context,
                                  [](Diagnostic &) { return success(); });
  auto emit = [&] { return emitError(UnknownLoc::get(context)); };
  return PlacedTensorType::getChecked(emit, context, type.getShape(),
                                      type.getElementType(), type.getMesh(),
                                      ArrayRef<Placement>(placements));
}

/// A list by the names of leaf axes; replicate is left out.
static PlacementsAttr listPlacements(MeshAttr mesh,
                                     ArrayRef<Placement> placements) {
  SmallVector<StringAttr> names;
  SmallVector<Placement> listed;
  for (auto [axis, placement] :
       llvm::zip_equal(mesh.getLeafAxes(), placements)) {
    if (placement.isReplicate())
      continue;
    names.push_back(axis.getName());
    listed.push_back(placement);
  }
  return PlacementsAttr::get(mesh.getContext(), names, listed);
}

/// The names of the axes without leaf `axis`; an axis that is split and has it
/// gives its other leaves.
static SmallVector<Attribute> withoutAxis(MeshAttr mesh, ArrayAttr names,
                                          unsigned axis) {
  SmallVector<Attribute> rest;
  auto leaves = mesh.getLeafAxes();
  for (auto name : names.getAsRange<StringAttr>()) {
    SmallVector<unsigned> own = mesh.getLeavesOf(name.getValue());
    if (!llvm::is_contained(own, axis))
      rest.push_back(name);
    else
      for (unsigned leaf : own)
        if (leaf != axis)
          rest.push_back(leaves[leaf].getName());
  }
  return rest;
}

/// Takes a leaf axis away from a sum, or makes a conversion of the sum.
LogicalResult EditableProgram::replaceSum(Operation *&op, const Edit &edit) {
  OpBuilder builder(op);
  auto type = cast<PlacedTensorType>(op->getOperand(0).getType());
  auto axes = op->getAttrOfType<ArrayAttr>("axes");
  if (axes && edit.kind == Edit::RemoveSum) {
    SmallVector<Attribute> rest = withoutAxis(type.getMesh(), axes, edit.axis);
    if (!rest.empty()) {
      op->setAttr("axes", builder.getArrayAttr(rest));
      return success();
    }
    op->getResult(0).replaceAllUsesWith(op->getOperand(0));
    op->erase();
    op = nullptr;
    return success();
  }
  Operation *conversion = nullptr;
  if (auto sum = dyn_cast<GradAllReduceOp>(op)) {
    SmallVector<Placement> placements(type.getPlacements().size());
    for (auto name : sum.getAxes().getAsRange<StringAttr>())
      for (unsigned leaf : type.getMesh().getLeavesOf(name.getValue()))
        placements[leaf] = Placement::replicate();
    conversion = BoundaryOp::create(
        builder, op->getLoc(), op->getResult(0).getType(), op->getOperand(0),
        builder.getUnitAttr(), listPlacements(type.getMesh(), placements),
        sum.getSiteAttr());
  } else {
    conversion = RedistributeOp::create(
        builder, op->getLoc(), op->getResult(0).getType(), op->getOperand(0),
        op->getAttrOfType<StringAttr>("site"));
  }
  op->replaceAllUsesWith(conversion);
  op->erase();
  op = conversion;
  return success();
}

LogicalResult EditableProgram::apply(const Edit &edit) {
  Operation *&op = operations[edit.op];
  if (!op)
    return failure();
  OpBuilder builder(op);
  switch (edit.kind) {
  case Edit::SetResult: {
    auto type = op->getNumResults() == 1
                    ? dyn_cast<PlacedTensorType>(op->getResult(0).getType())
                    : nullptr;
    type = type ? withPlacement(type, edit.axis, edit.placement) : nullptr;
    if (!type)
      return failure();
    op->getResult(0).setType(type);
    return success();
  }
  case Edit::SetGradient: {
    auto boundary = dyn_cast<BoundaryOp>(op);
    if (!boundary)
      return failure();
    auto type = cast<PlacedTensorType>(boundary.getInput().getType());
    // Verified to resolve; the callback never runs.
    auto placements = boundary.getGrad().resolve(
        type.getMesh(), [&] { return op->emitError(); });
    type = withPlacement(type.withPlacements(*placements), edit.axis,
                         edit.placement);
    if (!type)
      return failure();
    boundary.setGradAttr(listPlacements(type.getMesh(), type.getPlacements()));
    boundary.setConverts(edit.converts);
    return success();
  }
  case Edit::InsertConversion:
  case Edit::InsertBoundary: {
    Value value = op->getOperand(edit.operand);
    auto type = dyn_cast<PlacedTensorType>(value.getType());
    if (!type)
      return failure();
    PlacedTensorType unknown = type.withUnknownPlacements();
    PlacedTensorType placed = withPlacement(unknown, edit.axis, edit.placement);
    if (!placed)
      return failure();
    Operation *inserted = nullptr;
    if (edit.kind == Edit::InsertConversion)
      inserted = RedistributeOp::create(builder, op->getLoc(), placed, value,
                                        StringAttr());
    else
      inserted = BoundaryOp::create(
          builder, op->getLoc(), unknown, value, builder.getUnitAttr(),
          listPlacements(type.getMesh(), placed.getPlacements()), StringAttr());
    op->setOperand(edit.operand, inserted->getResult(0));
    operations.push_back(inserted);
    return success();
  }
  case Edit::RemoveSum:
  case Edit::ConvertInstead:
    if (!isa<AllReduceOp, ReduceScatterOp, GradAllReduceOp>(op))
      return failure();
    return replaceSum(op, edit);
  }
  llvm_unreachable("every kind of edit is above");
}

EditableProgram::AxisSet
EditableProgram::getFaults(const PlacementAnalysis &checked) {
  AxisSet faults;
  DenseMap<Operation *, unsigned> numbers;
  for (const Finding &finding : checked.getFindings()) {
    // One in a body is its operation's.
    Operation *op = finding.op;
    if (auto compute = op->getParentOfType<ComputeOp>())
      op = compute;
    if (numbers.empty())
      for (auto [i, other] : llvm::enumerate(
               moe::spmd::getOperations(op->getParentOfType<func::FuncOp>())))
        numbers[other] = i;
    faults.insert({numbers.lookup(op), finding.axis});
  }
  return faults;
}

void EditableProgram::forgetInferred(const AxisSet &except) {
  for (auto [number, op] : llvm::enumerate(operations)) {
    if (!op || !hasPlacementRule(op) ||
        isa<ClaimOp, BoundaryOp, RedistributeOp, OpaqueOp>(op))
      continue;
    for (Value result : op->getResults()) {
      auto type = cast<PlacedTensorType>(result.getType());
      SmallVector<Placement> placements(type.getPlacements());
      for (unsigned axis = 0; axis < placements.size(); ++axis) {
        // What a collective does to its own axis is stated.
        auto input = cast<PlacedTensorType>(op->getOperand(0).getType());
        bool states =
            isa<AllReduceOp, AllGatherOp, ReduceScatterOp, AllToAllOp>(op) &&
            cast<PlacementOpInterface>(op)
                    .transferPlacements(axis,
                                        {input.getPlacements()[axis].isUnknown()
                                             ? placements[axis]
                                             : input.getPlacements()[axis]})
                    .step != TransferStep::Carried;
        if (!states && !except.contains({number, axis}))
          placements[axis] = Placement::unknown();
      }
      result.setType(type.withPlacements(placements));
    }
  }
}

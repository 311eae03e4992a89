//===- ComputeOps.cpp - Code of other dialects, seen and unseen -----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/DenseMap.h"

using namespace mlir;
using namespace moe::spmd;

static PlacedTensorType placedType(Value value) {
  return cast<PlacedTensorType>(value.getType());
}

/// (U3).
static LogicalResult verifyOneMesh(Operation *op) {
  if (op->getNumOperands() == 0)
    return op->emitOpError(
        "(U3) has no operand; help: a value that is computed "
        "from nothing has no mesh to lie on");
  MeshAttr mesh = placedType(op->getOperand(0)).getMesh();
  for (Value value : llvm::concat<Value>(op->getOperands(), op->getResults()))
    if (placedType(value).getMesh() != mesh)
      return op->emitOpError("(U3) has values on two meshes: ")
             << mesh << " and " << placedType(value).getMesh();
  return success();
}

//===----------------------------------------------------------------------===//
// compute
//===----------------------------------------------------------------------===//

Value ComputeOp::getYielded() {
  return cast<YieldOp>(getBody().front().getTerminator()).getValues().front();
}

static RankedTensorType globalType(Value placed) {
  PlacedTensorType type = placedType(placed);
  return RankedTensorType::get(type.getShape(), type.getElementType());
}

LogicalResult ComputeOp::verify() {
  if (failed(verifyOneMesh(*this)))
    return failure();
  Block &body = getBody().front();
  if (body.getNumArguments() != getInputs().size())
    return emitOpError("(U1) has ")
           << getInputs().size() << " operands, but its body has "
           << body.getNumArguments() << " arguments";
  for (auto [i, input, argument] :
       llvm::enumerate(getInputs(), body.getArguments()))
    if (argument.getType() != globalType(input))
      return emitOpError("(U1) operand ")
             << i << " is " << globalType(input)
             << ", but the argument of the body is " << argument.getType();
  auto yield = cast<YieldOp>(body.getTerminator());
  if (yield.getValues().size() != 1 ||
      yield.getValues().front().getType() != globalType(getResult()))
    return emitOpError("(U2) has to yield one ")
           << globalType(getResult()) << ", not "
           << TypeRange(yield.getValues().getTypes());
  return success();
}

Transfer ComputeOp::transferPlacements(unsigned axis,
                                       ArrayRef<Placement> operands) {
  llvm::DenseMap<Value, Placement> placements;
  for (auto [argument, placement] :
       llvm::zip_equal(getBody().front().getArguments(), operands))
    placements[argument] = placement;
  for (Operation &op : getBody().front().without_terminator()) {
    Transfer transfer = transferThroughBody(
        &op, axis, [&](Value value) { return placements.lookup(value); });
    if (!transfer.ok) {
      if (!transfer.culprit)
        transfer.culprit = &op;
      return transfer;
    }
    for (auto [result, placement] :
         llvm::zip_equal(op.getResults(), transfer.results))
      placements[result] = placement;
  }
  Transfer transfer;
  transfer.results = {placements.lookup(getYielded())};
  transfer.step = TransferStep::Carried;
  return transfer;
}

Transfer
moe::spmd::transferThroughBody(Operation *op, unsigned axis,
                               function_ref<Placement(Value)> placementOf) {
  auto known = dyn_cast<PlacementOpInterface>(op);
  if (!known) {
    Transfer transfer = Transfer::failure("R6", /*reason=*/"");
    transfer.culprit = op;
    return transfer;
  }
  SmallVector<Placement> operands;
  for (Value operand : op->getOperands())
    operands.push_back(isa<RankedTensorType>(operand.getType())
                           ? placementOf(operand)
                           : Placement::replicate());
  return known.transferPlacements(axis, operands);
}

//===----------------------------------------------------------------------===//
// opaque
//===----------------------------------------------------------------------===//

/// (O1) of one list.
static LogicalResult verifyDeclared(OpaqueOp op, ArrayAttr list,
                                    StringRef what) {
  if (list.size() != op.getInputs().size())
    return op.emitOpError("(O1) has ")
           << op.getInputs().size() << " operands, but `" << what << "` has "
           << list.size() << " entries";
  for (auto [i, input, entry] :
       llvm::enumerate(op.getInputs(), list.getAsRange<PlacementsAttr>())) {
    PlacedTensorType type = placedType(input);
    auto emit = [&, i = i] {
      return op.emitOpError("(O1) entry ") << i << " of `" << what << "`: ";
    };
    FailureOr<SmallVector<Placement>> placements =
        entry.resolve(type.getMesh(), emit);
    if (failed(placements) || failed(PlacedTensorType::verify(
                                  emit, type.getShape(), type.getElementType(),
                                  type.getMesh(), *placements)))
      return failure();
    if (llvm::any_of(*placements, [](Placement p) { return p.isUnknown(); }))
      return emit() << "`?` declares nothing";
  }
  return success();
}

LogicalResult OpaqueOp::verify() {
  if (failed(verifyOneMesh(*this)) ||
      failed(verifyDeclared(*this, getNeeds(), "needs")) ||
      (getGrad() && failed(verifyDeclared(*this, *getGrad(), "grad"))))
    return failure();
  if (placedType(getResult()).hasUnknownPlacement())
    return emitOpError(
        "(O2) says nothing of how its result lies; help: no rule "
        "can, state a placement per axis");
  return success();
}

Transfer OpaqueOp::transferPlacements(unsigned axis,
                                      ArrayRef<Placement> operands) {
  for (auto [i, input, entry] :
       llvm::enumerate(getInputs(), getNeeds().getAsRange<PlacementsAttr>())) {
    // Verified to resolve; the callback never runs.
    auto needed =
        entry.resolve(placedType(input).getMesh(), [&] { return emitError(); });
    if (operands[i] != (*needed)[axis]) {
      Transfer transfer = Transfer::failure(
          "R7",
          "operand " + std::to_string(i) + " is " + operands[i].str() +
              ", but it is declared to need " + (*needed)[axis].str(),
          i);
      transfer.results = {placedType(getResult()).getPlacements()[axis]};
      return transfer;
    }
  }
  Transfer transfer;
  transfer.results = {placedType(getResult()).getPlacements()[axis]};
  transfer.step = TransferStep::Stated;
  return transfer;
}

bool OpaqueOp::hasDerivative() { return getGrad().has_value(); }

/// The list that says `placements` of every leaf axis.
static PlacementsAttr listOf(PlacedTensorType type,
                             ArrayRef<Placement> placements) {
  SmallVector<StringAttr> names;
  for (MeshAxisAttr axis : type.getMesh().getLeafAxes())
    names.push_back(axis.getName());
  return PlacementsAttr::get(type.getContext(), names, placements);
}

void OpaqueOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                        SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.append(getInputs().size(), Value());
  if (!cotangents[0] || !getGrad())
    return;
  PlacedTensorType type = placedType(getResult());
  SmallVector<Placement> needed;
  for (Placement placement : type.getPlacements())
    needed.push_back(placement.dual());
  PlacementsAttr dy = getDyAttr() ? getDyAttr() : listOf(type, needed);
  SmallVector<Attribute> needs(getNeeds().begin(), getNeeds().end());
  needs.push_back(dy);
  SmallVector<Value> inputs(getInputs());
  inputs.push_back(cotangents[0]);
  for (auto [i, input, entry] :
       llvm::enumerate(getInputs(), getGrad()->getAsRange<PlacementsAttr>())) {
    PlacedTensorType inputType = placedType(input);
    if (!isa<FloatType>(inputType.getElementType()))
      continue;
    auto placed =
        entry.resolve(inputType.getMesh(), [&] { return emitError(); });
    operandCotangents[i] =
        OpaqueOp::create(builder, getLoc(), inputType.withPlacements(*placed),
                         builder.getStringAttr(getCallee() + ".vjp"), inputs,
                         builder.getArrayAttr(needs), /*grad=*/ArrayAttr(),
                         /*dy=*/PlacementsAttr(), builder.getI64IntegerAttr(i));
  }
}

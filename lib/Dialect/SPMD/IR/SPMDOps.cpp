//===- SPMDOps.cpp - Claims, conversions, boundaries, collectives ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/SPMD.h"

using namespace mlir;
using namespace moe::spmd;

//===----------------------------------------------------------------------===//
// What the operations share
//===----------------------------------------------------------------------===//

static PlacedTensorType placedType(Value value) {
  return cast<PlacedTensorType>(value.getType());
}

static Placement placementOf(Value value, unsigned axis) {
  return placedType(value).getPlacements()[axis];
}

/// (C1): an operation of this dialect changes placements and nothing else.
static LogicalResult verifySameTensor(Operation *op) {
  PlacedTensorType from = placedType(op->getOperand(0));
  PlacedTensorType to = placedType(op->getResult(0));
  if (from.getMesh() != to.getMesh())
    return op->emitOpError("(C1) changes the mesh from ")
           << from.getMesh() << " to " << to.getMesh();
  if (from.getShape() != to.getShape() ||
      from.getElementType() != to.getElementType())
    return op->emitOpError("(C1) changes the tensor from ")
           << from << " to " << to << "; only placements may differ";
  return success();
}

/// (B1), and marks the leaves of the named axes in `named`.
static LogicalResult resolveAxes(Operation *op, ArrayRef<StringRef> names,
                                 SmallVectorImpl<bool> &named) {
  MeshAttr mesh = placedType(op->getOperand(0)).getMesh();
  named.assign(mesh.getNumLeafAxes(), false);
  if (names.empty())
    return op->emitOpError("(B1) names no mesh axis");
  for (StringRef name : names) {
    SmallVector<unsigned> leaves = mesh.getLeavesOf(name);
    if (leaves.empty())
      return op->emitOpError("(B1) the mesh has no axis '")
             << name << "'; it has " << mesh.describeAxes();
    for (unsigned leaf : leaves) {
      if (named[leaf])
        return op->emitOpError("(B1) names axis '")
               << mesh.getLeafAxes()[leaf].getName().getValue() << "' twice";
      named[leaf] = true;
    }
  }
  return success();
}

static SmallVector<StringRef> axisNames(ArrayAttr axes) {
  return llvm::map_to_vector(
      axes, [](Attribute name) { return cast<StringAttr>(name).getValue(); });
}

/// Whether leaf `axis` of the mesh of `value` belongs to the axis `name`.
static bool isNamed(Value value, StringRef name, unsigned axis) {
  return llvm::is_contained(placedType(value).getMesh().getLeavesOf(name),
                            axis);
}

static bool isNamed(Value value, ArrayAttr names, unsigned axis) {
  return llvm::any_of(axisNames(names), [&](StringRef name) {
    return isNamed(value, name, axis);
  });
}

static Transfer stated(Placement placement, TransferStep step) {
  Transfer transfer;
  transfer.results = {placement};
  transfer.step = step;
  transfer.operand = 0;
  return transfer;
}

/// What every operation that moves data hands its operand: the cotangent,
/// converted to what costs nothing where the data moved.
static void convertCotangent(OpBuilder &builder, Operation *op,
                             ValueRange cotangents,
                             SmallVectorImpl<Value> &operandCotangents) {
  if (!cotangents[0]) {
    operandCotangents.push_back({});
    return;
  }
  SmallVector<Placement> placements;
  bool moves = false;
  for (auto [from, to] :
       llvm::zip(placedType(op->getOperand(0)).getPlacements(),
                 placedType(op->getResult(0)).getPlacements())) {
    placements.push_back(from == to ? Placement::unknown() : from.dual());
    moves |= from != to;
  }
  if (!moves) {
    operandCotangents.push_back(cotangents[0]);
    return;
  }
  auto type = placedType(op->getOperand(0)).withPlacements(placements);
  operandCotangents.push_back(
      RedistributeOp::create(builder, op->getLoc(), type, cotangents[0]));
}

//===----------------------------------------------------------------------===//
// redistribute
//===----------------------------------------------------------------------===//

/// Whether a conversion changes a cut of dimension `dim` that is not by expert.
static bool changesOtherCut(RedistributeOp op, int16_t dim) {
  return !llvm::all_of_zip(placedType(op.getInput()).getPlacements(),
                           placedType(op.getResult()).getPlacements(),
                           [&](Placement from, Placement to) {
                             bool cuts = from == Placement::shard(dim) ||
                                         to == Placement::shard(dim);
                             return !cuts || from == to || from.isUnknown() ||
                                    to.isUnknown();
                           });
}

LogicalResult RedistributeOp::verify() {
  if (failed(verifySameTensor(*this)))
    return failure();
  for (auto [axis, from, to] :
       llvm::zip(placedType(getInput()).getMesh().getLeafAxes(),
                 placedType(getInput()).getPlacements(),
                 placedType(getResult()).getPlacements())) {
    if (to.isRagged() && from != to && !from.isUnknown())
      return emitOpError("(C2) cannot cut rows by expert on axis '")
             << axis.getName().getValue() << "' (" << from.str() << " to "
             << to.str() << "); help: dispatch cut tokens with moe.dispatch";
    if (from.isRagged() && to != from && !to.isUnknown() && !to.isReplicate())
      return emitOpError("(C2) converts ")
             << from.str() << " to " << to.str() << " on axis '"
             << axis.getName().getValue()
             << "'; rows cut by expert convert to replicate only";
    if (from.isRagged() && from == to && changesOtherCut(*this, from.dim))
      return emitOpError("(C2) changes another cut of rows that axis '")
             << axis.getName().getValue()
             << "' cuts by expert; help: bring them back to their tokens with "
                "moe.combine first";
    if (to.isPartial() && to.reduction != ReductionKind::Sum && from != to &&
        !from.isUnknown())
      return emitOpError("(C3) cannot make ")
             << to.str() << " of " << from.str() << " on axis '"
             << axis.getName().getValue() << "'; help: partial<sum> is free";
  }
  return success();
}

/// How a value passes that stays as it is placed.
static TransferStep stepOf(Placement placement) {
  if (placement.isReplicate())
    return TransferStep::Replicated;
  return placement.isCut() ? TransferStep::Cut : TransferStep::Carried;
}

Transfer RedistributeOp::transferPlacements(unsigned axis,
                                            ArrayRef<Placement> operands) {
  Placement to = placementOf(getResult(), axis);
  Placement believed = placementOf(getInput(), axis);
  if (to.isUnknown() || (to == operands[0]))
    return stated(operands[0], stepOf(operands[0]));
  if (operands[0].isMixed()) {
    if (to == believed) {
      Transfer carried = stated(operands[0], TransferStep::Carried);
      return carried;
    }
    return Transfer::failure("G5",
                             "converts a sum in which a replicated term met a "
                             "partial one, as if it were " +
                                 believed.str(),
                             0);
  }
  return stated(to, TransferStep::Moved);
}

void RedistributeOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                              SmallVectorImpl<Value> &operandCotangents) {
  convertCotangent(builder, *this, cotangents, operandCotangents);
}

//===----------------------------------------------------------------------===//
// claim
//===----------------------------------------------------------------------===//

LogicalResult ClaimOp::verify() { return verifySameTensor(*this); }

Transfer ClaimOp::transferPlacements(unsigned axis,
                                     ArrayRef<Placement> operands) {
  Placement to = placementOf(getResult(), axis);
  return stated(to.isUnknown() ? operands[0] : to, TransferStep::Stated);
}

void ClaimOp::buildVjp(OpBuilder &, ValueRange cotangents,
                       SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(cotangents[0]);
}

//===----------------------------------------------------------------------===//
// boundary
//===----------------------------------------------------------------------===//

static ParseResult parsePlacements(OpAsmParser &parser,
                                   PlacementsAttr &placements) {
  placements =
      dyn_cast_if_present<PlacementsAttr>(PlacementsAttr::parse(parser, {}));
  return success(placements != nullptr);
}

static void printPlacements(OpAsmPrinter &printer, Operation *,
                            PlacementsAttr placements) {
  placements.print(printer);
}

static ParseResult parsePlacementsList(OpAsmParser &parser, ArrayAttr &list) {
  SmallVector<Attribute> elements;
  auto parseElement = [&]() -> ParseResult {
    elements.push_back(PlacementsAttr::parse(parser, {}));
    return success(elements.back() != nullptr);
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square,
                                     parseElement))
    return failure();
  list = parser.getBuilder().getArrayAttr(elements);
  return success();
}

static void printPlacementsList(OpAsmPrinter &printer, Operation *,
                                ArrayAttr list) {
  printer << '[';
  llvm::interleaveComma(list.getAsRange<PlacementsAttr>(), printer,
                        [&](PlacementsAttr entry) { entry.print(printer); });
  printer << ']';
}

LogicalResult BoundaryOp::verify() {
  if (failed(verifySameTensor(*this)))
    return failure();
  PlacedTensorType type = placedType(getInput());
  FailureOr<SmallVector<Placement>> grad =
      getGrad().resolve(type.getMesh(), [&] { return emitOpError("(B1) "); });
  if (failed(grad))
    return failure();
  return PlacedTensorType::verify(
      [&] { return emitOpError("states an impossible cotangent: "); },
      type.getShape(), type.getElementType(), type.getMesh(), *grad);
}

Transfer BoundaryOp::transferPlacements(unsigned axis,
                                        ArrayRef<Placement> operands) {
  Placement to = placementOf(getResult(), axis);
  return stated(to.isUnknown() ? operands[0] : to, TransferStep::Stated);
}

void BoundaryOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                          SmallVectorImpl<Value> &operandCotangents) {
  if (!cotangents[0]) {
    operandCotangents.push_back({});
    return;
  }
  PlacedTensorType type = placedType(getInput());
  // Verified to resolve; the callback never runs.
  auto grad = getGrad().resolve(type.getMesh(), [&] { return emitOpError(); });
  Type placed = type.withPlacements(*grad);
  Value cotangent;
  if (getConverts())
    cotangent = RedistributeOp::create(builder, getLoc(), placed, cotangents[0],
                                       getSiteAttr());
  else
    cotangent = ClaimOp::create(builder, getLoc(), placed, cotangents[0],
                                getSiteAttr());
  operandCotangents.push_back(cotangent);
}

//===----------------------------------------------------------------------===//
// grad_all_reduce
//===----------------------------------------------------------------------===//

LogicalResult GradAllReduceOp::verify() {
  SmallVector<bool> named;
  if (failed(verifySameTensor(*this)) ||
      failed(resolveAxes(*this, axisNames(getAxes()), named)))
    return failure();
  for (auto [from, to] : llvm::zip(placedType(getInput()).getPlacements(),
                                   placedType(getResult()).getPlacements()))
    if (!to.isUnknown() && !from.isUnknown() && from != to)
      return emitOpError("(C1) changes the placement from ")
             << from.str() << " to " << to.str()
             << ", but it is the identity forward";
  return success();
}

Transfer GradAllReduceOp::transferPlacements(unsigned,
                                             ArrayRef<Placement> operands) {
  return stated(operands[0], stepOf(operands[0]));
}

void GradAllReduceOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                               SmallVectorImpl<Value> &operandCotangents) {
  if (!cotangents[0]) {
    operandCotangents.push_back({});
    return;
  }
  SmallVector<Placement> placements(
      placedType(getInput()).getPlacements().size());
  for (unsigned axis = 0; axis < placements.size(); ++axis)
    if (isNamed(getInput(), getAxes(), axis))
      placements[axis] = Placement::replicate();
  operandCotangents.push_back(AllReduceOp::create(
      builder, getLoc(), placedType(getInput()).withPlacements(placements),
      cotangents[0], getAxes(), getSiteAttr()));
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// Axes that a collective does not name keep their placement.
static LogicalResult verifyOtherAxes(Operation *op, ArrayRef<bool> named) {
  for (auto [axis, isNamed, from, to] :
       llvm::zip(placedType(op->getOperand(0)).getMesh().getLeafAxes(), named,
                 placedType(op->getOperand(0)).getPlacements(),
                 placedType(op->getResult(0)).getPlacements()))
    if (!isNamed && !from.isUnknown() && !to.isUnknown() && from != to)
      return op->emitOpError("changes axis '")
             << axis.getName().getValue() << "', which it does not name, from "
             << from.str() << " to " << to.str();
  return success();
}

/// The dimensions that a collective names exist.
static LogicalResult verifyDims(Operation *op, StringRef label,
                                ArrayRef<int64_t> dims) {
  int64_t rank = placedType(op->getOperand(0)).getRank();
  for (int64_t dim : dims)
    if (dim < 0 || dim >= rank)
      return op->emitOpError("(")
             << label << ") dimension " << dim
             << " does not exist in a tensor of rank " << rank;
  return success();
}

/// Checks one label: on the named axes the result is `to` (or `?`), and the
/// operand `from` (or `?`) where `from` is given.
static LogicalResult verifyCollective(Operation *op, StringRef label,
                                      ArrayRef<StringRef> names,
                                      std::optional<Placement> from,
                                      Placement to) {
  SmallVector<bool> named;
  if (failed(verifySameTensor(op)) || failed(resolveAxes(op, names, named)) ||
      failed(verifyOtherAxes(op, named)))
    return failure();
  for (unsigned axis = 0; axis < named.size(); ++axis) {
    if (!named[axis])
      continue;
    Placement operand = placementOf(op->getOperand(0), axis);
    Placement result = placementOf(op->getResult(0), axis);
    if (from && !operand.isUnknown() && operand != *from)
      return op->emitOpError("(") << label << ") expects an operand that is "
                                  << from->str() << ", not " << operand.str();
    if (!result.isUnknown() && result != to)
      return op->emitOpError("(") << label << ") gives a result that is "
                                  << to.str() << ", not " << result.str();
  }
  return success();
}

/// A collective that sums takes Partial terms. One of a replicated value
/// multiplies it; that is an error of the program (G6), found by the verifier.
static Transfer transferSum(Placement operand, Placement result) {
  if (operand.isPartial() && (operand.reduction == ReductionKind::Sum))
    return stated(result, TransferStep::Moved);
  std::string reason =
      operand.isReplicate()
          ? "sums a value that is already the same on all ranks: the result is "
            "that value times the number of ranks"
          : "sums a value that is " + operand.str() + ", not partial<sum>";
  Transfer transfer = Transfer::failure("G6", std::move(reason), 0);
  transfer.results = {result};
  return transfer;
}

LogicalResult AllReduceOp::verify() {
  return verifyCollective(*this, "L1", axisNames(getAxes()), std::nullopt,
                          Placement::replicate());
}

Transfer AllReduceOp::transferPlacements(unsigned axis,
                                         ArrayRef<Placement> operands) {
  if (!isNamed(getInput(), getAxes(), axis))
    return stated(operands[0], stepOf(operands[0]));
  return transferSum(operands[0], Placement::replicate());
}

void AllReduceOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                           SmallVectorImpl<Value> &operandCotangents) {
  convertCotangent(builder, *this, cotangents, operandCotangents);
}

LogicalResult AllGatherOp::verify() {
  if (failed(verifyDims(*this, "L2", {static_cast<int64_t>(getDim())})))
    return failure();
  return verifyCollective(*this, "L2", {getAxis()}, Placement::shard(getDim()),
                          Placement::replicate());
}

Transfer AllGatherOp::transferPlacements(unsigned axis,
                                         ArrayRef<Placement> operands) {
  if (!isNamed(getInput(), getAxis(), axis))
    return stated(operands[0], stepOf(operands[0]));
  if (operands[0] != Placement::shard(getDim()))
    return Transfer::failure("G3",
                             "gathers a value that is " + operands[0].str(), 0);
  return stated(Placement::replicate(), TransferStep::Moved);
}

void AllGatherOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                           SmallVectorImpl<Value> &operandCotangents) {
  convertCotangent(builder, *this, cotangents, operandCotangents);
}

LogicalResult ReduceScatterOp::verify() {
  if (failed(verifyDims(*this, "L3", {static_cast<int64_t>(getDim())})))
    return failure();
  return verifyCollective(*this, "L3", {getAxis()}, std::nullopt,
                          Placement::shard(getDim()));
}

Transfer ReduceScatterOp::transferPlacements(unsigned axis,
                                             ArrayRef<Placement> operands) {
  if (!isNamed(getInput(), getAxis(), axis))
    return stated(operands[0], stepOf(operands[0]));
  return transferSum(operands[0], Placement::shard(getDim()));
}

void ReduceScatterOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                               SmallVectorImpl<Value> &operandCotangents) {
  convertCotangent(builder, *this, cotangents, operandCotangents);
}

LogicalResult AllToAllOp::verify() {
  if (failed(verifyDims(
          *this, "L4",
          {static_cast<int64_t>(getFrom()), static_cast<int64_t>(getTo())})))
    return failure();
  return verifyCollective(*this, "L4", {getAxis()}, Placement::shard(getFrom()),
                          Placement::shard(getTo()));
}

Transfer AllToAllOp::transferPlacements(unsigned axis,
                                        ArrayRef<Placement> operands) {
  if (!isNamed(getInput(), getAxis(), axis))
    return stated(operands[0], stepOf(operands[0]));
  if (operands[0] != Placement::shard(getFrom()))
    return Transfer::failure(
        "G3", "exchanges a value that is " + operands[0].str(), 0);
  return stated(Placement::shard(getTo()), TransferStep::Moved);
}

void AllToAllOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                          SmallVectorImpl<Value> &operandCotangents) {
  convertCotangent(builder, *this, cotangents, operandCotangents);
}

#define GET_OP_CLASSES
#include "moe/Dialect/SPMD/IR/SPMDOps.cpp.inc"

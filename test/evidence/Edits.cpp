//===- Edits.cpp - Changes of a correct program ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Edits.h"
#include "Samples.h"
#include "moe/Dialect/MoE/IR/MoE.h"

using namespace moe;
using namespace moe::evidence;
using mlir::Operation;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;
using moe::spmd::ReductionKind;

Editor::Editor(mlir::func::FuncOp function, reference::Random &random)
    : function(function), random(random), builder(function.getContext()),
      numAxes(typeOf(function.getArgument(0)).getPlacements().size()) {}

llvm::ArrayRef<llvm::StringLiteral> Editor::classes() {
  static constexpr llvm::StringLiteral names[] = {
      "drop-reduction",      "double-reduction",   "move-reduction",
      "change-axis",         "change-kind",        "flip-claim",
      "change-dimension",    "swap-claims",        "reduction-to-claim",
      "claim-to-conversion", "add-round-trip",     "swap-collective",
      "reduce-early",        "add-claim",          "state-type",
      "change-argument",     "change-requirement", "swap-terms"};
  return names;
}

bool Editor::apply(llvm::StringRef editClass) {
  bool (Editor::*const edits[])() = {
      &Editor::dropReduction,     &Editor::doubleReduction,
      &Editor::moveReduction,     &Editor::changeAxis,
      &Editor::changeKind,        &Editor::flipClaim,
      &Editor::changeDimension,   &Editor::swapClaims,
      &Editor::reductionToClaim,  &Editor::claimToConversion,
      &Editor::addRoundTrip,      &Editor::swapCollective,
      &Editor::reduceEarly,       &Editor::addClaim,
      &Editor::stateType,         &Editor::changeArgument,
      &Editor::changeRequirement, &Editor::swapTerms};
  for (auto [name, edit] : llvm::zip_equal(classes(), edits))
    if (name == editClass)
      return (this->*edit)();
  return false;
}

//===----------------------------------------------------------------------===//
// Where to edit
//===----------------------------------------------------------------------===//

std::vector<Editor::Reduction> Editor::reductions() {
  std::vector<Reduction> found;
  for (Operation &op : function.getBody().front()) {
    if (!llvm::isa<spmd::RedistributeOp, spmd::AllReduceOp,
                   spmd::ReduceScatterOp>(op))
      continue;
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (typeOf(op.getOperand(0)).getPlacements()[axis] ==
              Placement::partial() &&
          !typeOf(op.getResult(0)).getPlacements()[axis].isPartial())
        found.push_back({&op, axis});
  }
  return found;
}

std::vector<Operation *> Editor::claims() {
  std::vector<Operation *> found;
  for (Operation &op : function.getBody().front())
    if (llvm::isa<spmd::ClaimOp, spmd::BoundaryOp>(op))
      found.push_back(&op);
  return found;
}

std::vector<Operation *> Editor::conversions() {
  std::vector<Operation *> found;
  for (Operation &op : function.getBody().front())
    if (llvm::isa<spmd::RedistributeOp>(op))
      found.push_back(&op);
  return found;
}

std::vector<mlir::Value> Editor::values() {
  std::vector<mlir::Value> found(function.getArguments().begin(),
                                 function.getArguments().end());
  for (Operation &op : function.getBody().front())
    llvm::append_range(found, op.getResults());
  llvm::erase_if(found, [](mlir::Value value) {
    return value.use_empty() || isInteger(typeOf(value)) ||
           llvm::any_of(typeOf(value).getPlacements(),
                        [](Placement p) { return p.isRagged(); });
  });
  return found;
}

llvm::StringRef Editor::axisName(mlir::Value value, unsigned axis) {
  return typeOf(value).getMesh().getLeafAxes()[axis].getName();
}

llvm::SmallVector<Placement> Editor::changed(mlir::Value value, unsigned axis,
                                             Placement to) {
  llvm::SmallVector<Placement> placements(typeOf(value).getPlacements());
  placements[axis] = to;
  if (!makesType(typeOf(value), placements))
    placements.clear();
  return placements;
}

Placement Editor::drawPlacement(mlir::Value value) {
  int64_t rank = typeOf(value).getRank();
  unsigned form = below(rank ? 3 : 2);
  return form == 0   ? Placement::replicate()
         : form == 1 ? Placement::partial()
                     : Placement::shard(below(rank));
}

Placement Editor::drawBelief(mlir::Value value) {
  return below(6) ? drawPlacement(value)
                  : Placement::partial(ReductionKind::Avg);
}

bool Editor::retype(Operation *op, unsigned axis, Placement to) {
  mlir::Value value = op->getResult(0);
  auto placements = changed(value, axis, to);
  if (placements.empty() || typeOf(value).getPlacements()[axis] == to)
    return false;
  value.setType(typeOf(value).withPlacements(placements));
  return true;
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

bool Editor::dropReduction() {
  auto found = reductions();
  if (found.empty())
    return false;
  Operation *op = pick<Reduction>(found).op;
  op->getResult(0).replaceAllUsesWith(op->getOperand(0));
  op->erase();
  return true;
}

bool Editor::doubleReduction() {
  auto found = reductions();
  if (found.empty())
    return false;
  auto [op, axis] = pick<Reduction>(found);
  mlir::Value value = op->getResult(0);
  builder.setInsertionPointAfter(op);
  auto placements = changed(value, axis, Placement::replicate());
  auto again = spmd::AllReduceOp::create(
      builder, op->getLoc(), typeOf(value).withPlacements(placements), value,
      builder.getStrArrayAttr({axisName(value, axis)}), mlir::StringAttr());
  value.replaceAllUsesExcept(again, again);
  return true;
}

/// Past the operation that uses it.
bool Editor::moveReduction() {
  auto found = reductions();
  if (found.empty())
    return false;
  auto [op, axis] = pick<Reduction>(found);
  std::vector<Operation *> users;
  for (Operation *user : op->getResult(0).getUsers())
    if (llvm::isa<MoEDialect>(user->getDialect()) &&
        !isInteger(typeOf(user->getResult(0))))
      users.push_back(user);
  if (users.empty())
    return false;
  Operation *user = pick<Operation *>(users);
  mlir::Value result = user->getResult(0);
  user->replaceUsesOfWith(op->getResult(0), op->getOperand(0));
  llvm::SmallVector<Placement> placements(numAxes);
  placements[axis] = typeOf(result).getPlacements()[axis];
  if (placements[axis].isRagged())
    return false;
  builder.setInsertionPointAfter(user);
  auto moved = spmd::RedistributeOp::create(
      builder, op->getLoc(), typeOf(result).withPlacements(placements), result);
  result.replaceAllUsesExcept(moved, moved);
  return true;
}

bool Editor::changeAxis() {
  auto found = reductions();
  if (found.empty() || numAxes < 2)
    return false;
  auto [op, axis] = pick<Reduction>(found);
  unsigned other = (axis + 1 + below(numAxes - 1)) % numAxes;
  mlir::Value value = op->getOperand(0);
  auto placements = changed(value, other, Placement::replicate());
  if (placements.empty())
    return false;
  builder.setInsertionPoint(op);
  PlacedTensorType type = typeOf(value).withPlacements(placements);
  mlir::Value changed =
      llvm::isa<spmd::RedistributeOp>(op)
          ? mlir::Value(spmd::RedistributeOp::create(builder, op->getLoc(),
                                                     type, value))
          : mlir::Value(spmd::AllReduceOp::create(
                builder, op->getLoc(), type, value,
                builder.getStrArrayAttr({axisName(value, other)}),
                mlir::StringAttr()));
  op->getResult(0).replaceAllUsesWith(changed);
  op->erase();
  return true;
}

/// What is reduced is taken for terms of another kind.
bool Editor::changeKind() {
  auto found = reductions();
  if (found.empty())
    return false;
  auto [op, axis] = pick<Reduction>(found);
  mlir::Value value = op->getOperand(0);
  llvm::SmallVector<Placement> placements(typeOf(value).getPlacements());
  constexpr ReductionKind kinds[] = {ReductionKind::Avg, ReductionKind::Max,
                                     ReductionKind::Min};
  Placement to = Placement::partial(kinds[below(3)]);
  for (Placement &placement : placements)
    if (placement.isPartial())
      placement = to;
  if (!llvm::isa<spmd::RedistributeOp>(op) ||
      llvm::any_of(typeOf(op->getResult(0)).getPlacements(),
                   [](Placement p) { return p.isPartial(); }))
    return false;
  builder.setInsertionPoint(op);
  op->setOperand(0,
                 spmd::ClaimOp::create(builder, op->getLoc(),
                                       typeOf(value).withPlacements(placements),
                                       value, mlir::StringAttr()));
  return true;
}

/// One term of a sum, or both.
bool Editor::reduceEarly() {
  std::vector<Reduction> found;
  for (Operation &op : function.getBody().front())
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (llvm::isa<AddOp, SubOp, EinsumOp>(op) && op.getNumOperands() == 2 &&
          llvm::any_of(op.getOperands(), [&](mlir::Value v) {
            return typeOf(v).getPlacements()[axis] == Placement::partial();
          }))
        found.push_back({&op, axis});
  if (found.empty())
    return false;
  auto [op, axis] = pick<Reduction>(found);
  bool both = below(2);
  unsigned first = below(2);
  for (unsigned i : {first, 1 - first}) {
    mlir::Value value = op->getOperand(i);
    if (typeOf(value).getPlacements()[axis] != Placement::partial())
      continue;
    builder.setInsertionPoint(op);
    op->setOperand(i, spmd::RedistributeOp::create(
                          builder, op->getLoc(),
                          typeOf(value).withPlacements(
                              changed(value, axis, Placement::replicate())),
                          value));
    if (!both)
      break;
  }
  return true;
}

/// The same movement, said otherwise.
bool Editor::swapCollective() {
  std::vector<Reduction> found;
  for (Operation &op : function.getBody().front())
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      if (!llvm::isa<spmd::RedistributeOp, spmd::AllReduceOp,
                     spmd::AllGatherOp>(op))
        continue;
      Placement from = typeOf(op.getOperand(0)).getPlacements()[axis];
      Placement to = typeOf(op.getResult(0)).getPlacements()[axis];
      auto rest = changed(op.getOperand(0), axis, to);
      if (to.isReplicate() &&
          (from == Placement::partial() || from.isShard()) &&
          llvm::ArrayRef(rest) == typeOf(op.getResult(0)).getPlacements())
        found.push_back({&op, axis});
    }
  if (found.empty())
    return false;
  auto [op, axis] = pick<Reduction>(found);
  mlir::Value value = op->getOperand(0);
  PlacedTensorType type = typeOf(op->getResult(0));
  Placement from = typeOf(value).getPlacements()[axis];
  llvm::StringRef name = axisName(value, axis);
  mlir::Location loc = op->getLoc();
  builder.setInsertionPoint(op);
  mlir::Value swapped;
  if (!llvm::isa<spmd::RedistributeOp>(op))
    swapped = spmd::RedistributeOp::create(builder, loc, type, value);
  else if (from.isShard())
    swapped = spmd::AllGatherOp::create(builder, loc, type, value, name,
                                        int64_t(from.dim));
  else if (type.getRank() && below(2)) {
    int64_t dim = below(type.getRank());
    auto placements = changed(value, axis, Placement::shard(dim));
    if (placements.empty())
      return false;
    value = spmd::ReduceScatterOp::create(
        builder, loc, type.withPlacements(placements), value, name, dim);
    swapped = spmd::AllGatherOp::create(builder, loc, type, value, name, dim);
  } else
    swapped = spmd::AllReduceOp::create(builder, loc, type, value,
                                        builder.getStrArrayAttr({name}),
                                        mlir::StringAttr());
  op->getResult(0).replaceAllUsesWith(swapped);
  op->erase();
  return true;
}

//===----------------------------------------------------------------------===//
// Claims
//===----------------------------------------------------------------------===//

void Editor::addTrueClaims(unsigned number) {
  auto found = values();
  for (unsigned i = 0; i < number; ++i) {
    mlir::Value value = pick<mlir::Value>(found);
    builder.setInsertionPointAfterValue(value);
    auto claim = spmd::ClaimOp::create(builder, value.getLoc(), value.getType(),
                                       value, mlir::StringAttr());
    value.replaceAllUsesExcept(claim, claim);
  }
}

bool Editor::flipClaim() {
  auto found = claims();
  if (found.empty())
    return false;
  Operation *op = pick<Operation *>(found);
  unsigned axis = below(numAxes);
  bool partial = typeOf(op->getResult(0)).getPlacements()[axis].isPartial();
  return retype(op, axis,
                partial ? Placement::replicate() : Placement::partial());
}

bool Editor::changeDimension() {
  auto found = claims();
  llvm::erase_if(found, [](Operation *op) {
    return typeOf(op->getResult(0)).getRank() == 0;
  });
  if (found.empty())
    return false;
  Operation *op = pick<Operation *>(found);
  return retype(op, below(numAxes),
                Placement::shard(below(typeOf(op->getResult(0)).getRank())));
}

bool Editor::swapClaims() {
  auto found = claims();
  if (found.size() < 2)
    return false;
  mlir::Value one = pick<Operation *>(found)->getResult(0);
  mlir::Value other = pick<Operation *>(found)->getResult(0);
  llvm::SmallVector<Placement> first(typeOf(one).getPlacements());
  llvm::SmallVector<Placement> second(typeOf(other).getPlacements());
  if (one == other || !makesType(typeOf(one), second) ||
      !makesType(typeOf(other), first))
    return false;
  one.setType(typeOf(one).withPlacements(second));
  other.setType(typeOf(other).withPlacements(first));
  return true;
}

bool Editor::reductionToClaim() {
  auto found = conversions();
  if (found.empty())
    return false;
  Operation *op = pick<Operation *>(found);
  builder.setInsertionPoint(op);
  op->getResult(0).replaceAllUsesWith(
      spmd::ClaimOp::create(builder, op->getLoc(), op->getResult(0).getType(),
                            op->getOperand(0), mlir::StringAttr()));
  op->erase();
  return true;
}

bool Editor::claimToConversion() {
  auto found = claims();
  if (found.empty())
    return false;
  Operation *op = pick<Operation *>(found);
  builder.setInsertionPoint(op);
  op->getResult(0).replaceAllUsesWith(spmd::RedistributeOp::create(
      builder, op->getLoc(), op->getResult(0).getType(), op->getOperand(0)));
  op->erase();
  return true;
}

bool Editor::addClaim() {
  mlir::Value value = pick<mlir::Value>(values());
  llvm::SmallVector<Placement> placements(typeOf(value).getPlacements());
  if (below(2))
    placements = changed(value, below(numAxes), drawBelief(value));
  if (placements.empty())
    return false;
  std::vector<mlir::OpOperand *> uses;
  for (mlir::OpOperand &use : value.getUses())
    uses.push_back(&use);
  mlir::OpOperand *use = pick<mlir::OpOperand *>(uses);
  builder.setInsertionPoint(use->getOwner());
  use->set(spmd::ClaimOp::create(builder, value.getLoc(),
                                 typeOf(value).withPlacements(placements),
                                 value, mlir::StringAttr()));
  return true;
}

//===----------------------------------------------------------------------===//
// Everything else
//===----------------------------------------------------------------------===//

bool Editor::addRoundTrip() {
  mlir::Value value = pick<mlir::Value>(values());
  PlacedTensorType type = typeOf(value);
  auto placements = changed(value, below(numAxes), drawPlacement(value));
  if (placements.empty())
    return false;
  builder.setInsertionPointAfterValue(value);
  auto there = spmd::RedistributeOp::create(
      builder, value.getLoc(), type.withPlacements(placements), value);
  auto back = spmd::RedistributeOp::create(builder, value.getLoc(), type,
                                           there.getResult());
  value.replaceAllUsesExcept(back, there);
  return true;
}

/// States a type where it would be inferred, and where it says nothing to the
/// local program: shapes and experts at hand are what it is told.
bool Editor::stateType() {
  std::vector<mlir::Value> found = values();
  llvm::erase_if(found, [](mlir::Value value) {
    Operation *op = value.getDefiningOp();
    return !op || !llvm::isa<MoEDialect>(op->getDialect()) ||
           llvm::isa<GroupedEinsumOp, UnfoldOp>(op);
  });
  if (found.empty())
    return false;
  mlir::Value value = pick<mlir::Value>(found);
  stated.insert(value.getDefiningOp());
  if (below(2))
    (void)retype(value.getDefiningOp(), below(numAxes), drawPlacement(value));
  return true;
}

bool Editor::changeArgument() {
  mlir::Value argument =
      function.getArgument(below(function.getNumArguments()));
  auto placements = changed(argument, below(numAxes), drawPlacement(argument));
  if (placements.empty() || isInteger(typeOf(argument)) ||
      llvm::ArrayRef(placements) == typeOf(argument).getPlacements())
    return false;
  argument.setType(typeOf(argument).withPlacements(placements));
  function.setFunctionType(
      builder.getFunctionType(function.getBody().front().getArgumentTypes(),
                              function.getResultTypes()));
  return true;
}

/// How the gradient of an argument has to leave.
bool Editor::changeRequirement() {
  unsigned i = below(function.getNumArguments());
  mlir::Value argument = function.getArgument(i);
  auto placements = changed(argument, below(numAxes), drawBelief(argument));
  if (placements.empty())
    return false;
  llvm::SmallVector<mlir::StringAttr> names;
  for (auto axis : typeOf(argument).getMesh().getLeafAxes())
    names.push_back(axis.getName());
  function.setArgAttr(
      i, spmd::SPMDDialect::kGradPlacementAttr,
      spmd::PlacementsAttr::get(function.getContext(), names, placements));
  return true;
}

/// The order of the terms of a sum or of the factors of a product.
bool Editor::swapTerms() {
  std::vector<Operation *> found;
  for (Operation &op : function.getBody().front())
    if (llvm::isa<AddOp, SubOp, MulOp>(op))
      found.push_back(&op);
  if (found.empty())
    return false;
  Operation *op = pick<Operation *>(found);
  mlir::Value first = op->getOperand(0);
  op->setOperand(0, op->getOperand(1));
  op->setOperand(1, first);
  return true;
}

//===- Dependence.cpp - How a value depends on terms of a reduction -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Dependence.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::spmd;

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

static bool dependsOnTerms(Dependence dependence) {
  return dependence > Dependence::Constant;
}

static bool isExtreme(ReductionKind kind) {
  return kind == ReductionKind::Max || kind == ReductionKind::Min;
}

static ReductionKind opposite(ReductionKind kind) {
  return kind == ReductionKind::Max ? ReductionKind::Min : ReductionKind::Max;
}

static Dependence reverse(Dependence dependence) {
  if (dependence == Dependence::Commutes)
    return Dependence::Reverses;
  return dependence == Dependence::Reverses ? Dependence::Commutes : dependence;
}

/// Of a sum, or of what holds elements of both.
static Dependence join(Dependence lhs, Dependence rhs) {
  if (lhs == Dependence::Zero || lhs == rhs)
    return rhs;
  if (rhs == Dependence::Zero)
    return lhs;
  return Dependence::Affine;
}

/// The sign of the one element that `value` consists of; 0 if it is not known.
static int signOf(Value value) {
  std::optional<Attribute> element = getUniformElement(value);
  if (!element || !*element)
    return 0;
  if (auto number = dyn_cast<FloatAttr>(*element))
    return number.getValue().isZero() || number.getValue().isNaN() ? 0
           : number.getValue().isNegative()                        ? -1
                                                                   : 1;
  auto number = dyn_cast<IntegerAttr>(*element);
  if (!number || number.getValue().isZero())
    return 0;
  return number.getValue().isNegative() ? -1 : 1;
}

/// With `kind` a max or min; `operands` are Commutes, Constant or Zero.
static Dependence applyOrdered(Operation *op, ArrayRef<Dependence> operands,
                               ReductionKind kind) {
  unsigned numTerms = llvm::count_if(operands, dependsOnTerms);
  auto ordered = [](int sign) {
    return sign == 0  ? Dependence::Other
           : sign > 0 ? Dependence::Commutes
                      : Dependence::Reverses;
  };
  auto extreme = [&](ReductionKind own) {
    return kind == own || numTerms == 1 ? Dependence::Commutes
                                        : Dependence::Other;
  };
  if (isa<arith::MaximumFOp, arith::MaxNumFOp, arith::MaxSIOp>(op))
    return extreme(ReductionKind::Max);
  if (isa<arith::MinimumFOp, arith::MinNumFOp, arith::MinSIOp>(op))
    return extreme(ReductionKind::Min);
  if (isa<arith::SelectOp>(op))
    return dependsOnTerms(operands[0]) ? Dependence::Other
                                       : Dependence::Commutes;
  if (numTerms != 1)
    return Dependence::Other;
  if (isa<arith::AddFOp, arith::AddIOp>(op))
    return Dependence::Commutes;
  if (isa<arith::SubFOp, arith::SubIOp>(op))
    return ordered(dependsOnTerms(operands[0]) ? 1 : -1);
  if (isa<arith::MulFOp, arith::MulIOp>(op))
    return ordered(signOf(op->getOperand(dependsOnTerms(operands[0]) ? 1 : 0)));
  if (isa<arith::DivFOp, arith::DivSIOp>(op))
    return dependsOnTerms(operands[0]) ? ordered(signOf(op->getOperand(1)))
                                       : Dependence::Other;
  if (isa<arith::NegFOp>(op))
    return Dependence::Reverses;
  // Rounding keeps the order, and so do functions that are defined everywhere
  // and never fall. A logarithm or a root of a negative term is NaN.
  if (isa<arith::ExtFOp, arith::ExtSIOp, arith::SIToFPOp, arith::TruncFOp,
          arith::FPToSIOp, math::ErfOp, math::ExpOp, math::TanhOp>(op))
    return Dependence::Commutes;
  return Dependence::Other;
}

/// With `kind` a sum or mean.
static Dependence applySummed(Operation *op, ArrayRef<Dependence> operands) {
  if (isa<arith::AddFOp, arith::AddIOp, arith::SubFOp, arith::SubIOp>(op))
    return join(operands[0], operands[1]);
  if (isa<arith::MulFOp, arith::MulIOp>(op)) {
    if (dependsOnTerms(operands[0]) && dependsOnTerms(operands[1]))
      return Dependence::Other;
    return dependsOnTerms(operands[0]) ? operands[0] : operands[1];
  }
  if (isa<arith::DivFOp>(op))
    return dependsOnTerms(operands[1]) ? Dependence::Other : operands[0];
  if (isa<arith::NegFOp, arith::ExtFOp, arith::ExtSIOp, arith::SIToFPOp>(op))
    return operands[0];
  if (isa<arith::SelectOp>(op))
    return dependsOnTerms(operands[0]) ? Dependence::Other
                                       : join(operands[1], operands[2]);
  return Dependence::Other;
}

Dependence moe::spmd::applyScalar(Operation *op, ArrayRef<Dependence> operands,
                                  ReductionKind kind) {
  if (llvm::is_contained(operands, Dependence::Other))
    return Dependence::Other;
  if (isa<arith::MulFOp, arith::MulIOp>(op) &&
      llvm::is_contained(operands, Dependence::Zero))
    return Dependence::Zero;
  if (llvm::none_of(operands, dependsOnTerms)) {
    bool keepsZero = isa<arith::AddFOp, arith::AddIOp, arith::SubFOp,
                         arith::SubIOp, arith::NegFOp, arith::ExtFOp,
                         arith::ExtSIOp, arith::TruncFOp, arith::SIToFPOp>(op);
    return keepsZero && llvm::all_of(operands,
                                     [](Dependence dependence) {
                                       return dependence == Dependence::Zero;
                                     })
               ? Dependence::Zero
               : Dependence::Constant;
  }
  if (!isExtreme(kind))
    return applySummed(op, operands);
  if (!llvm::is_contained(operands, Dependence::Reverses))
    return applyOrdered(op, operands, kind);
  if (llvm::is_contained(operands, Dependence::Commutes))
    return Dependence::Other;
  return reverse(
      applyOrdered(op, llvm::map_to_vector(operands, reverse), opposite(kind)));
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

std::optional<Attribute> moe::spmd::getUniformElement(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    if (!isa<ShapedType>(value.getType()))
      return constant.getValue();
    auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (elements && elements.isSplat())
      return elements.getSplatValue<Attribute>();
    return std::nullopt;
  }
  if (isa<tensor::EmptyOp>(op))
    return Attribute();
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return getUniformElement(fill.getInputs().front());
  if (auto splat = dyn_cast<tensor::SplatOp>(op))
    return getUniformElement(splat.getInput());
  return std::nullopt;
}

bool moe::spmd::isUniformZero(Value value) {
  std::optional<Attribute> element = getUniformElement(value);
  if (!element || !*element)
    return false;
  if (auto number = dyn_cast<FloatAttr>(*element))
    return number.getValue().isZero();
  auto number = dyn_cast<IntegerAttr>(*element);
  return number && number.getValue().isZero();
}

SmallVector<bool> moe::spmd::findZeros(Operation *op) {
  return llvm::map_to_vector(op->getOperands(), isUniformZero);
}

SmallVector<Placement> moe::spmd::adoptCuts(const PlacementRule &rule,
                                            ValueRange values,
                                            ArrayRef<Placement> operands) {
  SmallVector<Placement> adopted(operands);
  int factor = -1;
  Placement cut;
  for (auto [dims, placement] : llvm::zip(rule.operands, operands))
    if (placement.isCut() && placement.dim < static_cast<int>(dims.size())) {
      factor = dims[placement.dim].factor;
      cut = placement;
    }
  if (factor < 0)
    return adopted;
  for (auto [i, value] : llvm::enumerate(values)) {
    if (operands[i].isCut() || !getUniformElement(value))
      continue;
    for (auto [dim, entry] : llvm::enumerate(rule.operands[i]))
      if (entry.factor == factor)
        adopted[i] =
            cut.isRagged() ? Placement::ragged(dim) : Placement::shard(dim);
  }
  return adopted;
}

//===----------------------------------------------------------------------===//
// Terms
//===----------------------------------------------------------------------===//

static Dependence evaluate(DependenceFn result, ArrayRef<Placement> operands,
                           ArrayRef<bool> isZero, ReductionKind kind,
                           function_ref<bool(unsigned)> isTerm) {
  SmallVector<Dependence> dependences;
  for (auto [i, placement] : llvm::enumerate(operands))
    dependences.push_back(!placement.isReplicate() && isTerm(i)
                              ? Dependence::Commutes
                          : isZero[i] ? Dependence::Zero
                                      : Dependence::Constant);
  return result(dependences, kind);
}

static std::string operandName(unsigned i, Placement placement) {
  return "operand " + std::to_string(i) + " is " + placement.str();
}

/// Why the terms do not pass: one of them alone, or two together.
static Transfer explain(DependenceFn result, ArrayRef<Placement> operands,
                        ArrayRef<bool> isZero, ReductionKind kind) {
  int first = -1;
  for (auto [i, placement] : llvm::enumerate(operands)) {
    if (placement.isReplicate())
      continue;
    Dependence alone = evaluate(result, operands, isZero, kind,
                                [&, i = i](unsigned k) { return k == i; });
    if (alone == Dependence::Other || alone == Dependence::Affine)
      return Transfer::failure(
          "R1",
          operandName(i, placement) +
              (isExtreme(kind) ? ", which the operation does not preserve"
               : alone == Dependence::Affine
                   ? ", and the operation adds a constant to every term"
                   : ", and the operation is not linear in it"),
          i);
    if (first < 0)
      first = i;
    else
      return Transfer::failure("R2",
                               operandName(first, operands[first]) + " and " +
                                   operandName(i, placement) +
                                   ": the product of two sums is not the sum "
                                   "of the products",
                               i);
  }
  return Transfer::failure("R1", "the operation does not preserve the terms",
                           first);
}

Transfer moe::spmd::transferTerms(DependenceFn result,
                                  ArrayRef<Placement> operands,
                                  ArrayRef<bool> isZero) {
  int first = -1, mixed = -1;
  bool hasWhole = false;
  for (auto [i, placement] : llvm::enumerate(operands)) {
    if (placement.isReplicate()) {
      hasWhole |= !isZero[i];
      continue;
    }
    if (placement.isMixed()) {
      mixed = i;
      continue;
    }
    if (first >= 0 && placement != operands[first])
      return Transfer::failure("R3",
                               "terms of a " + operands[first].str() +
                                   " and of a " + placement.str() +
                                   " do not add",
                               i);
    if (first < 0)
      first = i;
  }
  ReductionKind kind =
      first >= 0 ? operands[first].reduction : ReductionKind::Sum;
  Transfer transfer;
  transfer.step = TransferStep::Carried;
  transfer.operand = mixed >= 0 ? mixed : first;
  switch (
      evaluate(result, operands, isZero, kind, [](unsigned) { return true; })) {
  case Dependence::Zero:
  case Dependence::Constant:
    transfer.step = TransferStep::Replicated;
    transfer.results = {Placement::replicate()};
    return transfer;
  case Dependence::Commutes:
    transfer.results = {operands[transfer.operand]};
    return transfer;
  case Dependence::Reverses:
    transfer.results = {Placement::partial(opposite(kind))};
    return transfer;
  case Dependence::Affine:
    if (mixed >= 0 || kind == ReductionKind::Avg) {
      transfer.results = {operands[transfer.operand]};
      return transfer;
    }
    // A whole term meets those of a sum. One that no operand brings is a
    // constant of the operation itself.
    if (kind == ReductionKind::Sum && hasWhole) {
      transfer.step = TransferStep::Mixed;
      transfer.results = {Placement::mixed()};
      return transfer;
    }
    [[fallthrough]];
  case Dependence::Other:
    return explain(result, operands, isZero, kind);
  }
  llvm_unreachable("all dependences are listed");
}

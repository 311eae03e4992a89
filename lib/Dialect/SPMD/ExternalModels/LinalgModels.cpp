//===- LinalgModels.cpp - Structured operations, named and generic --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Factors are the loops. What a structured operation does to terms of a sum
// follows from the scalars of its payload, so that a named operation and the
// generic one it stands for have one rule.
//
//===----------------------------------------------------------------------===//

#include "Dependence.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/DenseMap.h"

using namespace mlir;
using namespace moe::spmd;

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

/// The factor of each dimension of an operand. A dimension that is no plain
/// loop is never cut, and neither are the loops that it runs over.
static SmallVector<DimFactor, 4> dimsOf(AffineMap map, PlacementRule &rule) {
  SmallVector<DimFactor, 4> dims;
  SmallVector<unsigned> seen;
  for (AffineExpr expr : map.getResults()) {
    if (auto loop = dyn_cast<AffineDimExpr>(expr)) {
      dims.push_back({static_cast<int>(loop.getPosition()), CutForm::Any});
      if (llvm::is_contained(seen, loop.getPosition()))
        rule.factors[loop.getPosition()] = FactorRole::Whole;
      seen.push_back(loop.getPosition());
      continue;
    }
    dims.push_back({});
    expr.walk([&](AffineExpr inner) {
      if (auto loop = dyn_cast<AffineDimExpr>(inner))
        rule.factors[loop.getPosition()] = FactorRole::Whole;
    });
  }
  return dims;
}

/// The rule of the cuts of inputs, with result `number`'s dimensions; the
/// init of that result is no operand of it.
static PlacementRule loopRule(linalg::LinalgOp op, unsigned number) {
  PlacementRule rule;
  for (unsigned i = 0; i < op.getNumLoops(); ++i)
    rule.addFactor();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (unsigned i = 0; i < op.getNumDpsInputs(); ++i)
    rule.operands.push_back(dimsOf(maps[i], rule));
  rule.results.push_back(dimsOf(maps[op.getNumDpsInputs() + number], rule));
  op.getBlock()->walk([&](linalg::IndexOp index) {
    rule.factors[index.getDim()] = FactorRole::Whole;
  });
  return rule;
}

//===----------------------------------------------------------------------===//
// The payload
//===----------------------------------------------------------------------===//

/// What a result is besides what it starts from.
namespace {
struct Reduction {
  /// Sum, Max or Min; nothing if the result is no such reduction.
  std::optional<ReductionKind> kind;
  /// That which is reduced; null without `kind`.
  Value term;
};
} // namespace

/// How the payload folds its terms into what result `number` starts from.
static Reduction findReduction(linalg::LinalgOp op, unsigned number) {
  Value yielded = op.getBlock()->getTerminator()->getOperand(number);
  BlockArgument start = op.getRegionOutputArgs()[number];
  Operation *fold = yielded.getDefiningOp();
  if (!fold || fold->getNumOperands() != 2 || !start.hasOneUse() ||
      *start.getUsers().begin() != fold)
    return {};
  Value term =
      fold->getOperand(0) == start ? fold->getOperand(1) : fold->getOperand(0);
  if (isa<arith::AddFOp, arith::AddIOp>(fold))
    return {ReductionKind::Sum, term};
  if (isa<arith::MaximumFOp, arith::MaxNumFOp, arith::MaxSIOp>(fold))
    return {ReductionKind::Max, term};
  if (isa<arith::MinimumFOp, arith::MinNumFOp, arith::MinSIOp>(fold))
    return {ReductionKind::Min, term};
  return {};
}

/// Whether the payload reads anything but its arguments and constants; then
/// the operation that does.
static Operation *findForeignRead(linalg::LinalgOp op) {
  Operation *found = nullptr;
  op.getBlock()->walk([&](Operation *inner) {
    bool reads = llvm::any_of(inner->getOperands(), [&](Value value) {
      Block *block = value.getParentBlock();
      return block != op.getBlock() && !getUniformElement(value);
    });
    if (!found && (reads || !isMemoryEffectFree(inner)))
      found = inner;
  });
  return found;
}

/// That of `value` in the payload, given those of the operands.
static Dependence applyPayload(linalg::LinalgOp op, Value value,
                               ArrayRef<Dependence> operands,
                               ReductionKind kind) {
  llvm::DenseMap<Value, Dependence> known;
  for (auto [argument, dependence] :
       llvm::zip_equal(op.getBlock()->getArguments(), operands))
    known[argument] = dependence;
  auto lookup = [&](Value value) {
    auto entry = known.find(value);
    if (entry != known.end())
      return entry->second;
    return isUniformZero(value)       ? Dependence::Zero
           : getUniformElement(value) ? Dependence::Constant
                                      : Dependence::Other;
  };
  for (Operation &inner : op.getBlock()->without_terminator()) {
    SmallVector<Dependence> inputs =
        llvm::map_to_vector(inner.getOperands(), lookup);
    if (isa<arith::ConstantOp>(inner))
      continue;
    Dependence dependence = applyScalar(&inner, inputs, kind);
    for (Value result : inner.getResults())
      known[result] = dependence;
  }
  return lookup(value);
}

//===----------------------------------------------------------------------===//
// One result
//===----------------------------------------------------------------------===//

/// Terms pass through a reduction as through its payload, where it reduces as
/// they are to be reduced. What a constant is folded into commutes as often as
/// it is.
static Dependence applyResult(linalg::LinalgOp op, unsigned number,
                              ArrayRef<Dependence> operands,
                              ReductionKind kind) {
  Value yielded = op.getBlock()->getTerminator()->getOperand(number);
  if (op.getNumReductionLoops() == 0)
    return applyPayload(op, yielded, operands, kind);
  Reduction reduction = findReduction(op, number);
  if (!reduction.kind) {
    // An unknown fold of what depends on nothing.
    bool constant = llvm::all_of(operands, [](Dependence dependence) {
      return dependence <= Dependence::Constant;
    });
    return constant ? Dependence::Constant : Dependence::Other;
  }
  Dependence term = applyPayload(op, reduction.term, operands, kind);
  Dependence start = operands[op.getNumDpsInputs() + number];
  bool sums = kind == ReductionKind::Sum || kind == ReductionKind::Avg;
  bool sameKind =
      sums ? *reduction.kind == ReductionKind::Sum : *reduction.kind == kind;
  // Reversed terms are reduced by the other kind.
  if (term == Dependence::Reverses
          ? *reduction.kind == ReductionKind::Sum || sameKind
          : term > Dependence::Constant && !sameKind)
    return Dependence::Other;
  Operation *fold = yielded.getDefiningOp();
  return applyScalar(fold, {start, term}, kind);
}

static Transfer transferCutResult(linalg::LinalgOp op, unsigned number,
                                  ArrayRef<Placement> operands) {
  PlacementRule rule = loopRule(op, number);
  unsigned numInputs = op.getNumDpsInputs();
  SmallVector<Placement> inputs =
      adoptCuts(rule, ValueRange(op->getOperands()).take_front(numInputs),
                operands.take_front(numInputs));
  OpOperand *start = op.getDpsInitOperand(number);
  bool readsStart = op.payloadUsesValueFromOperand(start);
  Placement begin = operands[numInputs + number];
  if (llvm::none_of(inputs, [](Placement p) { return p.isCut(); })) {
    // Only what the result starts from is cut.
    if (!readsStart)
      return applyPlacementRule(rule, inputs);
    rule.operands.push_back(rule.results.front());
    SmallVector<Value> values(op->getOperands().take_front(numInputs));
    values.push_back(start->get());
    SmallVector<Placement> all(inputs);
    all.push_back(begin);
    return applyPlacementRule(rule, adoptCuts(rule, values, all));
  }
  Transfer transfer = applyPlacementRule(rule, inputs);
  if (!transfer.ok)
    return transfer;
  int startOperand = static_cast<int>(numInputs + number);
  auto disagrees = [&] {
    return Transfer::failure(
        "R4",
        "operand " + std::to_string(transfer.operand) + " is " +
            inputs[transfer.operand].str() + " and operand " +
            std::to_string(startOperand) +
            ", which the result starts from, is " + begin.str(),
        startOperand);
  };
  if (transfer.step != TransferStep::Contracted) {
    if (readsStart && begin != transfer.results.front() &&
        !getUniformElement(start->get()))
      return disagrees();
    return transfer;
  }
  Reduction reduction = findReduction(op, number);
  if (!reduction.kind)
    return Transfer::failure("R5",
                             "operand " + std::to_string(transfer.operand) +
                                 " is " + inputs[transfer.operand].str() +
                                 ", but the operation needs that dimension "
                                 "whole",
                             transfer.operand);
  Placement partial = Placement::partial(*reduction.kind);
  transfer.results.front() = partial;
  if (begin == partial)
    return transfer;
  if (!begin.isReplicate())
    return disagrees();
  // A max or min of one more equal value changes nothing; a sum does.
  if (*reduction.kind == ReductionKind::Sum && !isUniformZero(start->get())) {
    transfer.step = TransferStep::Mixed;
    transfer.results.front() = Placement::mixed();
  }
  return transfer;
}

static Transfer transferResult(linalg::LinalgOp op, unsigned number,
                               ArrayRef<Placement> operands) {
  SmallVector<Placement> read(operands);
  for (auto [i, operand] : llvm::enumerate(op->getOpOperands()))
    if (!op.payloadUsesValueFromOperand(&operand))
      read[i] = Placement::replicate();
  for (auto [i, init] : llvm::enumerate(op.getDpsInitsMutable()))
    if (i != number)
      read[init.getOperandNumber()] = Placement::replicate();
  if (llvm::any_of(read, [](Placement p) { return p.isCut(); }))
    return transferCutResult(op, number, read);
  if (llvm::all_of(read, [](Placement p) { return p.isReplicate(); })) {
    Transfer transfer;
    transfer.operand = 0;
    transfer.results = {Placement::replicate()};
    return transfer;
  }
  return transferTerms(
      [&](ArrayRef<Dependence> dependences, ReductionKind kind) {
        return applyResult(op, number, dependences, kind);
      },
      read, findZeros(op));
}

namespace {

template <typename Op>
struct StructuredModel
    : PlacementOpInterface::ExternalModel<StructuredModel<Op>, Op> {
  static unsigned getRuleNumber() { return 160; }

  Transfer transferPlacements(Operation *op, unsigned,
                              ArrayRef<Placement> operands) const {
    auto linalgOp = cast<linalg::LinalgOp>(op);
    if (Operation *foreign = findForeignRead(linalgOp)) {
      Transfer transfer = Transfer::failure(
          "R6", "reads or writes something that is no operand");
      transfer.culprit = foreign;
      return transfer;
    }
    Transfer transfer;
    for (unsigned i = 0; i < op->getNumResults(); ++i) {
      Transfer one = transferResult(linalgOp, i, operands);
      if (!one.ok)
        return one;
      if (i == 0)
        transfer = std::move(one);
      else
        transfer.results.push_back(one.results.front());
    }
    return transfer;
  }
};

/// Softmax is structured, but has no payload.
struct SoftmaxModel
    : PlacementOpInterface::ExternalModel<SoftmaxModel, linalg::SoftmaxOp> {
  static unsigned getRuleNumber() { return 161; }

  PlacementRule getPlacementRule(Operation *op) const {
    auto softmax = cast<linalg::SoftmaxOp>(op);
    PlacementRule rule;
    SmallVector<DimFactor, 4> dims;
    for (int64_t i = 0; i < softmax.getInputOperandRank(); ++i)
      dims.push_back({static_cast<int>(
          rule.addFactor(i == static_cast<int64_t>(softmax.getDimension())
                             ? FactorRole::Whole
                             : FactorRole::Free))});
    rule.operands = {dims};
    rule.results = {dims};
    return rule;
  }

  Transfer transferPlacements(Operation *op, unsigned,
                              ArrayRef<Placement> operands) const {
    // What it starts from is not read.
    return applyPlacementRule(getPlacementRule(op), operands.take_front(1));
  }
};

/// As attachInterface wants them: the operations of one generated list.
template <typename... Ops>
void attachStructured(MLIRContext *context) {
  (Ops::template attachInterface<StructuredModel<Ops>>(*context), ...);
}

} // namespace

void moe::spmd::registerLinalgModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, linalg::LinalgDialect *) {
    attachStructured<
#define GET_OP_LIST
#include "mlir/Dialect/Linalg/IR/LinalgStructuredOps.cpp.inc"
        >(context);
    linalg::SoftmaxOp::attachInterface<SoftmaxModel>(*context);
  });
}

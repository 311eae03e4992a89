//===- PlacementRule.cpp - The one engine behind every rule ---------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One mesh axis at a time. Either some operands are cut, and then along one and
// the same factor; or some are Partial, and then linearity decides. Soundness
// of each case: docs/Dialects/SPMD/Rationale.md, "Rules".
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/PlacementRule.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace moe::spmd;

Transfer Transfer::failure(llvm::StringRef label, std::string reason,
                           int operand) {
  Transfer transfer;
  transfer.ok = false;
  transfer.label = label;
  transfer.reason = std::move(reason);
  transfer.operand = operand;
  return transfer;
}

unsigned moe::spmd::getClause(TransferStep step) {
  return static_cast<unsigned>(step) + 1;
}

unsigned moe::spmd::getClause(llvm::StringRef label) {
  assert(label.size() == 2 && (label[0] == 'R' || label[0] == 'G') &&
         llvm::isDigit(label[1]) && "no label of a rule");
  return (label[0] == 'R' ? 10 : 20) + (label[1] - '0');
}

unsigned moe::spmd::getClause(const Transfer &transfer) {
  return transfer.ok ? getClause(transfer.step) : getClause(transfer.label);
}

static std::string operandName(unsigned i) {
  return "operand " + std::to_string(i);
}

/// The factor along which `placement` cuts a value with dimensions `dims`, or
/// -1 if that cut is not one the operation can work with.
static int cutFactor(llvm::ArrayRef<DimFactor> dims, Placement placement) {
  if (placement.dim >= static_cast<int>(dims.size()))
    return -1;
  const DimFactor &dim = dims[placement.dim];
  CutForm form = placement.isRagged() ? CutForm::Rows : CutForm::Chunks;
  return dim.form == CutForm::Any || dim.form == form ? dim.factor : -1;
}

static int findDim(llvm::ArrayRef<DimFactor> dims, int factor) {
  for (auto [i, dim] : llvm::enumerate(dims))
    if (dim.factor == factor)
      return i;
  return -1;
}

static Transfer transferCut(const PlacementRule &rule,
                            llvm::ArrayRef<Placement> operands,
                            unsigned first) {
  int factor = cutFactor(rule.operands[first], operands[first]);
  if (factor < 0 || rule.factors[factor] == FactorRole::Whole)
    return Transfer::failure("R5",
                             operandName(first) + " is " +
                                 operands[first].str() +
                                 ", but the operation needs that dimension "
                                 "whole",
                             first);

  const DimFactor &firstDim = rule.operands[first][operands[first].dim];
  auto sameForm = [&](unsigned i) {
    return firstDim.form != CutForm::Any ||
           operands[i].isRagged() == operands[first].isRagged();
  };
  bool masked = false;
  for (unsigned i = 0; i < operands.size(); ++i) {
    bool has = findDim(rule.operands[i], factor) >= 0;
    if (operands[i].isCut()) {
      if (cutFactor(rule.operands[i], operands[i]) == factor && sameForm(i))
        continue;
      return Transfer::failure("R4",
                               operandName(first) + " is " +
                                   operands[first].str() + " and " +
                                   operandName(i) + " is " + operands[i].str() +
                                   ": they cut different things",
                               i);
    }
    if (!operands[i].isReplicate())
      return Transfer::failure("R4",
                               operandName(first) + " is " +
                                   operands[first].str() + " and " +
                                   operandName(i) + " is " + operands[i].str(),
                               i);
    if (!has)
      continue;
    // Replicated rows meet experts that are cut: zeros for those held
    // elsewhere.
    if (factor == rule.maskedFactor && operands[first].isShard()) {
      masked = true;
      continue;
    }
    return Transfer::failure(
        "R4",
        operandName(first) + " is " + operands[first].str() + ", but " +
            operandName(i) + ", which has the same dimension, is whole",
        i);
  }

  Transfer transfer;
  transfer.operand = first;
  transfer.step = masked ? TransferStep::Masked : TransferStep::Cut;
  for (llvm::ArrayRef<DimFactor> dims : rule.results) {
    int dim = findDim(dims, factor);
    if (dim >= 0 && !masked) {
      bool rows = dims[dim].form == CutForm::Any
                      ? operands[first].isRagged()
                      : dims[dim].form == CutForm::Rows;
      transfer.results.push_back(rows ? Placement::ragged(dim)
                                      : Placement::shard(dim));
      continue;
    }
    if (!masked)
      transfer.step = TransferStep::Contracted;
    transfer.results.push_back(Placement::partial());
  }
  return transfer;
}

/// What a max is of negated elements.
static Placement reverseOrder(Placement placement) {
  return Placement::partial(placement.reduction == ReductionKind::Max
                                ? ReductionKind::Min
                                : ReductionKind::Max);
}

static Transfer carried(const PlacementRule &rule, Placement placement,
                        unsigned operand, TransferStep step) {
  Transfer transfer;
  transfer.operand = operand;
  transfer.step = step;
  transfer.results.assign(rule.results.size(), placement);
  return transfer;
}

/// Some operand is Partial or Mixed and none is cut.
static Transfer transferTerms(const PlacementRule &rule,
                              llvm::ArrayRef<Placement> operands,
                              unsigned first) {
  Placement placement = operands[first];
  if (rule.linearity == Linearity::Additive) {
    for (unsigned i = 0; i < operands.size(); ++i) {
      if (operands[i].isMixed())
        return carried(rule, operands[i], i, TransferStep::Carried);
      if (operands[i].isPartial() && operands[i] != placement)
        return Transfer::failure("R3",
                                 "terms of a " + placement.str() +
                                     " and of a " + operands[i].str() +
                                     " do not add",
                                 i);
    }
    for (unsigned i = 0; i < operands.size(); ++i)
      if (operands[i].isReplicate() &&
          placement.reduction == ReductionKind::Sum)
        return carried(rule, Placement::mixed(), i, TransferStep::Mixed);
    // avg: the mean of terms plus a constant is the mean plus the constant.
    if (placement.reduction == ReductionKind::Max ||
        placement.reduction == ReductionKind::Min) {
      if (llvm::count_if(operands, [](Placement p) { return p.isPartial(); }) >
          1)
        return Transfer::failure("R2", "two operands are " + placement.str(),
                                 first);
      if (rule.subtractedFrom >= 0 &&
          first >= static_cast<unsigned>(rule.subtractedFrom))
        placement = reverseOrder(placement);
    }
    return carried(rule, placement, first, TransferStep::Carried);
  }

  bool isExtreme =
      placement.isPartial() && (placement.reduction == ReductionKind::Max ||
                                placement.reduction == ReductionKind::Min);
  if (isExtreme && rule.monotone)
    return carried(rule,
                   rule.monotone > 0 ? placement : reverseOrder(placement),
                   first, TransferStep::Carried);
  for (unsigned i = 0; i < operands.size(); ++i) {
    if (operands[i].isReplicate())
      continue;
    if (i != first)
      return Transfer::failure("R2",
                               operandName(first) + " is " + placement.str() +
                                   " and " + operandName(i) + " is " +
                                   operands[i].str() +
                                   ": the product of two sums is not the sum "
                                   "of the products",
                               i);
    if (rule.linearity != Linearity::Multilinear || !rule.linearIn[i])
      return Transfer::failure("R1",
                               operandName(i) + " is " + operands[i].str() +
                                   ", and the operation is not linear in it",
                               i);
  }
  if (isExtreme && !rule.movesData)
    return Transfer::failure("R1",
                             operandName(first) + " is " + placement.str() +
                                 ", which only data movement preserves",
                             first);
  return carried(rule, placement, first, TransferStep::Carried);
}

Transfer moe::spmd::applyPlacementRule(const PlacementRule &rule,
                                       llvm::ArrayRef<Placement> operands) {
  if (rule.ignoresValues) {
    Transfer transfer;
    transfer.operand = 0;
    Placement placement = operands.front();
    bool cut = placement.isCut();
    transfer.step = cut ? TransferStep::Cut : TransferStep::Replicated;
    transfer.results.assign(rule.results.size(),
                            cut ? placement : Placement::replicate());
    return transfer;
  }
  for (unsigned i = 0; i < operands.size(); ++i)
    if (operands[i].isCut())
      return transferCut(rule, operands, i);
  for (unsigned i = 0; i < operands.size(); ++i)
    if (!operands[i].isReplicate())
      return transferTerms(rule, operands, i);
  return carried(rule, Placement::replicate(), 0, TransferStep::Replicated);
}

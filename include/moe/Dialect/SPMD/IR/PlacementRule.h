//===- PlacementRule.h - The one table behind every rule --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An operation describes itself by the factors its dimensions run over and by
// the operands it is linear in. Inference, verification and documentation all
// read this description; nothing else knows a rule.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_PLACEMENTRULE_H
#define MOE_DIALECT_SPMD_IR_PLACEMENTRULE_H

#include "moe/Dialect/SPMD/IR/Placement.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <string>

namespace mlir {
class Operation;
} // namespace mlir

namespace moe::spmd {

/// What becomes of a factor that is cut over a mesh axis.
enum class FactorRole : uint8_t {
  /// Results that have the factor are cut along it. A cut factor which no
  /// result has was summed over: the result is partial<sum>.
  Free,
  /// The operation needs the whole extent (softmax, top-k): no cut allowed.
  Whole,
};

/// How a result depends on the operands, for terms of a sum (Partial).
enum class Linearity : uint8_t {
  /// No operand may be Partial.
  None,
  /// Linear in all operands at once (add): all are Partial or none is.
  Additive,
  /// Linear in each of the listed operands while the others are held: one of
  /// them may be Partial.
  Multilinear,
};

/// The form that the cut of a dimension has.
enum class CutForm : uint8_t {
  /// `shard`.
  Chunks,
  /// `ragged`: rows sorted by expert.
  Rows,
  /// As it comes, in all operands and results alike.
  Any,
};

/// One dimension of an operand or result.
struct DimFactor {
  /// Index into PlacementRule::factors; -1 is a dimension that is never cut.
  int factor = -1;
  CutForm form = CutForm::Chunks;
};

struct PlacementRule {
  llvm::SmallVector<FactorRole> factors;
  llvm::SmallVector<llvm::SmallVector<DimFactor, 4>> operands;
  llvm::SmallVector<llvm::SmallVector<DimFactor, 4>> results;
  Linearity linearity = Linearity::None;
  /// With Multilinear: whether the result is linear in operand i.
  llvm::SmallVector<bool> linearIn;
  /// With Additive: operands from here on are subtracted, which makes a max a
  /// min. -1 if none is.
  int subtractedFrom = -1;
  /// The result is a constant of the operand's shape (fill_like): a Partial
  /// operand gives a replicated result.
  bool ignoresValues = false;
  /// Only moves or copies elements, so that any kind of Partial passes.
  bool movesData = false;
  /// With one operand: 1 if a larger element never gives a smaller one, so that
  /// max and min pass; -1 if it never gives a larger one, which makes a max a
  /// min. 0 if neither is known.
  int monotone = 0;
  /// Factor of the experts where operands that are cut along it may meet rows
  /// that are not: a rank gives zeros for rows of experts it does not hold, so
  /// the result is partial<sum>. -1 if the operation has none.
  int maskedFactor = -1;
  /// The operand with the expert numbers that say where `ragged` rows are cut;
  /// -1 if the operation passes rows on as they are. Rows of two dispatches
  /// have one placement but different cuts.
  int cutsOperand = -1;

  unsigned addFactor(FactorRole role = FactorRole::Free) {
    factors.push_back(role);
    return factors.size() - 1;
  }
};

/// How a result came to its placement on one axis. In this order they are
/// numbered, see getClause: append, and move none.
enum class TransferStep : uint8_t {
  /// Nothing but replicated operands.
  Replicated,
  /// A cut carried from operand to result.
  Cut,
  /// A Partial carried from operand `operand`.
  Carried,
  /// A cut factor was summed over: the result became Partial here.
  Contracted,
  /// Rows of experts held elsewhere are zero: the result became Partial here.
  Masked,
  /// A replicated term was added to a Partial one.
  Mixed,
  /// Data moved: a conversion or a collective.
  Moved,
  /// Stated, not computed: arguments and claims.
  Stated,
};

/// The outcome of a rule on one mesh axis.
struct Transfer {
  bool ok = true;
  llvm::SmallVector<Placement, 2> results;
  TransferStep step = TransferStep::Replicated;
  /// The operand that decided the step; -1 if none did.
  int operand = -1;
  /// If not ok: the label of the rule that was broken (docs/Diagnostics.md)
  /// and what is wrong, in terms of operand numbers.
  llvm::StringRef label;
  std::string reason;
  /// If not ok: the operation of the body that broke it; null if it is the one
  /// that was asked.
  mlir::Operation *culprit = nullptr;

  static Transfer failure(llvm::StringRef label, std::string reason,
                          int operand = -1);
};

/// What is the same of all operations' rules: `k` in `rule N.k`, where `N` is
/// PlacementOpInterface::getRuleNumber. 1 to 9 say how a result is placed;
/// those from 10 on refuse: 11 is R1, 23 is G3.
unsigned getClause(TransferStep step);
unsigned getClause(llvm::StringRef label);
unsigned getClause(const Transfer &transfer);

/// Applies `rule` on one mesh axis. Law: if every operand's local values have
/// the meaning of its placement, the local results have that of theirs.
Transfer applyPlacementRule(const PlacementRule &rule,
                            llvm::ArrayRef<Placement> operands);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_PLACEMENTRULE_H

//===- ReductionCut.h - Which form each value is computed in ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The optimisation problem behind spmd-defer-reductions on one axis, without
// the program: docs/Deferral.md states it, with the proofs.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_REDUCTIONCUT_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_REDUCTIONCUT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>

namespace moe::spmd {

/// Forms of a value, each made of those after it for nothing.
enum Level : uint8_t { PartialLevel, CutLevel, WholeLevel };

/// A value whose form may be chosen.
struct CutItem {
  /// Forms that it can be computed in.
  bool allow[3] = {true, false, true};
  /// Whether it can be cut at all.
  bool cuttable = false;
  /// From partial to cut, from cut to whole, from partial to whole.
  int64_t scatter = 0, gather = 0, reduce = 0;
  /// For every moment that it is partial, to keep within a budget.
  int64_t penalty = 0;
  /// The form that fixed uses need.
  uint8_t fixedUse = PartialLevel;
  /// Uses that cut another dimension, each a collective unless it is whole.
  int64_t otherCuts = 0;

  struct Operand {
    unsigned item;
    /// Whether it may stay partial while the others are whole.
    bool carries = true;
    /// Computed cut, the value needs this operand whole.
    bool wholeIfCut = false;
    /// So it does if it is summed over cuts.
    bool wholeIfContracted = false;
  };
  llvm::SmallVector<Operand, 2> operands;
  /// A product: to be partial, one operand that carries may be, and all others
  /// are whole. A sum takes all its operands in its own form.
  bool product = false;
  /// A product over whose cut operands it sums may be partial for that, too.
  bool contracts = false;
  /// The program itself computes with it as if it were partial.
  bool padded = false;
  /// A whole operand makes it whole.
  bool follows = false;

  /// Chosen: the form it is computed in, and of a partial product the operand
  /// that carries, or that it sums over cuts.
  uint8_t form = PartialLevel;
  unsigned carrier = 0;

  bool isContracted(unsigned carrier) const {
    return carrier == operands.size();
  }
  /// The form that a partial product needs of its operand number `i`.
  uint8_t getNeed(unsigned carrier, unsigned i) const {
    if (isContracted(carrier))
      return operands[i].wholeIfContracted ? WholeLevel : CutLevel;
    return i == carrier ? PartialLevel : WholeLevel;
  }
};

/// What the items need of each: the furthest form. By the chosen forms.
llvm::SmallVector<uint8_t> getNeeds(llvm::ArrayRef<CutItem> items);
/// What the chosen forms cost.
int64_t getCost(llvm::ArrayRef<CutItem> items);
/// Chooses the carrier of each partial product, or that it sums over cuts: what
/// costs least beside what is needed anyway.
void chooseCarriers(llvm::MutableArrayRef<CutItem> items);

struct CutResult {
  int64_t cost = 0;
  /// No plan costs less.
  int64_t lowerBound = 0;
};

/// Chooses the form of each item such that the cost is least; of equal ones the
/// latest. Exact if the cost equals the lower bound.
CutResult chooseForms(llvm::MutableArrayRef<CutItem> items);

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_REDUCTIONCUT_H

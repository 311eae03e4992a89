//===- DeferralProblem.h - What deferral chooses, without the IR *- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Values that depend on each other's forms, as flat arrays: docs/Deferral.md
// states the problem. A function is many of them, most of them alike.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALPROBLEM_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALPROBLEM_H

#include "DeferralForms.h"
#include "ReductionCut.h"
#include <optional>
#include <vector>

namespace moe::spmd {

enum class Policy { Eager, Boundary, MinCut };

/// In which forms an operation can compute its result on one axis, and what it
/// takes then.
struct AxisRule {
  /// By level: partial, cut, whole.
  std::array<bool, 3> allow = {};
  enum Kind : uint8_t {
    /// All operands in the form of the result.
    Sum,
    /// Partial, one operand that carries is, and all others are whole.
    Product,
    /// A single operand that may vary, partial where the result is.
    Single,
    /// As `Single`, and cut where the result is: a conversion of other axes.
    Passes,
  };
  Kind kind = Single;
  /// Operands whose form varies, and those that may be partial alone.
  uint64_t varying = 0, carries = 0;
  /// The dimension that the result may be cut along, and those that operands
  /// are cut along then; -1 for one that stays whole.
  int dim = -1;
  llvm::SmallVector<int16_t, 2> operandDims;
  /// Of a product that is partial as it sums over a dimension that is cut: the
  /// same. Empty if there is none.
  llvm::SmallVector<int16_t, 2> contractedDims;

  bool varies(unsigned operand) const { return varying >> operand & 1; }
};

struct DeferralProblem {
  static constexpr unsigned none = ~0u;

  struct Operand {
    /// The value, if what is made of it depends on this; else `none`, and it is
    /// had in all forms that may be taken.
    unsigned value;
    /// The form that the program has it in.
    Form stated;
  };

  /// A value of the program, whatever conversions it passes.
  struct Item {
    PlacedTensorType type;
    /// The form that the program computes it in.
    Form computed;
    /// By axis the dimension that it may be cut along, as in a form; `partial`
    /// if none.
    Form cuts;
    /// How the operation computes it on each axis; null where it does so in the
    /// form that the program has.
    std::array<const AxisRule *, Form::maxAxes> rules = {};
    /// Axes, as bits, on which something depends on the very terms.
    uint8_t pinned = 0;
    /// Those on which it is computed cut, and needed otherwise.
    uint8_t gathered = 0;
    /// Of these, the ones on which the program pads it.
    uint8_t padded = 0;
    /// How often it is computed.
    int64_t weight = 1;
    /// Of the operation, if the form of its result may vary; and what others
    /// need of it.
    unsigned operandsBegin = 0, operandsEnd = 0;
    unsigned needsBegin = 0, needsEnd = 0;
    /// Where it is computed in the function, and where needed last: for the
    /// memory that it takes.
    unsigned position = 0;
  };

  std::vector<Item> items;
  std::vector<Operand> operands;
  /// What uses need whose form does not vary; where they are.
  std::vector<Form> needs;
  std::vector<unsigned> needPositions;

  bool operator==(const DeferralProblem &that) const;
  uint64_t getHash() const;

  llvm::ArrayRef<Operand> operandsOf(const Item &item) const {
    return llvm::ArrayRef(operands).slice(
        item.operandsBegin, item.operandsEnd - item.operandsBegin);
  }
  llvm::ArrayRef<Form> needsOf(const Item &item) const {
    return llvm::ArrayRef(needs).slice(item.needsBegin,
                                       item.needsEnd - item.needsBegin);
  }
  /// Whether its form, or that of what is made of it, is to be decided on
  /// `axis`.
  static bool isOpen(const Item &item, unsigned axis) {
    return item.rules[axis] || item.computed[axis] == Form::partial ||
           (item.gathered >> axis & 1);
  }
};

/// What is chosen for one value.
struct DeferralChoice {
  std::array<uint8_t, Form::maxAxes> levels = {};
  /// Of a partial product: the operand that carries its terms.
  std::array<uint8_t, Form::maxAxes> carriers = {};
  /// In its place, where it sums over cuts.
  static constexpr uint8_t contracted = 0xff;
  bool isContracted(unsigned axis) const {
    return levels[axis] == PartialLevel && carriers[axis] == contracted;
  }

  bool operator==(const DeferralChoice &that) const {
    return levels == that.levels && carriers == that.carriers;
  }
};
using DeferralPlan = std::vector<DeferralChoice>;

/// The form that the value is computed in.
Form getComputedForm(const DeferralProblem::Item &item,
                     const DeferralChoice &choice);
/// The form that the operation of `item` takes its operand `number` in.
Form getNeededForm(const DeferralProblem::Item &item,
                   const DeferralChoice &choice, unsigned number, Form stated);

struct DeferralOptions {
  Policy policy = Policy::MinCut;
  std::optional<int64_t> memoryBudget;
  bool remarks = false;
};

/// What policies are estimated to cost on one axis while all others are as the
/// program has them; picoseconds.
struct DeferralEstimate {
  int64_t eager = 0, boundary = 0, minCut = 0, atLeast = 0;
};

/// Decides one problem.
class DeferralSearch {
public:
  DeferralSearch(const DeferralProblem &problem, ConversionTrees &trees);

  /// The best plan that it finds. Fails if nothing fits the budget: then `axis`
  /// and `smallest` say on which axis and what would.
  std::optional<DeferralPlan> run(const DeferralOptions &options);
  unsigned axis = 0;
  int64_t smallest = 0;

  DeferralEstimate estimate(unsigned axis);
  int64_t getCost(const DeferralPlan &plan);
  /// The conversions that `plan` needs of value `number`.
  const ConversionTree &getTree(const DeferralPlan &plan, unsigned number);

private:
  struct Stages;

  DeferralPlan getProgram() const;
  void collectNeeds(const DeferralPlan &plan, unsigned number);
  bool canCut(const DeferralPlan &plan, unsigned number, unsigned axis) const;
  bool canContract(const DeferralPlan &plan, unsigned number,
                   unsigned axis) const;
  bool canCutOperands(const DeferralPlan &plan, unsigned number, unsigned axis,
                      llvm::ArrayRef<int16_t> dims) const;
  void addStages(const DeferralPlan &plan, unsigned number, unsigned axis,
                 Stages &stages);
  void addRoot(const DeferralPlan &plan, unsigned number, unsigned axis,
               Stages &stages);
  void addUses(const DeferralPlan &plan, unsigned number, unsigned axis,
               Stages &stages);
  void setPrices(const DeferralPlan &plan, unsigned number, unsigned axis,
                 Stages &stages);
  Stages build(const DeferralPlan &plan, unsigned axis);
  void take(const Stages &stages, unsigned axis, DeferralPlan &plan) const;
  void choose(Stages &stages, Policy policy) const;
  int64_t getPeakBytes(const DeferralPlan &plan, unsigned axis);
  bool chooseWithin(int64_t budget, unsigned axis, DeferralPlan &plan);
  void place(unsigned axis, Policy policy, DeferralPlan &plan);
  bool follow(llvm::ArrayRef<unsigned> order, std::optional<Policy> first,
              const DeferralOptions &options, DeferralPlan &plan);
  void improve(DeferralPlan &plan);

  const DeferralProblem &problem;
  ConversionTrees &trees;
  unsigned numAxes;
  /// Some value's form is to be decided on several axes.
  bool isCrossed = false;
  /// Plans that a course has gone on from, and its first axis.
  std::vector<std::pair<unsigned, DeferralPlan>> visited;
  /// By value, the operations that take it: their value, and which operand.
  std::vector<unsigned> userBegins;
  std::vector<std::pair<unsigned, unsigned>> users;
  llvm::SmallVector<Form> needs;
};

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALPROBLEM_H

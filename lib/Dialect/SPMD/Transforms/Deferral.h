//===- Deferral.h - Where the reductions of one axis go ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H

#include "ReductionCut.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include "moe/Dialect/SPMD/IR/CostModel.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/SetVector.h"
#include <array>

namespace moe::spmd {

using llvm::SmallVector;
using mlir::Operation;
using mlir::OpOperand;
using mlir::Value;

enum class Policy { Eager, Boundary, MinCut };

/// A value whose form on the axis may be chosen. The result of a conversion
/// that reduces is the same value as its operand.
struct Flexible {
  enum Kind {
    /// Becomes Partial here: a contraction, an argument, a claim.
    Created,
    /// Computed from flexible values, in a form that follows from theirs.
    Computed,
    /// The same, a sum: whole terms join it.
    Sum,
  };
  Flexible(Kind kind, Value value) : kind(kind), value(value) {}

  Kind kind;
  Value value;
  /// Indices into the list of uses.
  SmallVector<unsigned> uses;
  /// Conversions that reduced it before.
  SmallVector<Operation *> conversions;
  /// Something depends on its very terms, or leaves it Partial.
  bool mustBePartial = false;
  /// The dimension along which it may be cut; -1 if along none.
  int dim = -1;
  /// Of the operation, the dimension along which each operand is cut then; -1
  /// for one that stays whole.
  SmallVector<int> operandDims;
  /// By the cost model: a sum is scattered, then gathered; or summed whole,
  /// then sliced.
  bool cutFirst = false, wholeFirst = false;

  /// Chosen: the form it is computed in, and the furthest that is needed.
  Form form = PartialForm;
  Form need = PartialForm;
  /// The forms, as far as they exist.
  std::array<Value, 3> forms;
  /// The collectives that made them.
  std::array<Operation *, 3> madeBy = {};
};

/// What one use of a flexible value takes.
struct Use {
  enum Kind { AsResult, Scatter, Partial, Replicated };
  Kind kind;
  OpOperand *operand;
  unsigned entry;
  /// For `AsResult`: the flexible value that the user computes.
  unsigned result = 0;
  /// For `Scatter`: the user reduced before, and does now.
  bool reduced = false, reduces = false;
};

/// A reduction of the program as it was.
struct Reduction {
  Operation *op;
  unsigned entry;
  /// Of the uses, for a reduce-scatter.
  std::optional<unsigned> scatter;
  /// What reduces its terms now.
  llvm::SetVector<Operation *> places;
};

/// One axis of one function.
class Deferral {
public:
  Deferral(mlir::func::FuncOp function, unsigned axis, const CostModel &model)
      : function(function), axis(axis), model(model) {}

  /// Finds the values and their uses. Precondition of all else.
  void collect();
  /// By policy, the chosen forms cost so much; picoseconds.
  int64_t choose(Policy policy);
  /// The most bytes of values that are partial at one time, as chosen.
  int64_t getPeakBytes() const;
  /// Chooses by min-cut such that the peak is within `budget`. Fails if even
  /// `eager` is not.
  mlir::LogicalResult chooseWithin(int64_t budget);
  /// Of the last choice by min-cut: no plan costs less.
  int64_t getLowerBound() const { return lowerBound; }
  unsigned getNumReductions() const;

  /// Rewrites the program to what is chosen; with `remarks` says so.
  void apply(Policy policy, bool remarks);

private:
  Placement get(Value value) const {
    return cast<PlacedTensorType>(value.getType()).getPlacements()[axis];
  }
  bool isPartialSum(Value value) const {
    return isa<PlacedTensorType>(value.getType()) &&
           get(value) == Placement::partial();
  }
  std::optional<unsigned> find(Value value) const {
    auto found = numbers.find(value);
    return found == numbers.end() ? std::nullopt
                                  : std::optional<unsigned>(found->second);
  }
  void add(Flexible entry, CutItem item) {
    numbers[entry.value] = entries.size();
    entries.push_back(std::move(entry));
    items.push_back(std::move(item));
  }
  void addCreated(Value value);
  int findDim(Value value) const {
    auto found = dims.find(value);
    return found == dims.end() ? -1 : found->second;
  }
  bool changesOnly(RedistributeOp op) const;
  bool keepsAxis(RedistributeOp op) const;
  bool canCut(Value value, int dim) const;
  void findDims();
  bool classify(Operation *op);
  bool classifyCut(Operation *op, Flexible &entry, CutItem &item) const;
  void collect(Operation *op);
  void collectUse(OpOperand &operand);
  void pinTerms();
  void price(unsigned number);
  void takeChoice();
  /// Bytes that each rank holds.
  static int64_t bytesOf(Value value);

  void rewrite(Operation *op);
  Form formOf(const Use &use) const;
  Value take(Operation *user, Flexible &entry, Form form);
  Value convert(mlir::OpBuilder &builder, Operation *reason, Value value,
                Placement to);

  void emitRemarks(Policy policy);
  void findLater(unsigned entry, Reduction &reduction,
                 llvm::BitVector &visited) const;
  void findEarlier(unsigned entry, Reduction &reduction,
                   llvm::BitVector &visited) const;
  Operation *findOwn(const Reduction &reduction) const;
  void emitRemark(const Reduction &reduction, llvm::StringRef fate,
                  const std::string &why);
  std::string explainKept(const Reduction &reduction, Policy policy);
  int64_t bytesSentBy(Operation *op) const;

  mlir::func::FuncOp function;
  unsigned axis;
  const CostModel &model;
  SmallVector<Operation *> operations;
  /// Where the values of a cut are cut, found from those who need them so.
  llvm::DenseMap<Value, int> dims;
  /// Side by side: what the program has, and what the optimisation sees.
  std::vector<Flexible> entries;
  std::vector<CutItem> items;
  llvm::DenseMap<Value, unsigned> numbers;
  std::vector<Use> uses;
  /// The use that an operand is.
  llvm::DenseMap<OpOperand *, unsigned> useNumbers;
  int64_t lowerBound = 0;
};

/// For remarks.
std::string microseconds(int64_t picoseconds);

/// Applies a policy to all axes of a function. On several axes tries several
/// orders, each on a copy, and keeps the cheapest.
struct DeferralOptions {
  Policy policy = Policy::MinCut;
  std::optional<int64_t> memoryBudget;
  bool remarks = false;
};
mlir::LogicalResult deferReductions(mlir::func::FuncOp function,
                                    const CostModel &model,
                                    const DeferralOptions &options);

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H

//===- Deferral.h - Where the reductions of one axis go ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/SetVector.h"

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
    /// Linear in its one flexible operand.
    Linear,
    /// A sum: Partial if all terms are, replicated if all are.
    Sum,
  };
  Flexible(Kind kind, Value value) : kind(kind), value(value) {}

  Kind kind;
  Value value;
  /// Flexible operands, as indices into the list of values.
  SmallVector<unsigned> operands;
  /// Indices into the list of uses.
  SmallVector<unsigned> uses;
  /// Conversions that reduced it before.
  SmallVector<Operation *> conversions;
  /// Something depends on its very terms, or leaves it Partial.
  bool mustBePartial = false;
  bool neededReplicated = false;
  /// Conversions that cut it: a Partial one is reduced and scattered at once.
  unsigned numScatters = 0;

  /// Chosen: computed Partial, or replicated.
  bool partial = true;
  /// The two forms, as far as they exist.
  Value partialForm, replicatedForm;
  /// The all-reduce that makes one of the other.
  Operation *reducedBy = nullptr;
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
  Deferral(mlir::func::FuncOp function, unsigned axis)
      : function(function), axis(axis) {}

  void run(Policy policy);

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
  void add(Flexible entry) {
    numbers[entry.value] = entries.size();
    entries.push_back(std::move(entry));
  }
  bool reduces(RedistributeOp op) const;
  std::optional<Flexible::Kind> classify(Operation *op) const;
  void collect(Operation *op);
  void collectUse(OpOperand &operand);
  void pinTerms();
  void choose(Policy policy);
  void chooseCheapest();
  /// Bytes that each rank holds.
  static int64_t bytesOf(Value value);

  void rewrite(Operation *op);
  Value takePartial(Operation *user, Flexible &entry);
  Value takeReplicated(Operation *user, Flexible &entry);
  Value convert(mlir::OpBuilder &builder, Operation *reason, Value value,
                Placement to);

  void emitRemarks(Policy policy);
  void findLater(unsigned entry, Reduction &reduction,
                 llvm::BitVector &visited) const;
  void findEarlier(unsigned entry, Reduction &reduction,
                   llvm::BitVector &visited) const;
  void emitRemark(const Reduction &reduction, llvm::StringRef fate,
                  const std::string &why);
  std::string explainKept(const Reduction &reduction, Policy policy);
  int64_t bytesSentBy(Operation *op) const;

  mlir::func::FuncOp function;
  unsigned axis;
  std::vector<Flexible> entries;
  llvm::DenseMap<Value, unsigned> numbers;
  std::vector<Use> uses;
  /// The use that an operand is.
  llvm::DenseMap<OpOperand *, unsigned> useNumbers;
};

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRAL_H

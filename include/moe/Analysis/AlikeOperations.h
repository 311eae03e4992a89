//===- AlikeOperations.h - What operations have in common -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model is a few hundred different operations, thousands of times each. What
// a rule says of one depends on its name, its properties and the types of its
// operands and results, and is found once for all that agree in these.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ANALYSIS_ALIKEOPERATIONS_H
#define MOE_ANALYSIS_ALIKEOPERATIONS_H

#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseMap.h"
#include <deque>

namespace moe::spmd {

/// Remembers an `Outcome` for operations that are alike. Those that it has seen
/// must stay where they are; their types may change.
template <typename Outcome>
class AlikeOperations {
public:
  /// Where the outcome of operations like `op` is kept, a default one at first;
  /// null for an operation with regions, which is like no other.
  Outcome *find(mlir::Operation *op) {
    if (op->getNumRegions() != 0)
      return nullptr;
    size_t hash = hashOf(op);
    auto [head, isNew] = heads.try_emplace(hash, nullptr);
    for (Class *known = head->second; known; known = known->next)
      if (known->describes(op))
        return &known->outcome;
    classes.emplace_back(op, head->second);
    head->second = &classes.back();
    return &classes.back().outcome;
  }

private:
  struct Class {
    Class(mlir::Operation *first, Class *next) : first(first), next(next) {
      llvm::append_range(operandTypes, first->getOperandTypes());
      llvm::append_range(resultTypes, first->getResultTypes());
    }

    bool describes(mlir::Operation *op) const {
      return first->getName() == op->getName() &&
             llvm::equal(operandTypes, op->getOperandTypes()) &&
             llvm::equal(resultTypes, op->getResultTypes()) &&
             attributesOf(first) == attributesOf(op) &&
             first->getName().compareOpProperties(first->getPropertiesStorage(),
                                                  op->getPropertiesStorage());
    }

    mlir::Operation *first;
    Class *next;
    llvm::SmallVector<mlir::Type, 4> operandTypes;
    llvm::SmallVector<mlir::Type, 2> resultTypes;
    Outcome outcome;
  };

  /// Properties hold what rules may depend on. An operation that has none may
  /// keep it among its other attributes.
  static mlir::DictionaryAttr attributesOf(mlir::Operation *op) {
    return op->getPropertiesStorageSize() ? mlir::DictionaryAttr()
                                          : op->getRawDictionaryAttrs();
  }

  static size_t hashOf(mlir::Operation *op) {
    llvm::hash_code hash =
        llvm::hash_combine(op->getName(), op->hashProperties(),
                           attributesOf(op), op->getNumOperands());
    for (mlir::Type type : op->getOperandTypes())
      hash = llvm::hash_combine(hash, type);
    for (mlir::Type type : op->getResultTypes())
      hash = llvm::hash_combine(hash, type);
    // The map keeps the largest two for itself.
    return static_cast<size_t>(hash) >> 2;
  }

  std::deque<Class> classes;
  llvm::DenseMap<size_t, Class *> heads;
};

} // namespace moe::spmd

#endif // MOE_ANALYSIS_ALIKEOPERATIONS_H

//===- Edits.h - Changes of a correct program -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_EVIDENCE_EDITS_H
#define MOE_TEST_EVIDENCE_EDITS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Reference/Numerics.h"
#include "llvm/ADT/SetVector.h"

namespace moe::evidence {

/// Changes one thing of a function whose placements are known. Edits choose by
/// `random` and by what the program looks like, not by its sizes.
class Editor {
public:
  Editor(mlir::func::FuncOp function, reference::Random &random);

  /// The classes of edits.
  static llvm::ArrayRef<llvm::StringLiteral> classes();
  /// Makes an edit of the class; false if there is nothing to edit.
  bool apply(llvm::StringRef editClass);
  /// Operations whose type the edit has stated. All others of the moe dialect
  /// have placements that follow.
  const llvm::SetVector<mlir::Operation *> &getStated() const { return stated; }

  /// Claims the inferred placement of up to `number` values.
  void addTrueClaims(unsigned number);

private:
  struct Reduction {
    mlir::Operation *op;
    unsigned axis;
  };

  unsigned below(unsigned bound) { return random() % bound; }
  template <typename T>
  T pick(llvm::ArrayRef<T> list) {
    return list[below(list.size())];
  }
  std::vector<Reduction> reductions();
  std::vector<mlir::Operation *> claims();
  std::vector<mlir::Operation *> conversions();
  /// Results and arguments with a gradient or without, but no rows that are cut
  /// by expert.
  std::vector<mlir::Value> values();
  llvm::StringRef axisName(mlir::Value value, unsigned axis);
  /// Placements of `value` with one changed on `axis`; empty if they make no
  /// type.
  llvm::SmallVector<spmd::Placement> changed(mlir::Value value, unsigned axis,
                                             spmd::Placement to);
  spmd::Placement drawPlacement(mlir::Value value);
  /// A mean too, but no maximum: the order of the field is not kept by sums.
  spmd::Placement drawBelief(mlir::Value value);
  bool retype(mlir::Operation *op, unsigned axis, spmd::Placement to);

  bool dropReduction();
  bool doubleReduction();
  bool moveReduction();
  bool changeAxis();
  bool changeKind();
  bool flipClaim();
  bool changeDimension();
  bool swapClaims();
  bool reductionToClaim();
  bool claimToConversion();
  bool addRoundTrip();
  bool swapCollective();
  bool reduceEarly();
  bool addClaim();
  bool stateType();
  bool changeArgument();
  bool changeRequirement();
  bool swapTerms();

  mlir::func::FuncOp function;
  reference::Random &random;
  mlir::OpBuilder builder;
  unsigned numAxes;
  llvm::SetVector<mlir::Operation *> stated;
};

} // namespace moe::evidence

#endif // MOE_TEST_EVIDENCE_EDITS_H

//===- RuleNumbers.h - Rules by number, and errors that cite them -*- C++ -*-=//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_EVIDENCE_RULENUMBERS_H
#define MOE_TEST_EVIDENCE_RULENUMBERS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include <compare>
#include <string>
#include <vector>

namespace moe::evidence {

/// `N.k` of docs/Rules.md.
struct RuleNumber {
  unsigned operation = 0, clause = 0;

  auto operator<=>(const RuleNumber &) const = default;
  std::string str() const;
};

/// The rules by which the result of `op` follows from these placements on one
/// axis, or is refused: of a `spmd.compute`, those of its body up to there.
std::vector<RuleNumber> rulesOf(mlir::Operation *op, unsigned axis,
                                llvm::ArrayRef<spmd::Placement> operands);

/// The placements of each operand, axis by axis.
using Tuple = std::vector<std::vector<spmd::Placement>>;

/// The operation of `function` that is described: its first, or in the body of
/// a `spmd.compute` the one that gives the result.
mlir::Operation *getSubject(mlir::func::FuncOp function);

/// What the compiler reports of the function, its arguments placed so, that
/// rests on the rule: of a refusal the error, of other rules the error or the
/// note that cites it where something false is believed of the result. Empty if
/// it cites it nowhere.
std::string diagnose(mlir::func::FuncOp function, const Tuple &tuple,
                     RuleNumber rule);

/// Prints the rules of the operations, one function for each, as sections of
/// docs/Rules.md: `tuples` gives the placements on the one axis of a function's
/// operands. Fails where the compiler cites a rule nowhere.
mlir::LogicalResult printSpecification(
    mlir::ModuleOp module,
    llvm::function_ref<std::vector<Tuple>(mlir::func::FuncOp)> tuples,
    llvm::raw_ostream &os);

} // namespace moe::evidence

#endif // MOE_TEST_EVIDENCE_RULENUMBERS_H

//===- ExactCheck.h - What execution says of a program's beliefs -*- C++
//-*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs a function on simulated ranks in the prime field, beside itself on one
// device. A claim is false if the local values at it do not have the claimed
// meaning, the meaning being the value of the run on one device. Like the
// verifier, execution goes on with what is claimed. Knows no placement rule.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_EXACTCHECK_H
#define MOE_REFERENCE_EXACTCHECK_H

#include "moe/Reference/Interpreter.h"
#include "llvm/ADT/SetVector.h"

namespace moe::reference {

/// What execution shows.
struct Execution {
  /// Claims, conversions, collectives and returns whose operand is not what it
  /// is taken for.
  llvm::SmallSetVector<mlir::Operation *, 8> faults;
  int64_t claims = 0;
  /// An operation that made something wrong out of operands that were right.
  /// Only a sum of a replicated and a partial term may.
  std::string unsound;
};

/// Integers for an argument of the reference: counts that add up to the rows
/// they count, or expert numbers, of which those of a token differ.
IndexTensor drawIndices(mlir::BlockArgument argument, Random &random);

/// Runs `function` on random data. Failures are reported where they happen.
mlir::FailureOr<Execution> checkExactly(mlir::func::FuncOp function,
                                        const RankMesh &mesh, Random &random);

} // namespace moe::reference

#endif // MOE_REFERENCE_EXACTCHECK_H

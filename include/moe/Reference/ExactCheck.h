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
  /// Claims, conversions, collectives, returns, and what passes values into and
  /// out of loops, branches and functions, whose operand is not what it is
  /// taken for, in what is called too.
  llvm::SmallSetVector<mlir::Operation *, 8> faults;
  int64_t claims = 0;
  /// Other operations that made something wrong of operands that were right, or
  /// could not be executed on them. Only a sum of a replicated and a partial
  /// term may; inference says so of none.
  llvm::SmallSetVector<mlir::Operation *, 8> unsound;
  /// Values that do not mean what they would on one device: sums of a
  /// replicated and a partial term, and what is computed of them.
  llvm::DenseSet<mlir::Value> meaningless;
  /// How many results of the function are.
  int64_t meaninglessResults = 0;
};

/// Integers for an argument of the reference: counts that add up to the rows
/// they count, or expert numbers, of which those of a token differ.
IndexTensor drawIndices(mlir::BlockArgument argument, Random &random);

/// Runs `function` on random data. After a fault execution goes on with what is
/// believed. Failures are reported where they happen.
mlir::FailureOr<Execution> checkExactly(mlir::func::FuncOp function,
                                        const RankMesh &mesh, Random &random);

} // namespace moe::reference

#endif // MOE_REFERENCE_EXACTCHECK_H

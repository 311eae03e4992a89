//===- Interpreter.h - Runs a function on simulated ranks -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Executes one function in lock step on all ranks of its mesh. Operations see
// local values only and know no placement rule. Types are consulted where a
// local program has to know them: by conversions, where tokens are exchanged,
// and for which experts a rank holds. So a program with false claims computes
// what it would compute on a cluster.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_INTERPRETER_H
#define MOE_REFERENCE_INTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Reference/Placing.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>

namespace moe::reference {

/// The mesh that all values of `function` share. Emits an error if there are
/// several or none, a value that is no placed tensor, one too large to hold, or
/// more ranks than `RankMesh::maxRanks`.
mlir::FailureOr<spmd::MeshAttr> getMesh(mlir::func::FuncOp function);

/// T is double or Field.
template <typename T>
class Interpreter {
public:
  /// Called after each operation with its results, which it may replace.
  using AfterOp = std::function<mlir::LogicalResult(
      mlir::Operation *, llvm::MutableArrayRef<LocalValues<T>>)>;

  /// Called with an operation that can't be executed, and why: what its result
  /// is to be, or a failure, which the hook has reported.
  using OnFailure = std::function<mlir::FailureOr<LocalValues<T>>(
      mlir::Operation *, llvm::StringRef)>;

  /// Runs on the ranks of `mesh`; on `mesh.unsharded()` conversions, claims and
  /// collectives are identities, and the result is the ground truth.
  explicit Interpreter(RankMesh mesh) : mesh(std::move(mesh)) {}

  void setAfterOp(AfterOp hook) { afterOp = std::move(hook); }
  void setOnFailure(OnFailure hook) { onFailure = std::move(hook); }

  /// The results of `function`, whose body is one block. `args[i][r]` is what
  /// rank r holds of argument i. Failures are reported where they happen.
  mlir::FailureOr<std::vector<LocalValues<T>>>
  run(mlir::func::FuncOp function, llvm::ArrayRef<LocalValues<T>> args);

  /// Of all runs so far.
  const CollectiveStatistics &getStatistics() const { return statistics; }

private:
  using Outcome = mlir::FailureOr<LocalValues<T>>;

  Outcome evaluate(mlir::Operation *op, std::string &error);
  Outcome evaluatePlacing(mlir::Operation *op, std::string &error);
  Outcome evaluateRows(mlir::Operation *op, std::string &error);
  mlir::FailureOr<Value<T>> evaluateOnRank(mlir::Operation *op, int64_t rank,
                                           std::string &error);

  RankMesh mesh;
  AfterOp afterOp;
  OnFailure onFailure;
  CollectiveStatistics statistics;
  llvm::DenseMap<mlir::Value, LocalValues<T>> values;
};

/// Runs `function` on the ranks of its mesh.
template <typename T>
mlir::FailureOr<std::vector<LocalValues<T>>>
runFunction(mlir::func::FuncOp function, llvm::ArrayRef<LocalValues<T>> args);

} // namespace moe::reference

#endif // MOE_REFERENCE_INTERPRETER_H

//===- Interpreter.h - Runs a function on simulated ranks -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Executes one function, and what it calls, in lock step on all ranks of its
// mesh. Loops and branches are taken by all ranks alike, for what is no placed
// tensor has one value, that of folding it. Operations see
// local values only and know no placement rule. Types are consulted where a
// local program has to know them: by conversions, where tokens are exchanged,
// and for which experts a rank holds. So a program with false claims computes
// what it would compute on a cluster.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_INTERPRETER_H
#define MOE_REFERENCE_INTERPRETER_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"
#include "moe/Reference/Placing.h"
#include "llvm/ADT/DenseMap.h"
#include <functional>

namespace moe::reference {

/// The mesh that all values of `function`, and of what it calls, share. Emits
/// an error if there are several or none, an argument that is no placed tensor,
/// a value too large to hold, more ranks than `RankMesh::maxRanks`, a call of a
/// function without a body, or one that calls itself.
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

  /// Called when a value passes into a loop, a branch or a function, or out of
  /// it, with what it becomes there. It may replace what the ranks hold.
  using OnPass = std::function<mlir::LogicalResult(
      mlir::OpOperand &, mlir::Value, LocalValues<T> &)>;

  /// No program executes more operations than this, to end.
  static constexpr int64_t maxOperations = int64_t(1) << 22;

  /// Runs on the ranks of `mesh`; on `mesh.unsharded()` conversions, claims and
  /// collectives are identities, and the result is the ground truth.
  explicit Interpreter(RankMesh mesh) : mesh(std::move(mesh)) {}

  /// What argument `number` of the function is, which is no placed tensor but
  /// an integer or an index; what it holds of it in `run` is not looked at.
  void setInteger(unsigned number, int64_t value) { integers[number] = value; }
  void setAfterOp(AfterOp hook) { afterOp = std::move(hook); }
  void setOnFailure(OnFailure hook) { onFailure = std::move(hook); }
  void setOnPass(OnPass hook) { onPass = std::move(hook); }

  /// The results of `function`, whose body is one block. `args[i][r]` is what
  /// rank r holds of argument i. Failures are reported where they happen.
  mlir::FailureOr<std::vector<LocalValues<T>>>
  run(mlir::func::FuncOp function, llvm::ArrayRef<LocalValues<T>> args);

  /// Of all runs so far.
  const CollectiveStatistics &getStatistics() const { return statistics; }

private:
  using Outcome = mlir::FailureOr<LocalValues<T>>;
  /// Where a value passes from, and what it becomes.
  using Passed = std::pair<mlir::OpOperand *, mlir::Value>;

  mlir::LogicalResult execute(mlir::Block &block);
  mlir::LogicalResult execute(mlir::Operation *op);
  mlir::LogicalResult executeLoop(mlir::scf::ForOp loop);
  mlir::LogicalResult executeBranch(mlir::scf::IfOp branch);
  mlir::LogicalResult executeCall(mlir::func::CallOp call);
  mlir::LogicalResult executeScalars(mlir::Operation *op);
  mlir::LogicalResult pass(llvm::ArrayRef<Passed> passed);
  mlir::FailureOr<llvm::APInt> getInteger(mlir::Operation *op,
                                          mlir::Value scalar);
  Outcome evaluate(mlir::Operation *op, std::string &error);
  Outcome evaluatePlacing(mlir::Operation *op, std::string &error);
  Outcome evaluateRows(mlir::Operation *op, std::string &error);
  mlir::FailureOr<Value<T>> evaluateOnRank(mlir::Operation *op, int64_t rank,
                                           std::string &error);

  RankMesh mesh;
  AfterOp afterOp;
  OnFailure onFailure;
  OnPass onPass;
  llvm::DenseMap<unsigned, int64_t> integers;
  CollectiveStatistics statistics;
  llvm::DenseMap<mlir::Value, LocalValues<T>> values;
  /// What is no placed tensor, the same on all ranks.
  llvm::DenseMap<mlir::Value, mlir::Attribute> scalars;
  int64_t numExecuted = 0;
};

/// Runs `function` on the ranks of its mesh.
template <typename T>
mlir::FailureOr<std::vector<LocalValues<T>>>
runFunction(mlir::func::FuncOp function, llvm::ArrayRef<LocalValues<T>> args);

} // namespace moe::reference

#endif // MOE_REFERENCE_INTERPRETER_H

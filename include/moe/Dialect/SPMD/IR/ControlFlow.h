//===- ControlFlow.h - Loops, branches and calls ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The regions and calls that the passes understand: `scf.for`, `scf.if` and
// `func.call`. A value that passes into or out of one is the same tensor on the
// other side, placed in the same way.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_CONTROLFLOW_H
#define MOE_DIALECT_SPMD_IR_CONTROLFLOW_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace moe::spmd {

/// Whether `op` is a loop or a branch that the passes look into.
inline bool isStructured(mlir::Operation *op) {
  return llvm::isa<mlir::scf::ForOp, mlir::scf::IfOp>(op);
}

/// Whether placed tensors are operands or results of `op` or of an operation in
/// its regions.
bool touchesPlacedTensors(mlir::Operation *op);
/// The operations of a block in order, each followed by those of its regions if
/// it is structured. Bodies of `spmd.compute` are one operation.
void walkInOrder(mlir::Block &block,
                 llvm::function_ref<void(mlir::Operation *)> visit);
/// Those of a function of one block.
llvm::SmallVector<mlir::Operation *> getOperations(mlir::func::FuncOp function);

/// The operands that `value` is one of when the program runs: of a value that a
/// loop carries where it starts and where it is yielded, of the result of a
/// branch both yields. Empty for any other value.
llvm::SmallVector<mlir::OpOperand *, 2> getSources(mlir::Value value);
/// The other way round: the values that `operand` becomes.
llvm::SmallVector<mlir::Value, 2> getTargets(mlir::OpOperand &operand);

/// The function that is called; null if there is no such function.
mlir::func::FuncOp getCallee(mlir::func::CallOp call);
/// What a function of one block returns; empty for a declaration.
mlir::OperandRange getReturned(mlir::func::FuncOp function);
/// The functions that `function` calls, and those that these call, each once;
/// itself only if it calls itself.
llvm::SmallVector<mlir::func::FuncOp> getCallees(mlir::func::FuncOp function);
/// A call by which one of `functions`, or one that they reach, calls itself,
/// through others or not; null if there is none.
mlir::func::CallOp findRecursion(llvm::ArrayRef<mlir::func::FuncOp> functions);

/// Puts what is called, if placed tensors are passed or returned, in place of
/// the calls in `function`, and of those that come with it. Each operation says
/// in its location by which call it is there. What can't be inlined is an error
/// that begins with `label`, which may be empty: code that is not seen, that
/// calls itself, or that is too much.
mlir::LogicalResult inlineCalls(mlir::func::FuncOp function,
                                llvm::StringRef label);

/// The operation by which `scalar` may differ between ranks; null if all have
/// the same. It does not differ if it is computed by `arith` and `math` of
/// constants, of arguments of functions, which whoever calls them answers for,
/// and of what loops count. `known` has values that are the same on all ranks,
/// and gets those that are found to be.
mlir::Operation *findRankDependence(mlir::Value scalar,
                                    llvm::DenseSet<mlir::Value> &known);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_CONTROLFLOW_H

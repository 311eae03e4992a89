//===- ControlFlow.cpp - Loops, branches and calls in lock step -----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/Interpreter.h"

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failed;
using mlir::failure;
using mlir::success;

template <typename T>
mlir::LogicalResult Interpreter<T>::execute(mlir::Block &block) {
  for (mlir::Operation &op : block.without_terminator())
    if (failed(execute(&op)))
      return failure();
  return success();
}

/// Scalars are folded: upstream's own account of what they are.
template <typename T>
mlir::LogicalResult Interpreter<T>::executeScalars(mlir::Operation *op) {
  SmallVector<mlir::Attribute> operands;
  for (mlir::Value operand : op->getOperands())
    operands.push_back(scalars.lookup(operand));
  SmallVector<mlir::OpFoldResult> results;
  if (op->getNumRegions() || failed(op->fold(operands, results)) ||
      results.size() != op->getNumResults())
    return op->emitError("the reference can't execute '")
           << op->getName() << "'";
  for (auto [value, result] : llvm::zip_equal(op->getResults(), results)) {
    auto attribute = llvm::dyn_cast<mlir::Attribute>(result);
    scalars[value] =
        attribute ? attribute : scalars.lookup(llvm::cast<mlir::Value>(result));
  }
  return success();
}

template <typename T>
mlir::FailureOr<llvm::APInt> Interpreter<T>::getInteger(mlir::Operation *op,
                                                        mlir::Value scalar) {
  auto integer =
      llvm::dyn_cast_or_null<mlir::IntegerAttr>(scalars.lookup(scalar));
  if (!integer)
    return op->emitError("the reference does not know on what it depends how "
                         "often this is executed");
  return integer.getValue();
}

/// All at once: what a loop yields may be what it carries.
template <typename T>
mlir::LogicalResult Interpreter<T>::pass(ArrayRef<Passed> passed) {
  SmallVector<LocalValues<T>> locals;
  SmallVector<mlir::Attribute> attributes;
  for (auto [operand, target] : passed) {
    locals.emplace_back();
    attributes.push_back(scalars.lookup(operand->get()));
    auto known = values.find(operand->get());
    if (known == values.end())
      continue;
    locals.back() = known->second;
    if (onPass && failed(onPass(*operand, target, locals.back())))
      return failure();
  }
  for (auto [to, local, attribute] :
       llvm::zip_equal(passed, locals, attributes)) {
    if (!local.empty())
      values[to.second] = std::move(local);
    else
      scalars[to.second] = attribute;
  }
  return success();
}

template <typename T>
mlir::LogicalResult Interpreter<T>::executeLoop(mlir::scf::ForOp loop) {
  auto lower = getInteger(loop, loop.getLowerBound());
  auto upper = getInteger(loop, loop.getUpperBound());
  auto step = getInteger(loop, loop.getStep());
  if (failed(lower) || failed(upper) || failed(step))
    return failure();
  bool isUnsigned = loop.getUnsignedCmp();
  if (step->isZero() || (!isUnsigned && step->isNegative()))
    return loop.emitError("the step of this loop is ")
           << step->getSExtValue() << ", but must be positive";
  auto goesOn = [&](const llvm::APInt &at) {
    return isUnsigned ? at.ult(*upper) : at.slt(*upper);
  };
  auto operandsOf = [&](mlir::MutableArrayRef<mlir::OpOperand> operands,
                        mlir::ValueRange targets) {
    SmallVector<Passed> passed;
    for (auto [operand, target] : llvm::zip_equal(operands, targets))
      passed.push_back({&operand, target});
    return passed;
  };
  mlir::MutableArrayRef<mlir::OpOperand> from = loop.getInitArgsMutable();
  for (llvm::APInt at = *lower; goesOn(at);) {
    if (failed(pass(operandsOf(from, loop.getRegionIterArgs()))))
      return failure();
    scalars[loop.getInductionVar()] =
        mlir::IntegerAttr::get(loop.getInductionVar().getType(), at);
    // A body of nothing counts too.
    if (++numExecuted > maxOperations)
      return loop.emitError("the reference executes ")
             << maxOperations << " operations at most";
    if (failed(execute(*loop.getBody())))
      return failure();
    from = loop.getBody()->getTerminator()->getOpOperands();
    bool overflow = false;
    at = isUnsigned ? at.uadd_ov(*step, overflow) : at.sadd_ov(*step, overflow);
    if (overflow)
      break;
  }
  return pass(operandsOf(from, loop.getResults()));
}

template <typename T>
mlir::LogicalResult Interpreter<T>::executeBranch(mlir::scf::IfOp branch) {
  auto condition = getInteger(branch, branch.getCondition());
  if (failed(condition))
    return failure();
  mlir::Block *taken =
      condition->isZero() ? branch.elseBlock() : branch.thenBlock();
  if (!taken)
    return success();
  if (failed(execute(*taken)))
    return failure();
  SmallVector<Passed> passed;
  for (auto [operand, result] : llvm::zip_equal(
           taken->getTerminator()->getOpOperands(), branch.getResults()))
    passed.push_back({&operand, result});
  return pass(passed);
}

template <typename T>
mlir::LogicalResult Interpreter<T>::executeCall(mlir::func::CallOp call) {
  mlir::func::FuncOp callee = spmd::getCallee(call);
  SmallVector<Passed> passed;
  for (auto [operand, argument] :
       llvm::zip_equal(call->getOpOperands(), callee.getArguments()))
    passed.push_back({&operand, argument});
  mlir::Block &body = callee.getBody().front();
  if (failed(pass(passed)) || failed(execute(body)))
    return failure();
  if (!llvm::isa<mlir::func::ReturnOp>(body.getTerminator()))
    return callee.emitError("the reference found no func.return");
  passed.clear();
  for (auto [operand, result] : llvm::zip_equal(
           body.getTerminator()->getOpOperands(), call.getResults()))
    passed.push_back({&operand, result});
  return pass(passed);
}

#define INSTANTIATE(T)                                                         \
  template mlir::LogicalResult Interpreter<T>::execute(mlir::Block &);         \
  template mlir::LogicalResult Interpreter<T>::executeScalars(                 \
      mlir::Operation *);                                                      \
  template mlir::LogicalResult Interpreter<T>::executeLoop(mlir::scf::ForOp);  \
  template mlir::LogicalResult Interpreter<T>::executeBranch(mlir::scf::IfOp); \
  template mlir::LogicalResult Interpreter<T>::executeCall(mlir::func::CallOp);
INSTANTIATE(double)
INSTANTIATE(Field)
#undef INSTANTIATE

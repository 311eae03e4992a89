//===- ControlFlow.cpp - Loops, branches and calls ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/ControlFlow.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe::spmd;

bool moe::spmd::touchesPlacedTensors(Operation *op) {
  auto isPlaced = [](Value value) {
    return isa<PlacedTensorType>(value.getType());
  };
  return op
      ->walk([&](Operation *inner) {
        return llvm::any_of(inner->getOperands(), isPlaced) ||
                       llvm::any_of(inner->getResults(), isPlaced)
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

void moe::spmd::walkInOrder(Block &block,
                            llvm::function_ref<void(Operation *)> visit) {
  for (Operation &op : block) {
    visit(&op);
    if (!isStructured(&op))
      continue;
    for (Region &region : op.getRegions())
      for (Block &inner : region)
        walkInOrder(inner, visit);
  }
}

SmallVector<Operation *> moe::spmd::getOperations(func::FuncOp function) {
  SmallVector<Operation *> operations;
  walkInOrder(function.getBody().front(),
              [&](Operation *op) { operations.push_back(op); });
  return operations;
}

SmallVector<OpOperand *, 2> moe::spmd::getSources(Value value) {
  auto ofLoop = [](scf::ForOp loop, unsigned i) -> SmallVector<OpOperand *, 2> {
    return {&loop.getInitArgsMutable()[i],
            &loop.getBody()->getTerminator()->getOpOperand(i)};
  };
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop || argument.getArgNumber() == 0)
      return {};
    return ofLoop(loop, argument.getArgNumber() - 1);
  }
  unsigned number = cast<OpResult>(value).getResultNumber();
  if (auto loop = value.getDefiningOp<scf::ForOp>())
    return ofLoop(loop, number);
  if (auto branch = value.getDefiningOp<scf::IfOp>())
    return {&branch.thenYield()->getOpOperand(number),
            &branch.elseYield()->getOpOperand(number)};
  return {};
}

SmallVector<Value, 2> moe::spmd::getTargets(OpOperand &operand) {
  Operation *owner = operand.getOwner();
  unsigned number = operand.getOperandNumber();
  if (auto loop = dyn_cast<scf::ForOp>(owner)) {
    if (number < loop.getNumControlOperands())
      return {};
    number -= loop.getNumControlOperands();
    return {loop.getRegionIterArg(number), loop.getResult(number)};
  }
  if (!isa<scf::YieldOp>(owner))
    return {};
  Operation *parent = owner->getParentOp();
  if (auto loop = dyn_cast<scf::ForOp>(parent))
    return {loop.getRegionIterArg(number), loop.getResult(number)};
  if (isa<scf::IfOp>(parent))
    return {parent->getResult(number)};
  return {};
}

func::FuncOp moe::spmd::getCallee(func::CallOp call) {
  return SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
      call, call.getCalleeAttr());
}

OperandRange moe::spmd::getReturned(func::FuncOp function) {
  if (!function.isDeclaration())
    if (auto ret = dyn_cast<func::ReturnOp>(
            function.getBody().front().getTerminator()))
      return ret.getOperands();
  return OperandRange(nullptr, 0);
}

/// The calls in a function of one block.
static SmallVector<func::CallOp> getCalls(func::FuncOp function) {
  SmallVector<func::CallOp> calls;
  if (llvm::hasSingleElement(function.getBody()))
    walkInOrder(function.getBody().front(), [&](Operation *op) {
      if (auto call = dyn_cast<func::CallOp>(op))
        calls.push_back(call);
    });
  return calls;
}

SmallVector<func::FuncOp> moe::spmd::getCallees(func::FuncOp function) {
  llvm::SmallSetVector<func::FuncOp, 4> reached;
  SymbolTableCollection tables;
  auto visit = [&](func::FuncOp caller) {
    for (func::CallOp call : getCalls(caller))
      if (auto callee = tables.lookupNearestSymbolFrom<func::FuncOp>(
              call, call.getCalleeAttr()))
        reached.insert(callee);
  };
  visit(function);
  for (unsigned i = 0; i < reached.size(); ++i)
    visit(reached[i]);
  return reached.takeVector();
}

func::CallOp moe::spmd::findRecursion(ArrayRef<func::FuncOp> functions) {
  // Depth first; a call of a function that is not done is part of a cycle.
  struct Open {
    func::FuncOp function;
    SmallVector<func::CallOp> calls;
  };
  DenseMap<Operation *, bool> done;
  SymbolTableCollection tables;
  std::vector<Open> open;
  auto enter = [&](func::FuncOp function) {
    auto [entry, isNew] = done.try_emplace(function, false);
    if (isNew) {
      open.push_back({function, getCalls(function)});
      std::reverse(open.back().calls.begin(), open.back().calls.end());
    }
    return isNew || entry->second;
  };
  for (func::FuncOp function : functions) {
    enter(function);
    while (!open.empty()) {
      if (open.back().calls.empty()) {
        done[open.back().function] = true;
        open.pop_back();
        continue;
      }
      func::CallOp call = open.back().calls.pop_back_val();
      auto callee = tables.lookupNearestSymbolFrom<func::FuncOp>(
          call, call.getCalleeAttr());
      if (callee && !enter(callee))
        return call;
    }
  }
  return nullptr;
}

/// Replaces a call by the operations of a function of one block; adds the calls
/// among them to `calls`.
static void inlineCall(func::CallOp call, func::FuncOp callee,
                       SmallVectorImpl<func::CallOp> &calls) {
  OpBuilder builder(call);
  IRMapping mapping;
  mapping.map(callee.getArguments(), call.getOperands());
  for (Operation &op : callee.getBody().front().without_terminator())
    builder.clone(op, mapping)->walk<WalkOrder::PreOrder>([&](Operation *op) {
      op->setLoc(CallSiteLoc::get(op->getLoc(), call.getLoc()));
      if (auto inner = dyn_cast<func::CallOp>(op))
        calls.push_back(inner);
    });
  SmallVector<Value> results;
  for (Value returned : getReturned(callee))
    results.push_back(mapping.lookup(returned));
  call->replaceAllUsesWith(results);
  call->erase();
}

LogicalResult moe::spmd::inlineCalls(func::FuncOp function, StringRef label) {
  // A chain of functions that call the next one twice doubles at each.
  constexpr size_t mostOperations = 1'000'000;
  auto isPlaced = [](Type type) { return isa<PlacedTensorType>(type); };
  SmallVector<func::CallOp> calls = getCalls(function);
  if (calls.empty())
    return success();
  if (func::CallOp call = findRecursion(function))
    return emitError(call.getLoc())
           << label << "'@" << call.getCallee()
           << "' calls itself and cannot be inlined; help: use scf.for";
  DenseMap<Operation *, size_t> sizes;
  SymbolTableCollection tables;
  size_t numOperations = 0;
  while (!calls.empty()) {
    func::CallOp call = calls.pop_back_val();
    if (llvm::none_of(call.getOperandTypes(), isPlaced) &&
        llvm::none_of(call.getResultTypes(), isPlaced))
      continue;
    auto fail = [&](const Twine &why, const Twine &help) {
      return emitError(call.getLoc())
             << label << "cannot inline '@" << call.getCallee() << "': " << why
             << "; help: " << help;
    };
    auto callee = tables.lookupNearestSymbolFrom<func::FuncOp>(
        call, call.getCalleeAttr());
    if (!callee || callee.isDeclaration())
      return fail("it has no body", "declare what it does with spmd.opaque");
    if (!llvm::hasSingleElement(callee.getBody()) ||
        !isa<func::ReturnOp>(callee.getBody().front().getTerminator()))
      return fail("it is not one block that ends in func.return",
                  "use structured operations");
    size_t &size = sizes[callee];
    if (!size)
      size = getOperations(callee).size();
    numOperations += size;
    if (numOperations > mostOperations)
      return fail("what is called has more than " + Twine(mostOperations) +
                      " operations",
                  "call less often");
    inlineCall(call, callee, calls);
  }
  return success();
}

Operation *moe::spmd::findRankDependence(Value scalar, DenseSet<Value> &known) {
  // What is taken for the same on the way is, unless something below is not.
  llvm::SmallSetVector<Value, 8> reached;
  auto reach = [&](Value value) {
    if (!known.contains(value))
      reached.insert(value);
  };
  reach(scalar);
  for (unsigned i = 0; i < reached.size(); ++i) {
    Value value = reached[i];
    SmallVector<OpOperand *, 2> sources = getSources(value);
    for (OpOperand *source : sources)
      reach(source->get());
    Operation *op = value.getDefiningOp();
    if (auto loop = dyn_cast_or_null<scf::ForOp>(op))
      for (Value bound :
           {loop.getLowerBound(), loop.getUpperBound(), loop.getStep()})
        reach(bound);
    else if (auto branch = dyn_cast_or_null<scf::IfOp>(op))
      reach(branch.getCondition());
    if (!op || !sources.empty())
      continue;
    if (auto call = dyn_cast<func::CallOp>(op)) {
      func::FuncOp callee = getCallee(call);
      if (!callee || !llvm::hasSingleElement(callee.getBody()))
        return op;
      for (Value operand : op->getOperands())
        if (operand.getType().isIntOrIndexOrFloat())
          reach(operand);
      OperandRange returned = getReturned(callee);
      if (returned.empty())
        return op;
      reach(returned[cast<OpResult>(value).getResultNumber()]);
      continue;
    }
    if (!isa_and_nonnull<arith::ArithDialect, math::MathDialect>(
            op->getDialect()))
      return op;
    for (Value operand : op->getOperands())
      reach(operand);
  }
  known.insert_range(reached);
  return nullptr;
}

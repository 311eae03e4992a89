//===- Differentiate.cpp - Reverse mode on the global function ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"

namespace moe {
#define GEN_PASS_DEF_DIFFERENTIATE
#include "moe/AutoDiff/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

namespace {

constexpr StringLiteral kJointSuffix = ".vjp";

bool hasGradient(Type type) {
  auto tensor = dyn_cast<PlacedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

/// What a cotangent that arrives from outside looks like: whole where the value
/// leaves whole, and where it leaves as terms of a sum.
PlacedTensorType seedType(PlacedTensorType type) {
  SmallVector<Placement> placements(type.getPlacements());
  for (Placement &placement : placements)
    if (placement.isPartial())
      placement = Placement::replicate();
  return type.withPlacements(placements);
}

/// Makes one joint function.
class Differentiator {
public:
  Differentiator(func::FuncOp primal, SymbolTable &symbols)
      : primal(primal), symbols(symbols), builder(primal.getContext()) {}

  LogicalResult run();

private:
  LogicalResult checkPrimal();
  /// Creates the function with its arguments; results are set at the end.
  void createJoint();
  LogicalResult emitBackward(func::ReturnOp primalReturn);
  LogicalResult emitOperandCotangents(Operation *op);
  void finish(func::ReturnOp primalReturn);
  void accumulate(Value value, Value cotangent, Location loc);
  /// Of argument `i`, converted to what the outside requires.
  Value gradientOf(unsigned i);
  /// Says that an operation is of the backward part of what lies at `loc`.
  Location backwardLoc(Location loc) {
    return FusedLoc::get({loc}, builder.getStringAttr("vjp"),
                         builder.getContext());
  }
  /// The name of argument or result `i`, or `fallback` and its number.
  StringRef nameOf(DictionaryAttr attrs, StringRef fallback, unsigned i,
                   std::string &storage);

  func::FuncOp primal;
  SymbolTable &symbols;
  OpBuilder builder;
  func::FuncOp joint;
  /// Results and the cotangents that arrive for them. A value may be returned
  /// twice.
  SmallVector<std::pair<Value, Value>> seeds;
  DenseMap<Value, Value> cotangents;
  /// Values that a gradient is wanted of.
  DenseSet<Value> active;
};

LogicalResult Differentiator::checkPrimal() {
  if (!llvm::hasSingleElement(primal.getBody()))
    return primal.emitError("[A1] cannot differentiate a function with several "
                            "blocks; help: use structured operations");
  Block &body = primal.getBody().front();
  if (!isa<func::ReturnOp>(body.getTerminator()))
    return body.getTerminator()->emitError(
        "[A1] cannot differentiate a function that does not end in "
        "func.return; help: end it so");
  for (Operation &op : body)
    for (Value result : op.getResults())
      if (auto type = dyn_cast<PlacedTensorType>(result.getType()))
        if (type.hasUnknownPlacement())
          return op.emitError("[A2] its placement is not known yet; help: run "
                              "spmd-infer-placements first");
  return success();
}

StringRef Differentiator::nameOf(DictionaryAttr attrs, StringRef fallback,
                                 unsigned i, std::string &storage) {
  if (attrs)
    if (auto name = attrs.getAs<StringAttr>(SPMDDialect::kNameAttr))
      return name;
  storage = (fallback + Twine(i)).str();
  return storage;
}

void Differentiator::createJoint() {
  joint = primal.clone();
  joint.setName((primal.getName() + kJointSuffix).str());
  joint->removeAttr(SPMDDialect::kVjpAttr);
  symbols.insert(joint, std::next(Block::iterator(primal)));

  auto primalReturn =
      cast<func::ReturnOp>(joint.getBody().front().getTerminator());
  for (auto [i, result] : llvm::enumerate(primalReturn.getOperands())) {
    if (!hasGradient(result.getType()))
      continue;
    std::string storage;
    std::string name =
        ("d" + nameOf(primal.getResultAttrDict(i), "result", i, storage)).str();
    auto attrs = builder.getDictionaryAttr(builder.getNamedAttr(
        SPMDDialect::kNameAttr, builder.getStringAttr(name)));
    (void)joint.insertArgument(
        joint.getNumArguments(),
        seedType(cast<PlacedTensorType>(result.getType())), attrs,
        primalReturn.getLoc());
    seeds.push_back({result, joint.getArguments().back()});
  }
  // What the arguments with a gradient reach, in order of the operations.
  for (unsigned i = 0; i < primal.getNumArguments(); ++i)
    if (hasGradient(joint.getArgument(i).getType()) &&
        !primal.getArgAttr(i, SPMDDialect::kNoGradAttr))
      active.insert(joint.getArgument(i));
  for (Operation &op : joint.getBody().front())
    if (llvm::any_of(op.getOperands(),
                     [&](Value v) { return active.contains(v); }))
      for (Value result : op.getResults())
        if (hasGradient(result.getType()))
          active.insert(result);
}

void Differentiator::accumulate(Value value, Value cotangent, Location loc) {
  Value &sum = cotangents[value];
  if (!sum) {
    sum = cotangent;
    return;
  }
  Type type = cast<PlacedTensorType>(value.getType()).withUnknownPlacements();
  sum = AddOp::create(builder, loc, type, sum, cotangent);
}

LogicalResult Differentiator::emitOperandCotangents(Operation *op) {
  SmallVector<Value> resultCotangents;
  for (Value result : op->getResults())
    resultCotangents.push_back(cotangents.lookup(result));
  bool wanted = llvm::any_of(resultCotangents, [](Value v) { return !!v; }) &&
                llvm::any_of(op->getOperands(),
                             [&](Value v) { return active.contains(v); });
  if (!wanted)
    return success();
  auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
  if (!differentiable)
    return op->emitError("[A1] '")
           << op->getName()
           << "' has no derivative, and a gradient has to pass through it; "
              "help: give it DifferentiableOpInterface, or mark the arguments "
              "before it spmd.no_grad";
  SmallVector<Value> operandCotangents;
  differentiable.buildVjp(builder, resultCotangents, operandCotangents);
  for (auto [operand, cotangent] :
       llvm::zip_equal(op->getOperands(), operandCotangents))
    if (cotangent && active.contains(operand))
      accumulate(operand, cotangent, op->getLoc());
  return success();
}

LogicalResult Differentiator::emitBackward(func::ReturnOp primalReturn) {
  builder.setInsertionPoint(primalReturn);
  SmallVector<Operation *> forward;
  for (Operation &op : joint.getBody().front().without_terminator())
    forward.push_back(&op);
  for (auto [result, seed] : seeds)
    accumulate(result, seed, primalReturn.getLoc());
  for (Operation *op : llvm::reverse(forward))
    if (failed(emitOperandCotangents(op)))
      return failure();
  // The backward part says of which forward operation it is.
  for (Operation *op = forward.empty() ? &joint.getBody().front().front()
                                       : forward.back()->getNextNode();
       op != primalReturn; op = op->getNextNode())
    op->setLoc(backwardLoc(op->getLoc()));
  return success();
}

Value Differentiator::gradientOf(unsigned i) {
  Value argument = joint.getArgument(i);
  Location loc = backwardLoc(argument.getLoc());
  auto type = cast<PlacedTensorType>(argument.getType());
  if (auto required = primal.getArgAttrOfType<PlacementsAttr>(
          i, SPMDDialect::kGradPlacementAttr)) {
    // The attribute's verifier has resolved it once.
    auto placements =
        required.resolve(type.getMesh(), [&] { return primal.emitError(); });
    type = type.withPlacements(*placements);
  }
  std::string storage;
  StringRef name = nameOf(primal.getArgAttrDict(i), "arg", i, storage);
  Value cotangent = cotangents.lookup(argument);
  if (!cotangent)
    cotangent = FillLikeOp::create(
        builder, loc,
        cast<PlacedTensorType>(argument.getType()).withUnknownPlacements(),
        argument, builder.getF64FloatAttr(0.0));
  return RedistributeOp::create(builder, loc, type, cotangent,
                                builder.getStringAttr(name));
}

void Differentiator::finish(func::ReturnOp primalReturn) {
  SmallVector<Value> results(primalReturn.getOperands());
  SmallVector<DictionaryAttr> attrs;
  for (unsigned i = 0; i < primal.getNumResults(); ++i)
    attrs.push_back(primal.getResultAttrDict(i));
  for (unsigned i = 0; i < primal.getNumArguments(); ++i) {
    if (!hasGradient(primal.getArgumentTypes()[i]) ||
        primal.getArgAttr(i, SPMDDialect::kNoGradAttr))
      continue;
    results.push_back(gradientOf(i));
    std::string storage;
    StringRef name = nameOf(primal.getArgAttrDict(i), "arg", i, storage);
    attrs.push_back(builder.getDictionaryAttr(builder.getNamedAttr(
        SPMDDialect::kNameAttr, builder.getStringAttr("grad." + name))));
  }
  func::ReturnOp::create(builder, primalReturn.getLoc(), results);
  primalReturn.erase();
  joint.setFunctionType(builder.getFunctionType(
      joint.getArgumentTypes(), ValueRange(results).getTypes()));
  joint.setAllResultAttrs(attrs);
}

LogicalResult Differentiator::run() {
  if (failed(checkPrimal()))
    return failure();
  createJoint();
  auto primalReturn =
      cast<func::ReturnOp>(joint.getBody().front().getTerminator());
  if (failed(emitBackward(primalReturn)))
    return failure();
  finish(primalReturn);
  primal->setAttr(SPMDDialect::kVjpAttr,
                  FlatSymbolRefAttr::get(joint.getNameAttr()));
  return success();
}

struct DifferentiatePass : ::moe::impl::DifferentiateBase<DifferentiatePass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      if (function.isDeclaration() ||
          function.getName().ends_with(kJointSuffix) ||
          llvm::none_of(function.getResultTypes(), hasGradient))
        continue;
      if (symbols.lookup((function.getName() + kJointSuffix).str()))
        continue;
      if (failed(Differentiator(function, symbols).run()))
        return signalPassFailure();
    }
  }
};

} // namespace

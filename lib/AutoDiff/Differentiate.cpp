//===- Differentiate.cpp - Reverse mode on the global function ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/AutoDiff/Differentiate.h"
#include "mlir/IR/IRMapping.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"

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

/// What a cotangent that arrives from outside looks like: as `stated`, else
/// whole where the value leaves whole, and where it leaves as terms of a sum.
PlacedTensorType seedType(PlacedTensorType type, PlacementsAttr stated) {
  if (stated)
    // The attribute's verifier has resolved it once.
    return type.withPlacements(*stated.resolve(type.getMesh(), [&] {
      return emitError(UnknownLoc::get(type.getContext()));
    }));
  SmallVector<Placement> placements(type.getPlacements());
  for (Placement &placement : placements)
    if (placement.isPartial())
      placement = Placement::replicate();
  return type.withPlacements(placements);
}

/// Makes one joint function. What the primal one calls becomes part of it.
class Differentiator {
public:
  Differentiator(func::FuncOp primal, SymbolTable &symbols)
      : primal(primal), symbols(symbols), builder(primal.getContext()) {}

  LogicalResult run();

private:
  LogicalResult checkBlock();
  /// Whether all that there is to differentiate can be.
  LogicalResult checkOperations();
  /// Adds the arguments; results are set at the end.
  void createJoint();
  LogicalResult emitBackward(func::ReturnOp primalReturn);
  LogicalResult emitOperandCotangents(Operation *op);
  void finish(func::ReturnOp primalReturn);
  void accumulate(Value value, Value cotangent, Location loc);
  /// What inference will make of the `?` of the operations made last.
  void inferPlacements();
  ArrayRef<Placement> placementsOf(Value value) const;
  /// `term` placed as `to` on every axis where it is whole and `to` is wanted.
  Value convertWhole(Value term, ArrayRef<Placement> to,
                     function_ref<bool(Placement)> isWanted, Location loc);
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
  /// Whether labels say anything of gradients. If so cotangents are added as
  /// they lie, which is what a framework does and what labels are about.
  bool labelled = false;
  /// Placements of the backward part, and the last operation that they are
  /// known of.
  DenseMap<Value, SmallVector<Placement>> inferred;
  Operation *lastInferred = nullptr;
};

LogicalResult Differentiator::checkBlock() {
  if (!llvm::hasSingleElement(primal.getBody()))
    return primal.emitError("[A1] cannot differentiate a function with several "
                            "blocks; help: use structured operations");
  Block &body = primal.getBody().front();
  if (!isa<func::ReturnOp>(body.getTerminator()))
    return body.getTerminator()->emitError(
        "[A1] cannot differentiate a function that does not end in "
        "func.return; help: end it so");
  return success();
}

LogicalResult Differentiator::checkOperations() {
  for (Operation &op : joint.getBody().front()) {
    if (isStructured(&op) && touchesPlacedTensors(&op))
      return op.emitError("[A1] cannot differentiate through '")
             << op.getName()
             << "'; help: write the joint function with its loops and branches "
                "and end its name in '.vjp'";
    for (Value result : op.getResults())
      if (auto type = dyn_cast<PlacedTensorType>(result.getType()))
        if (type.hasUnknownPlacement())
          return op.emitError("[A2] its placement is not known yet; help: run "
                              "spmd-infer-placements first");
  }
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
        seedType(cast<PlacedTensorType>(result.getType()),
                 primal.getResultAttrOfType<PlacementsAttr>(
                     i, SPMDDialect::kGradPlacementAttr)),
        attrs, primalReturn.getLoc());
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
  auto type = cast<PlacedTensorType>(value.getType());
  // That of experts which are cut is whole where rows are. A slice of it is
  // right whatever labels say; whether terms were reduced is what they are
  // about.
  cotangent = convertWhole(
      cotangent, type.getPlacements(), [](Placement p) { return p.isShard(); },
      loc);
  Value &sum = cotangents[value];
  if (!sum) {
    sum = cotangent;
    return;
  }
  if (!labelled) {
    auto isSum = [](Placement p) { return p == Placement::partial(); };
    sum = convertWhole(sum, placementsOf(cotangent), isSum, loc);
    cotangent = convertWhole(cotangent, placementsOf(sum), isSum, loc);
  }
  sum =
      AddOp::create(builder, loc, type.withUnknownPlacements(), sum, cotangent);
  inferPlacements();
}

ArrayRef<Placement> Differentiator::placementsOf(Value value) const {
  auto known = inferred.find(value);
  return known == inferred.end()
             ? cast<PlacedTensorType>(value.getType()).getPlacements()
             : ArrayRef<Placement>(known->second);
}

void Differentiator::inferPlacements() {
  Block::iterator next = lastInferred ? std::next(Block::iterator(lastInferred))
                                      : builder.getInsertionBlock()->begin();
  for (Operation &op : llvm::make_range(next, builder.getInsertionPoint())) {
    lastInferred = &op;
    for (auto [i, result] : llvm::enumerate(op.getResults())) {
      auto type = cast<PlacedTensorType>(result.getType());
      SmallVector<Placement> placements(type.getPlacements());
      for (unsigned axis = 0; axis < placements.size(); ++axis) {
        if (!placements[axis].isUnknown())
          continue;
        placements[axis] = Placement::replicate();
        if (type.getMesh().getLeafAxes()[axis].getSize() == 1)
          continue;
        SmallVector<Placement> operands;
        for (Value operand : op.getOperands())
          operands.push_back(placementsOf(operand)[axis]);
        Transfer transfer =
            cast<PlacementOpInterface>(op).transferPlacements(axis, operands);
        // What is not allowed is reported where placements are inferred.
        if (transfer.ok)
          placements[axis] = transfer.results[i].isMixed()
                                 ? Placement::partial()
                                 : transfer.results[i];
      }
      inferred[result] = std::move(placements);
    }
  }
}

Value Differentiator::convertWhole(Value term, ArrayRef<Placement> to,
                                   function_ref<bool(Placement)> isWanted,
                                   Location loc) {
  ArrayRef<Placement> from = placementsOf(term);
  SmallVector<Placement> joined(from.size());
  bool joins = false;
  for (unsigned axis = 0; axis < joined.size(); ++axis)
    if (from[axis].isReplicate() && isWanted(to[axis])) {
      joined[axis] = to[axis];
      joins = true;
    }
  if (!joins)
    return term;
  Value terms = RedistributeOp::create(
      builder, loc,
      cast<PlacedTensorType>(term.getType()).withPlacements(joined), term);
  inferPlacements();
  return terms;
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
  if (!differentiable || !differentiable.hasDerivative())
    return op->emitError("[A1] '")
           << op->getName()
           << "' has no derivative, and a gradient has to pass through it; "
              "help: "
           << (differentiable ? "declare how its gradients lie (`grad`)"
                              : "give it DifferentiableOpInterface")
           << ", or mark the arguments before it spmd.no_grad";
  SmallVector<Value> operandCotangents;
  differentiable.buildVjp(builder, resultCotangents, operandCotangents);
  inferPlacements();
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
  labelled = llvm::any_of(forward, [](Operation *op) {
    return isa<BoundaryOp, GradAllReduceOp>(op);
  });
  lastInferred = forward.empty() ? nullptr : forward.back();
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
  if (failed(checkBlock()))
    return failure();
  joint = primal.clone();
  joint.setName(getJointName(primal));
  joint->removeAttr(SPMDDialect::kVjpAttr);
  symbols.insert(joint, std::next(Block::iterator(primal)));
  if (failed(inlineCalls(joint, "[A1] ")) || failed(checkOperations()))
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

} // namespace

bool moe::isDifferentiated(func::FuncOp function) {
  return !function.isDeclaration() && !function.isPrivate() &&
         !function.getName().ends_with(kJointSuffix) &&
         llvm::any_of(function.getResultTypes(), hasGradient);
}

std::string moe::getJointName(func::FuncOp primal) {
  return (primal.getName() + kJointSuffix).str();
}

LogicalResult moe::differentiate(func::FuncOp primal, SymbolTable &symbols) {
  return Differentiator(primal, symbols).run();
}

namespace {

struct DifferentiatePass : ::moe::impl::DifferentiateBase<DifferentiatePass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      if (isDifferentiated(function) &&
          !symbols.lookup(getJointName(function)) &&
          failed(differentiate(function, symbols)))
        return signalPassFailure();
  }
};

} // namespace

//===- SPMDToShard.cpp - Export to upstream's sharding annotations --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Shard/IR/ShardDialect.h"
#include "mlir/Dialect/Shard/IR/ShardOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "moe/Conversion/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

namespace moe {
#define GEN_PASS_DEF_SPMDTOSHARD
#include "moe/Conversion/Passes.h.inc"
} // namespace moe

namespace {

class FunctionExporter {
public:
  FunctionExporter(func::FuncOp function,
                   function_ref<shard::GridOp(MeshAttr)> getGrid)
      : function(function), getGrid(getGrid), builder(function.getContext()) {}

  LogicalResult run();

private:
  /// Whether `shard` can say how `value` lies; reports it if not.
  LogicalResult checkPlacements(Value value);
  /// `tensor`, annotated with how `placed` lies.
  Value annotate(Value tensor, Value placed, bool forUsers);
  LogicalResult exportOperation(Operation &op);
  Value exportCompute(ComputeOp op);
  Value exportEinsum(EinsumOp op);
  template <typename OpTy>
  Value exportElementwise(Operation *op);
  Value makeEmpty(Location loc, Value like);

  func::FuncOp function;
  function_ref<shard::GridOp(MeshAttr)> getGrid;
  OpBuilder builder;
  /// The tensor of a placed value, annotated.
  IRMapping tensors;
  /// For a conversion: what the value was before the first one.
  DenseMap<Value, Value> origins;
};

} // namespace

static RankedTensorType tensorType(Value placed) {
  auto type = cast<PlacedTensorType>(placed.getType());
  return RankedTensorType::get(type.getShape(), type.getElementType());
}

LogicalResult FunctionExporter::checkPlacements(Value value) {
  auto type = dyn_cast<PlacedTensorType>(value.getType());
  auto emit = [&] { return emitError(value.getLoc()); };
  if (!type)
    return emit() << "a value of type " << value.getType()
                  << " has no form in 'shard'";
  SmallVector<MeshAxisAttr> axes = type.getMesh().getLeafAxes();
  SmallVector<int64_t> parts(type.getShape().size(), 1);
  for (auto [axis, placement] : llvm::zip(axes, type.getPlacements())) {
    StringRef name = axis.getName().getValue();
    if (placement.isUnknown())
      return emit() << "how the value lies over '" << name
                    << "' is not inferred yet; help: run spmd-infer-placements";
    if (placement.isPartial())
      return emit() << "the value is " << placement.str() << " over '" << name
                    << "', which 'shard' cannot say; help: reduce it first, "
                    << "with spmd.redistribute";
    if (placement.isRagged())
      return emit() << "the value's rows are cut over '" << name
                    << "' as routing decides, which 'shard' cannot say";
    if (placement.isShard())
      parts[placement.dim] *= axis.getSize();
  }
  for (auto [size, number] : llvm::zip(type.getShape(), parts))
    if (size % number != 0)
      return emit() << size << " rows are cut into " << number
                    << " parts, which are not equal; 'shard' leaves open where";
  return success();
}

Value FunctionExporter::annotate(Value tensor, Value placed, bool forUsers) {
  auto type = cast<PlacedTensorType>(placed.getType());
  SmallVector<SmallVector<int16_t>> split(type.getShape().size());
  for (auto [axis, placement] : llvm::enumerate(type.getPlacements()))
    if (placement.isShard())
      split[placement.dim].push_back(axis);
  // The syntax wants one list at least, and none too many.
  if (split.empty())
    split.emplace_back();
  shard::removeTrailingEmptySubArray(split);
  SmallVector<shard::GridAxesAttr> axes;
  for (ArrayRef<int16_t> list : split)
    axes.push_back(shard::GridAxesAttr::get(builder.getContext(), list));
  Location loc = placed.getLoc();
  Value sharding = shard::ShardingOp::create(
      builder, loc, getGrid(type.getMesh()).getSymName(), axes);
  return shard::ShardOp::create(builder, loc, tensor, sharding, forUsers);
}

Value FunctionExporter::makeEmpty(Location loc, Value like) {
  RankedTensorType type = tensorType(like);
  return tensor::EmptyOp::create(builder, loc, type.getShape(),
                                 type.getElementType());
}

Value FunctionExporter::exportCompute(ComputeOp op) {
  IRMapping mapping;
  Block &body = op.getBody().front();
  for (auto [argument, input] : llvm::zip(body.getArguments(), op.getInputs()))
    mapping.map(argument, tensors.lookup(input));
  for (Operation &inner : body.without_terminator())
    builder.clone(inner, mapping);
  return mapping.lookupOrDefault(op.getYielded());
}

template <typename OpTy>
Value FunctionExporter::exportElementwise(Operation *op) {
  SmallVector<Value> inputs;
  for (Value operand : op->getOperands())
    inputs.push_back(tensors.lookup(operand));
  Value empty = makeEmpty(op->getLoc(), op->getResult(0));
  return OpTy::create(builder, op->getLoc(), inputs, ValueRange(empty))
      .getResult(0);
}

/// A letter is a loop, in the order in which letters occur; those of the result
/// first.
Value FunctionExporter::exportEinsum(EinsumOp op) {
  auto [operands, result] = op.getEquation().split("->");
  SmallVector<StringRef> terms;
  operands.split(terms, ',');
  terms.push_back(result);
  std::string letters = result.str();
  for (char letter : operands)
    if (letter != ',' && !StringRef(letters).contains(letter))
      letters += letter;
  SmallVector<AffineMap> maps;
  for (StringRef term : terms) {
    SmallVector<AffineExpr> dims;
    for (char letter : term)
      dims.push_back(builder.getAffineDimExpr(letters.find(letter)));
    maps.push_back(
        AffineMap::get(letters.size(), 0, dims, builder.getContext()));
  }
  SmallVector<utils::IteratorType> iterators(letters.size(),
                                             utils::IteratorType::reduction);
  std::fill_n(iterators.begin(), result.size(), utils::IteratorType::parallel);

  Location loc = op.getLoc();
  RankedTensorType type = tensorType(op.getResult());
  Value zero = arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(type.getElementType()));
  Value zeros =
      linalg::FillOp::create(builder, loc, zero, makeEmpty(loc, op.getResult()))
          .getResult(0);
  SmallVector<Value> inputs;
  for (Value input : op.getInputs())
    inputs.push_back(tensors.lookup(input));
  return linalg::GenericOp::create(
             builder, loc, type, inputs, zeros, maps, iterators,
             [](OpBuilder &body, Location loc, ValueRange args) {
               Value term = args[0];
               if (args.size() == 3)
                 term = arith::MulFOp::create(body, loc, args[0], args[1]);
               Value sum = arith::AddFOp::create(body, loc, args.back(), term);
               linalg::YieldOp::create(body, loc, sum);
             })
      .getResult(0);
}

LogicalResult FunctionExporter::exportOperation(Operation &op) {
  builder.setInsertionPoint(&op);
  if (auto returnOp = dyn_cast<func::ReturnOp>(op)) {
    SmallVector<Value> results;
    for (Value value : returnOp.getOperands())
      results.push_back(tensors.lookup(value));
    func::ReturnOp::create(builder, op.getLoc(), results);
    return success();
  }
  if (isa<ClaimOp, BoundaryOp, GradAllReduceOp>(op))
    return op.emitOpError("is about gradients, of which 'shard' says nothing; "
                          "help: export a program without labels");
  for (Value result : op.getResults())
    if (failed(checkPlacements(result)))
      return failure();
  if (auto convert = dyn_cast<RedistributeOp>(op)) {
    // Two conversions are one.
    Value origin = convert.getInput();
    if (Value first = origins.lookup(origin))
      origin = first;
    origins[convert.getResult()] = origin;
    tensors.map(convert.getResult(),
                origin.getType() == convert.getType()
                    ? tensors.lookup(origin)
                    : annotate(tensors.lookup(origin), convert.getResult(),
                               /*forUsers=*/true));
    return success();
  }
  Value tensor =
      TypeSwitch<Operation *, Value>(&op)
          .Case([&](ComputeOp compute) { return exportCompute(compute); })
          .Case([&](EinsumOp einsum) { return exportEinsum(einsum); })
          .Case<AddOp>(
              [&](AddOp) { return exportElementwise<linalg::AddOp>(&op); })
          .Case<SubOp>(
              [&](SubOp) { return exportElementwise<linalg::SubOp>(&op); })
          .Case<MulOp>(
              [&](MulOp) { return exportElementwise<linalg::MulOp>(&op); })
          .Default(Value());
  if (!tensor)
    return op.emitOpError("has no form in upstream's dialects here; help: "
                          "spmd.compute holds operations that have one");
  tensors.map(op.getResult(0),
              annotate(tensor, op.getResult(0), /*forUsers=*/false));
  return success();
}

LogicalResult FunctionExporter::run() {
  if (llvm::none_of(function.getArgumentTypes(),
                    llvm::IsaPred<PlacedTensorType>))
    return success();
  Block &block = function.front();
  SmallVector<Operation *> operations;
  for (Operation &op : block)
    operations.push_back(&op);
  builder.setInsertionPointToStart(&block);
  SmallVector<BlockArgument> arguments(block.getArguments());
  for (BlockArgument argument : arguments) {
    if (failed(checkPlacements(argument)))
      return failure();
    Value tensor = block.addArgument(tensorType(argument), argument.getLoc());
    tensors.map(argument, annotate(tensor, argument, /*forUsers=*/false));
  }
  for (Operation *op : operations)
    if (failed(exportOperation(*op)))
      return failure();
  SmallVector<Type> results(
      block.getTerminator()->getPrevNode()->getOperandTypes());
  for (Operation *op : llvm::reverse(operations))
    op->erase();
  block.eraseArguments(0, arguments.size());
  function.setFunctionType(
      builder.getFunctionType(block.getArgumentTypes(), results));
  // Names, and what is required of gradients.
  function->removeAttr(SPMDDialect::kVjpAttr);
  function.removeArgAttrsAttr();
  function.removeResAttrsAttr();
  return success();
}

namespace {

struct SPMDToShardPass : moe::impl::SPMDToShardBase<SPMDToShardPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    DenseMap<MeshAttr, shard::GridOp> grids;
    auto getGrid = [&](MeshAttr mesh) {
      shard::GridOp &grid = grids[mesh];
      if (!grid) {
        SmallVector<int64_t> sizes;
        for (MeshAxisAttr axis : mesh.getLeafAxes())
          sizes.push_back(axis.getSize());
        OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
        grid = shard::GridOp::create(builder, module.getLoc(), "grid", sizes);
        symbols.insert(grid);
      }
      return grid;
    };
    for (auto function : module.getOps<func::FuncOp>())
      if (!function.isExternal() &&
          failed(FunctionExporter(function, getGrid).run()))
        return signalPassFailure();
  }
};

} // namespace

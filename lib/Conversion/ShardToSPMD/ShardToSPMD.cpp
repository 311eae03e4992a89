//===- ShardToSPMD.cpp - Import of upstream's sharding annotations --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Shard/IR/ShardDialect.h"
#include "mlir/Dialect/Shard/IR/ShardOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "moe/Conversion/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

namespace moe {
#define GEN_PASS_DEF_SHARDTOSPMD
#include "moe/Conversion/Passes.h.inc"
} // namespace moe

namespace {

class FunctionImporter {
public:
  FunctionImporter(func::FuncOp function, ArrayRef<std::string> axisNames)
      : function(function), axisNames(axisNames),
        builder(function.getContext()) {}

  LogicalResult run();

private:
  LogicalResult makeMesh();
  FailureOr<PlacedTensorType> placeAs(Value tensor, Value sharding);
  /// The tensor with one placement on all axes.
  FailureOr<PlacedTensorType> placeAll(Location loc, Type type,
                                       Placement placement);
  LogicalResult importArguments();
  LogicalResult importOperation(Operation &op);
  LogicalResult importShard(shard::ShardOp op);
  LogicalResult importReturn(func::ReturnOp op);
  /// Null if the operation has no form in `moe`.
  Value importAsMoE(Operation &op, PlacedTensorType type);
  LogicalResult importAsCompute(Operation &op, PlacedTensorType type);
  /// Clones what computes `value` from constants.
  void cloneConstant(OpBuilder &body, IRMapping &mapping, Value value);

  func::FuncOp function;
  ArrayRef<std::string> axisNames;
  OpBuilder builder;
  MeshAttr mesh;
  StringAttr grid;
  /// The placed values of tensors.
  DenseMap<Value, Value> placed;
  /// Values that are computed from constants alone.
  DenseSet<Value> constants;
  SmallVector<Type> resultTypes;
};

} // namespace

LogicalResult FunctionImporter::makeMesh() {
  shard::GridOp op;
  auto result = function.walk([&](shard::ShardingOp sharding) {
    if (grid && grid != sharding.getGridAttr().getAttr()) {
      sharding.emitError("lies on '@")
          << sharding.getGrid() << "', and others of this function on '@"
          << grid.getValue() << "'; help: a program has one mesh";
      return WalkResult::interrupt();
    }
    grid = sharding.getGridAttr().getAttr();
    op = SymbolTable::lookupNearestSymbolFrom<shard::GridOp>(
        sharding, sharding.getGridAttr());
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  SmallVector<MeshAxisAttr> axes;
  for (auto [i, size] : llvm::enumerate(op.getShape())) {
    if (ShapedType::isDynamic(size))
      return op.emitError("has an axis whose size is not known; help: a mesh "
                          "has fixed sizes");
    std::string name = "axis" + std::to_string(i);
    axes.push_back(MeshAxisAttr::get(
        op.getContext(),
        builder.getStringAttr(
            axisNames.empty() ? name : axisNames[i % axisNames.size()]),
        size, {}));
  }
  if (!axisNames.empty() && axisNames.size() != axes.size())
    return op.emitError("has ")
           << axes.size() << " axes, but " << axisNames.size()
           << " names are given; help: give as many with axes=";
  mesh = MeshAttr::getChecked([&] { return op.emitError(); }, op.getContext(),
                              ArrayRef<MeshAxisAttr>(axes));
  return success(mesh != nullptr);
}

FailureOr<PlacedTensorType> FunctionImporter::placeAll(Location loc, Type type,
                                                       Placement placement) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape() ||
      !tensor.getElementType().isIntOrFloat())
    return emitError(loc, "a value of type ")
           << type << " cannot be placed; help: make it a tensor of numbers "
           << "with a static shape";
  return PlacedTensorType::get(
      tensor.getShape(), tensor.getElementType(), mesh,
      SmallVector<Placement>(mesh.getNumLeafAxes(), placement));
}

FailureOr<PlacedTensorType> FunctionImporter::placeAs(Value tensor,
                                                      Value sharding) {
  auto op = sharding.getDefiningOp<shard::ShardingOp>();
  if (!op)
    return emitError(sharding.getLoc(),
                     "is no sharding that is given here; help: "
                     "give it with shard.sharding");
  shard::Sharding given(sharding);
  if (!given.getStaticHaloSizes().empty())
    return op.emitError("has halos, for which there is no placement; help: "
                        "leave them out");
  if (!given.getStaticShardedDimsOffsets().empty())
    return op.emitError("has offsets, but a placement cuts into equal parts; "
                        "help: leave them out");
  FailureOr<PlacedTensorType> whole =
      placeAll(tensor.getLoc(), tensor.getType(), Placement::replicate());
  if (failed(whole))
    return failure();
  SmallVector<Placement> placements(whole->getPlacements());
  SmallVector<MeshAxisAttr> axes = mesh.getLeafAxes();
  for (auto [dim, split] : llvm::enumerate(given.getSplitAxes())) {
    ArrayRef<int16_t> order = split.asArrayRef();
    if (!llvm::is_sorted(order))
      return op.emitError("cuts dimension ")
             << dim << " in an order of axes that is not the grid's; help: "
             << "the first axis cuts first";
    int64_t parts = 1;
    for (int16_t axis : order) {
      parts *= axes[axis].getSize();
      placements[axis] = Placement::shard(dim);
    }
    if (parts > 1 && (dim >= whole->getShape().size() ||
                      whole->getShape()[dim] % parts != 0))
      return op.emitError("cuts dimension ")
             << dim << " of " << tensor.getType() << " into " << parts
             << " parts, which are not equal; help: 'shard' leaves open where "
             << "it is cut";
  }
  return whole->withPlacements(placements);
}

LogicalResult FunctionImporter::importArguments() {
  // A copy: new ones are added.
  SmallVector<BlockArgument> arguments(function.getArguments());
  for (BlockArgument argument : arguments) {
    if (!isa<TensorType>(argument.getType()))
      return function.emitError("argument ")
             << argument.getArgNumber() << " is no tensor";
    // How it lies, if its own annotation says so.
    shard::ShardOp own;
    for (Operation *user : argument.getUsers())
      if (auto op = dyn_cast<shard::ShardOp>(user);
          op && !op.getAnnotateForUsers())
        own = op;
    FailureOr<PlacedTensorType> type =
        own ? placeAs(argument, own.getSharding())
            : placeAll(argument.getLoc(), argument.getType(),
                       Placement::replicate());
    if (failed(type))
      return failure();
    placed[argument] = function.front().addArgument(*type, argument.getLoc());
  }
  return success();
}

LogicalResult FunctionImporter::importShard(shard::ShardOp op) {
  if (constants.contains(op.getSrc()))
    return op.emitError("places what is computed from nothing; help: place "
                        "what is computed with it");
  FailureOr<PlacedTensorType> type = placeAs(op.getSrc(), op.getSharding());
  if (failed(type))
    return failure();
  Value source = placed.lookup(op.getSrc());
  placed[op.getResult()] =
      source.getType() == *type
          ? source
          : RedistributeOp::create(builder, op.getLoc(), *type, source,
                                   /*site=*/StringAttr())
                .getResult();
  return success();
}

static bool isZero(Value value) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    value = fill.getInputs()[0];
  return matchPattern(value, m_AnyZeroFloat());
}

Value FunctionImporter::importAsMoE(Operation &op, PlacedTensorType type) {
  SmallVector<Value> inputs;
  for (Value operand : op.getOperands())
    if (Value value = placed.lookup(operand))
      inputs.push_back(value);
  if (!isa<FloatType>(type.getElementType()) || inputs.size() != 2)
    return {};
  Location loc = op.getLoc();
  if (isa<linalg::AddOp, arith::AddFOp>(op))
    return AddOp::create(builder, loc, type, inputs[0], inputs[1]);
  if (isa<linalg::SubOp, arith::SubFOp>(op))
    return SubOp::create(builder, loc, type, inputs[0], inputs[1]);
  if (isa<linalg::MulOp, arith::MulFOp>(op))
    return MulOp::create(builder, loc, type, inputs[0], inputs[1]);
  auto contraction = dyn_cast<linalg::LinalgOp>(op);
  if (!contraction || !linalg::isaContractionOpInterface(contraction) ||
      !isZero(contraction.getDpsInits()[0]))
    return {};
  // A letter per loop.
  std::string equation;
  for (auto [i, map] : llvm::enumerate(contraction.getIndexingMapsArray())) {
    equation += i == 0 ? "" : i == 1 ? "," : "->";
    for (AffineExpr expr : map.getResults())
      equation += char('a' + cast<AffineDimExpr>(expr).getPosition());
  }
  return EinsumOp::create(builder, loc, type, equation, inputs);
}

void FunctionImporter::cloneConstant(OpBuilder &body, IRMapping &mapping,
                                     Value value) {
  // Operands first; a chain may be long.
  SmallVector<Value> pending{value};
  while (!pending.empty()) {
    Value next = pending.back();
    Operation *op = next.getDefiningOp();
    size_t size = pending.size();
    for (Value operand : op->getOperands())
      if (!mapping.contains(operand))
        pending.push_back(operand);
    if (pending.size() > size)
      continue;
    pending.pop_back();
    if (!mapping.contains(next))
      body.clone(*op, mapping);
  }
}

LogicalResult FunctionImporter::importAsCompute(Operation &op,
                                                PlacedTensorType type) {
  SetVector<Value> used;
  used.insert_range(op.getOperands());
  getUsedValuesDefinedAbove(op.getRegions(), used);
  SmallVector<Value> inputs;
  SmallVector<Type> bodyTypes;
  for (Value value : used)
    if (Value input = placed.lookup(value)) {
      inputs.push_back(input);
      bodyTypes.push_back(value.getType());
    }
  auto compute = ComputeOp::create(builder, op.getLoc(), type, inputs);
  Block &block = compute.getBody().emplaceBlock();
  OpBuilder body = OpBuilder::atBlockEnd(&block);
  IRMapping mapping;
  for (Value value : used) {
    if (placed.contains(value))
      mapping.map(value, block.addArgument(value.getType(), value.getLoc()));
    else
      cloneConstant(body, mapping, value);
  }
  Operation *copy = body.clone(op, mapping);
  YieldOp::create(body, op.getLoc(), copy->getResults());
  placed[op.getResult(0)] = compute.getResult();
  return success();
}

LogicalResult FunctionImporter::importReturn(func::ReturnOp op) {
  SmallVector<Value> results;
  for (Value value : op.getOperands()) {
    Value result = placed.lookup(value);
    if (!result)
      return op.emitError("returns what is computed from nothing; help: a "
                          "value needs an operand that has a mesh");
    results.push_back(result);
  }
  func::ReturnOp::create(builder, op.getLoc(), results);
  resultTypes.assign(ValueRange(results).getTypes().begin(),
                     ValueRange(results).getTypes().end());
  return success();
}

LogicalResult FunctionImporter::importOperation(Operation &op) {
  builder.setInsertionPoint(&op);
  if (isa<shard::ShardingOp, shard::GetShardingOp>(op))
    return success();
  if (auto shardOp = dyn_cast<shard::ShardOp>(op))
    return importShard(shardOp);
  if (auto returnOp = dyn_cast<func::ReturnOp>(op))
    return importReturn(returnOp);
  if (isa<shard::ShardDialect>(op.getDialect()))
    return op.emitOpError("is about the tensors of one rank; help: import the "
                          "program before it is partitioned");
  if (!isMemoryEffectFree(&op) || op.getNumResults() != 1 ||
      op.hasTrait<OpTrait::IsTerminator>())
    return op.emitOpError("has no form on placed tensors; help: it must have "
                          "one result and no effect");
  SetVector<Value> used;
  used.insert_range(op.getOperands());
  getUsedValuesDefinedAbove(op.getRegions(), used);
  if (llvm::all_of(used, [&](Value v) { return constants.contains(v); })) {
    constants.insert(op.getResult(0));
    return success();
  }
  FailureOr<PlacedTensorType> type =
      placeAll(op.getLoc(), op.getResult(0).getType(), Placement::unknown());
  if (failed(type))
    return failure();
  if (Value value = importAsMoE(op, *type)) {
    placed[op.getResult(0)] = value;
    return success();
  }
  return importAsCompute(op, *type);
}

LogicalResult FunctionImporter::run() {
  bool annotated = false;
  function.walk([&](shard::ShardOp) { annotated = true; });
  if (!annotated)
    return success();
  if (!function.getBody().hasOneBlock())
    return function.emitError("has control flow; help: a program is one block");
  if (failed(makeMesh()) || failed(importArguments()))
    return failure();
  SmallVector<Operation *> operations;
  for (Operation &op : function.front())
    operations.push_back(&op);
  for (Operation *op : operations)
    if (failed(importOperation(*op)))
      return failure();
  for (Operation *op : llvm::reverse(operations))
    op->erase();
  function.front().eraseArguments(0, function.getNumArguments());
  function.setFunctionType(builder.getFunctionType(
      function.front().getArgumentTypes(), resultTypes));
  return success();
}

namespace {

struct ShardToSPMDPass : moe::impl::ShardToSPMDBase<ShardToSPMDPass> {
  using ShardToSPMDBase::ShardToSPMDBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      if (failed(FunctionImporter(function, axes).run()))
        return signalPassFailure();
    }
    // Meshes are part of types.
    for (auto grid :
         llvm::make_early_inc_range(getOperation().getOps<shard::GridOp>()))
      if (SymbolTable::symbolKnownUseEmpty(grid, getOperation()))
        grid.erase();
  }
};

} // namespace

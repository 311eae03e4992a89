//===- LoopKernels.cpp - One thread or warp per element -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block covers a tile of the result: neighbouring threads have neighbouring
// elements of the last dimension, so that a warp's accesses join. Where the
// operand's last dimension is summed up and long enough, a warp computes one
// element and its lanes go along that dimension instead.
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe;

namespace {

constexpr int64_t kThreads = 256;
constexpr int64_t kLanes = 32;

/// Makes the kernel of one loop nest.
class LoopKernel {
public:
  LoopKernel(KernelBuilder &kernels, linalg::LinalgOp op)
      : kernels(kernels), op(op), loc(op.getLoc()), b(op), sizes(b, loc) {}

  LogicalResult form();

private:
  LogicalResult collect();
  void findStart();
  void findCombiner();
  Value addArgument(Value value);

  // In the kernel.
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(k, loc, value);
  }
  Value inKernel(Value hostValue);
  Value sizeOf(unsigned loop);
  SmallVector<Value> indicesOf(OpOperand &operand);
  Value load(OpOperand &operand);
  SmallVector<Value> emitBody(ValueRange sums);
  SmallVector<Value> emitLoops(ArrayRef<unsigned> loops, ValueRange sums);
  void store(ValueRange values);
  void emitThreads(gpu::GPUFuncOp kernel, int64_t columns);
  void emitWarps(gpu::GPUFuncOp kernel);
  /// Sets the induction variables of `loops` from one linear index.
  void delinearize(Value index, ArrayRef<unsigned> loops);
  SmallVector<Value> startValues();
  OpFoldResult product(ArrayRef<unsigned> loops);

  KernelBuilder &kernels;
  linalg::LinalgOp op;
  Location loc;
  OpBuilder b;
  SizeBuilder sizes;

  SmallVector<OpFoldResult> ranges;
  /// Loops of the result's dimensions in their order, and the others.
  SmallVector<unsigned> parallel, reductions;
  /// Operands and captured values that the launch passes.
  llvm::SetVector<Value> arguments;
  /// For each output what it holds before, where a fill said so.
  SmallVector<linalg::FillOp> fills;
  /// What joins two sums; null if that is not known.
  Operation *combiner = nullptr;

  OpBuilder k{static_cast<MLIRContext *>(nullptr)};
  gpu::GPUFuncOp kernel;
  IRMapping mapping;
  SmallVector<Value> ivs;
};

} // namespace

Value LoopKernel::addArgument(Value value) {
  if (!matchPattern(value, m_Constant()))
    arguments.insert(value);
  return value;
}

LogicalResult LoopKernel::collect() {
  for (const Range &range : op.createLoopRanges(b, loc))
    ranges.push_back(range.size);
  if (op.getNumDpsInits() == 0)
    return op->emitError("a loop without a result has no kernel");
  AffineMap result = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  for (AffineExpr expr : result.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      return op->emitError("a loop whose result is not indexed by its loops "
                           "has no kernel");
    parallel.push_back(dim.getPosition());
  }
  for (unsigned i = 0; i < ranges.size(); ++i)
    if (!llvm::is_contained(parallel, i))
      reductions.push_back(i);
  for (Value operand : op->getOperands())
    addArgument(operand);
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegion(0), captured);
  for (Value value : captured)
    addArgument(value);
  for (OpFoldResult range : ranges)
    if (auto value = dyn_cast<Value>(range))
      addArgument(value);
  return success();
}

/// Whether all uses of the memory are uses of `buffer` itself.
static bool isWhole(Value buffer) {
  if (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    return view.getViewSource().hasOneUse() && isWhole(view.getViewSource());
  return isa<BlockArgument>(buffer) || buffer.getDefiningOp<memref::AllocOp>();
}

/// The fill that `buffer` has its contents from when `op` begins, if nothing
/// else touches it between the two.
static linalg::FillOp findFill(Value buffer, Operation *op) {
  Operation *last = nullptr;
  for (Operation *user : buffer.getUsers()) {
    Operation *before = op->getBlock()->findAncestorOpInBlock(*user);
    if (!before || !before->isBeforeInBlock(op))
      continue;
    // Who uses a view is not known here.
    if (isa<ViewLikeOpInterface>(user))
      return {};
    if (!last || last->isBeforeInBlock(before))
      last = before;
  }
  return dyn_cast_or_null<linalg::FillOp>(last);
}

/// Takes over fills of buffers that nobody else reads.
void LoopKernel::findStart() {
  for (OpOperand &init : op.getDpsInitsMutable()) {
    linalg::FillOp fill;
    if (op.payloadUsesValueFromOperand(&init) && isWhole(init.get()))
      fill = findFill(init.get(), op);
    fills.push_back(fill);
    if (fill)
      addArgument(fill.getInputs()[0]);
  }
}

void LoopKernel::findCombiner() {
  if (reductions.size() != 1 || op.getNumDpsInits() != 1 || !fills[0])
    return;
  std::optional<int64_t> extent = getConstantIntValue(ranges[reductions[0]]);
  if (!extent || *extent < kLanes)
    return;
  // Lanes read neighbouring elements.
  bool along = false;
  for (OpOperand *input : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(input);
    if (map.getNumResults() == 0)
      continue;
    auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
    along |= last && last.getPosition() == reductions[0];
  }
  SmallVector<Operation *> combiners;
  if (along && matchReduction(op.getRegionOutputArgs(), 0, combiners) &&
      combiners.size() == 1 && arith::getNeutralElement(combiners[0]))
    combiner = combiners[0];
}

OpFoldResult LoopKernel::product(ArrayRef<unsigned> loops) {
  OpFoldResult result = sizes.constant(1);
  for (unsigned loop : loops)
    result = sizes.mul(result, ranges[loop]);
  return result;
}

//===----------------------------------------------------------------------===//
// In the kernel
//===----------------------------------------------------------------------===//

Value LoopKernel::inKernel(Value hostValue) {
  if (Value known = mapping.lookupOrNull(hostValue))
    return known;
  OpBuilder::InsertionGuard guard(k);
  k.setInsertionPointToStart(&kernel.getBody().front());
  Operation *constant = k.clone(*hostValue.getDefiningOp());
  mapping.map(hostValue, constant->getResult(0));
  return constant->getResult(0);
}

Value LoopKernel::sizeOf(unsigned loop) {
  if (auto value = dyn_cast<Value>(ranges[loop]))
    return inKernel(value);
  return constant(*getConstantIntValue(ranges[loop]));
}

SmallVector<Value> LoopKernel::indicesOf(OpOperand &operand) {
  SmallVector<Value> indices;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      indices.push_back(ivs[dim.getPosition()]);
    else
      indices.push_back(affine::AffineApplyOp::create(
          k, loc, AffineMap::get(ivs.size(), 0, expr), ivs));
  }
  return indices;
}

Value LoopKernel::load(OpOperand &operand) {
  Value buffer = inKernel(operand.get());
  if (!isa<MemRefType>(buffer.getType()))
    return buffer;
  return memref::LoadOp::create(k, loc, buffer, indicesOf(operand));
}

/// The body at `ivs`; `sums` stand for the outputs.
SmallVector<Value> LoopKernel::emitBody(ValueRange sums) {
  Block &body = op->getRegion(0).front();
  IRMapping local(mapping);
  unsigned numInputs = op.getNumDpsInputs();
  for (OpOperand *input : op.getDpsInputOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(input);
    if (!argument.use_empty())
      local.map(argument, load(*input));
  }
  for (auto [i, sum] : llvm::enumerate(sums))
    local.map(body.getArgument(numInputs + i), sum);
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegion(0), captured);
  for (Value value : captured)
    local.map(value, inKernel(value));
  for (Operation &inner : body.without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      local.map(index.getResult(), ivs[index.getDim()]);
    else
      k.clone(inner, local);
  }
  SmallVector<Value> results;
  for (Value value : body.getTerminator()->getOperands())
    results.push_back(local.lookupOrDefault(value));
  return results;
}

SmallVector<Value> LoopKernel::emitLoops(ArrayRef<unsigned> loops,
                                         ValueRange sums) {
  if (loops.empty())
    return emitBody(sums);
  auto loop = scf::ForOp::create(k, loc, constant(0), sizeOf(loops[0]),
                                 constant(1), sums);
  OpBuilder::InsertionGuard guard(k);
  k.setInsertionPointToStart(loop.getBody());
  ivs[loops[0]] = loop.getInductionVar();
  SmallVector<Value> results =
      emitLoops(loops.drop_front(), loop.getRegionIterArgs());
  scf::YieldOp::create(k, loc, results);
  return loop.getResults();
}

SmallVector<Value> LoopKernel::startValues() {
  SmallVector<Value> values;
  for (auto [init, fill] : llvm::zip_equal(op.getDpsInitsMutable(), fills)) {
    if (fill)
      values.push_back(inKernel(fill.getInputs()[0]));
    else if (op.payloadUsesValueFromOperand(&init))
      values.push_back(load(init));
    else
      // Nothing reads it.
      values.push_back(arith::ConstantOp::create(
          k, loc,
          k.getZeroAttr(
              cast<MemRefType>(init.get().getType()).getElementType())));
  }
  return values;
}

void LoopKernel::store(ValueRange values) {
  for (auto [init, value] : llvm::zip_equal(op.getDpsInitsMutable(), values))
    memref::StoreOp::create(k, loc, value, inKernel(init.get()),
                            indicesOf(init));
}

void LoopKernel::delinearize(Value index, ArrayRef<unsigned> loops) {
  for (size_t i = loops.size(); i-- > 0;) {
    if (i == 0) {
      ivs[loops[0]] = index;
      return;
    }
    Value size = sizeOf(loops[i]);
    ivs[loops[i]] = arith::RemUIOp::create(k, loc, index, size);
    index = arith::DivUIOp::create(k, loc, index, size);
  }
}

static Value isBelow(OpBuilder &k, Location loc, Value a, Value b) {
  return arith::CmpIOp::create(k, loc, arith::CmpIPredicate::ult, a, b);
}

void LoopKernel::emitThreads(gpu::GPUFuncOp, int64_t columns) {
  // One dimension is all rows.
  SmallVector<unsigned> rows(parallel);
  bool twoDimensional = parallel.size() > 1;
  if (twoDimensional)
    rows.pop_back();
  Value thread = gpu::ThreadIdOp::create(k, loc, gpu::Dimension::x);
  Value inRow = arith::RemUIOp::create(k, loc, thread, constant(columns));
  Value ofBlock = arith::DivUIOp::create(k, loc, thread, constant(columns));
  Value block = gpu::BlockIdOp::create(k, loc, gpu::Dimension::x);
  Value row = arith::AddIOp::create(
      k, loc,
      arith::MulIOp::create(k, loc, block, constant(kThreads / columns)),
      ofBlock);
  Value numRows = constant(1);
  for (unsigned loop : rows)
    numRows = arith::MulIOp::create(k, loc, numRows, sizeOf(loop));
  Value inside = isBelow(k, loc, row, numRows);
  if (twoDimensional) {
    Value blockY = gpu::BlockIdOp::create(k, loc, gpu::Dimension::y);
    Value column = arith::AddIOp::create(
        k, loc, arith::MulIOp::create(k, loc, blockY, constant(columns)),
        inRow);
    ivs[parallel.back()] = column;
    inside = arith::AndIOp::create(
        k, loc, inside, isBelow(k, loc, column, sizeOf(parallel.back())));
  }
  auto guarded = scf::IfOp::create(k, loc, inside, /*withElse=*/false);
  k.setInsertionPointToStart(guarded.thenBlock());
  delinearize(row, rows);
  store(emitLoops(reductions, startValues()));
}

void LoopKernel::emitWarps(gpu::GPUFuncOp) {
  Value thread = gpu::ThreadIdOp::create(k, loc, gpu::Dimension::x);
  Value lane = arith::RemUIOp::create(k, loc, thread, constant(kLanes));
  Value warp = arith::DivUIOp::create(k, loc, thread, constant(kLanes));
  Value block = gpu::BlockIdOp::create(k, loc, gpu::Dimension::x);
  Value element = arith::AddIOp::create(
      k, loc, arith::MulIOp::create(k, loc, block, constant(kThreads / kLanes)),
      warp);
  Value numElements = constant(1);
  for (unsigned loop : parallel)
    numElements = arith::MulIOp::create(k, loc, numElements, sizeOf(loop));
  auto guarded =
      scf::IfOp::create(k, loc, isBelow(k, loc, element, numElements),
                        /*withElse=*/false);
  k.setInsertionPointToStart(guarded.thenBlock());
  delinearize(element, parallel);

  TypedAttr neutralAttr = *arith::getNeutralElement(combiner);
  Value neutral = arith::ConstantOp::create(k, loc, neutralAttr);
  auto loop = scf::ForOp::create(k, loc, lane, sizeOf(reductions[0]),
                                 constant(kLanes), neutral);
  {
    OpBuilder::InsertionGuard guard(k);
    k.setInsertionPointToStart(loop.getBody());
    ivs[reductions[0]] = loop.getInductionVar();
    scf::YieldOp::create(k, loc, emitBody(loop.getRegionIterArgs()));
  }
  auto join = [&](Value a, Value c) -> Value {
    IRMapping operands;
    operands.map(combiner->getOperand(0), a);
    operands.map(combiner->getOperand(1), c);
    OperationState state(loc, combiner->getName(), {a, c},
                         combiner->getResultTypes(), combiner->getAttrs());
    return k.create(state)->getResult(0);
  };
  Value sum = loop.getResult(0);
  for (int32_t distance = kLanes / 2; distance > 0; distance /= 2) {
    Value other = gpu::ShuffleOp::create(k, loc, sum, distance, kLanes,
                                         gpu::ShuffleMode::XOR)
                      .getShuffleResult();
    sum = join(sum, other);
  }
  Value first = arith::CmpIOp::create(k, loc, arith::CmpIPredicate::eq, lane,
                                      constant(0));
  auto writes = scf::IfOp::create(k, loc, first, /*withElse=*/false);
  k.setInsertionPointToStart(writes.thenBlock());
  store(join(startValues()[0], sum));
}

LogicalResult LoopKernel::form() {
  if (failed(collect()))
    return failure();
  findStart();
  findCombiner();
  // A fill that is taken over is not passed as a buffer.
  kernel = kernels.create(loc,
                          combiner             ? "rows"
                          : reductions.empty() ? "map"
                                               : "sum",
                          ValueRange(arguments.getArrayRef()).getTypes());
  k = OpBuilder(kernel.getBody().front().getTerminator());
  for (auto [value, argument] :
       llvm::zip_equal(arguments, kernel.getArguments()))
    mapping.map(value, argument);
  ivs.resize(ranges.size());

  LaunchShape shape;
  shape.block = kThreads;
  shape.y = shape.z = sizes.constant(1);
  if (combiner) {
    emitWarps(kernel);
    shape.x = sizes.ceilDiv(product(parallel), kThreads / kLanes);
  } else {
    int64_t columns = 1;
    SmallVector<unsigned> rows(parallel);
    if (parallel.size() > 1) {
      int64_t size =
          getConstantIntValue(ranges[parallel.back()]).value_or(kThreads);
      while (columns < size && columns < kThreads)
        columns *= 2;
      rows.pop_back();
      shape.y = sizes.ceilDiv(ranges[parallel.back()], columns);
    }
    emitThreads(kernel, columns);
    shape.x = sizes.ceilDiv(product(rows), kThreads / columns);
  }

  int64_t flopsPerElement = 0;
  op->getRegion(0).walk([&](Operation *inner) {
    flopsPerElement += inner->getNumResults() == 1 &&
                       isa<FloatType>(inner->getResult(0).getType()) &&
                       inner->getNumOperands() > 1;
  });
  SmallVector<unsigned> all(parallel);
  all.append(reductions);
  shape.flops = sizes.mul(product(all), sizes.constant(flopsPerElement));
  shape.bytes = sizes.constant(0);
  OpFoldResult resultBytes = sizes.bytes(op.getDpsInits()[0]);
  for (Value argument : arguments)
    if (isa<MemRefType>(argument.getType()))
      shape.bytes =
          sizes.add(shape.bytes, llvm::is_contained(op->getOperands(), argument)
                                     ? sizes.bytes(argument)
                                     : resultBytes);
  kernels.launch(b, loc, kernel, shape, arguments.getArrayRef());
  for (linalg::FillOp fill : fills)
    if (fill)
      fill->erase();
  op->erase();
  return success();
}

LogicalResult moe::formLoopKernel(KernelBuilder &kernels, linalg::LinalgOp op) {
  return LoopKernel(kernels, op).form();
}

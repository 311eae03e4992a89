//===- ThreadProduct.cpp - Products by the threads' own arithmetic --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For f32, f64, and bf16 of any size. A block of 256 threads goes along k in
// steps: it copies a slice of both operands to shared memory, then each thread
// adds to its 4 x 4 elements. Threads of a warp have neighbouring columns.
//
//===----------------------------------------------------------------------===//

#include "ProductKernels.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace moe;

static constexpr int64_t kTile = 64, kStep = 16, kThreads = 256, kSide = 16;
static constexpr int64_t kPerThread = kTile / kSide;

ProductShape moe::getThreadShape() {
  return {kTile, kTile, kThreads, /*shared=*/0, "threads"};
}

namespace {

class ThreadBody {
public:
  ThreadBody(const ProductKernel &kernel, gpu::GPUFuncOp function)
      : kernel(kernel), product(kernel.product), tile(kernel.tile), k(kernel.k),
        loc(kernel.loc), function(function) {}
  void emit();

private:
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(k, loc, value);
  }
  Value toIndex(Value wide) {
    return arith::IndexCastOp::create(k, loc, k.getIndexType(), wide);
  }
  Value add(Value a, Value b) { return arith::AddIOp::create(k, loc, a, b); }
  Value isBelow(Value a, Value b) {
    return arith::CmpIOp::create(k, loc, arith::CmpIPredicate::ult, a, b);
  }
  Value convert(Value number, Type type);
  /// Copies elements [first, first + 64) by [step, step + 16) of an operand.
  void copySlice(Value operand, Value shared, Value first, Value end,
                 Value step, Value endK, bool kLast, Value expert);
  SmallVector<Value> multiply(Value sharedA, Value sharedB, ValueRange start);

  const ProductKernel &kernel;
  const Product &product;
  const BlockTile &tile;
  OpBuilder &k;
  Location loc;
  gpu::GPUFuncOp function;
  Type sumType;
  /// Of this thread: its number, and its place in the 16 x 16 threads.
  Value thread, column, row;
};

} // namespace

Value ThreadBody::convert(Value number, Type type) {
  if (number.getType() == type)
    return number;
  if (number.getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(k, loc, type, number);
  return arith::TruncFOp::create(k, loc, type, number);
}

void ThreadBody::copySlice(Value operand, Value shared, Value first, Value end,
                           Value step, Value endK, bool kLast, Value expert) {
  int64_t contiguous = kLast ? kStep : kTile;
  Value inner = arith::RemUIOp::create(k, loc, thread, index(contiguous));
  Value outer = arith::DivUIOp::create(k, loc, thread, index(contiguous));
  int64_t rowsAtOnce = kThreads / contiguous;
  Type element = cast<MemRefType>(operand.getType()).getElementType();
  for (int64_t i = 0; i < kTile * kStep / kThreads; ++i) {
    Value far = add(outer, index(i * rowsAtOnce));
    Value ofTile = kLast ? far : inner, ofStep = kLast ? inner : far;
    Value line = add(first, ofTile), depth = add(step, ofStep);
    Value inside =
        arith::AndIOp::create(k, loc, isBelow(line, end), isBelow(depth, endK));
    auto choice = scf::IfOp::create(
        k, loc, inside,
        [&](OpBuilder &b, Location l) {
          SmallVector<Value> at;
          if (expert)
            at.push_back(expert);
          at.push_back(kLast ? line : depth);
          at.push_back(kLast ? depth : line);
          Value number = memref::LoadOp::create(b, l, operand, at);
          scf::YieldOp::create(b, l, number);
        },
        [&](OpBuilder &b, Location l) {
          Value zero = arith::ConstantOp::create(b, l, b.getZeroAttr(element));
          scf::YieldOp::create(b, l, zero);
        });
    memref::StoreOp::create(k, loc, convert(choice.getResult(0), sumType),
                            shared, ValueRange{ofStep, ofTile});
  }
}

SmallVector<Value> ThreadBody::multiply(Value sharedA, Value sharedB,
                                        ValueRange start) {
  SmallVector<Value> sums(start);
  for (int64_t depth = 0; depth < kStep; ++depth) {
    SmallVector<Value> as, bs;
    for (int64_t i = 0; i < kPerThread; ++i) {
      as.push_back(memref::LoadOp::create(
          k, loc, sharedA,
          ValueRange{index(depth), add(row, index(i * kSide))}));
      bs.push_back(memref::LoadOp::create(
          k, loc, sharedB,
          ValueRange{index(depth), add(column, index(i * kSide))}));
    }
    for (int64_t i = 0; i < kPerThread; ++i)
      for (int64_t j = 0; j < kPerThread; ++j) {
        Value &sum = sums[i * kPerThread + j];
        sum = math::FmaOp::create(k, loc, as[i], bs[j], sum);
      }
  }
  return sums;
}

void ThreadBody::emit() {
  Type element = product.elementOf(product.c);
  sumType = k.getF32Type();
  for (Value value : {product.a, product.b, product.c})
    if (product.elementOf(value).getIntOrFloatBitWidth() > 32)
      sumType = product.elementOf(value);
  auto space =
      gpu::AddressSpaceAttr::get(k.getContext(), gpu::AddressSpace::Workgroup);
  // One column more, so that a warp's stores fall on different banks.
  auto sharedType = MemRefType::get({kStep, kTile + 1}, sumType,
                                    MemRefLayoutAttrInterface(), space);
  Value sharedA = function.addWorkgroupAttribution(sharedType, loc);
  Value sharedB = function.addWorkgroupAttribution(sharedType, loc);
  thread = gpu::ThreadIdOp::create(k, loc, gpu::Dimension::x);
  column = arith::RemUIOp::create(k, loc, thread, index(kSide));
  row = arith::DivUIOp::create(k, loc, thread, index(kSide));
  Value firstRow = toIndex(tile.firstRow), endRow = toIndex(tile.endRow);
  Value firstColumn = toIndex(tile.firstColumn);
  Value numColumns = toIndex(tile.numColumns);
  Value firstK = toIndex(tile.firstK), endK = toIndex(tile.endK);
  Value expert = tile.expert ? toIndex(tile.expert) : Value();
  Value zero = arith::ConstantOp::create(k, loc, k.getZeroAttr(sumType));
  SmallVector<Value> zeros(kPerThread * kPerThread, zero);
  auto loop = scf::ForOp::create(k, loc, firstK, endK, index(kStep), zeros);
  {
    OpBuilder::InsertionGuard guard(k);
    k.setInsertionPointToStart(loop.getBody());
    Value step = loop.getInductionVar();
    copySlice(kernel.a, sharedA, firstRow, endRow, step, endK, product.kLastInA,
              Value());
    copySlice(kernel.b, sharedB, firstColumn, numColumns, step, endK,
              product.kLastInB,
              product.grouping == Product::Rows ? expert : Value());
    gpu::BarrierOp::create(k, loc);
    SmallVector<Value> sums =
        multiply(sharedA, sharedB, loop.getRegionIterArgs());
    gpu::BarrierOp::create(k, loc);
    scf::YieldOp::create(k, loc, sums);
  }
  for (int64_t i = 0; i < kPerThread; ++i)
    for (int64_t j = 0; j < kPerThread; ++j) {
      Value line = add(firstRow, add(row, index(i * kSide)));
      Value place = add(firstColumn, add(column, index(j * kSide)));
      Value inside = arith::AndIOp::create(k, loc, isBelow(line, endRow),
                                           isBelow(place, numColumns));
      auto guarded = scf::IfOp::create(k, loc, inside, /*withElse=*/false);
      OpBuilder::InsertionGuard guard(k);
      k.setInsertionPointToStart(guarded.thenBlock());
      SmallVector<Value> at;
      if (product.grouping == Product::Experts)
        at.push_back(expert);
      at.append({line, place});
      memref::StoreOp::create(
          k, loc, convert(loop.getResult(i * kPerThread + j), element),
          kernel.c, at);
    }
}

void moe::emitThreadBody(const ProductKernel &kernel, gpu::GPUFuncOp function) {
  ThreadBody(kernel, function).emit();
}

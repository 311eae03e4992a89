//===- Buffers.cpp - What buffers are of, their sizes and places ----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moe::rt;

static constexpr int64_t kAlignment = 256;

Value moe::rt::getRoot(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

SmallVector<Value> moe::rt::getRoots(Operation *op) {
  SmallVector<Value> roots;
  for (Value operand : op->getOperands())
    if (isa<MemRefType>(operand.getType())) {
      Value root = getRoot(operand);
      if (!llvm::is_contained(roots, root))
        roots.push_back(root);
    }
  return roots;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

/// The most that a rank can have along a dimension of an argument or result.
static std::optional<int64_t> getArgumentSize(BlockArgument buffer,
                                              int64_t dim) {
  auto function = dyn_cast<func::FuncOp>(buffer.getOwner()->getParentOp());
  auto values = function
                    ? function->getAttrOfType<DictionaryAttr>("moert.values")
                    : nullptr;
  if (!values)
    return std::nullopt;
  SmallVector<Attribute> all;
  for (StringRef kind : {"arguments", "results"})
    if (auto list = values.getAs<ArrayAttr>(kind))
      llvm::append_range(all, list);
  // The first argument is the rank.
  unsigned number = buffer.getArgNumber();
  if (number == 0 || number > all.size())
    return std::nullopt;
  auto value = cast<DictionaryAttr>(all[number - 1]);
  auto type = cast<moe::spmd::PlacedTensorType>(
      value.getAs<TypeAttr>("type").getValue());
  int64_t bound = type.getDimSize(dim);
  for (auto [axis, placement] :
       llvm::zip(type.getMesh().getLeafAxes(), type.getPlacements()))
    if (placement.isShard() && placement.dim == dim)
      bound = llvm::divideCeil(bound, axis.getSize());
  return bound;
}

static std::optional<int64_t> getCountReceived(CountReceivedOp op, Rows rows) {
  int64_t most = op.getMaxRows();
  // Everybody's counts have a row for each rank.
  int64_t ranks = cast<ShapedType>(op.getCounts().getType()).getDimSize(0);
  if (rows == Rows::Most || ShapedType::isDynamic(ranks))
    return most;
  return llvm::divideCeil(most, std::max<int64_t>(ranks, 1));
}

/// What an index is, or is at most.
static std::optional<int64_t> getBound(Value size, Rows rows) {
  APInt constant;
  if (matchPattern(size, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  Operation *op = size.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto received = dyn_cast<CountReceivedOp>(op))
    return getCountReceived(received, rows);
  if (isa<memref::DimOp, tensor::DimOp>(op)) {
    APInt position;
    if (!matchPattern(op->getOperand(1), m_ConstantInt(&position)))
      return std::nullopt;
    return getSize(op->getOperand(0), position.getSExtValue(), rows);
  }
  SmallVector<std::optional<int64_t>> bounds;
  for (Value operand : op->getOperands())
    bounds.push_back(getBound(operand, rows));
  if (isa<arith::MinUIOp, arith::MinSIOp>(op)) {
    if (!bounds[0] || !bounds[1])
      return bounds[0] ? bounds[0] : bounds[1];
    return std::min(*bounds[0], *bounds[1]);
  }
  // Sizes are not negative.
  if (isa<arith::SubIOp, arith::IndexCastOp>(op))
    return bounds[0];
  if (bounds.size() != 2 || !bounds[0] || !bounds[1])
    return std::nullopt;
  APInt divisor;
  if (isa<arith::AddIOp>(op))
    return *bounds[0] + *bounds[1];
  if (isa<arith::MulIOp>(op))
    return *bounds[0] * *bounds[1];
  if (isa<arith::MaxUIOp, arith::MaxSIOp>(op))
    return std::max(*bounds[0], *bounds[1]);
  if (!matchPattern(op->getOperand(1), m_ConstantInt(&divisor)) ||
      !divisor.isStrictlyPositive())
    return std::nullopt;
  if (isa<arith::DivUIOp>(op))
    return *bounds[0] / divisor.getSExtValue();
  if (isa<arith::CeilDivUIOp>(op))
    return llvm::divideCeil(*bounds[0], divisor.getSExtValue());
  return std::nullopt;
}

std::optional<int64_t> moe::rt::getSize(Value shaped, int64_t dim, Rows rows) {
  auto type = cast<ShapedType>(shaped.getType());
  if (dim < 0 || dim >= type.getRank())
    return std::nullopt;
  if (!type.isDynamicDim(dim))
    return type.getDimSize(dim);
  if (auto argument = dyn_cast<BlockArgument>(shaped))
    return getArgumentSize(argument, dim);
  Operation *op = shaped.getDefiningOp();
  auto sizeIn = [&](OperandRange sizes) {
    return getBound(sizes[llvm::count_if(type.getShape().take_front(dim),
                                         ShapedType::isDynamic)],
                    rows);
  };
  if (auto alloc = dyn_cast<memref::AllocOp>(op))
    return sizeIn(alloc.getDynamicSizes());
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return sizeIn(empty.getDynamicSizes());
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    // Of a slice that drops no dimension.
    if (slice.getSourceType().getRank() != type.getRank())
      return std::nullopt;
    OpFoldResult size = slice.getMixedSizes()[dim];
    if (auto attr = dyn_cast<Attribute>(size))
      return cast<IntegerAttr>(attr).getInt();
    return getBound(cast<Value>(size), rows);
  }
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return getSize(insert.getDest(), dim, rows);
  if (auto argument = dyn_cast<bufferization::ToTensorOp>(op))
    return getSize(argument.getBuffer(), dim, rows);
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
    return getSize(destination.getTiedOpOperand(cast<OpResult>(shaped))->get(),
                   dim, rows);
  return std::nullopt;
}

std::optional<int64_t> moe::rt::getBytes(Value shaped, Rows rows) {
  auto type = cast<ShapedType>(shaped.getType());
  if (!type.hasRank())
    return std::nullopt;
  int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    std::optional<int64_t> size = getSize(shaped, dim, rows);
    if (!size)
      return std::nullopt;
    bytes *= *size;
  }
  return bytes;
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

int64_t moe::rt::placeBuffers(MutableArrayRef<BufferLife> buffers) {
  SmallVector<BufferLife *> order;
  for (BufferLife &buffer : buffers)
    order.push_back(&buffer);
  llvm::sort(order, [](const BufferLife *a, const BufferLife *b) {
    return std::tie(b->bytes, a->first, a) < std::tie(a->bytes, b->first, b);
  });
  SmallVector<BufferLife *> placed;
  int64_t total = 0;
  for (BufferLife *buffer : order) {
    // By offset, those in the way.
    SmallVector<BufferLife *> others;
    for (BufferLife *other : placed)
      if (other->overlaps(*buffer))
        others.push_back(other);
    llvm::sort(others, [](const BufferLife *a, const BufferLife *b) {
      return std::tie(a->offset, a) < std::tie(b->offset, b);
    });
    int64_t offset = 0;
    for (BufferLife *other : others) {
      if (offset + buffer->bytes <= other->offset)
        break;
      offset = std::max(offset, int64_t(llvm::alignTo(
                                    other->offset + other->bytes, kAlignment)));
    }
    buffer->offset = offset;
    total = std::max(total, offset + buffer->bytes);
    placed.push_back(buffer);
  }
  return llvm::alignTo(total, kAlignment);
}

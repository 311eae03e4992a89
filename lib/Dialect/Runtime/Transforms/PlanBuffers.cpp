//===- PlanBuffers.cpp - One arena for all buffers ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

namespace moe::rt {
#define GEN_PASS_DEF_PLANBUFFERS
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;
using namespace moe::rt;

static constexpr int64_t kAlignment = 256;

namespace {
/// A buffer, the operations between which it is needed, by number, and its
/// place. No two have one first operation, an allocation.
struct Buffer {
  memref::AllocOp alloc;
  int64_t first = -1, last = -1;
  int64_t bytes = 0;
  int64_t offset = 0;

  bool overlaps(const Buffer &other) const {
    return first <= other.last && other.first <= last;
  }
};
} // namespace

/// The most that a rank can have along a dimension of an argument or result.
static std::optional<int64_t> getBound(BlockArgument buffer, int64_t dim) {
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

/// The most that a size can be.
static std::optional<int64_t> getBound(Value size) {
  APInt constant;
  if (matchPattern(size, m_ConstantInt(&constant)))
    return constant.getSExtValue();
  Operation *op = size.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto received = dyn_cast<CountReceivedOp>(op))
    return received.getMaxRows();
  if (auto dim = dyn_cast<memref::DimOp>(op)) {
    std::optional<int64_t> position = dim.getConstantIndex();
    auto type = cast<MemRefType>(dim.getSource().getType());
    if (!position)
      return std::nullopt;
    if (!type.isDynamicDim(*position))
      return type.getDimSize(*position);
    if (auto argument = dyn_cast<BlockArgument>(dim.getSource()))
      return getBound(argument, *position);
    auto alloc = dim.getSource().getDefiningOp<memref::AllocOp>();
    if (!alloc)
      return std::nullopt;
    return getBound(
        alloc.getDynamicSizes()[type.getDynamicDimIndex(*position)]);
  }
  SmallVector<std::optional<int64_t>> bounds;
  for (Value operand : op->getOperands())
    bounds.push_back(getBound(operand));
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

static FailureOr<int64_t> getBytes(memref::AllocOp alloc) {
  MemRefType type = alloc.getType();
  int64_t bytes = (type.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  for (int64_t size : type.getShape())
    if (!ShapedType::isDynamic(size))
      bytes *= size;
  for (Value size : alloc.getDynamicSizes()) {
    std::optional<int64_t> bound = getBound(size);
    if (!bound)
      return alloc.emitError(
          "the size of this buffer has no bound known before "
          "the run; help: compile with --target cpu, or "
          "report it");
    bytes *= *bound;
  }
  return bytes;
}

/// Larger buffers first, each at the lowest offset that is free while it is
/// needed. Returns the bytes of the arena.
static int64_t placeBuffers(MutableArrayRef<Buffer> buffers) {
  SmallVector<Buffer *> order;
  for (Buffer &buffer : buffers)
    order.push_back(&buffer);
  llvm::sort(order, [](const Buffer *a, const Buffer *b) {
    return std::tie(b->bytes, a->first) < std::tie(a->bytes, b->first);
  });
  SmallVector<Buffer *> placed;
  int64_t total = 0;
  for (Buffer *buffer : order) {
    // By offset, those in the way.
    SmallVector<Buffer *> others;
    for (Buffer *other : placed)
      if (other->overlaps(*buffer))
        others.push_back(other);
    llvm::sort(others, [](const Buffer *a, const Buffer *b) {
      return a->offset < b->offset;
    });
    int64_t offset = 0;
    for (Buffer *other : others) {
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

namespace {
struct PlanBuffersPass : moe::rt::impl::PlanBuffersBase<PlanBuffersPass> {
  void runOnOperation() override;
};
} // namespace

void PlanBuffersPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (!function->hasAttr("moert.values"))
    return;
  llvm::MapVector<Value, Buffer> buffers;
  llvm::DenseMap<int64_t, Operation *> collectives;
  int64_t number = 0;
  auto use = [&](Value root) {
    auto *found = buffers.find(root);
    if (found == buffers.end())
      return;
    found->second.last = number;
  };
  for (Operation &op : function.getBody().front()) {
    ++number;
    if (auto alloc = dyn_cast<memref::AllocOp>(op)) {
      FailureOr<int64_t> bytes = getBytes(alloc);
      if (failed(bytes))
        return signalPassFailure();
      Buffer buffer;
      buffer.alloc = alloc;
      buffer.bytes = *bytes;
      buffer.first = buffer.last = number;
      buffers.insert({alloc.getResult(), buffer});
      continue;
    }
    if (auto collective = dyn_cast<CollectiveOpInterface>(op))
      collectives[collective.getCollectiveAttr().getInt()] = &op;
    if (auto wait = dyn_cast<WaitOp>(op))
      llvm::for_each(getRoots(collectives[wait.getCollective()]), use);
    if (!isa<ViewLikeOpInterface, memref::DimOp>(op))
      llvm::for_each(getRoots(&op), use);
  }
  SmallVector<Buffer> list;
  for (auto &[root, buffer] : buffers)
    list.push_back(buffer);
  int64_t total = placeBuffers(list);
  for (Buffer &buffer : list) {
    OpBuilder b(buffer.alloc);
    Value place =
        ArenaOp::create(b, buffer.alloc.getLoc(), buffer.alloc.getType(),
                        function.getArgument(0), buffer.alloc.getDynamicSizes(),
                        b.getI64IntegerAttr(buffer.offset));
    buffer.alloc.replaceAllUsesWith(place);
    buffer.alloc.erase();
  }
  function->setAttr("moert.arena_bytes",
                    Builder(&getContext()).getI64IntegerAttr(total));
}

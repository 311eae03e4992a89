//===- Communication.cpp - What conversions send --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/Communication.h"

using namespace mlir;
using namespace moe::spmd;

int64_t moe::spmd::getLocalBytes(PlacedTensorType type) {
  return getLocalBytes(type, type.getPlacements());
}

int64_t moe::spmd::getLocalBytes(PlacedTensorType type,
                                 ArrayRef<Placement> placements) {
  int64_t bytes = (type.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  auto axes = type.getMesh().getLeafAxes();
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    int64_t part = size;
    for (auto [axis, placement] : llvm::zip_equal(axes, placements))
      if (placement.isCut() && placement.dim == int64_t(dim))
        part = llvm::divideCeil(part, axis.getSize());
    bytes *= part;
  }
  return bytes;
}

StringRef moe::spmd::getCollectiveName(Placement from, Placement to) {
  if (from == to || from.isReplicate() || (to.isPartial() && from.isCut()))
    return "";
  if (from.isPartial())
    return to.isCut() ? "reduce_scatter" : "all_reduce";
  return to.isCut() ? "all_to_all" : "all_gather";
}

int64_t moe::spmd::getBytesSent(Placement from, Placement to, int64_t ranks,
                                int64_t bytes) {
  StringRef name = getCollectiveName(from, to);
  if (name.empty())
    return 0;
  if (name == "all_gather")
    return bytes * (ranks - 1);
  return (name == "all_reduce" ? 2 : 1) * bytes * (ranks - 1) / ranks;
}

SmallVector<CollectiveStep, 2> moe::spmd::getCollectiveSteps(Operation *op) {
  SmallVector<CollectiveStep, 2> steps;
  if (!isa<RedistributeOp, AllReduceOp, AllGatherOp, ReduceScatterOp,
           AllToAllOp>(op))
    return steps;
  auto type = cast<PlacedTensorType>(op->getOperand(0).getType());
  MeshAttr mesh = type.getMesh();
  SmallVector<Placement> from(type.getPlacements());
  // A sum is sent whatever it is a sum of.
  auto sum = [&](StringRef axis) {
    for (unsigned leaf : mesh.getLeavesOf(axis))
      from[leaf] = Placement::partial();
  };
  if (auto reduce = dyn_cast<AllReduceOp>(op))
    for (auto axis : reduce.getAxes().getAsValueRange<StringAttr>())
      sum(axis);
  else if (auto scatter = dyn_cast<ReduceScatterOp>(op))
    sum(scatter.getAxis());
  int64_t bytes = getLocalBytes(type);
  auto to = cast<PlacedTensorType>(op->getResult(0).getType());
  // What is summed whole over several axes is one collective.
  CollectiveStep whole{"all_reduce", {}, bytes, 0};
  int64_t summed = 1;
  for (auto [i, axis, before, after] :
       llvm::enumerate(mesh.getLeafAxes(), from, to.getPlacements())) {
    StringRef name = getCollectiveName(before, after);
    if (axis.getSize() == 1 || name.empty())
      continue;
    if (name == whole.name) {
      whole.axes.push_back(i);
      summed *= axis.getSize();
      continue;
    }
    steps.push_back({name,
                     {unsigned(i)},
                     bytes,
                     getBytesSent(before, after, axis.getSize(), bytes)});
  }
  if (summed > 1) {
    whole.sent = getBytesSent(Placement::partial(), Placement::replicate(),
                              summed, bytes);
    steps.push_back(std::move(whole));
  }
  return steps;
}

Communication moe::spmd::getCommunication(Operation *op) {
  Communication total;
  for (const CollectiveStep &step : getCollectiveSteps(op))
    total += {1, step.sent};
  return total;
}

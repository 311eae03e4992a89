//===- Communication.cpp - What conversions send --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/Communication.h"

using namespace mlir;
using namespace moe::spmd;

int64_t moe::spmd::getLocalBytes(PlacedTensorType type) {
  int64_t bytes = (type.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  for (int64_t size : type.getShape())
    bytes *= size;
  auto axes = type.getMesh().getLeafAxes();
  for (auto [axis, placement] : llvm::zip_equal(axes, type.getPlacements()))
    if (placement.isCut())
      bytes = (bytes + axis.getSize() - 1) / axis.getSize();
  return bytes;
}

StringRef moe::spmd::getCollectiveName(Placement from, Placement to) {
  if (from == to || from.isReplicate() || to.isPartial())
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

Communication moe::spmd::getCommunication(Operation *op) {
  Communication total;
  if (!isa<RedistributeOp, AllReduceOp, AllGatherOp, ReduceScatterOp,
           AllToAllOp>(op))
    return total;
  auto from = cast<PlacedTensorType>(op->getOperand(0).getType());
  auto to = cast<PlacedTensorType>(op->getResult(0).getType());
  int64_t bytes = getLocalBytes(from);
  auto axes = from.getMesh().getLeafAxes();
  for (auto [axis, before, after] :
       llvm::zip_equal(axes, from.getPlacements(), to.getPlacements()))
    if (axis.getSize() > 1 && !getCollectiveName(before, after).empty())
      total += {1, getBytesSent(before, after, axis.getSize(), bytes)};
  return total;
}

//===- Collectives.cpp - What collectives have in common ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"

using namespace mlir;
using namespace moe;
using namespace moe::rt;
using namespace moe::spmd;

#include "moe/Dialect/Runtime/IR/RuntimeInterfaces.cpp.inc"

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

LogicalResult moe::rt::detail::verifyCollective(Operation *op) {
  auto collective = cast<CollectiveOpInterface>(op);
  ArrayRef<int32_t> axes = collective.getAxesAttr().asArrayRef();
  if (axes.empty() || axes.front() < 0 ||
      llvm::adjacent_find(axes, std::greater_equal<>()) != axes.end())
    return op->emitOpError("(N1) axes must be ascending numbers of axes");
  auto destination = cast<DestinationStyleOpInterface>(op);
  // The first input is the rank.
  if (destination.getNumDpsInputs() < 2 || destination.getNumDpsInits() == 0)
    return op->emitOpError("(N2) needs an operand and a destination");
  ArrayAttr types = collective.getGlobalTypesAttr();
  if (!types)
    return success();
  Type element =
      getElementTypeOrSelf(destination.getDpsInputOperand(1)->get().getType());
  MeshAttr mesh;
  for (Type type : types.getAsValueRange<TypeAttr>()) {
    auto placed = dyn_cast<PlacedTensorType>(type);
    if (!placed || (mesh && placed.getMesh() != mesh))
      return op->emitOpError(
                 "(N3) global_types must be spmd.tensor types of one mesh, is ")
             << type;
    mesh = placed.getMesh();
    if (axes.back() >= int32_t(mesh.getLeafAxes().size()))
      return op->emitOpError("(N3) the mesh of global_types has no axis ")
             << axes.back();
    if (placed.getElementType() != element)
      return op->emitOpError("(N3) global_types has elements of ")
             << placed.getElementType() << ", the operand of " << element;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Bytes
//===----------------------------------------------------------------------===//

/// The part of the rank at `place` where all together send `total`: the first
/// ranks send what is left over.
static int64_t getShare(int64_t total, int64_t ranks, int64_t place) {
  return total / ranks + (place < total % ranks);
}

int64_t rt::AllReduceOp::getRingBytes(int64_t bytes, int64_t ranks,
                                      int64_t place) {
  return getShare(2 * bytes * (ranks - 1), ranks, place);
}
int64_t rt::AllGatherOp::getRingBytes(int64_t bytes, int64_t ranks, int64_t) {
  return bytes * (ranks - 1);
}
int64_t rt::ReduceScatterOp::getRingBytes(int64_t bytes, int64_t ranks,
                                          int64_t place) {
  return getShare(bytes * (ranks - 1), ranks, place);
}

CollectiveKind rt::AllReduceOp::getKind() { return CollectiveKind::AllReduce; }
CollectiveKind rt::AllGatherOp::getKind() { return CollectiveKind::AllGather; }
CollectiveKind rt::ReduceScatterOp::getKind() {
  return CollectiveKind::ReduceScatter;
}
CollectiveKind rt::AllToAllOp::getKind() { return CollectiveKind::AllToAll; }

int64_t rt::AllToAllOp::getRingBytes(int64_t bytes, int64_t, int64_t) {
  return bytes;
}
bool rt::AllToAllOp::dependsOnRouting() { return true; }

/// Of a value of type `type` at `coordinates` of the mesh. Rows that routing
/// cuts may all be at one rank.
static BytesSent getLocalBytes(PlacedTensorType type,
                               ArrayRef<int64_t> coordinates) {
  BytesSent local{(type.getElementType().getIntOrFloatBitWidth() + 7) / 8};
  auto axes = type.getMesh().getLeafAxes();
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    int64_t rest = size;
    for (auto [i, placement] : llvm::enumerate(type.getPlacements())) {
      if (!placement.isCut() || placement.dim != int64_t(dim) ||
          axes[i].getSize() == 1)
        continue;
      if (placement.isRagged()) {
        local.isBound = true;
        continue;
      }
      // As `torch.chunk` cuts.
      int64_t chunk = llvm::divideCeil(rest, axes[i].getSize());
      int64_t begin = std::min(chunk * coordinates[i], rest);
      rest = std::min(chunk, rest - begin);
    }
    local.bytes *= rest;
  }
  return local;
}

std::optional<BytesSent> moe::rt::getBytesSent(CollectiveOpInterface op,
                                               int64_t rank) {
  ArrayAttr types = op.getGlobalTypesAttr();
  if (!types || types.empty())
    return std::nullopt;
  auto typeOf = [](Attribute attr) {
    return cast<PlacedTensorType>(cast<TypeAttr>(attr).getValue());
  };
  auto axes = typeOf(types[0]).getMesh().getLeafAxes();
  // Ranks are numbered row-major.
  SmallVector<int64_t> coordinates(axes.size());
  for (size_t i = axes.size(); i-- > 0;) {
    coordinates[i] = rank % axes[i].getSize();
    rank /= axes[i].getSize();
  }
  BytesSent sent{0, op.dependsOnRouting()};
  for (Attribute attr : types) {
    BytesSent local = getLocalBytes(typeOf(attr), coordinates);
    sent.bytes += local.bytes;
    sent.isBound |= local.isBound;
  }
  // The ranks of a group are in the order of all ranks.
  int64_t ranks = 1, place = 0;
  SmallVector<int32_t> reduced(op.getAxesAttr().asArrayRef());
  llvm::sort(reduced);
  for (int32_t axis : reduced) {
    ranks *= axes[axis].getSize();
    place = place * axes[axis].getSize() + coordinates[axis];
  }
  sent.bytes = op.getRingBytes(sent.bytes, ranks, place);
  return sent;
}

std::optional<int64_t> moe::rt::getCost(CollectiveOpInterface op,
                                        const CostModel &model) {
  ArrayAttr types = op.getGlobalTypesAttr();
  if (!types || types.empty())
    return std::nullopt;
  auto typeOf = [](Attribute attr) {
    return cast<PlacedTensorType>(cast<TypeAttr>(attr).getValue());
  };
  int64_t bytes = 0;
  for (Attribute attr : types)
    bytes += moe::spmd::getLocalBytes(typeOf(attr));
  ArrayRef<int32_t> numbers = op.getAxesAttr().asArrayRef();
  SmallVector<unsigned> axes(numbers.begin(), numbers.end());
  return model.get(op.getKind(), typeOf(types[0]).getMesh(), axes, bytes);
}

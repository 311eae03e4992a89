//===- RankMesh.cpp - Ranks, coordinates and cuts -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/RankMesh.h"
#include <algorithm>
#include <numeric>

using namespace moe;
using namespace moe::reference;

Range reference::chunk(Range whole, int64_t parts, int64_t index) {
  int64_t size = whole.size();
  int64_t step = (size + parts - 1) / parts;
  int64_t begin = std::min(size, index * step);
  return {whole.begin + begin, whole.begin + std::min(size, begin + step)};
}

mlir::FailureOr<RankMesh> RankMesh::get(spmd::MeshAttr mesh,
                                        std::string &error) {
  RankMesh result;
  int64_t ranks = 1;
  for (spmd::MeshAxisAttr axis : mesh.getLeafAxes()) {
    int64_t size = axis.getSize();
    if (size < 1 || size > maxRanks || ranks * size > maxRanks) {
      error = "the mesh has more than " + std::to_string(maxRanks) +
              " ranks, the most the reference simulates";
      return mlir::failure();
    }
    ranks *= size;
    result.sizes.push_back(size);
    result.names.push_back(axis.getName().str());
  }
  return result;
}

RankMesh RankMesh::unsharded() const {
  RankMesh result = *this;
  for (int64_t &size : result.sizes)
    size = 1;
  return result;
}

int64_t RankMesh::numRanks() const {
  int64_t ranks = 1;
  for (int64_t size : sizes)
    ranks *= size;
  return ranks;
}

llvm::SmallVector<int64_t> RankMesh::coordinates(int64_t rank) const {
  llvm::SmallVector<int64_t> result(sizes.size());
  for (size_t axis = sizes.size(); axis-- > 0;) {
    result[axis] = rank % sizes[axis];
    rank /= sizes[axis];
  }
  return result;
}

llvm::SmallVector<int64_t>
RankMesh::group(int64_t rank, llvm::ArrayRef<unsigned> axes) const {
  llvm::SmallVector<int64_t> strides(sizes.size(), 1);
  for (size_t axis = sizes.size(); axis-- > 1;)
    strides[axis - 1] = strides[axis] * sizes[axis];
  llvm::SmallVector<int64_t> where = coordinates(rank);
  for (unsigned axis : axes)
    rank -= where[axis] * strides[axis];

  llvm::SmallVector<int64_t> result = {rank};
  for (unsigned axis : axes) {
    llvm::SmallVector<int64_t> next;
    for (int64_t base : result)
      for (int64_t i = 0; i < sizes[axis]; ++i)
        next.push_back(base + i * strides[axis]);
    result = std::move(next);
  }
  return result;
}

Range RankMesh::cut(Range whole, llvm::ArrayRef<unsigned> axes,
                    int64_t rank) const {
  llvm::SmallVector<int64_t> where = coordinates(rank);
  for (unsigned axis : axes)
    whole = chunk(whole, sizes[axis], where[axis]);
  return whole;
}

llvm::SmallVector<unsigned>
RankMesh::cuttingAxes(llvm::ArrayRef<spmd::Placement> placements,
                      int64_t dim) const {
  llvm::SmallVector<unsigned> result;
  for (auto [axis, placement] : llvm::enumerate(placements))
    if (sizes[axis] > 1 && placement.isCut() && placement.dim == dim)
      result.push_back(axis);
  return result;
}

std::optional<Range>
reference::localRange(const RankMesh &mesh, int64_t size,
                      llvm::ArrayRef<spmd::Placement> placements, int64_t dim,
                      int64_t rank, const IndexTensor &counts) {
  llvm::SmallVector<unsigned> chunks, ragged;
  for (unsigned axis : mesh.cuttingAxes(placements, dim)) {
    if (placements[axis].isRagged())
      ragged.push_back(axis);
    else if (ragged.empty())
      chunks.push_back(axis);
    else
      return std::nullopt;
  }
  Range range = mesh.cut({0, size}, chunks, rank);
  if (ragged.empty())
    return range;
  // Rows of one expert are a run within one part.
  if (counts.size() == 0)
    return std::nullopt;
  int64_t numExperts = counts.shape.back();
  int64_t numParts = counts.size() / numExperts;
  Range parts = mesh.cut({0, numParts}, chunks, rank);
  if (parts.size() != 1)
    return std::nullopt;
  auto rowsBefore = [&](int64_t entry) {
    return std::accumulate(counts.data.begin(), counts.data.begin() + entry,
                           int64_t(0));
  };
  int64_t first = parts.begin * numExperts;
  if (rowsBefore(first) != range.begin ||
      rowsBefore(first + numExperts) != range.end)
    return std::nullopt;
  Range experts = mesh.cut({0, numExperts}, ragged, rank);
  return Range{rowsBefore(first + experts.begin),
               rowsBefore(first + experts.end)};
}

llvm::SmallVector<int64_t>
reference::localShape(const RankMesh &mesh, llvm::ArrayRef<int64_t> shape,
                      llvm::ArrayRef<spmd::Placement> placements, int64_t rank,
                      const IndexTensor &counts) {
  llvm::SmallVector<int64_t> result;
  for (auto [dim, size] : llvm::enumerate(shape)) {
    std::optional<Range> range =
        localRange(mesh, size, placements, dim, rank, counts);
    result.push_back(range ? range->size() : -1);
  }
  return result;
}

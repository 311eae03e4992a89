//===- RankMesh.cpp - Ranks, coordinates and cuts -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/RankMesh.h"
#include <algorithm>

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

llvm::SmallVector<int64_t>
reference::localShape(const RankMesh &mesh, llvm::ArrayRef<int64_t> shape,
                      llvm::ArrayRef<spmd::Placement> placements, int64_t rank,
                      llvm::ArrayRef<int64_t> counts) {
  llvm::SmallVector<int64_t> result;
  for (auto [dim, size] : llvm::enumerate(shape)) {
    llvm::SmallVector<unsigned> axes = mesh.cuttingAxes(placements, dim);
    bool ragged = llvm::any_of(
        axes, [&](unsigned axis) { return placements[axis].isRagged(); });
    if (!ragged) {
      result.push_back(mesh.cut({0, size}, axes, rank).size());
      continue;
    }
    bool onlyRagged = llvm::all_of(
        axes, [&](unsigned axis) { return placements[axis].isRagged(); });
    if (counts.empty() || !onlyRagged) {
      result.push_back(-1);
      continue;
    }
    Range experts = mesh.cut({0, int64_t(counts.size())}, axes, rank);
    int64_t rows = 0;
    for (int64_t expert = experts.begin; expert < experts.end; ++expert)
      rows += counts[expert];
    result.push_back(rows);
  }
  return result;
}

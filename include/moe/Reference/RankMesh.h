//===- RankMesh.h - Ranks, coordinates and cuts -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_RANKMESH_H
#define MOE_REFERENCE_RANKMESH_H

#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Reference/Tensor.h"
#include "llvm/ADT/SmallVector.h"
#include <optional>
#include <string>

namespace moe::reference {

/// A half-open interval of indices.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

/// Part `index` of `whole` cut into `parts` as `torch.chunk` cuts: all parts
/// have ceil(size / parts) elements but the last ones, which may have none.
Range chunk(Range whole, int64_t parts, int64_t index);

/// The simulated ranks, numbered row-major over the leaf axes of a mesh.
struct RankMesh {
  /// More ranks than this are refused.
  static constexpr int64_t maxRanks = 1 << 12;

  llvm::SmallVector<int64_t> sizes;
  llvm::SmallVector<std::string> names;

  /// The ranks of `mesh`; a failure with the reason in `error` if there are
  /// more than `maxRanks`.
  static mlir::FailureOr<RankMesh> get(spmd::MeshAttr mesh, std::string &error);

  /// One rank in place of all: every axis has size 1, so that placements mean
  /// nothing and local shapes are global ones.
  RankMesh unsharded() const;

  int64_t numRanks() const;
  llvm::SmallVector<int64_t> coordinates(int64_t rank) const;
  /// The ranks that differ from `rank` on `axes` at most, row-major over
  /// `axes`.
  llvm::SmallVector<int64_t> group(int64_t rank,
                                   llvm::ArrayRef<unsigned> axes) const;

  /// The part of `whole` that `rank` has if `axes`, in this order, cut it.
  Range cut(Range whole, llvm::ArrayRef<unsigned> axes, int64_t rank) const;

  /// The axes of a size other than 1 that cut dimension `dim`, in mesh order.
  llvm::SmallVector<unsigned>
  cuttingAxes(llvm::ArrayRef<spmd::Placement> placements, int64_t dim) const;
};

/// The part of dimension `dim`, of size `size`, that `rank` has. `counts`, [E]
/// or [P, E], are the rows of each expert, in each part of the tokens; nothing
/// if only they determine a ragged cut and they are empty, or do not fit.
std::optional<Range> localRange(const RankMesh &mesh, int64_t size,
                                llvm::ArrayRef<spmd::Placement> placements,
                                int64_t dim, int64_t rank,
                                const IndexTensor &counts);

/// The shape of `rank`'s local value of a tensor of global shape `shape`. A
/// size that only `counts` determines (a ragged one) is -1 without them.
llvm::SmallVector<int64_t>
localShape(const RankMesh &mesh, llvm::ArrayRef<int64_t> shape,
           llvm::ArrayRef<spmd::Placement> placements, int64_t rank,
           const IndexTensor &counts = {});

} // namespace moe::reference

#endif // MOE_REFERENCE_RANKMESH_H

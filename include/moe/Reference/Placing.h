//===- Placing.h - What placements mean -------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The meaning of a placed type, in both directions, and the conversion between
// two of them. Laws, for a truthful `locals`:
//   denote(place(x, type), type) = x
//   denote(redistribute(locals, A, B), B) = denote(locals, A)
//
// T is double or Field. Functions that can fail put one sentence in `error`.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_PLACING_H
#define MOE_REFERENCE_PLACING_H

#include "moe/Reference/RankMesh.h"
#include "moe/Reference/Tensor.h"
#include <map>
#include <optional>

namespace moe::reference {

/// Collectives that ran, by kind ("all_reduce") and axis ("tp").
struct CollectiveStatistics {
  struct Entry {
    int64_t count = 0;
    /// Sent by all ranks together, by ring algorithms.
    int64_t bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Entry> entries;

  void add(llvm::StringRef kind, llvm::StringRef axis, int64_t bytes);
};

/// Local values that denote `global` under `placements`, one per leaf axis
/// (`?` counts as replicate). Partial values are split at random, unevenly.
/// `counts`, as `localRange` takes them, are needed for ragged placements only.
/// Fails if `global` can't be cut so.
template <typename T>
mlir::FailureOr<LocalValues<T>>
place(const Value<T> &global, const RankMesh &mesh,
      llvm::ArrayRef<spmd::Placement> placements, Random &random,
      const IndexTensor &counts, std::string &error);

/// What local values denote.
template <typename T>
struct Denotation {
  /// Nothing if the local values have no meaning under the placements.
  std::optional<Value<T>> global;
  /// Then why.
  std::string reason;
  /// The first two ranks whose replicas differ; -1 if that isn't the reason.
  int64_t rankA = -1, rankB = -1;
};

/// The global value of shape `shape` that `locals` denote. Replicas must be
/// equal bit for bit. Without `counts` ragged pieces may have any size as long
/// as the sizes add up.
template <typename T>
Denotation<T> denote(const LocalValues<T> &locals, const RankMesh &mesh,
                     llvm::ArrayRef<int64_t> shape,
                     llvm::ArrayRef<spmd::Placement> placements,
                     const IndexTensor &counts = {});

/// Converts `locals` from placements `from` to `to` (`?`: unchanged), by the
/// placements alone: it does what a local program would, whether or not the
/// values have the meaning of `from`. Ragged placements stay. Fails if shapes
/// don't fit `from` where that matters. Collectives are added to `statistics`
/// if given, with `elementBytes` per element.
template <typename T>
mlir::FailureOr<LocalValues<T>> redistribute(
    const LocalValues<T> &locals, const RankMesh &mesh,
    llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<spmd::Placement> from,
    llvm::ArrayRef<spmd::Placement> to, std::string &error,
    CollectiveStatistics *statistics = nullptr, int64_t elementBytes = 4);

/// Elements [range) of dimension `dim`. Precondition: they exist.
template <typename U>
Tensor<U> slice(const Tensor<U> &tensor, unsigned dim, Range range);

/// The concatenation of at least one tensor along `dim`; fails if the other
/// sizes differ or there is no such dimension.
template <typename U>
mlir::FailureOr<Tensor<U>> concatenate(llvm::ArrayRef<const Tensor<U> *> pieces,
                                       unsigned dim, std::string &error);

} // namespace moe::reference

#endif // MOE_REFERENCE_PLACING_H

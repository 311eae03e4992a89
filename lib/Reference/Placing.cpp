//===- Placing.cpp - What placements mean ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/Placing.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include "llvm/ADT/STLExtras.h"
#include <numeric>

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::FailureOr;
using moe::spmd::Placement;
using moe::spmd::ReductionKind;

void CollectiveStatistics::add(llvm::StringRef kind, llvm::StringRef axis,
                               int64_t bytes) {
  Entry &entry = entries[{kind.str(), axis.str()}];
  ++entry.count;
  entry.bytes += bytes;
}

//===----------------------------------------------------------------------===//
// Pieces of tensors
//===----------------------------------------------------------------------===//

template <typename U>
Tensor<U> reference::slice(const Tensor<U> &tensor, unsigned dim, Range range) {
  Tensor<U> result;
  result.shape = tensor.shape;
  result.shape[dim] = range.size();
  int64_t inner = tensor.inner(dim), stride = tensor.shape[dim] * inner;
  int64_t outer = tensor.outer(dim);
  result.data.reserve(outer * range.size() * inner);
  for (int64_t i = 0; i < outer; ++i) {
    auto base = tensor.data.begin() + i * stride;
    result.data.insert(result.data.end(), base + range.begin * inner,
                       base + range.end * inner);
  }
  return result;
}

template <typename U>
FailureOr<Tensor<U>> reference::concatenate(ArrayRef<const Tensor<U> *> pieces,
                                            unsigned dim, std::string &error) {
  const Tensor<U> &first = *pieces.front();
  if (dim >= first.shape.size()) {
    error = "a local value of shape " + describeShape(first.shape) +
            " has no dimension " + std::to_string(dim);
    return failure();
  }
  Tensor<U> result;
  result.shape = first.shape;
  result.shape[dim] = 0;
  for (const Tensor<U> *piece : pieces) {
    SmallVector<int64_t> like = piece->shape;
    if (like.size() == first.shape.size())
      like[dim] = first.shape[dim];
    if (like != first.shape) {
      error = "local values of shapes " + describeShape(first.shape) + " and " +
              describeShape(piece->shape) +
              " can't be concatenated along dimension " + std::to_string(dim);
      return failure();
    }
    result.shape[dim] += piece->shape[dim];
  }
  int64_t outer = first.outer(dim), inner = first.inner(dim);
  for (int64_t i = 0; i < outer; ++i)
    for (const Tensor<U> *piece : pieces) {
      int64_t length = piece->shape[dim] * inner;
      auto base = piece->data.begin() + i * length;
      result.data.insert(result.data.end(), base, base + length);
    }
  return result;
}

/// The reduction of at least one tensor, in the order given.
template <typename U>
static FailureOr<Tensor<U>> reduce(ArrayRef<const Tensor<U> *> terms,
                                   ReductionKind kind, std::string &error) {
  Tensor<U> result = *terms.front();
  for (const Tensor<U> *term : terms.drop_front()) {
    if (term->shape != result.shape) {
      error = "local values of shapes " + describeShape(result.shape) +
              " and " + describeShape(term->shape) + " can't be reduced";
      return failure();
    }
    for (auto [sum, x] : llvm::zip_equal(result.data, term->data)) {
      if (kind == ReductionKind::Max)
        sum = sum < x ? x : sum;
      else if (kind == ReductionKind::Min)
        sum = x < sum ? x : sum;
      else
        sum += x;
    }
  }
  if (kind == ReductionKind::Avg)
    for (U &x : result.data)
      x = x / U(int64_t(terms.size()));
  return result;
}

template <typename U>
static SmallVector<const Tensor<U> *> pick(ArrayRef<Tensor<U>> locals,
                                           ArrayRef<int64_t> ranks) {
  return llvm::map_to_vector(ranks,
                             [&](int64_t rank) { return &locals[rank]; });
}

/// Zeros dimension `dim` outside `range`.
template <typename U>
static void maskOutside(Tensor<U> &tensor, unsigned dim, Range range) {
  int64_t inner = tensor.inner(dim), size = tensor.shape[dim];
  for (int64_t i = 0, e = tensor.size(); i < e; ++i) {
    int64_t index = i / inner % size;
    if (index < range.begin || index >= range.end)
      tensor.data[i] = U();
  }
}

//===----------------------------------------------------------------------===//
// Placing
//===----------------------------------------------------------------------===//

template <typename U>
static FailureOr<std::vector<Tensor<U>>>
placeTensor(const Tensor<U> &global, const RankMesh &mesh,
            ArrayRef<Placement> placements, Random &random,
            const IndexTensor &counts, std::string &error) {
  // The terms are drawn for the global value, so that replicas and shards of
  // one term belong together.
  std::vector<Tensor<U>> terms = {global};
  for (auto [axis, placement] : llvm::enumerate(placements)) {
    if (!placement.isPartial() || mesh.sizes[axis] == 1)
      continue;
    int64_t size = mesh.sizes[axis];
    std::vector<Tensor<U>> finer(terms.size() * size, Tensor<U>(global.shape));
    std::vector<U> split(size);
    for (size_t term = 0; term < terms.size(); ++term)
      for (int64_t i = 0; i < global.size(); ++i) {
        Numerics<U>::split(terms[term].data[i], placement.reduction, random,
                           split);
        for (int64_t part = 0; part < size; ++part)
          finer[term * size + part].data[i] = split[part];
      }
    terms = std::move(finer);
  }

  std::vector<Tensor<U>> locals;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    SmallVector<int64_t> where = mesh.coordinates(rank);
    int64_t term = 0;
    for (auto [axis, placement] : llvm::enumerate(placements))
      if (placement.isPartial() && mesh.sizes[axis] > 1)
        term = term * mesh.sizes[axis] + where[axis];
    Tensor<U> local = terms[term];
    for (size_t dim = 0; dim < global.shape.size(); ++dim) {
      std::optional<Range> range =
          localRange(mesh, global.shape[dim], placements, dim, rank, counts);
      if (!range) {
        error = "where ragged cuts are is not known";
        return failure();
      }
      if (range->size() != local.shape[dim])
        local = slice(local, dim, *range);
    }
    locals.push_back(std::move(local));
  }
  return locals;
}

/// Splits locals into those of the one element type they all have, calls
/// `function` on the vector of tensors, and wraps what comes back.
template <typename T, typename Function>
static auto onTensors(const LocalValues<T> &locals, std::string &error,
                      Function function) -> FailureOr<LocalValues<T>> {
  auto run = [&](auto tensors) -> FailureOr<LocalValues<T>> {
    auto results = function(std::move(tensors));
    if (mlir::failed(results))
      return failure();
    LocalValues<T> wrapped;
    for (auto &tensor : *results)
      wrapped.emplace_back(std::move(tensor));
    return wrapped;
  };
  std::vector<Tensor<T>> floats;
  std::vector<IndexTensor> indices;
  for (const Value<T> &local : locals) {
    if (local.isIndex())
      indices.push_back(local.indices());
    else
      floats.push_back(local.floats());
  }
  if (!indices.empty() && !floats.empty()) {
    error = "local values are numbers on some ranks, integers on others";
    return failure();
  }
  return indices.empty() ? run(std::move(floats)) : run(std::move(indices));
}

template <typename T>
FailureOr<LocalValues<T>>
reference::place(const Value<T> &global, const RankMesh &mesh,
                 ArrayRef<Placement> placements, Random &random,
                 const IndexTensor &counts, std::string &error) {
  return onTensors<T>({global}, error, [&](auto tensors) {
    return placeTensor(tensors.front(), mesh, placements, random, counts,
                       error);
  });
}

//===----------------------------------------------------------------------===//
// Denotation
//===----------------------------------------------------------------------===//

/// Folds the mesh axis by axis, the last one first, so that the inner of two
/// cuts of one dimension is undone before the outer one.
template <typename U>
static FailureOr<std::vector<Tensor<U>>>
foldAxes(std::vector<Tensor<U>> locals, const RankMesh &mesh,
         ArrayRef<Placement> placements, std::string &error) {
  for (size_t axis = placements.size(); axis-- > 0;) {
    int64_t size = mesh.sizes[axis];
    Placement placement = placements[axis];
    std::vector<Tensor<U>> folded;
    for (size_t first = 0; first < locals.size(); first += size) {
      SmallVector<int64_t> ranks(size);
      std::iota(ranks.begin(), ranks.end(), int64_t(first));
      SmallVector<const Tensor<U> *> group = pick<U>(ArrayRef(locals), ranks);
      FailureOr<Tensor<U>> tensor = *group.front();
      if (size > 1 && placement.isPartial())
        tensor = reduce<U>(group, placement.reduction, error);
      else if (size > 1 && placement.isCut())
        tensor = concatenate<U>(group, placement.dim, error);
      if (mlir::failed(tensor))
        return failure();
      folded.push_back(std::move(*tensor));
    }
    locals = std::move(folded);
  }
  return locals;
}

template <typename T>
Denotation<T> reference::denote(const LocalValues<T> &locals,
                                const RankMesh &mesh, ArrayRef<int64_t> shape,
                                ArrayRef<Placement> placements,
                                const IndexTensor &counts) {
  Denotation<T> result;
  if (int64_t(locals.size()) != mesh.numRanks()) {
    result.reason = "there are " + std::to_string(locals.size()) +
                    " local values for " + std::to_string(mesh.numRanks()) +
                    " ranks";
    return result;
  }
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    SmallVector<int64_t> expected =
        localShape(mesh, shape, placements, rank, counts);
    ArrayRef<int64_t> found = locals[rank].shape();
    bool fits = found.size() == expected.size() &&
                llvm::all_of(llvm::zip_equal(expected, found), [](auto sizes) {
                  return std::get<0>(sizes) < 0 ||
                         std::get<0>(sizes) == std::get<1>(sizes);
                });
    if (!fits) {
      result.reason = "the shape on rank " + std::to_string(rank) + " is " +
                      describeShape(found) + ", the placement says " +
                      describeShape(expected);
      return result;
    }
    for (unsigned axis = 0; axis < placements.size(); ++axis) {
      Placement placement = placements[axis];
      if (!placement.isReplicate() && !placement.isUnknown())
        continue;
      int64_t first = mesh.group(rank, axis).front();
      if (locals[rank].hasSameBits(locals[first]))
        continue;
      result.rankA = first;
      result.rankB = rank;
      result.reason = "replicas differ between ranks " + std::to_string(first) +
                      " and " + std::to_string(rank) + " (axis '" +
                      mesh.names[axis] + "')";
      return result;
    }
  }
  FailureOr<LocalValues<T>> folded =
      onTensors<T>(locals, result.reason, [&](auto tensors) {
        return foldAxes(std::move(tensors), mesh, placements, result.reason);
      });
  if (mlir::failed(folded))
    return result;
  if (folded->front().shape() != shape) {
    result.reason = "the pieces add up to " +
                    describeShape(folded->front().shape()) + ", not " +
                    describeShape(shape);
    return result;
  }
  result.global = std::move(folded->front());
  return result;
}

//===----------------------------------------------------------------------===//
// Redistribution
//===----------------------------------------------------------------------===//

namespace {
/// One conversion, with axes of size 1 and `?` resolved.
class Redistribution {
public:
  Redistribution(const RankMesh &mesh, ArrayRef<int64_t> shape,
                 ArrayRef<Placement> from, ArrayRef<Placement> to)
      : mesh(mesh), shape(shape), from(from), to(to) {
    for (size_t axis = 0; axis < mesh.sizes.size(); ++axis) {
      if (this->from[axis].isUnknown() || mesh.sizes[axis] == 1)
        this->from[axis] = Placement::replicate();
      if (this->to[axis].isUnknown() || mesh.sizes[axis] == 1)
        this->to[axis] = this->from[axis];
    }
  }

  /// Whether there is such a conversion.
  mlir::LogicalResult check(std::string &error) const;

  template <typename U>
  FailureOr<std::vector<Tensor<U>>> run(std::vector<Tensor<U>> locals,
                                        std::string &error) const {
    if (mlir::failed(check(error)) || mlir::failed(reduceAxes(locals, error)))
      return failure();
    // A rank that has cut one dimension already can't give others the pieces
    // of another dimension that they need: all cuts are undone first.
    for (unsigned dim = 0; dim < shape.size(); ++dim)
      if (mlir::failed(undoCuts(locals, dim, error)))
        return failure();
    for (unsigned dim = 0; dim < shape.size(); ++dim)
      makeCuts(locals, dim);
    for (unsigned axis = 0; axis < from.size(); ++axis)
      if (!from[axis].isCut() && to[axis].isPartial() && from[axis] != to[axis])
        for (size_t rank = 0; rank < locals.size(); ++rank)
          if (mesh.coordinates(rank)[axis] != 0)
            locals[rank] = Tensor<U>(locals[rank].shape);
    return locals;
  }

  /// `elements` is how many all ranks hold together before the conversion.
  void count(CollectiveStatistics &statistics, int64_t elements,
             int64_t elementBytes) const;

private:
  template <typename U>
  mlir::LogicalResult reduceAxes(std::vector<Tensor<U>> &locals,
                                 std::string &error) const;
  /// How the axes that cut one dimension change. What the outermost cuts leave
  /// stays where it is; inner ones are undone and made anew within it.
  struct Recut {
    SmallVector<unsigned> kept, undone, made;
  };
  Recut getRecut(unsigned dim) const;
  template <typename U>
  mlir::LogicalResult undoCuts(std::vector<Tensor<U>> &locals, unsigned dim,
                               std::string &error) const;
  template <typename U>
  void makeCuts(std::vector<Tensor<U>> &locals, unsigned dim) const;

  const RankMesh &mesh;
  ArrayRef<int64_t> shape;
  SmallVector<Placement> from, to;
};
} // namespace

mlir::LogicalResult Redistribution::check(std::string &error) const {
  for (auto [before, after] : llvm::zip_equal(from, to)) {
    if (before == after)
      continue;
    bool toOtherPartial =
        after.isPartial() && after.reduction != ReductionKind::Sum;
    bool noDim =
        after.isCut() && (after.dim < 0 || size_t(after.dim) >= shape.size());
    if (before.isRagged() || after.isRagged() || before.isMixed() ||
        after.isMixed() || toOtherPartial || noDim) {
      error =
          "there is no conversion from " + before.str() + " to " + after.str();
      return failure();
    }
  }
  return mlir::success();
}

template <typename U>
mlir::LogicalResult Redistribution::reduceAxes(std::vector<Tensor<U>> &locals,
                                               std::string &error) const {
  for (unsigned axis = 0; axis < from.size(); ++axis) {
    if (!from[axis].isPartial() || from[axis] == to[axis])
      continue;
    std::vector<Tensor<U>> reduced(locals.size());
    for (size_t rank = 0; rank < locals.size(); ++rank) {
      SmallVector<int64_t> group = mesh.group(rank, axis);
      if (group.front() != int64_t(rank)) {
        reduced[rank] = reduced[group.front()];
        continue;
      }
      FailureOr<Tensor<U>> sum = reduce<U>(pick<U>(ArrayRef(locals), group),
                                           from[axis].reduction, error);
      if (mlir::failed(sum))
        return failure();
      reduced[rank] = std::move(*sum);
    }
    locals = std::move(reduced);
  }
  return mlir::success();
}

Redistribution::Recut Redistribution::getRecut(unsigned dim) const {
  SmallVector<unsigned> before = mesh.cuttingAxes(from, dim);
  SmallVector<unsigned> after = mesh.cuttingAxes(to, dim);
  size_t common = 0;
  while (common < std::min(before.size(), after.size()) &&
         before[common] == after[common])
    ++common;
  Recut recut;
  recut.kept.assign(before.begin(), before.begin() + common);
  recut.undone.assign(before.begin() + common, before.end());
  recut.made.assign(after.begin() + common, after.end());
  return recut;
}

template <typename U>
mlir::LogicalResult Redistribution::undoCuts(std::vector<Tensor<U>> &locals,
                                             unsigned dim,
                                             std::string &error) const {
  Recut recut = getRecut(dim);
  if (recut.undone.empty() && recut.made.empty())
    return mlir::success();
  for (unsigned axis :
       llvm::concat<unsigned>(recut.kept, recut.undone, recut.made))
    if (from[axis].isRagged() || to[axis].isRagged()) {
      error = "dimension " + std::to_string(dim) +
              " is cut raggedly; other cuts of it can't change";
      return failure();
    }

  std::vector<Tensor<U>> results;
  for (size_t rank = 0; rank < locals.size(); ++rank) {
    SmallVector<int64_t> group = mesh.group(rank, recut.undone);
    FailureOr<Tensor<U>> whole =
        concatenate<U>(pick<U>(ArrayRef(locals), group), dim, error);
    if (mlir::failed(whole))
      return failure();
    Range piece = {0, mesh.cut({0, shape[dim]}, recut.kept, rank).size()};
    if (whole->shape[dim] != piece.size()) {
      error = "local values have " + std::to_string(whole->shape[dim]) +
              " elements along dimension " + std::to_string(dim) +
              " where their placement says " + std::to_string(piece.size());
      return failure();
    }
    for (unsigned axis : recut.undone) {
      if (!to[axis].isPartial())
        continue;
      if (recut.undone.size() == 1)
        maskOutside(*whole, dim, mesh.cut(piece, recut.undone, rank));
      else if (mesh.coordinates(rank)[axis] != 0)
        *whole = Tensor<U>(whole->shape);
    }
    results.push_back(std::move(*whole));
  }
  locals = std::move(results);
  return mlir::success();
}

template <typename U>
void Redistribution::makeCuts(std::vector<Tensor<U>> &locals,
                              unsigned dim) const {
  SmallVector<unsigned> made = getRecut(dim).made;
  if (made.empty())
    return;
  for (auto [rank, local] : llvm::enumerate(locals))
    local = slice(local, dim, mesh.cut({0, local.shape[dim]}, made, rank));
}

void Redistribution::count(CollectiveStatistics &statistics, int64_t elements,
                           int64_t elementBytes) const {
  int64_t bytes = elements * elementBytes;
  for (auto [axis, before, after] : llvm::enumerate(from, to)) {
    llvm::StringRef name = spmd::getCollectiveName(before, after);
    if (!name.empty())
      statistics.add(
          name, mesh.names[axis],
          spmd::getBytesSent(before, after, mesh.sizes[axis], bytes));
  }
}

template <typename T>
FailureOr<LocalValues<T>> reference::redistribute(
    const LocalValues<T> &locals, const RankMesh &mesh, ArrayRef<int64_t> shape,
    ArrayRef<Placement> from, ArrayRef<Placement> to, std::string &error,
    CollectiveStatistics *statistics, int64_t elementBytes) {
  Redistribution conversion(mesh, shape, from, to);
  FailureOr<LocalValues<T>> results =
      onTensors<T>(locals, error, [&](auto tensors) {
        return conversion.run(std::move(tensors), error);
      });
  if (mlir::succeeded(results) && statistics) {
    int64_t elements = 0;
    for (const Value<T> &local : locals)
      elements += Tensor<T>::product(local.shape());
    conversion.count(*statistics, elements, elementBytes);
  }
  return results;
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take none.
#define INSTANTIATE(T)                                                         \
  template FailureOr<LocalValues<T>> reference::place(                         \
      const Value<T> &, const RankMesh &, ArrayRef<Placement>, Random &,       \
      const IndexTensor &, std::string &);                                     \
  template Denotation<T> reference::denote(                                    \
      const LocalValues<T> &, const RankMesh &, ArrayRef<int64_t>,             \
      ArrayRef<Placement>, const IndexTensor &);                               \
  template FailureOr<LocalValues<T>> reference::redistribute(                  \
      const LocalValues<T> &, const RankMesh &, ArrayRef<int64_t>,             \
      ArrayRef<Placement>, ArrayRef<Placement>, std::string &,                 \
      CollectiveStatistics *, int64_t);
INSTANTIATE(double)
INSTANTIATE(Field)
#undef INSTANTIATE

#define INSTANTIATE(U)                                                         \
  template Tensor<U> reference::slice(const Tensor<U> &, unsigned, Range);     \
  template FailureOr<Tensor<U>> reference::concatenate(                        \
      ArrayRef<const Tensor<U> *>, unsigned, std::string &);
INSTANTIATE(double)
INSTANTIATE(Field)
INSTANTIATE(int64_t)
#undef INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

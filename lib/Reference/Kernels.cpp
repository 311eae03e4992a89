//===- Kernels.cpp - Operations of the moe dialect on one rank ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/Kernels.h"
#include "llvm/ADT/STLExtras.h"
#include <cmath>

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::FailureOr;

//===----------------------------------------------------------------------===//
// Element-wise and by row
//===----------------------------------------------------------------------===//

template <typename T>
FailureOr<Tensor<T>> reference::mapUnary(const Tensor<T> &input,
                                         llvm::function_ref<T(T)> function) {
  Tensor<T> result = input;
  for (T &x : result.data)
    x = function(x);
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::mapBinary(const Tensor<T> &lhs, const Tensor<T> &rhs,
                     llvm::function_ref<T(T, T)> function, std::string &error) {
  if (lhs.shape != rhs.shape) {
    error = "operands have local shapes " + describeShape(lhs.shape) + " and " +
            describeShape(rhs.shape);
    return failure();
  }
  Tensor<T> result = lhs;
  for (auto [x, y] : llvm::zip_equal(result.data, rhs.data))
    x = function(x, y);
  return result;
}

/// Calls `function` with each row of the last dimension of `first` and the row
/// of `second` beside it.
template <typename T, typename Function>
static void forEachRow(Tensor<T> &first, const Tensor<T> &second,
                       Function function) {
  int64_t size = first.shape.empty() ? 1 : first.shape.back();
  for (int64_t begin = 0; begin < first.size(); begin += size)
    function(llvm::MutableArrayRef(first.data).slice(begin, size),
             ArrayRef(second.data).slice(begin, size));
}

template <typename T>
static T sumOf(ArrayRef<T> row) {
  T sum = T(0);
  for (T x : row)
    sum += x;
  return sum;
}

template <typename T>
static T dot(ArrayRef<T> lhs, ArrayRef<T> rhs) {
  T sum = T(0);
  for (auto [x, y] : llvm::zip_equal(lhs, rhs))
    sum += x * y;
  return sum;
}

template <typename T>
Tensor<T> reference::softmax(const Tensor<T> &x) {
  Tensor<T> result = x;
  forEachRow(result, x, [](llvm::MutableArrayRef<T> row, ArrayRef<T>) {
    Numerics<T>::softmaxNumerators(row);
    T sum = sumOf<T>(row);
    for (T &value : row)
      value = value / sum;
  });
  return result;
}

template <typename T>
Tensor<T> reference::normalize(const Tensor<T> &x) {
  Tensor<T> result = x;
  forEachRow(result, x, [](llvm::MutableArrayRef<T> row, ArrayRef<T>) {
    T sum = sumOf<T>(row) + T(Numerics<T>::normalizeEpsilon);
    for (T &value : row)
      value = value / sum;
  });
  return result;
}

template <typename T>
FailureOr<Tensor<T>> reference::softmaxVjp(const Tensor<T> &y,
                                           const Tensor<T> &dy,
                                           std::string &error) {
  FailureOr<Tensor<T>> result =
      mapBinary<T>(dy, y, [](T x, T) { return x; }, error);
  if (mlir::failed(result))
    return failure();
  forEachRow(*result, y, [](llvm::MutableArrayRef<T> dy, ArrayRef<T> y) {
    T mean = dot<T>(y, dy);
    for (auto [out, p] : llvm::zip_equal(dy, y))
      out = p * (out - mean);
  });
  return result;
}

template <typename T>
FailureOr<Tensor<T>> reference::normalizeVjp(const Tensor<T> &x,
                                             const Tensor<T> &dy,
                                             std::string &error) {
  FailureOr<Tensor<T>> result =
      mapBinary<T>(dy, x, [](T x, T) { return x; }, error);
  if (mlir::failed(result))
    return failure();
  forEachRow(*result, x, [](llvm::MutableArrayRef<T> dy, ArrayRef<T> x) {
    T sum = sumOf<T>(x) + T(Numerics<T>::normalizeEpsilon);
    T mean = dot<T>(dy, x) / sum;
    for (T &out : dy)
      out = (out - mean) / sum;
  });
  return result;
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

/// Whether all can be compared; those of the field always can.
template <typename T>
static bool areNumbers(ArrayRef<T> values) {
  if constexpr (std::is_floating_point_v<T>)
    return llvm::none_of(values, [](T value) { return std::isnan(value); });
  return true;
}

/// The `count` largest of `values` that `allowed` admits, in descending order,
/// the lower index first among equals. Fewer if there are fewer.
template <typename T>
static SmallVector<int64_t> largest(ArrayRef<T> values,
                                    SmallVector<bool> allowed, int64_t count) {
  SmallVector<int64_t> chosen;
  while (int64_t(chosen.size()) < count) {
    int64_t best = -1;
    for (int64_t i = 0, e = values.size(); i < e; ++i)
      if (allowed[i] && (best < 0 || values[best] < values[i]))
        best = i;
    if (best < 0)
      break;
    allowed[best] = false;
    chosen.push_back(best);
  }
  return chosen;
}

template <typename T>
FailureOr<IndexTensor>
reference::topK(const Tensor<T> &scores, const Tensor<T> *bias, int64_t groups,
                int64_t limitedGroups, int64_t numChosen, std::string &error) {
  if (scores.shape.size() != 2 ||
      (bias &&
       (bias->shape.size() != 1 || bias->shape[0] != scores.shape[1])) ||
      groups < 1 || scores.shape[1] % groups) {
    error = "scores of local shape " + describeShape(scores.shape) +
            " don't fit the bias or " + std::to_string(groups) + " groups";
    return failure();
  }
  int64_t tokens = scores.shape[0], experts = scores.shape[1];
  int64_t perGroup = experts / groups;
  if (numChosen > std::min(limitedGroups, groups) * perGroup) {
    error = std::to_string(numChosen) + " experts can't be chosen out of " +
            std::to_string(std::min(limitedGroups, groups) * perGroup);
    return failure();
  }
  IndexTensor result({tokens, numChosen});
  for (int64_t token = 0; token < tokens; ++token) {
    SmallVector<T> row(ArrayRef(scores.data).slice(token * experts, experts));
    if (bias)
      for (auto [score, offset] : llvm::zip_equal(row, bias->data))
        score += offset;
    SmallVector<bool> allowed(experts, true);
    SmallVector<T> groupScores;
    if (groups > 1) {
      for (int64_t group = 0; group < groups; ++group) {
        ArrayRef<T> members =
            ArrayRef<T>(row).slice(group * perGroup, perGroup);
        T sum = T(0);
        for (int64_t i :
             largest<T>(members, SmallVector<bool>(perGroup, true), 2))
          sum += members[i];
        groupScores.push_back(sum);
      }
      allowed.assign(experts, false);
      for (int64_t group : largest<T>(
               groupScores, SmallVector<bool>(groups, true), limitedGroups))
        std::fill_n(allowed.begin() + group * perGroup, perGroup, true);
    }
    if (!areNumbers<T>(row) || !areNumbers<T>(groupScores)) {
      error = "the scores of this rank's token " + std::to_string(token) +
              " have no order: not all are finite numbers";
      return failure();
    }
    llvm::copy(largest<T>(row, allowed, numChosen),
               result.data.begin() + token * numChosen);
  }
  return result;
}

/// Whether `experts` is [T, K] with numbers below `numExperts`.
static bool checkExperts(const IndexTensor &experts, int64_t numExperts,
                         std::string &error) {
  if (experts.shape.size() != 2) {
    error = "expert numbers have local shape " + describeShape(experts.shape);
    return false;
  }
  for (int64_t expert : experts.data)
    if (expert < 0 || expert >= numExperts) {
      error = "expert number " + std::to_string(expert) + " is not one of " +
              std::to_string(numExperts) + " experts";
      return false;
    }
  return true;
}

static bool checkShape(ArrayRef<int64_t> found, ArrayRef<int64_t> expected,
                       std::string &error) {
  if (found == expected)
    return true;
  error = "an operand has local shape " + describeShape(found) +
          " where the expert numbers ask for " + describeShape(expected);
  return false;
}

template <typename T>
FailureOr<Tensor<T>> reference::gather(const Tensor<T> &scores,
                                       const IndexTensor &experts,
                                       std::string &error) {
  int64_t numExperts = scores.shape.empty() ? 0 : scores.shape.back();
  if (!checkExperts(experts, numExperts, error) ||
      !checkShape(scores.shape, {experts.shape[0], numExperts}, error))
    return failure();
  Tensor<T> result(experts.shape);
  for (int64_t i = 0, e = result.size(); i < e; ++i)
    result.data[i] =
        scores.data[i / experts.shape[1] * numExperts + experts.data[i]];
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::scatter(const Tensor<T> &chosen, const IndexTensor &experts,
                   int64_t numExperts, std::string &error) {
  if (!checkExperts(experts, numExperts, error) ||
      !checkShape(chosen.shape, experts.shape, error))
    return failure();
  Tensor<T> result({experts.shape[0], numExperts});
  for (int64_t i = 0, e = chosen.size(); i < e; ++i)
    result.data[i / experts.shape[1] * numExperts + experts.data[i]] +=
        chosen.data[i];
  return result;
}

FailureOr<IndexTensor> reference::count(const IndexTensor &experts,
                                        RowSorting sorting,
                                        std::string &error) {
  auto [numExperts, parts] = sorting;
  if (!checkExperts(experts, numExperts, error))
    return failure();
  if (parts < 1 || experts.shape[0] % parts) {
    error = "the expert numbers of " + std::to_string(experts.shape[0]) +
            " tokens are no " + std::to_string(parts) + " equal parts";
    return failure();
  }
  IndexTensor result({parts, numExperts});
  int64_t perPart = experts.size() / parts;
  for (int64_t pair = 0; pair < experts.size(); ++pair)
    ++result.data[pair / perPart * numExperts + experts.data[pair]];
  return result;
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

FailureOr<std::vector<int64_t>> reference::rowOrder(const IndexTensor &experts,
                                                    RowSorting sorting,
                                                    std::string &error) {
  FailureOr<IndexTensor> counts = count(experts, sorting, error);
  if (mlir::failed(counts))
    return failure();
  // Where the next row of an expert, in a part, goes.
  std::vector<int64_t> next(counts->size(), 0);
  for (int64_t run = 1; run < counts->size(); ++run)
    next[run] = next[run - 1] + counts->data[run - 1];
  int64_t perPart = experts.size() / sorting.parts;
  std::vector<int64_t> order(experts.size());
  for (int64_t pair = 0; pair < experts.size(); ++pair)
    order[next[pair / perPart * sorting.numExperts + experts.data[pair]]++] =
        pair;
  return order;
}

/// `shape` with another size of the first dimension.
static SmallVector<int64_t> withFirst(ArrayRef<int64_t> shape, int64_t size) {
  SmallVector<int64_t> result(shape);
  if (result.empty())
    result.push_back(size);
  result.front() = size;
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::dispatch(const Tensor<T> &tokens, const IndexTensor &experts,
                    RowSorting sorting, std::string &error) {
  FailureOr<std::vector<int64_t>> order = rowOrder(experts, sorting, error);
  if (mlir::failed(order) ||
      !checkShape(tokens.shape, withFirst(tokens.shape, experts.shape[0]),
                  error))
    return failure();
  Tensor<T> result(withFirst(tokens.shape, order->size()));
  int64_t width = tokens.inner(0);
  for (auto [row, pair] : llvm::enumerate(*order))
    std::copy_n(tokens.data.begin() + pair / experts.shape[1] * width, width,
                result.data.begin() + int64_t(row) * width);
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::combine(const Tensor<T> &rows, const IndexTensor &experts,
                   RowSorting sorting, std::string &error) {
  FailureOr<std::vector<int64_t>> order = rowOrder(experts, sorting, error);
  if (mlir::failed(order) ||
      !checkShape(rows.shape, withFirst(rows.shape, order->size()), error))
    return failure();
  Tensor<T> result(withFirst(rows.shape, experts.shape[0]));
  int64_t width = rows.inner(0);
  for (auto [row, pair] : llvm::enumerate(*order))
    for (int64_t i = 0; i < width; ++i)
      result.data[pair / experts.shape[1] * width + i] +=
          rows.data[int64_t(row) * width + i];
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::permute(const Tensor<T> &scores, const IndexTensor &experts,
                   RowSorting sorting, std::string &error) {
  FailureOr<std::vector<int64_t>> order = rowOrder(experts, sorting, error);
  if (mlir::failed(order) || !checkShape(scores.shape, experts.shape, error))
    return failure();
  Tensor<T> result(int64_t(order->size()));
  for (auto [row, pair] : llvm::enumerate(*order))
    result.data[row] = scores.data[pair];
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::unpermute(const Tensor<T> &rows, const IndexTensor &experts,
                     RowSorting sorting, std::string &error) {
  FailureOr<std::vector<int64_t>> order = rowOrder(experts, sorting, error);
  if (mlir::failed(order) ||
      !checkShape(rows.shape, int64_t(order->size()), error))
    return failure();
  Tensor<T> result(experts.shape);
  for (auto [row, pair] : llvm::enumerate(*order))
    result.data[pair] = rows.data[row];
  return result;
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take none.
#define INSTANTIATE_ROWS(name, T)                                              \
  template FailureOr<Tensor<T>> reference::name(                               \
      const Tensor<T> &, const IndexTensor &, RowSorting, std::string &);
#define INSTANTIATE(T)                                                         \
  template FailureOr<Tensor<T>> reference::mapUnary(const Tensor<T> &,         \
                                                    llvm::function_ref<T(T)>); \
  template FailureOr<Tensor<T>> reference::mapBinary(                          \
      const Tensor<T> &, const Tensor<T> &, llvm::function_ref<T(T, T)>,       \
      std::string &);                                                          \
  template Tensor<T> reference::softmax(const Tensor<T> &);                    \
  template Tensor<T> reference::normalize(const Tensor<T> &);                  \
  template FailureOr<Tensor<T>> reference::softmaxVjp(                         \
      const Tensor<T> &, const Tensor<T> &, std::string &);                    \
  template FailureOr<Tensor<T>> reference::normalizeVjp(                       \
      const Tensor<T> &, const Tensor<T> &, std::string &);                    \
  template FailureOr<IndexTensor> reference::topK(                             \
      const Tensor<T> &, const Tensor<T> *, int64_t, int64_t, int64_t,         \
      std::string &);                                                          \
  template FailureOr<Tensor<T>> reference::gather(                             \
      const Tensor<T> &, const IndexTensor &, std::string &);                  \
  template FailureOr<Tensor<T>> reference::scatter(                            \
      const Tensor<T> &, const IndexTensor &, int64_t, std::string &);         \
  INSTANTIATE_ROWS(dispatch, T)                                                \
  INSTANTIATE_ROWS(combine, T)                                                 \
  INSTANTIATE_ROWS(permute, T)                                                 \
  INSTANTIATE_ROWS(unpermute, T)
INSTANTIATE(double)
INSTANTIATE(Field)
// NOLINTEND(bugprone-macro-parentheses)

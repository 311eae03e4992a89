//===- Kernels.h - Operations of the moe dialect on one rank ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plain loops on the tensors that one rank holds. T tokens, E experts, K
// experts per token, N = T * K rows sorted by (expert, token). T is double or
// Field in template arguments. Shapes that don't fit give a failure and one
// sentence in `error`.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_KERNELS_H
#define MOE_REFERENCE_KERNELS_H

#include "moe/Reference/RankMesh.h"
#include "moe/Reference/Tensor.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace moe::reference {

/// `moe.einsum` with the equation `text`; `rhs` is null for one operand.
template <typename T>
mlir::FailureOr<Tensor<T>> einsum(llvm::StringRef text, const Tensor<T> &lhs,
                                  const Tensor<T> *rhs, std::string &error);

/// Which experts the pieces of a grouped einsum are about. An entry for a
/// tensor without the letter `e` is not looked at.
struct GroupedExperts {
  /// The rows at hand belong to these.
  Range rows;
  Range lhs, rhs, result;
};

/// `moe.grouped_einsum`: `counts`, [E] or [P, E], are those of all experts, in
/// each part of the rows. Rows of experts that an operand or the result lacks
/// contribute nothing.
template <typename T>
mlir::FailureOr<Tensor<T>>
groupedEinsum(llvm::StringRef text, const Tensor<T> &lhs, const Tensor<T> &rhs,
              const IndexTensor &counts, const GroupedExperts &experts,
              std::string &error);

template <typename T>
mlir::FailureOr<Tensor<T>> mapUnary(const Tensor<T> &input,
                                    llvm::function_ref<T(T)> function);
template <typename T>
mlir::FailureOr<Tensor<T>> mapBinary(const Tensor<T> &lhs, const Tensor<T> &rhs,
                                     llvm::function_ref<T(T, T)> function,
                                     std::string &error);

/// These work on each row of the last dimension; `*Vjp` take the saved value
/// that the operation's description names, and the cotangent.
template <typename T>
Tensor<T> softmax(const Tensor<T> &x);
template <typename T>
Tensor<T> normalize(const Tensor<T> &x);
template <typename T>
mlir::FailureOr<Tensor<T>> softmaxVjp(const Tensor<T> &y, const Tensor<T> &dy,
                                      std::string &error);
template <typename T>
mlir::FailureOr<Tensor<T>> normalizeVjp(const Tensor<T> &x, const Tensor<T> &dy,
                                        std::string &error);

/// `moe.top_k`: [T, E] to [T, K]; `bias` is [E] or null.
template <typename T>
mlir::FailureOr<IndexTensor>
topK(const Tensor<T> &scores, const Tensor<T> *bias, int64_t groups,
     int64_t limitedGroups, int64_t numChosen, std::string &error);
/// `moe.gather`: [T, E], [T, K] to [T, K].
template <typename T>
mlir::FailureOr<Tensor<T>>
gather(const Tensor<T> &scores, const IndexTensor &experts, std::string &error);
/// `moe.scatter`: [T, K], [T, K] to [T, E].
template <typename T>
mlir::FailureOr<Tensor<T>> scatter(const Tensor<T> &chosen,
                                   const IndexTensor &experts,
                                   int64_t numExperts, std::string &error);
/// Rows of tokens in equal parts are sorted by (part, expert, token).
struct RowSorting {
  int64_t numExperts = 1;
  int64_t parts = 1;
};

/// `moe.count`: [T, K] to [P, E].
mlir::FailureOr<IndexTensor> count(const IndexTensor &experts,
                                   RowSorting sorting, std::string &error);

/// The pairs (t, k), as t * K + k, in the order of the rows.
mlir::FailureOr<std::vector<int64_t>>
rowOrder(const IndexTensor &experts, RowSorting sorting, std::string &error);
/// `moe.dispatch`: [T, ...] to [N, ...].
template <typename T>
mlir::FailureOr<Tensor<T>> dispatch(const Tensor<T> &tokens,
                                    const IndexTensor &experts,
                                    RowSorting sorting, std::string &error);
/// `moe.combine`: [N, ...] to [T, ...].
template <typename T>
mlir::FailureOr<Tensor<T>> combine(const Tensor<T> &rows,
                                   const IndexTensor &experts,
                                   RowSorting sorting, std::string &error);
/// `moe.permute`: [T, K] to [N].
template <typename T>
mlir::FailureOr<Tensor<T>> permute(const Tensor<T> &scores,
                                   const IndexTensor &experts,
                                   RowSorting sorting, std::string &error);
/// `moe.unpermute`: [N] to [T, K].
template <typename T>
mlir::FailureOr<Tensor<T>> unpermute(const Tensor<T> &rows,
                                     const IndexTensor &experts,
                                     RowSorting sorting, std::string &error);

} // namespace moe::reference

#endif // MOE_REFERENCE_KERNELS_H

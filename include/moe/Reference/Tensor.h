//===- Tensor.h - Values of the reference -----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_TENSOR_H
#define MOE_REFERENCE_TENSOR_H

#include "moe/Reference/Numerics.h"
#include "llvm/ADT/SmallVector.h"
#include <string>
#include <variant>
#include <vector>

namespace moe::reference {

/// A dense tensor in row-major order, the last dimension fastest.
template <typename T>
struct Tensor {
  llvm::SmallVector<int64_t> shape;
  std::vector<T> data;

  Tensor() = default;
  /// All zeros. No size in `shape` may be negative.
  explicit Tensor(llvm::ArrayRef<int64_t> shape)
      : shape(shape), data(product(shape)) {}
  Tensor(llvm::ArrayRef<int64_t> shape, std::vector<T> data)
      : shape(shape), data(std::move(data)) {}

  int64_t size() const { return int64_t(data.size()); }
  /// Product of the sizes before dimension `dim`.
  int64_t outer(unsigned dim) const {
    return product(llvm::ArrayRef(shape).take_front(dim));
  }
  /// Product of the sizes after dimension `dim`.
  int64_t inner(unsigned dim) const {
    return product(llvm::ArrayRef(shape).drop_front(dim + 1));
  }
  bool hasSameBits(const Tensor &other) const {
    return shape == other.shape &&
           std::equal(data.begin(), data.end(), other.data.begin(),
                      Numerics<T>::bitEqual);
  }

  static int64_t product(llvm::ArrayRef<int64_t> sizes) {
    int64_t result = 1;
    for (int64_t size : sizes)
      result *= size;
    return result;
  }
};

using IndexTensor = Tensor<int64_t>;

/// What one rank holds of a value: numbers of type T, or integers (expert
/// numbers and counts).
template <typename T>
struct Value {
  std::variant<Tensor<T>, IndexTensor> tensor;

  Value() = default;
  Value(Tensor<T> floats) : tensor(std::move(floats)) {}
  Value(IndexTensor indices) : tensor(std::move(indices)) {}

  bool isIndex() const { return tensor.index() == 1; }
  /// Precondition: `!isIndex()`.
  const Tensor<T> &floats() const { return *std::get_if<0>(&tensor); }
  Tensor<T> &floats() { return *std::get_if<0>(&tensor); }
  /// Precondition: `isIndex()`.
  const IndexTensor &indices() const { return *std::get_if<1>(&tensor); }
  IndexTensor &indices() { return *std::get_if<1>(&tensor); }
  llvm::ArrayRef<int64_t> shape() const {
    return isIndex() ? llvm::ArrayRef(indices().shape)
                     : llvm::ArrayRef(floats().shape);
  }
  bool hasSameBits(const Value &other) const {
    if (isIndex() != other.isIndex())
      return false;
    return isIndex() ? indices().hasSameBits(other.indices())
                     : floats().hasSameBits(other.floats());
  }
};

/// One value as the ranks hold it: entry r is rank r's.
template <typename T>
using LocalValues = std::vector<Value<T>>;

/// `2x3`; `scalar` for rank zero. For messages.
std::string describeShape(llvm::ArrayRef<int64_t> shape);

} // namespace moe::reference

#endif // MOE_REFERENCE_TENSOR_H

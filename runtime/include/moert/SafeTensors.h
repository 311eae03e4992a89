//===- SafeTensors.h - Read and write safetensors files ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Inputs and outputs of a run are named tensors in the safetensors format: a
// little-endian u64 header length, a JSON header
// `{"name": {"dtype": .., "shape": [..], "data_offsets": [begin, end]}, ..}`
// with an optional `__metadata__` object of strings, and then the data of all
// tensors, contiguous and without holes. The reader trusts nothing in the file.
//
// Every function here reports failure by returning false and one sentence in
// `error`; none throws. All of them are safe to call from several threads, on
// different output objects.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_SAFETENSORS_H
#define MOERT_SAFETENSORS_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moert {

/// One dense tensor in row-major order.
struct Tensor {
  /// The element type: "F32", "F64", "BF16", "I32", "I64" or "U64".
  std::string dtype;
  /// Dimension sizes, outermost first; empty for a scalar.
  std::vector<int64_t> shape;
  /// The elements, little-endian: `dtypeSize(dtype) * elementCount(shape)`
  /// bytes.
  std::vector<std::byte> data;
};

/// Tensors by name, in the order of their names.
using TensorMap = std::map<std::string, Tensor>;

/// Returns the size of one element of `dtype` in bytes, or 0 if this library
/// does not know the type.
size_t dtypeSize(const std::string &dtype);

/// Returns the number of elements of a tensor of shape `shape` (1 for a
/// scalar), or nothing if a dimension is negative or the product does not fit
/// in 64 bits.
std::optional<int64_t> elementCount(const std::vector<int64_t> &shape);

/// Reads all tensors of the file at `path` into `out`, replacing what it held.
/// `__metadata__` is checked and dropped.
///
/// Returns false, with `out` unchanged, if the file cannot be read or is
/// malformed; `error` then names the file, the tensor where there is one, what
/// is wrong, and the remedy. Memory is reserved only for data that the file
/// really has, whatever its header claims.
bool readSafeTensors(const std::string &path, TensorMap &out,
                     std::string &error);

/// Writes `tensors` to the file at `path`, atomically: a reader sees the old
/// file or the whole new one. The data goes to a temporary file in the same
/// directory, which is synced and then renamed over `path` (a symbolic link at
/// `path` is replaced, not followed).
///
/// Returns false if a tensor is inconsistent (its data does not have the size
/// that its type and shape demand) or the file cannot be written; the temporary
/// file is then removed and what lay at `path` is untouched.
bool writeSafeTensors(const std::string &path, const TensorMap &tensors,
                      std::string &error);

/// Converts the elements of `tensor`, of type F32, F64 or BF16, to doubles,
/// exactly. `values` gets one value for each element, in row-major order.
///
/// Returns false, with `values` unchanged, for another type or if the size of
/// the data does not fit type and shape.
bool toDoubles(const Tensor &tensor, std::vector<double> &values,
               std::string &error);

/// Makes `out` a tensor of type `dtype` (F32, F64 or BF16) and shape `shape`
/// that holds `values`, each rounded once, to nearest, ties to even. Values
/// beyond the range become infinities; a NaN stays a NaN.
///
/// Returns false, with `out` unchanged, for another type or if `values` does
/// not have one value for each element of `shape`.
bool fromDoubles(const std::string &dtype, const std::vector<int64_t> &shape,
                 const std::vector<double> &values, Tensor &out,
                 std::string &error);

} // namespace moert

#endif // MOERT_SAFETENSORS_H

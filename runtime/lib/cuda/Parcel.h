//===- Parcel.h - What a rank sends to rank 0 -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Between processes of one program on one kind of machine: bytes as they are in
// memory.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_PARCEL_H
#define MOERT_LIB_CUDA_PARCEL_H

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace moert::cuda {

class ParcelWriter {
public:
  template <typename T>
  void put(const T *values, size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes.append(reinterpret_cast<const char *>(&count), sizeof(count));
    bytes.append(reinterpret_cast<const char *>(values), count * sizeof(T));
  }
  template <typename Container>
  void put(const Container &container) {
    put(container.data(), container.size());
  }

  const std::string &get() const { return bytes; }

private:
  std::string bytes;
};

class ParcelReader {
public:
  explicit ParcelReader(const std::string &bytes) : bytes(bytes) {}

  /// False if the parcel does not have it.
  template <typename Container>
  bool take(Container &container) {
    using T = typename Container::value_type;
    static_assert(std::is_trivially_copyable_v<T>);
    size_t count;
    if (bytes.size() - next < sizeof(count))
      return false;
    std::memcpy(&count, bytes.data() + next, sizeof(count));
    next += sizeof(count);
    if ((bytes.size() - next) / sizeof(T) < count)
      return false;
    container.resize(count);
    if (count > 0)
      std::memcpy(container.data(), bytes.data() + next, count * sizeof(T));
    next += count * sizeof(T);
    return true;
  }

private:
  const std::string &bytes;
  size_t next = 0;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_PARCEL_H

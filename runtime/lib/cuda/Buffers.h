//===- Buffers.h - Buffers of a rank on its GPU -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_BUFFERS_H
#define MOERT_LIB_CUDA_BUFFERS_H

#include "Device.h"
#include <map>

namespace moert::cuda {

/// Buffers in one allocation. A checker of memory knows allocations alone: for
/// it each buffer can have its own, so that an access from one to its neighbour
/// is seen.
class Buffers {
public:
  /// `bytes` are those of the one allocation, `what` is for messages.
  Buffers(const Device &device, size_t bytes, std::string what, bool separate);

  /// Where `bytes` bytes from `offset` on are: the same at every call.
  void *get(int64_t offset, int64_t bytes);

private:
  std::string describeAllocation(size_t bytes) const;

  const Device &device;
  std::string what;
  bool separate;
  DeviceMemory whole;
  /// By offset and size: two buffers of one place are two.
  std::map<std::pair<int64_t, int64_t>, DeviceMemory> parts;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_BUFFERS_H

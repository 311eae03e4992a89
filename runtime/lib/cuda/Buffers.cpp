//===- Buffers.cpp - Buffers of a rank on its GPU -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"

using namespace moert::cuda;

Buffers::Buffers(const Device &device, size_t bytes, std::string what,
                 bool separate)
    : device(device), what(std::move(what)), separate(separate),
      whole(device.getDriver(), separate ? 0 : bytes,
            describeAllocation(bytes)) {}

void *Buffers::get(int64_t offset, int64_t bytes) {
  if (!separate)
    return reinterpret_cast<void *>(whole.get() + offset);
  std::pair key(offset, bytes);
  auto found = parts.find(key);
  if (found == parts.end())
    found = parts
                .try_emplace(key, device.getDriver(), bytes,
                             describeAllocation(bytes))
                .first;
  return reinterpret_cast<void *>(found->second.get());
}

std::string Buffers::describeAllocation(size_t bytes) const {
  return "allocate " + describeBytes(bytes) + " for " + what + " on " +
         device.describe();
}

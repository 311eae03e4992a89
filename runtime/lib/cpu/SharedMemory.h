//===- SharedMemory.h - Memory of the processes of a run --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CPU_SHAREDMEMORY_H
#define MOERT_LIB_CPU_SHAREDMEMORY_H

#include "Descriptor.h"
#include <cstddef>
#include <cstdint>
#include <vector>

namespace moert {

/// A board that all processes write, and a window for each rank, which only
/// that rank writes. It has no name and is gone with the last process that has
/// it.
///
/// A window is as large as what is put there: the file behind it has room for
/// all of them from the start, which costs nothing until it is written.
class SharedMemory {
public:
  SharedMemory() = default;
  SharedMemory(const SharedMemory &) = delete;
  SharedMemory &operator=(const SharedMemory &) = delete;
  ~SharedMemory();

  /// Makes zeroed memory. Returns false and one sentence in `error` if the
  /// system has none.
  bool create(size_t boardBytes, int64_t numRanks, std::string &error);
  /// Uses memory that another process made with the same sizes.
  bool attach(Descriptor made, size_t bytes, int64_t numRanks,
              std::string &error);

  const Descriptor &getFile() const { return file; }
  void *getBoard() const { return board; }

  /// The window of `rank`, of `bytes` at least; null if there is no room. Valid
  /// until a larger one is asked for.
  std::byte *getWindow(int64_t rank, uint64_t bytes);

private:
  struct Window {
    std::byte *memory = nullptr;
    uint64_t bytes = 0;
  };

  Descriptor file;
  void *board = nullptr;
  size_t boardBytes = 0;
  std::vector<Window> windows;
};

} // namespace moert

#endif // MOERT_LIB_CPU_SHAREDMEMORY_H

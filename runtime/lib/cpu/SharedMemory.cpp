//===- SharedMemory.cpp - Memory of the processes of a run ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SharedMemory.h"
#include <bit>
#include <cerrno>
#include <sys/mman.h>

using namespace moert;

/// The distance of windows in the file.
static constexpr uint64_t maxWindow = uint64_t(1) << 38;
static constexpr uint64_t minWindow = uint64_t(1) << 20;

static uint64_t roundToPages(uint64_t bytes) {
  constexpr uint64_t page = 1 << 16;
  return (bytes + page - 1) / page * page;
}

SharedMemory::~SharedMemory() {
  for (const Window &window : windows)
    if (window.memory)
      ::munmap(window.memory, window.bytes);
  if (board)
    ::munmap(board, boardBytes);
}

bool SharedMemory::create(size_t boardBytes, int64_t numRanks,
                          std::string &error) {
  Descriptor made(::memfd_create("moert", MFD_CLOEXEC));
  uint64_t bytes = roundToPages(boardBytes) + maxWindow * numRanks;
  if (!made.isOpen() || ::ftruncate(made.get(), off_t(bytes)) != 0) {
    error = "cannot make memory that processes share: " +
            describeSystemError(errno);
    return false;
  }
  return attach(std::move(made), boardBytes, numRanks, error);
}

bool SharedMemory::attach(Descriptor made, size_t bytes, int64_t numRanks,
                          std::string &error) {
  file = std::move(made);
  boardBytes = roundToPages(bytes);
  void *memory = ::mmap(nullptr, boardBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                        file.get(), 0);
  if (memory == MAP_FAILED) {
    error =
        "cannot map memory that processes share: " + describeSystemError(errno);
    return false;
  }
  board = memory;
  windows.resize(numRanks);
  return true;
}

std::byte *SharedMemory::getWindow(int64_t rank, uint64_t bytes) {
  Window &window = windows[rank];
  if (window.memory && bytes <= window.bytes)
    return window.memory;
  if (bytes > maxWindow)
    return nullptr;
  // Doubled, so that growing does not cost a mapping each time.
  uint64_t size = std::max(minWindow, std::bit_ceil(bytes));
  void *memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
             file.get(), off_t(boardBytes + maxWindow * rank));
  if (memory == MAP_FAILED)
    return nullptr;
  if (window.memory)
    ::munmap(window.memory, window.bytes);
  window = {static_cast<std::byte *>(memory), size};
  return window.memory;
}

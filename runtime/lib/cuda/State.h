//===- State.h - What the ranks of a process use ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_STATE_H
#define MOERT_LIB_CUDA_STATE_H

#include "CUDARank.h"
#include <memory>

namespace moert::cuda {

/// The memory where ranks of one process meet.
class MeetingMemory {
public:
  explicit MeetingMemory(const ProgramInfo &info)
      : blocks(Meeting::bytesFor(info) / sizeof(Block) + 1) {}

  void *get() { return blocks.data(); }

private:
  struct alignas(64) Block {
    std::byte bytes[64];
  };
  std::vector<Block> blocks;
};

/// Of a run that has failed: freeing its memory would wait for work on the GPU
/// that may never end.
template <typename State>
void keepForever(std::shared_ptr<State> state) {
  (void)new std::shared_ptr<State>(std::move(state));
}

/// What `failure` says, where there is no Meeting yet.
void setReason(Report &report, const Failure &failure);

/// What rank 0's device can do.
void describePeaks(const ProgramInfo &info, const Device &device,
                   Report &report);

/// "2 ranks".
std::string describeCount(size_t count, const char *what);

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_STATE_H

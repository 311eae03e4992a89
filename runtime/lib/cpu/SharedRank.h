//===- SharedRank.h - A rank that is a process ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CPU_SHAREDRANK_H
#define MOERT_LIB_CPU_SHAREDRANK_H

#include "CPURank.h"
#include "SharedMemory.h"

namespace moert {

/// Puts its operands into its window, where other processes find them.
class SharedRank : public CPURank {
public:
  SharedRank(const ProgramInfo &info, int64_t number, Meeting &meeting,
             SharedMemory &memory)
      : CPURank(info, number, meeting), memory(memory) {}

  /// Runs all steps and then puts into the window what `collect` wants. False
  /// if the run has ended before all ranks have done so.
  bool runAndPublish(const Program &program, LocalTensors &arguments,
                     LocalTensors &results, const RunOptions &options);

  /// The same, of a process that is there for this alone. What the rank throws
  /// ends the run.
  void runProcess(const Program &program, LocalTensors &arguments,
                  const RunOptions &options);

protected:
  bool publish(Request &request, const void *in, int64_t bytes,
               const int64_t *send, int64_t numSend, void *&share) override;
  bool find(int64_t rank, const Request &request, Operand &operand) override;

private:
  bool endWithoutRoom(uint64_t bytes);

  SharedMemory &memory;
};

/// Takes what a rank has published. `arguments` are those that steps moved; if
/// there are none, the rank has not published any. Returns false if its window
/// cannot be mapped.
bool collect(SharedMemory &memory, int64_t rank, LocalTensors *arguments,
             LocalTensors &results, std::vector<Span> &spans);

} // namespace moert

#endif // MOERT_LIB_CPU_SHAREDRANK_H

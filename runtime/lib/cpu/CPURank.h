//===- CPURank.h - A rank on the CPU ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CPU_CPURANK_H
#define MOERT_LIB_CPU_CPURANK_H

#include "Meeting.h"
#include "Rank.h"

namespace moert {

/// Computes each collective from the operands of all ranks of the group. This
/// one finds them where they are, in the memory of one process.
class CPURank : public Rank {
public:
  CPURank(const ProgramInfo &info, int64_t number, Meeting &meeting)
      : Rank(info, number), meeting(meeting) {}

  /// Runs all steps. False if the run has ended.
  bool runSteps(const Program &program, LocalTensors &arguments,
                LocalTensors &results, const RunOptions &options);
  /// The same on buffers of moert_main; nothing is done after a step.
  bool runSteps(const Program &program, const std::vector<void *> &buffers,
                const RunOptions &options);

  const std::vector<Span> &getSpans() const { return spans; }

  bool end(RunReport::Outcome outcome, const std::string &error,
           const std::string &help = "") override;
  bool allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                 const void *in, void *out, int64_t count) override;
  bool allGather(int32_t collective, int32_t dtype, const void *in, void *out,
                 int64_t outer, int64_t size, int64_t inner) override;
  bool reduceScatter(int32_t collective, int32_t dtype, int32_t reduction,
                     const void *in, void *out, int64_t outer, int64_t size,
                     int64_t inner) override;
  bool allToAll(int32_t collective, int32_t dtype, const void *in,
                const int64_t *send, void *out, const int64_t *receive,
                int64_t row) override;

protected:
  /// Where the rank finds what one of the group brings.
  struct Operand {
    const void *in = nullptr;
    const int64_t *send = nullptr;
    /// What that rank computes for all.
    const void *out = nullptr;
  };

  /// Lets others find `bytes` bytes at `in`, the `numSend` numbers of an
  /// all-to-all, and what this rank will write to its `share`, which is in
  /// `out` at first. False if the run has ended.
  virtual bool publish(Request &request, const void *in, int64_t bytes,
                       const int64_t *send, int64_t numSend, void *&share);
  virtual bool find(int64_t rank, const Request &request, Operand &operand);

  Meeting &meeting;

private:
  /// One of the steps that `options` ask for.
  bool runStep(const Program &program, void *const *buffers, int64_t number,
               const RunOptions &options);

  /// A collective of this rank while it is in it.
  struct Call;

  bool enter(Call &call, const void *in, int64_t bytes, const int64_t *send,
             void *share);
  bool leave(Call &call);
  bool reduceInTurns(Call &call, void *out, int64_t count);

  int32_t step = 0;
  bool recording = false;
  std::vector<Span> spans;
};

/// Results of the program, of the right sizes.
LocalTensors allocateResults(const ProgramInfo &info, int64_t rank);

} // namespace moert

#endif // MOERT_LIB_CPU_CPURANK_H

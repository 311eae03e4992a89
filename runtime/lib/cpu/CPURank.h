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

  bool end(RunReport::Outcome outcome, const std::string &error) override;
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

private:
  /// A collective's operands, by the group's order of ranks.
  struct Operands {
    std::vector<const void *> in;
    std::vector<const int64_t *> send;
    /// Of this rank.
    size_t place = 0;
  };

  /// Meets the group, computes, and meets it again. `compute` returns the bytes
  /// that a rank sends, or less than 0 after it has ended the run.
  template <typename Compute>
  bool perform(const Request &request, Compute compute);

  Meeting &meeting;
};

} // namespace moert

#endif // MOERT_LIB_CPU_CPURANK_H

//===- Threads.cpp - Ranks as threads -------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CPURank.h"
#include "CrashHandler.h"
#include <memory>
#include <thread>

using namespace moert;

namespace {

/// What the threads of a run use. Ranks that do not stop keep it.
struct State {
  State(const ProgramInfo &info, double timeout)
      : memory(Meeting::bytesFor(info) / sizeof(Block) + 1),
        meeting(info, memory.data(), timeout) {
    for (int64_t rank = 0; rank < info.numRanks(); ++rank)
      ranks.emplace_back(info, rank, meeting);
  }

  struct alignas(64) Block {
    std::byte bytes[64];
  };
  std::vector<Block> memory;
  Meeting meeting;
  std::vector<CPURank> ranks;
};

} // namespace

RunReport moert::runThreads(const Program &program,
                            std::vector<LocalTensors> &arguments,
                            std::vector<LocalTensors> &results,
                            const RunOptions &options) {
  const ProgramInfo &info = program.getInfo();
  int64_t ranks = info.numRanks();
  results.clear();
  std::vector<int64_t> all;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    results.push_back(allocateResults(info, rank));
    all.push_back(rank);
  }

  auto state = std::make_shared<State>(info, options.timeout);
  auto crashes = std::make_unique<CrashHandler>();
  std::vector<std::thread> threads;
  threads.reserve(ranks);
  for (int64_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, state, rank] {
      CrashScope scope(state->meeting, rank);
      (void)state->ranks[rank].runSteps(program, arguments[rank], results[rank],
                                        options);
      state->meeting.stop(rank);
    });
  // Ranks that wait end at once; one that computes is given a moment.
  bool stopped = state->meeting.waitUntilStopped(all, /*grace=*/1);
  for (std::thread &thread : threads)
    stopped ? thread.join() : thread.detach();
  RunReport report;
  state->meeting.getReason(report);
  if (!stopped)
    // They may still crash.
    (void)crashes.release();
  if (report.outcome != RunReport::Finished)
    return report;
  report.collectives = state->meeting.getCounts();
  for (const CPURank &rank : state->ranks)
    report.spans.push_back(rank.getSpans());
  return report;
}

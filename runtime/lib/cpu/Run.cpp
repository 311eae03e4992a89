//===- Run.cpp - Ranks as threads -----------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/Run.h"
#include "CPURank.h"
#include <chrono>
#include <condition_variable>
#include <mutex>
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
  std::mutex mutex;
  std::condition_variable changed;
  int64_t running = 0;
};

} // namespace

static void runRank(const Program &program, State &state, int64_t rank,
                    const LocalTensors &arguments, LocalTensors &results) {
  std::vector<void *> buffers;
  for (const Tensor &tensor : arguments)
    buffers.push_back(const_cast<std::byte *>(tensor.data.data()));
  for (Tensor &tensor : results)
    buffers.push_back(tensor.data.data());
  if (state.ranks[rank].execute(program.getMain(), buffers.data()))
    (void)state.meeting.finish(rank);
  std::lock_guard<std::mutex> lock(state.mutex);
  --state.running;
  state.changed.notify_all();
}

RunReport moert::run(const Program &program,
                     const std::vector<LocalTensors> &arguments,
                     std::vector<LocalTensors> &results,
                     const RunOptions &options) {
  const ProgramInfo &info = program.getInfo();
  int64_t ranks = info.numRanks();
  results.assign(ranks, {});
  for (int64_t rank = 0; rank < ranks; ++rank)
    for (const ValueInfo &value : info.results) {
      Tensor tensor{value.dtype, info.localShape(value, rank), {}};
      tensor.data.resize(*elementCount(tensor.shape) * dtypeSize(value.dtype));
      results[rank].push_back(std::move(tensor));
    }

  auto state = std::make_shared<State>(info, options.timeout);
  state->running = ranks;
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, state, rank] {
      runRank(program, *state, rank, arguments[rank], results[rank]);
    });
  bool stopped = true;
  {
    std::unique_lock<std::mutex> lock(state->mutex);
    auto allStopped = [&] { return state->running == 0; };
    state->changed.wait(
        lock, [&] { return allStopped() || state->meeting.hasEnded(); });
    // Ranks that wait end at once; one that computes is given a moment.
    stopped =
        state->changed.wait_for(lock, std::chrono::seconds(1), allStopped);
  }
  for (std::thread &thread : threads)
    stopped ? thread.join() : thread.detach();
  RunReport report;
  state->meeting.getReason(report);
  if (report.outcome == RunReport::Finished)
    report.collectives = state->meeting.getCounts();
  return report;
}

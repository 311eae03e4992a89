//===- Threads.cpp - Ranks as threads -------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CPURank.h"
#include "CrashHandler.h"
#include <algorithm>
#include <deque>
#include <memory>
#include <numeric>
#include <span>
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

/// Runs `work(rank)` of every rank on a thread. What it refers to must stay if
/// a rank is left behind.
template <typename Work>
static RunReport runRanks(const ProgramInfo &info, double timeout, Work work) {
  int64_t ranks = info.numRanks();
  std::vector<int64_t> all(ranks);
  std::iota(all.begin(), all.end(), 0);
  auto state = std::make_shared<State>(info, timeout);
  auto crashes = std::make_unique<CrashHandler>();
  std::vector<std::thread> threads;
  threads.reserve(ranks);
  for (int64_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([work, state, rank] {
      CrashScope scope(state->meeting, rank);
      work(state->ranks[rank]);
      state->meeting.stop(rank);
    });
  // Ranks that wait end at once; one that computes is given a moment.
  bool stopped = state->meeting.waitUntilStopped(all, /*grace=*/1);
  for (std::thread &thread : threads)
    stopped ? thread.join() : thread.detach();
  RunReport report;
  state->meeting.getReason(report);
  report.isLeftBehind = !stopped;
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

RunReport moert::runThreads(const Program &program,
                            std::vector<LocalTensors> &arguments,
                            std::vector<LocalTensors> &results,
                            const RunOptions &options) {
  const ProgramInfo &info = program.getInfo();
  results.clear();
  for (int64_t rank = 0; rank < info.numRanks(); ++rank)
    results.push_back(allocateResults(info, rank));
  return runRanks(info, options.timeout, [&](CPURank &rank) {
    (void)rank.runSteps(program, arguments[rank.getNumber()],
                        results[rank.getNumber()], options);
  });
}

//===----------------------------------------------------------------------===//
// Global tensors
//===----------------------------------------------------------------------===//

namespace {

/// The buffers of all ranks: in global tensors, or here where a rank's part is
/// not in one piece of one, or is another rank's too.
class GlobalBuffers {
public:
  GlobalBuffers(const ProgramInfo &info,
                const std::vector<const std::byte *> &arguments,
                const std::vector<std::byte *> &results);

  const std::vector<void *> &getBuffers(int64_t rank) const {
    return buffers[rank];
  }
  /// After the run: completes the results. Returns false and why in `error`
  /// where ranks differ in what should be equal.
  bool complete(const std::vector<std::byte *> &results, std::string &error);

private:
  void addResult(size_t index, std::byte *global);
  std::byte *allocate(const ValueInfo &value, int64_t rank);

  const ProgramInfo &info;
  std::vector<std::vector<void *>> buffers;
  std::deque<Tensor> owned;
  /// By result: local tensors that have to be gathered, if there are any.
  std::vector<std::vector<const Tensor *>> locals;
  /// A rank's own copy of what the first one has in a global tensor.
  struct Replica {
    size_t result;
    int64_t first, rank;
    const std::byte *expected;
    const Tensor *found;
  };
  std::vector<Replica> replicas;
};

} // namespace

GlobalBuffers::GlobalBuffers(const ProgramInfo &info,
                             const std::vector<const std::byte *> &arguments,
                             const std::vector<std::byte *> &results)
    : info(info), buffers(info.numRanks()), locals(info.results.size()) {
  for (size_t i = 0; i < info.arguments.size(); ++i)
    for (int64_t rank = 0; rank < info.numRanks(); ++rank) {
      const ValueInfo &value = info.arguments[i];
      if (std::optional<int64_t> begin = findPiece(info, value, rank)) {
        // No program writes to its arguments.
        buffers[rank].push_back(const_cast<std::byte *>(arguments[i] + *begin));
        continue;
      }
      owned.push_back(slice(info, value, arguments[i], rank));
      buffers[rank].push_back(owned.back().data.data());
    }
  for (size_t i = 0; i < info.results.size(); ++i)
    addResult(i, results[i]);
}

std::byte *GlobalBuffers::allocate(const ValueInfo &value, int64_t rank) {
  Tensor &tensor =
      owned.emplace_back(value.dtype, info.localShape(value, rank));
  tensor.data.resize(*elementCount(tensor.shape) * dtypeSize(value.dtype));
  return tensor.data.data();
}

void GlobalBuffers::addResult(size_t index, std::byte *global) {
  const ValueInfo &value = info.results[index];
  int64_t ranks = info.numRanks();
  std::vector<std::optional<int64_t>> pieces(ranks);
  for (int64_t rank = 0; rank < ranks; ++rank)
    pieces[rank] = findPiece(info, value, rank);
  bool inPlace =
      std::ranges::all_of(pieces, [](const auto &piece) { return !!piece; });
  for (int64_t rank = 0; rank < ranks; ++rank) {
    int64_t first = firstReplica(info, value, rank);
    if (inPlace && first == rank) {
      buffers[rank].push_back(global + *pieces[rank]);
      continue;
    }
    buffers[rank].push_back(allocate(value, rank));
    if (inPlace)
      replicas.push_back(
          {index, first, rank, global + *pieces[first], &owned.back()});
    else
      locals[index].push_back(&owned.back());
  }
}

bool GlobalBuffers::complete(const std::vector<std::byte *> &results,
                             std::string &error) {
  for (const Replica &replica : replicas)
    if (!std::ranges::equal(
            replica.found->data,
            std::span(replica.expected, replica.found->data.size()))) {
      error = "'" + info.results[replica.result].name + "': the replicas of " +
              "ranks " + std::to_string(replica.first) + " and " +
              std::to_string(replica.rank) + " differ";
      return false;
    }
  for (size_t i = 0; i < results.size(); ++i) {
    if (locals[i].empty())
      continue;
    const ValueInfo &value = info.results[i];
    Tensor global;
    if (!gather(info, value, locals[i], global, error)) {
      error = "'" + value.name + "': " + error;
      return false;
    }
    std::ranges::copy(global.data, results[i]);
  }
  return true;
}

RunReport moert::runThreads(const Program &program,
                            const std::vector<const std::byte *> &arguments,
                            const std::vector<std::byte *> &results,
                            const RunOptions &options) {
  const ProgramInfo &info = program.getInfo();
  auto buffers = std::make_shared<GlobalBuffers>(info, arguments, results);
  RunReport report = runRanks(
      info, options.timeout, [&program, buffers, options](CPURank &rank) {
        (void)rank.runSteps(program, buffers->getBuffers(rank.getNumber()),
                            options);
      });
  if (report.outcome != RunReport::Finished ||
      buffers->complete(results, report.error))
    return report;
  report.outcome = RunReport::Failed;
  report.help = "a claim of the layer is false: moe-check says which";
  return report;
}

//===- Threads.cpp - Ranks as threads, on the GPUs of this process --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LocalTransport.h"
#include "NcclTransport.h"
#include "StagedTransport.h"
#include "State.h"
#include "cpu/CrashHandler.h"
#include <numeric>
#include <thread>

using namespace moert;
using namespace moert::cuda;

namespace {

/// What the threads of a run use. Ranks that do not stop keep it.
struct State {
  State(const Program &program, const Options &options);

  bool sharesDevices() const { return devices.size() < ranks.size(); }
  std::string describe() const;
  std::unique_ptr<Transport> makeTransport(CUDARank &rank, Streams &streams);

  const ProgramInfo &info;
  MeetingMemory memory;
  Meeting meeting;
  /// By ordinal.
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<std::unique_ptr<CUDARank>> ranks;
  /// Their counterparts on the CPU, if ranks share devices.
  std::vector<std::unique_ptr<CPURank>> hosts;
  /// If it does the collectives.
  const Nccl *nccl = nullptr;
  ncclUniqueId id = {};
};

} // namespace

State::State(const Program &program, const Options &options)
    : info(program.getInfo()), memory(info),
      meeting(info, memory.get(), options.timeout) {
  const Driver &driver = Driver::get();
  int64_t numRanks = info.numRanks();
  int64_t numDevices = std::min<int64_t>(numRanks, Device::count(driver));
  std::vector<int64_t> needed(numDevices);
  for (int64_t ordinal = 0; ordinal < numDevices; ++ordinal) {
    devices.push_back(std::make_unique<Device>(driver, int(ordinal)));
    devices.back()->checkTarget(info.target);
  }
  for (int64_t rank = 0; rank < numRanks; ++rank) {
    const Device &device = *devices[rank % numDevices];
    ranks.push_back(
        std::make_unique<CUDARank>(program, rank, device, meeting, options));
    needed[rank % numDevices] += CUDARank::memoryOf(info, rank).total();
    if (numDevices < numRanks)
      hosts.push_back(std::make_unique<CPURank>(info, rank, meeting));
  }
  for (int64_t ordinal = 0; ordinal < numDevices; ++ordinal) {
    devices[ordinal]->makeCurrent();
    devices[ordinal]->checkMemory(needed[ordinal], "the layer");
  }
  if (options.nccl && sharesDevices())
    throw Failure{"NCCL needs a GPU for each of " +
                      describeCount(numRanks, "rank") + ", and there " +
                      (numDevices == 1 ? "is " : "are ") +
                      std::to_string(numDevices),
                  "leave --nccl out, or use more GPUs"};
  if (!options.nccl && (numRanks == 1 || sharesDevices()))
    return;
  nccl = &Nccl::get();
  nccl->check(nccl->ncclGetUniqueId(&id), "prepare a communicator");
}

std::string State::describe() const {
  std::string first = devices[0]->describe();
  std::string all = describeCount(ranks.size(), "rank");
  if (nccl)
    return all + " on " +
           (ranks.size() == 1 ? first : describeCount(devices.size(), "GPU")) +
           ", collectives by NCCL " + describeNcclVersion(nccl->version);
  if (ranks.size() == 1)
    return all + " on " + first;
  return all + " share " +
         (devices.size() == 1 ? first : describeCount(devices.size(), "GPU")) +
         ", collectives in host memory";
}

std::unique_ptr<Transport> State::makeTransport(CUDARank &rank,
                                                Streams &streams) {
  const Device &device = rank.getDevice();
  if (nccl)
    return std::make_unique<NcclTransport>(
        *nccl, device, info, rank.getNumber(), id, streams, meeting);
  if (ranks.size() == 1)
    return std::make_unique<LocalTransport>(device.getDriver(), streams);
  return std::make_unique<StagedTransport>(device, *hosts[rank.getNumber()],
                                           meeting, streams);
}

Report moert::cuda::runThreads(const Program &program,
                               std::vector<LocalTensors> &arguments,
                               std::vector<LocalTensors> &results,
                               const Options &options) {
  const ProgramInfo &info = program.getInfo();
  Report report;
  std::shared_ptr<State> state;
  try {
    state = std::make_shared<State>(program, options);
  } catch (const Failure &failure) {
    setReason(report, failure);
    return report;
  }
  std::vector<int64_t> all(info.numRanks());
  std::iota(all.begin(), all.end(), 0);
  results.assign(all.size(), {});
  for (int64_t rank : all)
    results[rank] = allocateResults(info, rank);
  std::vector<std::thread> threads;
  threads.reserve(all.size());
  auto crashes = std::make_unique<CrashHandler>();
  for (int64_t number : all)
    threads.emplace_back([&, state, number] {
      CrashScope scope(state->meeting, number);
      CUDARank &rank = *state->ranks[number];
      (void)(rank.load() && rank.connect([&](Streams &streams) {
        return state->makeTransport(rank, streams);
      }) && rank.runSteps(arguments[number], results[number]) &&
             rank.close());
      state->meeting.stop(number);
    });
  // Ranks that wait end at once; libraries are given a moment.
  bool stopped = state->meeting.waitUntilStopped(all, /*grace=*/5);
  for (std::thread &thread : threads)
    stopped ? thread.join() : thread.detach();
  state->meeting.getReason(report);
  if (report.outcome != RunReport::Finished)
    keepForever(state);
  if (!stopped)
    // They may still crash.
    (void)crashes.release();
  if (report.outcome != RunReport::Finished)
    return report;
  report.collectives = state->meeting.getCounts();
  for (const std::unique_ptr<CUDARank> &rank : state->ranks) {
    report.spans.push_back(rank->getSpans());
    report.ranks.push_back(rank->getReport());
  }
  report.transport = state->describe();
  report.graph = state->ranks[0]->hasReplayed();
  describePeaks(info, *state->devices[0], report);
  return report;
}

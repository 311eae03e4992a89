//===- Launched.cpp - Ranks as processes with a GPU each ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LocalTransport.h"
#include "NcclTransport.h"
#include "Parcel.h"
#include "State.h"
#include "Watch.h"
#include "cpu/CPURank.h"
#include "moert/Rendezvous.h"
#include <algorithm>
#include <map>
#include <thread>
#include <unistd.h>

using namespace moert;
using namespace moert::cuda;

namespace {

/// What the thread of the rank uses. It keeps it if it does not stop.
struct State {
  State(const Program &program, int64_t rank, int ordinal,
        const Options &options)
      : memory(program.getInfo()),
        meeting(program.getInfo(), memory.get(), options.timeout),
        device(Driver::get(), ordinal),
        rank(program, rank, device, meeting, options), nccl(Nccl::get()) {}

  MeetingMemory memory;
  Meeting meeting;
  Device device;
  CUDARank rank;
  const Nccl &nccl;
};

} // namespace

//===----------------------------------------------------------------------===//
// GPUs
//===----------------------------------------------------------------------===//

/// How many ranks before this one are on this host.
static bool countBefore(Rendezvous &rendezvous, int64_t &before,
                        RunReport &report) {
  char name[256] = {};
  (void)::gethostname(name, sizeof(name) - 1);
  std::vector<std::string> hosts;
  if (!rendezvous.gather(name, hosts, report))
    return false;
  ParcelWriter writer;
  std::map<std::string, int64_t> seen;
  std::vector<int64_t> counts(hosts.size());
  std::ranges::transform(hosts, counts.begin(),
                         [&](const std::string &host) { return seen[host]++; });
  writer.put(counts);
  std::string bytes = writer.get();
  if (!rendezvous.broadcast(bytes, report))
    return false;
  (void)ParcelReader(bytes).take(counts);
  before = counts[rendezvous.getRank()];
  return true;
}

/// Takes the GPU of this rank. Throws Failure if there is none that is fit.
static std::shared_ptr<State> takeDevice(const Program &program, int64_t rank,
                                         int64_t before,
                                         const Options &options) {
  const ProgramInfo &info = program.getInfo();
  const Driver &driver = Driver::get();
  // A launcher may have left each process a GPU of its own, or all of them.
  auto state = std::make_shared<State>(
      program, rank, int(before % Device::count(driver)), options);
  state->device.checkTarget(info.target);
  state->device.makeCurrent();
  state->device.checkMemory(CUDARank::memoryOf(info, rank).total(),
                            "its part of the layer");
  return state;
}

/// Agrees with all on a failure of this rank, if there is one.
static bool agree(Rendezvous &rendezvous, const Failure &failure,
                  Report &report) {
  if (rendezvous.agree(failure.error, report))
    return true;
  if (report.error == failure.error)
    report.help = failure.help;
  return false;
}

/// Calls `body`; returns how it failed.
template <typename Body>
static Failure attempt(int64_t rank, Body body) {
  try {
    body();
    return {};
  } catch (const Failure &failure) {
    return {"rank " + std::to_string(rank) + ": " + failure.error,
            failure.help};
  }
}

/// NCCL refuses ranks that share a GPU, and does not say which.
static bool checkDistinct(Rendezvous &rendezvous, const std::string &identity,
                          Report &report) {
  std::vector<std::string> all;
  if (!rendezvous.gather(identity, all, report))
    return false;
  Failure failure;
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t k = 0; k < i && failure.error.empty(); ++k)
      if (all[i] == all[k])
        failure = {"ranks " + std::to_string(k) + " and " + std::to_string(i) +
                       " have the same GPU",
                   "start one process for each GPU; or start moe-run once, "
                   "without a launcher, and its ranks share what there is"};
  return agree(rendezvous, failure, report);
}

static bool shareId(Rendezvous &rendezvous, State &state, ncclUniqueId &id,
                    Report &report) {
  Failure failure;
  if (rendezvous.getRank() == 0)
    failure = attempt(0, [&] {
      state.nccl.check(state.nccl.ncclGetUniqueId(&id),
                       "prepare a communicator");
    });
  std::string bytes(id.internal, sizeof(id.internal));
  if (!agree(rendezvous, failure, report) ||
      !rendezvous.broadcast(bytes, report))
    return false;
  std::ranges::copy(bytes.substr(0, sizeof(id.internal)), id.internal);
  return true;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

static std::string pack(const State &state, const LocalTensors &results,
                        const LocalTensors *arguments) {
  ParcelWriter writer;
  const RankReport &told = state.rank.getReport();
  writer.put(state.rank.getSpans());
  writer.put(told.device);
  writer.put(&told.memory, 1);
  writer.put(told.kernels);
  writer.put(told.steps);
  writer.put(state.meeting.getCounts());
  for (const LocalTensors *tensors : {&results, arguments})
    if (tensors)
      for (const Tensor &tensor : *tensors)
        writer.put(tensor.data);
  return writer.get();
}

static bool unpack(const std::string &bytes, Report &report,
                   LocalTensors &results, LocalTensors *arguments) {
  ParcelReader reader(bytes);
  RankReport told;
  std::vector<Memory> memory;
  std::vector<Span> spans;
  std::vector<CollectiveCount> counts;
  if (!reader.take(spans) || !reader.take(told.device) ||
      !reader.take(memory) || memory.empty() || !reader.take(told.kernels) ||
      !reader.take(told.steps) || !reader.take(counts))
    return false;
  told.memory = memory[0];
  report.spans.push_back(std::move(spans));
  report.ranks.push_back(std::move(told));
  if (report.collectives.empty())
    report.collectives = counts;
  else
    for (size_t i = 0; i < counts.size(); ++i)
      report.collectives[i].bytes += counts[i].bytes;
  for (LocalTensors *tensors : {&results, arguments})
    if (tensors)
      for (Tensor &tensor : *tensors)
        if (size_t size = tensor.data.size();
            !reader.take(tensor.data) || tensor.data.size() != size)
          return false;
  return true;
}

/// Gives rank 0 what all have.
static bool collect(const ProgramInfo &info, Rendezvous &rendezvous,
                    const State &state, std::vector<LocalTensors> &arguments,
                    std::vector<LocalTensors> &results, bool withArguments,
                    Report &report) {
  int64_t rank = rendezvous.getRank();
  std::vector<std::string> all;
  if (!rendezvous.gather(pack(state, results[rank],
                              withArguments ? &arguments[rank] : nullptr),
                         all, report))
    return false;
  for (size_t other = 0; other < all.size(); ++other) {
    results[other] = allocateResults(info, int64_t(other));
    if (!unpack(all[other], report, results[other],
                withArguments ? &arguments[other] : nullptr)) {
      report.outcome = RunReport::Failed;
      report.error =
          "what rank " + std::to_string(other) + " sent is cut short";
      return false;
    }
  }
  return true;
}

//===----------------------------------------------------------------------===//
// The run
//===----------------------------------------------------------------------===//

Report moert::cuda::runRank(const Program &program, Rendezvous &rendezvous,
                            std::vector<LocalTensors> &arguments,
                            std::vector<LocalTensors> &results,
                            const Options &options) {
  const ProgramInfo &info = program.getInfo();
  int64_t number = rendezvous.getRank(), before = 0;
  Report report;
  std::shared_ptr<State> state;
  std::string identity;
  ncclUniqueId id = {};
  if (!countBefore(rendezvous, before, report))
    return report;
  Failure failure = attempt(number, [&] {
    state = takeDevice(program, number, before, options);
    identity = state->device.identify();
  });
  if (!agree(rendezvous, failure, report) ||
      !checkDistinct(rendezvous, identity, report) ||
      !shareId(rendezvous, *state, id, report))
    return report;
  results.assign(info.numRanks(), {});
  results[number] = allocateResults(info, number);
  bool stopped;
  {
    Watch watch(rendezvous, [state](int64_t gone) { state->rank.lose(gone); });
    std::thread thread([&, state] {
      auto connect = [&](Streams &streams) {
        return std::make_unique<NcclTransport>(state->nccl, state->device, info,
                                               number, id, streams,
                                               state->meeting);
      };
      (void)(state->rank.load() && state->rank.connect(connect) &&
             state->rank.runSteps(arguments[number], results[number]) &&
             state->rank.close());
      state->meeting.stop(number);
    });
    stopped = state->meeting.waitUntilStopped({&number, 1}, /*grace=*/5);
    stopped ? thread.join() : thread.detach();
  }
  state->meeting.getReason(report);
  if (report.outcome != RunReport::Finished)
    keepForever(state);
  if (report.outcome != RunReport::Finished ||
      !collect(info, rendezvous, *state, arguments, results,
               bool(options.afterStep), report))
    return report;
  report.transport = describeCount(info.numRanks(), "rank") +
                     " with a GPU each, collectives by NCCL " +
                     describeNcclVersion(state->nccl.version);
  report.graph = state->rank.hasReplayed();
  describePeaks(info, state->device, report);
  return report;
}

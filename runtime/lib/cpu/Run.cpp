//===- Run.cpp - Ranks as threads, and their collectives ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ranks of a group meet twice in every collective: first each leaves where
// its operand is and all wait for the last one, which checks that they ask for
// the same; then each computes its result from everybody's operands, in the
// order of ranks; and they meet again before an operand may change. A rank that
// waits sleeps, so any number of ranks runs on any number of cores.
//
//===----------------------------------------------------------------------===//

#include "moert/Program.h"
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csetjmp>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

using namespace moert;

namespace {

/// What a rank brings to a collective.
struct Request {
  int32_t collective = -1;
  int32_t dtype = 0, reduction = 0;
  /// Must be the same on all ranks.
  std::array<int64_t, 3> extents{};
  const void *in = nullptr;
  /// Rows to each rank, of an all-to-all.
  const int64_t *send = nullptr;
};

/// Ranks that differ on some axes alone.
struct Group {
  std::vector<int64_t> ranks;
  std::vector<Request> requests;
  int64_t arrived = 0;
  int64_t generation = 0;
  std::vector<bool> present;
};

class Runner;

} // namespace

struct moert_context {
  Runner *runner;
  int64_t rank;
  std::vector<int64_t> coordinates;
  std::jmp_buf exit;
};

namespace {

class Runner {
public:
  Runner(const Program &program, const RunOptions &options)
      : program(program), info(program.getInfo()), options(options) {
    report.collectives.resize(info.collectives.size());
  }

  RunReport run(const std::vector<LocalTensors> &arguments,
                std::vector<LocalTensors> &results);

  /// Ends the run; the first reason stays.
  void fail(RunReport::Outcome outcome, const std::string &error);
  bool hasFailed() const { return report.outcome != RunReport::Finished; }
  std::string describe(int32_t collective) const;

  /// The group of `rank` over a collective's axes, and its place in it.
  Group &find(int32_t collective, int64_t rank, size_t &place);
  /// Waits for all of the group. False if the run has ended.
  bool meet(Group &group, size_t place, const Request *request);
  /// Counts what one rank sent; the call itself once, for rank 0.
  void count(int32_t collective, int64_t rank, int64_t bytes);

  const Program &program;
  const ProgramInfo &info;
  RunOptions options;
  std::mutex mutex;
  std::condition_variable changed;

private:
  bool check(const Group &group);
  void runRank(int64_t rank, const LocalTensors &arguments,
               LocalTensors &results);

  std::map<std::pair<std::vector<int64_t>, int64_t>, Group> groups;
  RunReport report;
  int64_t running = 0;
};

} // namespace

std::string Runner::describe(int32_t collective) const {
  const CollectiveInfo &call = info.collectives[collective];
  std::string text = call.kind + " #" + std::to_string(collective);
  if (!call.site.empty())
    text += " at '" + call.site + "'";
  return text + " (" + call.location + ", " + call.phase + ")";
}

void Runner::fail(RunReport::Outcome outcome, const std::string &error) {
  if (hasFailed())
    return;
  report.outcome = outcome;
  report.error = error;
  changed.notify_all();
}

Group &Runner::find(int32_t collective, int64_t rank, size_t &place) {
  const std::vector<int64_t> &axes = info.collectives[collective].axes;
  std::vector<int64_t> mine = info.coordinates(rank), first = mine;
  for (int64_t axis : axes)
    first[axis] = 0;
  int64_t leader = 0;
  for (size_t axis = 0; axis < first.size(); ++axis)
    leader = leader * info.mesh[axis].size + first[axis];
  Group &group = groups[{axes, leader}];
  if (group.ranks.empty()) {
    for (int64_t other = 0; other < info.numRanks(); ++other) {
      std::vector<int64_t> at = info.coordinates(other);
      bool member = true;
      for (size_t axis = 0; axis < at.size(); ++axis)
        member &= at[axis] == mine[axis] || std::ranges::count(axes, axis);
      if (member)
        group.ranks.push_back(other);
    }
    group.requests.resize(group.ranks.size());
    group.present.resize(group.ranks.size());
  }
  place = std::ranges::find(group.ranks, rank) - group.ranks.begin();
  return group;
}

bool Runner::check(const Group &group) {
  const Request &first = group.requests[0];
  for (size_t i = 1; i < group.requests.size(); ++i) {
    const Request &other = group.requests[i];
    if (other.collective == first.collective && other.dtype == first.dtype &&
        other.reduction == first.reduction && other.extents == first.extents)
      continue;
    fail(
        RunReport::Failed,
        "rank " + std::to_string(group.ranks[0]) + " is in " +
            describe(first.collective) + " and rank " +
            std::to_string(group.ranks[i]) + " in " +
            describe(other.collective) +
            (other.collective == first.collective ? ", with other sizes" : ""));
    return false;
  }
  return true;
}

bool Runner::meet(Group &group, size_t place, const Request *request) {
  std::unique_lock<std::mutex> lock(mutex);
  if (hasFailed())
    return false;
  if (request)
    group.requests[place] = *request;
  group.present[place] = true;
  if (++group.arrived == int64_t(group.ranks.size())) {
    group.arrived = 0;
    group.present.assign(group.ranks.size(), false);
    if (request && !check(group))
      return false;
    ++group.generation;
    changed.notify_all();
    return true;
  }
  int64_t generation = group.generation;
  auto limit = std::chrono::duration<double>(std::min(options.timeout, 1e9));
  bool done = changed.wait_for(lock, limit, [&] {
    return hasFailed() || group.generation != generation;
  });
  if (!done) {
    std::string missing;
    for (size_t i = 0; i < group.ranks.size(); ++i)
      if (!group.present[i])
        missing +=
            (missing.empty() ? "" : ", ") + std::to_string(group.ranks[i]);
    fail(RunReport::TimedOut,
         "rank " + std::to_string(group.ranks[place]) + " has waited " +
             std::to_string(int64_t(options.timeout)) + " s in " +
             describe(group.requests[place].collective) + " for rank " +
             missing);
  }
  return group.generation != generation;
}

void Runner::count(int32_t collective, int64_t rank, int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  report.collectives[collective].count += rank == 0;
  report.collectives[collective].bytes += bytes;
}

void Runner::runRank(int64_t rank, const LocalTensors &arguments,
                     LocalTensors &results) {
  std::vector<void *> buffers;
  for (const Tensor &tensor : arguments)
    buffers.push_back(const_cast<std::byte *>(tensor.data.data()));
  for (Tensor &tensor : results)
    buffers.push_back(tensor.data.data());
  moert_context context{this, rank, info.coordinates(rank), {}};
  // A collective that fails comes back here, over frames of the compiled
  // program only, which have nothing to clean up but memory.
  if (setjmp(context.exit) == 0) {
    if (int32_t code = program.getMain()(&context, buffers.data())) {
      std::lock_guard<std::mutex> lock(mutex);
      fail(RunReport::Failed, "rank " + std::to_string(rank) +
                                  " returned the error " +
                                  std::to_string(code));
    }
  }
  std::lock_guard<std::mutex> lock(mutex);
  --running;
  changed.notify_all();
}

RunReport Runner::run(const std::vector<LocalTensors> &arguments,
                      std::vector<LocalTensors> &results) {
  int64_t ranks = info.numRanks();
  results.assign(ranks, {});
  for (int64_t rank = 0; rank < ranks; ++rank)
    for (const ValueInfo &value : info.results) {
      Tensor tensor{value.dtype, info.localShape(value, rank), {}};
      tensor.data.resize(*elementCount(tensor.shape) * dtypeSize(value.dtype));
      results[rank].push_back(std::move(tensor));
    }
  running = ranks;
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back(
        [&, rank] { runRank(rank, arguments[rank], results[rank]); });
  bool stopped = true;
  {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return running == 0 || hasFailed(); });
    // Ranks that wait end at once; one that computes is given a moment.
    stopped = changed.wait_for(lock, std::chrono::seconds(1),
                               [&] { return running == 0; });
  }
  for (std::thread &thread : threads)
    stopped ? thread.join() : thread.detach();
  return report;
}

RunReport moert::run(const Program &program,
                     const std::vector<LocalTensors> &arguments,
                     std::vector<LocalTensors> &results,
                     const RunOptions &options) {
  // Ranks that do not stop keep what they use.
  auto *runner = new Runner(program, options);
  RunReport report = runner->run(arguments, results);
  if (report.outcome == RunReport::Finished)
    delete runner;
  return report;
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static int64_t widthOf(int32_t dtype) {
  switch (dtype) {
  case MOERT_BF16:
    return 2;
  case MOERT_F32:
  case MOERT_I32:
    return 4;
  default:
    return 8;
  }
}

namespace {
/// bfloat16 in memory, float in computation.
struct BFloat {
  uint16_t bits;
  operator float() const {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof(value));
    return value;
  }
  static BFloat round(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof(wide));
    if ((wide & 0x7fffffff) > 0x7f800000)
      return {uint16_t(wide >> 16 | 0x40)};
    return {uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16)};
  }
};
} // namespace

/// One number reduced over all ranks, in their order.
template <typename T, typename Sum>
static Sum reduceAt(const std::vector<Request> &requests, int32_t reduction,
                    int64_t i) {
  auto get = [&](size_t rank) {
    return Sum(static_cast<const T *>(requests[rank].in)[i]);
  };
  Sum value = get(0);
  for (size_t rank = 1; rank < requests.size(); ++rank)
    value = reduction == MOERT_MAX   ? std::max(value, get(rank))
            : reduction == MOERT_MIN ? std::min(value, get(rank))
                                     : value + get(rank);
  return reduction == MOERT_AVG ? value / Sum(requests.size()) : value;
}

/// out[i] = the reduction of in[at + i], for `count` elements.
static void reduce(const std::vector<Request> &requests, int64_t at, void *out,
                   int64_t count) {
  int32_t reduction = requests[0].reduction;
  auto fill = [&]<typename T, typename Sum>(T *to, Sum) {
    for (int64_t i = 0; i < count; ++i) {
      Sum value = reduceAt<T, Sum>(requests, reduction, at + i);
      if constexpr (std::is_same_v<T, BFloat>)
        to[i] = BFloat::round(value);
      else
        to[i] = value;
    }
  };
  switch (requests[0].dtype) {
  case MOERT_F32:
    return fill(static_cast<float *>(out), float());
  case MOERT_F64:
    return fill(static_cast<double *>(out), double());
  case MOERT_BF16:
    return fill(static_cast<BFloat *>(out), float());
  case MOERT_I32:
    return fill(static_cast<int32_t *>(out), int32_t());
  default:
    return fill(static_cast<int64_t *>(out), int64_t());
  }
}

//===----------------------------------------------------------------------===//
// moert.h
//===----------------------------------------------------------------------===//

/// Meets the group, computes, meets again. False if the run has ended.
template <typename Compute>
static bool perform(moert_context *context, const Request &request,
                    Compute compute) {
  Runner &runner = *context->runner;
  size_t place;
  Group *group;
  {
    std::lock_guard<std::mutex> lock(runner.mutex);
    group = &runner.find(request.collective, context->rank, place);
  }
  if (!runner.meet(*group, place, &request))
    return false;
  runner.count(request.collective, context->rank,
               compute(group->requests, place));
  return runner.meet(*group, place, nullptr);
}

/// Has nothing to clean up, so that the jump is defined.
static void leaveUnless(bool going, moert_context *context) {
  if (!going)
    std::longjmp(context->exit, 1);
}

int64_t moert_axis_index(moert_context *context, int32_t axis) {
  return context->coordinates[axis];
}

void moert_all_reduce(moert_context *context, int32_t collective, int32_t dtype,
                      int32_t reduction, const void *in, void *out,
                      int64_t count) {
  Request request{collective, dtype, reduction, {count}, in, nullptr};
  leaveUnless(perform(context, request,
                      [&](const std::vector<Request> &all, size_t) {
                        reduce(all, 0, out, count);
                        int64_t others = int64_t(all.size()) - 1;
                        return 2 * count * widthOf(dtype) * others /
                               int64_t(all.size());
                      }),
              context);
}

void moert_all_gather(moert_context *context, int32_t collective, int32_t dtype,
                      const void *in, void *out, int64_t outer, int64_t size,
                      int64_t inner) {
  Request request{collective, dtype, 0, {outer, size, inner}, in, nullptr};
  auto compute = [&](const std::vector<Request> &all, size_t place) {
    int64_t ranks = all.size(), row = inner * widthOf(dtype);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      Chunk chunk(size, ranks, rank);
      for (int64_t o = 0; o < outer && chunk.size() > 0; ++o)
        std::memcpy(static_cast<char *>(out) + (o * size + chunk.begin) * row,
                    static_cast<const char *>(all[rank].in) +
                        o * chunk.size() * row,
                    chunk.size() * row);
    }
    return outer * Chunk(size, ranks, place).size() * row * (ranks - 1);
  };
  leaveUnless(perform(context, request, compute), context);
}

void moert_reduce_scatter(moert_context *context, int32_t collective,
                          int32_t dtype, int32_t reduction, const void *in,
                          void *out, int64_t outer, int64_t size,
                          int64_t inner) {
  Request request{collective,           dtype, reduction,
                  {outer, size, inner}, in,    nullptr};
  auto compute = [&](const std::vector<Request> &all, size_t place) {
    int64_t ranks = all.size(), width = widthOf(dtype);
    Chunk chunk(size, ranks, place);
    for (int64_t o = 0; o < outer; ++o)
      reduce(all, (o * size + chunk.begin) * inner,
             static_cast<char *>(out) + o * chunk.size() * inner * width,
             chunk.size() * inner);
    return outer * size * inner * width * (ranks - 1) / ranks;
  };
  leaveUnless(perform(context, request, compute), context);
}

void moert_all_to_all(moert_context *context, int32_t collective, int32_t dtype,
                      const void *in, const int64_t *send, void *out,
                      const int64_t *receive, int64_t row) {
  Request request{collective, dtype, 0, {row}, in, send};
  int64_t wrong = -1;
  auto compute = [&](const std::vector<Request> &all, size_t place) {
    int64_t bytes = row * widthOf(dtype), sent = 0;
    char *to = static_cast<char *>(out);
    for (size_t rank = 0; rank < all.size(); ++rank) {
      const int64_t *theirs = all[rank].send;
      if (theirs[place] != receive[rank]) {
        wrong = rank;
        break;
      }
      int64_t skip = 0;
      for (size_t i = 0; i < place; ++i)
        skip += theirs[i];
      if (theirs[place] > 0)
        std::memcpy(to, static_cast<const char *>(all[rank].in) + skip * bytes,
                    theirs[place] * bytes);
      to += theirs[place] * bytes;
      sent += rank == place ? 0 : send[rank] * bytes;
    }
    return sent;
  };
  bool going = perform(context, request, compute);
  if (wrong >= 0) {
    Runner &runner = *context->runner;
    std::lock_guard<std::mutex> lock(runner.mutex);
    runner.fail(RunReport::Failed,
                "rank " + std::to_string(context->rank) + " in " +
                    runner.describe(collective) +
                    ": another number of rows came than was expected");
    going = false;
  }
  leaveUnless(going, context);
}

void moert_fail(moert_context *context, const char *location,
                const char *message) {
  {
    Runner &runner = *context->runner;
    std::lock_guard<std::mutex> lock(runner.mutex);
    std::string place = *location ? std::string(" at ") + location : "";
    runner.fail(RunReport::Failed, "rank " + std::to_string(context->rank) +
                                       place + ": " + message);
  }
  leaveUnless(false, context);
}

//===- RunTest.cpp - Ranks as threads and as processes --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a compiled layer would do is done by functions of this file.
//
//===----------------------------------------------------------------------===//

#include "moert/Run.h"
#include "moert/Rendezvous.h"
#include "gtest/gtest.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <span>
#include <thread>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace moert;

namespace {

#define EXPECT_CONTAINS(text, part)                                            \
  EXPECT_NE((text).find(part), std::string::npos) << (text)

//===----------------------------------------------------------------------===//
// Programs and runs
//===----------------------------------------------------------------------===//

/// A program with one collective of `kind` over `axes`, twice: "first" and
/// "second" are their sites.
ProgramInfo describe(std::vector<int64_t> mesh, const std::string &kind,
                     std::vector<int64_t> axes) {
  ProgramInfo info;
  info.target = "cpu";
  info.function = "test.vjp";
  for (int64_t size : mesh)
    info.mesh.push_back({"axis" + std::to_string(info.mesh.size()), size});
  info.collectives = {{kind, axes, "first", "layer.mlir:3:7", "forward"},
                      {kind, axes, "second", "layer.mlir:5:9", "backward"}};
  return info;
}

/// Every rank has a value of this shape of its own.
ValueInfo localValue(const ProgramInfo &info, const std::string &name,
                     const std::string &dtype, std::vector<int64_t> shape) {
  std::vector<Placement> placements(info.mesh.size());
  return {name, dtype, std::move(shape), placements};
}

enum class Mode { Threads, Processes, Launched };

RunReport runLaunched(const Program &program,
                      std::vector<LocalTensors> &arguments,
                      std::vector<LocalTensors> &results,
                      const RunOptions &options) {
  // Rank 0 is this process; like a launcher, the test starts the others.
  int64_t ranks = program.getInfo().numRanks();
  Endpoint endpoint{{}, 0, "moert RunTest " + std::to_string(::getpid())};
  std::vector<pid_t> children;
  for (int64_t rank = 1; rank < ranks; ++rank) {
    pid_t child = ::fork();
    if (child == 0) {
      Rendezvous others(endpoint, rank, ranks, 20);
      RunReport report;
      if (others.meet(program.getFingerprint(), report))
        report = runRank(program, others, arguments, results, options);
      RunReport ignored;
      (void)others.agree("", ignored);
      ::_exit(report.outcome);
    }
    children.push_back(child);
  }
  RunReport report;
  {
    Rendezvous others(endpoint, 0, ranks, 20);
    if (others.meet(program.getFingerprint(), report))
      report = runRank(program, others, arguments, results, options);
    RunReport ignored;
    (void)others.agree("", ignored);
  }
  for (size_t i = 0; i < children.size(); ++i) {
    int status = 0;
    EXPECT_EQ(::waitpid(children[i], &status, 0), children[i]);
    // All say the same, except rank 1, which may have died.
    if (i > 0)
      EXPECT_EQ(WEXITSTATUS(status), report.outcome);
  }
  return report;
}

class RunTest : public testing::TestWithParam<Mode> {
protected:
  RunReport run(const ProgramInfo &info, Program::Main main) {
    Program program(info, main);
    arguments.resize(info.numRanks());
    switch (GetParam()) {
    case Mode::Threads:
      return runThreads(program, arguments, results, options);
    case Mode::Processes:
      return runProcesses(program, arguments, results, options);
    case Mode::Launched:
      return runLaunched(program, arguments, results, options);
    }
    return {};
  }

  template <typename T>
  void addArgument(int64_t rank, const std::string &dtype,
                   const std::vector<T> &values) {
    Tensor tensor{dtype, {int64_t(values.size())}, {}};
    tensor.data.resize(values.size() * sizeof(T));
    std::ranges::copy(std::as_bytes(std::span(values)), tensor.data.begin());
    arguments.resize(std::max<size_t>(arguments.size(), rank + 1));
    arguments[rank].push_back(std::move(tensor));
  }
  template <typename T>
  std::vector<T> result(int64_t rank, size_t index = 0) const {
    const Tensor &tensor = results[rank][index];
    std::vector<T> values(tensor.data.size() / sizeof(T));
    std::ranges::copy(tensor.data,
                      std::as_writable_bytes(std::span(values)).begin());
    return values;
  }

  template <typename T, int32_t dtype, int32_t reduction>
  void checkReduction(const std::string &name);

  std::vector<LocalTensors> arguments, results;
  RunOptions options;
};

//===----------------------------------------------------------------------===//
// What collectives compute
//===----------------------------------------------------------------------===//

/// Values whose sum depends on the order.
template <typename T>
std::vector<T> drawValues(int64_t rank, int64_t count) {
  std::vector<T> values(count);
  for (int64_t i = 0; i < count; ++i)
    values[i] =
        T((rank + 1) * 1.1 + double(i % 13) / 7 - 3 + (rank == 1 ? 1e4 : 0));
  return values;
}

template <typename T, int32_t dtype, int32_t reduction>
int32_t reduceAll(moert_context *context, void *const *buffers) {
  int64_t count = *static_cast<int64_t *>(buffers[0]);
  moert_all_reduce(context, 0, dtype, reduction, buffers[1], buffers[2], count);
  return 0;
}

template <typename T>
T combine(T a, T b, int32_t reduction) {
  return reduction == MOERT_MAX   ? std::max(a, b)
         : reduction == MOERT_MIN ? std::min(a, b)
                                  : T(a + b);
}

template <typename T, int32_t dtype, int32_t reduction>
void RunTest::checkReduction(const std::string &name) {
  // Few elements are reduced by all ranks, many in turns.
  for (int64_t count : {0, 1, 7, 4095, 10007}) {
    SCOPED_TRACE(name + " " + std::to_string(reduction) + " " +
                 std::to_string(count));
    ProgramInfo info = describe({3}, "all_reduce", {0});
    info.results = {localValue(info, "y", name, {count})};
    arguments.clear();
    std::vector<T> expected;
    for (int64_t rank = 0; rank < 3; ++rank) {
      std::vector<T> values = drawValues<T>(rank, count);
      addArgument<int64_t>(rank, "I64", {count});
      addArgument<T>(rank, name, values);
      if (rank == 0)
        expected = values;
      else
        for (int64_t i = 0; i < count; ++i)
          expected[i] = combine(expected[i], values[i], reduction);
    }
    if (reduction == MOERT_AVG)
      for (T &value : expected)
        value /= 3;
    RunReport report = run(info, reduceAll<T, dtype, reduction>);
    ASSERT_EQ(report.error, "");
    for (int64_t rank = 0; rank < 3; ++rank)
      EXPECT_EQ(result<T>(rank), expected);
  }
}

TEST_P(RunTest, ReducesInTheOrderOfRanks) {
  checkReduction<float, MOERT_F32, MOERT_SUM>("F32");
  checkReduction<float, MOERT_F32, MOERT_AVG>("F32");
  checkReduction<double, MOERT_F64, MOERT_SUM>("F64");
  checkReduction<double, MOERT_F64, MOERT_MAX>("F64");
  checkReduction<int32_t, MOERT_I32, MOERT_SUM>("I32");
  checkReduction<int64_t, MOERT_I64, MOERT_MIN>("I64");
}

TEST_P(RunTest, RoundsBFloatOnce) {
  // 256 + 1 + 1: each term alone would be lost.
  ProgramInfo info = describe({3}, "all_reduce", {0});
  info.results = {localValue(info, "y", "BF16", {2})};
  for (int64_t rank = 0; rank < 3; ++rank) {
    addArgument<int64_t>(rank, "I64", {2});
    uint16_t one = rank == 0 ? 0x4380 : 0x3f80;
    // A NaN stays one.
    addArgument<uint16_t>(rank, "BF16", {one, uint16_t(0x7fc0)});
  }
  ASSERT_EQ(run(info, reduceAll<uint16_t, MOERT_BF16, MOERT_SUM>).error, "");
  for (int64_t rank = 0; rank < 3; ++rank)
    EXPECT_EQ(result<uint16_t>(rank), (std::vector<uint16_t>{0x4381, 0x7fc0}));
}

/// Of [outer = 2, size, inner = 3].
template <int64_t size>
int32_t gatherAll(moert_context *context, void *const *buffers) {
  moert_all_gather(context, 0, MOERT_F32, buffers[0], buffers[1], 2, size, 3);
  return 0;
}

template <int64_t size>
int32_t scatterSums(moert_context *context, void *const *buffers) {
  moert_reduce_scatter(context, 0, MOERT_F32, MOERT_SUM, buffers[0], buffers[1],
                       2, size, 3);
  return 0;
}

/// Rank r's chunk of dimension 1 of [2, size, 3].
std::vector<float> chunkOf(const std::vector<float> &whole, int64_t size,
                           int64_t ranks, int64_t rank) {
  std::vector<float> values;
  Chunk chunk(size, ranks, rank);
  for (int64_t o = 0; o < 2; ++o)
    for (int64_t i = chunk.begin * 3; i < chunk.end * 3; ++i)
      values.push_back(whole[o * size * 3 + i]);
  return values;
}

TEST_P(RunTest, GathersUnevenChunks) {
  auto check = [&]<int64_t size>(int64_t ranks,
                                 std::integral_constant<int64_t, size>) {
    ProgramInfo info = describe({ranks}, "all_gather", {0});
    info.results = {localValue(info, "y", "F32", {2, size, 3})};
    std::vector<float> whole(2 * size * 3);
    std::iota(whole.begin(), whole.end(), 1.0f);
    arguments.clear();
    for (int64_t rank = 0; rank < ranks; ++rank)
      addArgument<float>(rank, "F32", chunkOf(whole, size, ranks, rank));
    ASSERT_EQ(run(info, gatherAll<size>).error, "");
    for (int64_t rank = 0; rank < ranks; ++rank)
      EXPECT_EQ(result<float>(rank), whole);
  };
  check(3, std::integral_constant<int64_t, 5>());
  // The last rank has nothing.
  check(4, std::integral_constant<int64_t, 3>());
  check(1, std::integral_constant<int64_t, 4>());
}

TEST_P(RunTest, ScattersUnevenChunksOfSums) {
  constexpr int64_t size = 5, ranks = 4;
  ProgramInfo info = describe({ranks}, "reduce_scatter", {0});
  // 2, 2, 1 and no rows.
  info.results = {{"y", "F32", {size, 2, 3}, {{Placement::Shard, 0}}}};
  std::vector<float> sums(2 * size * 3);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    std::vector<float> mine(sums.size());
    for (size_t i = 0; i < mine.size(); ++i) {
      mine[i] = float(i) * 0.3f + float(rank * rank) / 7;
      sums[i] = rank == 0 ? mine[i] : sums[i] + mine[i];
    }
    addArgument<float>(rank, "F32", mine);
  }
  ASSERT_EQ(run(info, scatterSums<size>).error, "");
  for (int64_t rank = 0; rank < ranks; ++rank)
    EXPECT_EQ(result<float>(rank), chunkOf(sums, size, ranks, rank));
}

/// Rank r sends r + 2p rows of two numbers to rank p.
int32_t exchange(moert_context *context, void *const *buffers) {
  int64_t self = moert_axis_index(context, 0);
  int64_t send[3], receive[3];
  for (int64_t p = 0; p < 3; ++p) {
    send[p] = self == 1 && p == 0 ? 0 : self + 2 * p;
    receive[p] = p == 1 && self == 0 ? 0 : p + 2 * self;
  }
  moert_all_to_all(context, 0, MOERT_I64, buffers[0], send, buffers[1], receive,
                   2);
  return 0;
}

TEST_P(RunTest, ExchangesUnequalNumbersOfRows) {
  ProgramInfo info = describe({3}, "all_to_all", {0});
  info.results = {localValue(info, "y", "I64", {40})};
  auto sent = [](int64_t rank, int64_t to) {
    return rank == 1 && to == 0 ? 0 : rank + 2 * to;
  };
  std::vector<std::vector<int64_t>> expected(3);
  for (int64_t rank = 0; rank < 3; ++rank) {
    std::vector<int64_t> rows;
    for (int64_t to = 0; to < 3; ++to)
      for (int64_t i = 0; i < 2 * sent(rank, to); ++i) {
        rows.push_back(100 * rank + 10 * to + i);
        expected[to].push_back(rows.back());
      }
    addArgument<int64_t>(rank, "I64", rows);
  }
  RunReport report = run(info, exchange);
  ASSERT_EQ(report.error, "");
  int64_t bytes = 0;
  for (int64_t rank = 0; rank < 3; ++rank) {
    std::vector<int64_t> received = result<int64_t>(rank);
    received.resize(expected[rank].size());
    EXPECT_EQ(received, expected[rank]);
    for (int64_t to = 0; to < 3; ++to)
      bytes += to == rank ? 0 : sent(rank, to) * 16;
  }
  EXPECT_EQ(report.collectives[0].count, 1);
  EXPECT_EQ(report.collectives[0].bytes, bytes);
}

/// The sum of ranks' numbers over axis 1 and over all of a 2 x 3 mesh.
int32_t reduceGroups(moert_context *context, void *const *buffers) {
  auto *numbers = static_cast<int64_t *>(buffers[1]);
  moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, buffers[0], numbers, 1);
  moert_all_reduce(context, 1, MOERT_I64, MOERT_SUM, buffers[0], numbers + 1,
                   1);
  numbers[2] = moert_axis_index(context, 0);
  numbers[3] = moert_axis_index(context, 1);
  return 0;
}

TEST_P(RunTest, MeetsInGroupsOfAnAxis) {
  ProgramInfo info = describe({2, 3}, "all_reduce", {1});
  info.collectives[1].axes = {0, 1};
  info.results = {localValue(info, "y", "I64", {4})};
  for (int64_t rank = 0; rank < 6; ++rank)
    addArgument<int64_t>(rank, "I64", {int64_t(1) << (4 * rank)});
  ASSERT_EQ(run(info, reduceGroups).error, "");
  for (int64_t rank = 0; rank < 6; ++rank)
    EXPECT_EQ(result<int64_t>(rank),
              (std::vector<int64_t>{rank < 3 ? 0x111 : 0x111000, 0x111111,
                                    rank / 3, rank % 3}));
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

TEST_P(RunTest, MovesArgumentsBetweenSteps) {
  ProgramInfo info = describe({2}, "all_reduce", {0});
  info.results = {localValue(info, "y", "I64", {1})};
  for (int64_t rank = 0; rank < 2; ++rank) {
    addArgument<int64_t>(rank, "I64", {1});
    addArgument<int64_t>(rank, "I64", {rank + 1});
  }
  options.steps = 3;
  options.afterStep = [](int64_t rank, LocalTensors &arguments,
                         const LocalTensors &results, std::string &) {
    int64_t number, sum;
    std::memcpy(&number, arguments[1].data.data(), 8);
    std::memcpy(&sum, results[0].data.data(), 8);
    number = 10 * sum + rank;
    std::memcpy(arguments[1].data.data(), &number, 8);
    return true;
  };
  RunReport report = run(info, reduceAll<int64_t, MOERT_I64, MOERT_SUM>);
  ASSERT_EQ(report.error, "");
  // 3; 30 + 31 = 61; 610 + 611 = 1221.
  for (int64_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(result<int64_t>(rank), std::vector<int64_t>{1221});
    int64_t number;
    std::memcpy(&number, arguments[rank][1].data.data(), 8);
    EXPECT_EQ(number, 12210 + rank);
  }
  // Of the last step alone.
  EXPECT_EQ(report.collectives[0].count, 1);
  EXPECT_EQ(report.collectives[0].bytes, 16);
}

TEST_P(RunTest, EndsWhereAStepFunctionFails) {
  ProgramInfo info = describe({2}, "all_reduce", {0});
  info.results = {localValue(info, "y", "I64", {1})};
  for (int64_t rank = 0; rank < 2; ++rank) {
    addArgument<int64_t>(rank, "I64", {1});
    addArgument<int64_t>(rank, "I64", {1});
  }
  options.afterStep = [](int64_t rank, LocalTensors &, const LocalTensors &,
                         std::string &error) {
    error = "no step for rank 1";
    return rank != 1;
  };
  RunReport report = run(info, reduceAll<int64_t, MOERT_I64, MOERT_SUM>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, "no step for rank 1");
}

/// Rank 1 comes late.
int32_t comeLate(moert_context *context, void *const *buffers) {
  if (moert_axis_index(context, 0) == 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, buffers[0], buffers[1], 1);
  moert_all_reduce(context, 1, MOERT_I64, MOERT_SUM, buffers[1], buffers[2], 1);
  return 0;
}

TEST_P(RunTest, RecordsWaitingAndMoving) {
  ProgramInfo info = describe({2}, "all_reduce", {0});
  for (const char *name : {"y", "z"})
    info.results.push_back(localValue(info, name, "I64", {1}));
  for (int64_t rank = 0; rank < 2; ++rank)
    addArgument<int64_t>(rank, "I64", {5});
  options.record = true;
  options.warmup = 1;
  options.steps = 2;
  RunReport report = run(info, comeLate);
  ASSERT_EQ(report.error, "");
  ASSERT_EQ(report.spans.size(), 2u);
  for (const std::vector<Span> &spans : report.spans) {
    ASSERT_EQ(spans.size(), 6u);
    for (size_t i = 0; i < spans.size(); ++i) {
      EXPECT_EQ(spans[i].step, int(i / 3));
      EXPECT_EQ(spans[i].collective, i % 3 == 2 ? -1 : int(i % 3));
      EXPECT_LE(spans[i].begin, spans[i].ready);
      EXPECT_LE(spans[i].ready, spans[i].end);
    }
    EXPECT_EQ(spans[0].count, 1);
    EXPECT_EQ(spans[0].bytes, 8);
    EXPECT_EQ(spans[0].sent, 8);
    EXPECT_LE(spans[2].begin, spans[0].begin);
    EXPECT_GE(spans[2].end, spans[1].end);
  }
  const Span &early = report.spans[0][0], &late = report.spans[1][0];
  EXPECT_GE(early.ready - early.begin, 30'000'000);
  EXPECT_LE(late.ready - late.begin, early.ready - early.begin);
}

//===----------------------------------------------------------------------===//
// More ranks than cores
//===----------------------------------------------------------------------===//

int32_t countUp(moert_context *context, void *const *buffers) {
  int64_t number = moert_axis_index(context, 0);
  for (int i = 0; i < 50; ++i) {
    int64_t sum = 0;
    moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, &number, &sum, 1);
    number = sum / 32 + moert_axis_index(context, 0);
  }
  *static_cast<int64_t *>(buffers[0]) = number;
  return 0;
}

TEST_P(RunTest, RunsManyRanks) {
  ProgramInfo info = describe({32}, "all_reduce", {0});
  info.results = {localValue(info, "y", "I64", {1})};
  ASSERT_EQ(run(info, countUp).error, "");
  int64_t first = result<int64_t>(0)[0];
  for (int64_t rank = 0; rank < 32; ++rank)
    EXPECT_EQ(result<int64_t>(rank)[0], first + rank);
}

int32_t sleepThenMeet(moert_context *context, void *const *buffers) {
  if (moert_axis_index(context, 0) == 3)
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
  moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, buffers[0], buffers[1], 1);
  return 0;
}

double cpuSeconds() {
  double seconds = 0;
  for (int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage;
    ::getrusage(who, &usage);
    for (const timeval &time : {usage.ru_utime, usage.ru_stime})
      seconds += double(time.tv_sec) + double(time.tv_usec) / 1e6;
  }
  return seconds;
}

TEST_P(RunTest, SleepsWhileItWaits) {
  ProgramInfo info = describe({8}, "all_reduce", {0});
  info.results = {localValue(info, "y", "I64", {1})};
  for (int64_t rank = 0; rank < 8; ++rank)
    addArgument<int64_t>(rank, "I64", {1});
  double before = cpuSeconds();
  ASSERT_EQ(run(info, sleepThenMeet).error, "");
  // Seven ranks wait 0.4 s each.
  EXPECT_LT(cpuSeconds() - before, 0.3);
}

TEST_P(RunTest, LeavesNothingBehind) {
  auto countFiles = [] {
    namespace fs = std::filesystem;
    return std::distance(fs::directory_iterator("/proc/self/fd"),
                         fs::directory_iterator());
  };
  ProgramInfo info = describe({4}, "all_reduce", {0});
  info.results = {localValue(info, "y", "I64", {1})};
  auto before = countFiles();
  ASSERT_EQ(run(info, countUp).error, "");
  EXPECT_EQ(countFiles(), before);
  errno = 0;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

//===----------------------------------------------------------------------===//
// Ranks that fail
//===----------------------------------------------------------------------===//

/// Rank 1 does what `deed` does after the first collective, the others go on.
template <void (*deed)(moert_context *)>
int32_t deedOfRankOne(moert_context *context, void *const *) {
  int64_t number = 1, sum;
  moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, &number, &sum, 1);
  if (moert_axis_index(context, 0) == 1)
    deed(context);
  moert_all_reduce(context, 1, MOERT_I64, MOERT_SUM, &number, &sum, 1);
  return 0;
}

constexpr const char *first =
    "all_reduce #0 at 'first' (layer.mlir:3:7, forward)";
constexpr const char *second =
    "all_reduce #1 at 'second' (layer.mlir:5:9, backward)";

TEST_P(RunTest, SaysWhoFailsAndWhere) {
  auto fail = [](moert_context *context) {
    moert_fail(context, "layer.mlir:4:2", "an index is out of range");
  };
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<+fail>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, "rank 1 at layer.mlir:4:2: an index is out of range");
}

int32_t returnCode(moert_context *context, void *const *) {
  return int32_t(7 * moert_axis_index(context, 0));
}

TEST_P(RunTest, SaysWhoReturnsAnError) {
  RunReport report = run(describe({2}, "all_reduce", {0}), returnCode);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, "rank 1 returned the error 7");
}

TEST_P(RunTest, SaysWhoAsksForOtherSizes) {
  auto askForMore = [](moert_context *context) {
    int64_t numbers[2] = {}, sums[2];
    moert_all_reduce(context, 1, MOERT_I64, MOERT_SUM, numbers, sums, 2);
  };
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<+askForMore>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, "rank 0 is in " + std::string(second) +
                              " and rank 1 in " + second +
                              ", with other sizes");
}

TEST_P(RunTest, SaysWhoIsInAnotherCollective) {
  auto repeat = [](moert_context *context) {
    int64_t number = 0, sum;
    moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, &number, &sum, 1);
  };
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<+repeat>);
  EXPECT_EQ(report.error,
            "rank 0 is in " + std::string(second) + " and rank 1 in " + first);
}

int32_t sendTooMuch(moert_context *context, void *const *) {
  int64_t rows[2] = {1, 2}, taken[2], send[2] = {1, 1}, receive[2] = {1, 1};
  if (moert_axis_index(context, 0) == 1)
    receive[0] = 0;
  moert_all_to_all(context, 1, MOERT_I64, rows, send, taken, receive, 1);
  return 0;
}

TEST_P(RunTest, SaysWhoGetsOtherRowsThanExpected) {
  RunReport report = run(describe({2}, "all_to_all", {0}), sendTooMuch);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_CONTAINS(report.error, "rank 1 in all_to_all #1");
  EXPECT_CONTAINS(report.error, "another number of rows");
}

TEST_P(RunTest, SaysWhoIsWaitedForTooLong) {
  auto sleep = [](moert_context *) {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
  };
  options.timeout = 0.3;
  RunReport report =
      run(describe({2}, "all_reduce", {0}), deedOfRankOne<+sleep>);
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_EQ(report.error, "rank 0 has waited 0.3 s in " + std::string(second) +
                              " for rank 1 (after " + first + ")");
}

/// Rank 0 waits for rank 2, which came later and waits for rank 3.
int32_t waitInAChain(moert_context *context, void *const *) {
  int64_t rank =
      2 * moert_axis_index(context, 0) + moert_axis_index(context, 1);
  auto sleep = [](int64_t milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  };
  int64_t number = 1, sum;
  if (rank >= 2)
    sleep(rank == 2 ? 100 : 900);
  moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, &number, &sum, 1);
  if (rank == 1)
    sleep(300);
  moert_all_reduce(context, 1, MOERT_I64, MOERT_SUM, &number, &sum, 1);
  return 0;
}

TEST_P(RunTest, SaysWhoHoldsUpThoseThatAreWaitedFor) {
  ProgramInfo info = describe({2, 2}, "all_reduce", {1});
  info.collectives[1].axes = {0};
  options.timeout = 0.4;
  RunReport report = run(info, waitInAChain);
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_EQ(report.error, "rank 0 has waited 0.4 s in " + std::string(second) +
                              " for rank 2 (in " + first +
                              "), held up by rank 3 (before its first "
                              "collective)");
}

TEST_P(RunTest, NamesAFewOfManyThatAreWaitedFor) {
  auto onlyRankZero = [](moert_context *context, void *const *) -> int32_t {
    int64_t number = 1, sum;
    if (moert_axis_index(context, 0) == 0)
      moert_all_reduce(context, 0, MOERT_I64, MOERT_SUM, &number, &sum, 1);
    return 0;
  };
  options.timeout = 0.3;
  RunReport report = run(describe({9}, "all_reduce", {0}), onlyRankZero);
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  // Those that have come to the end wait too; who is first to lose patience is
  // not said.
  if (report.error.starts_with("rank 0 "))
    EXPECT_EQ(report.error,
              "rank 0 has waited 0.3 s in " + std::string(first) +
                  " for rank 1 (at the end of a step), rank 2 (at the end of a "
                  "step), rank 3 (at the end of a step), rank 4 (at the end of "
                  "a step) and 4 more");
  else
    EXPECT_CONTAINS(report.error, " at the end of a step for rank 0 (in " +
                                      std::string(first) + ")");
}

TEST_P(RunTest, NamesTheLastCollectiveAtTheEndOfAStep) {
  auto nothing = [](moert_context *) {};
  options.afterStep = [](int64_t rank, LocalTensors &, const LocalTensors &,
                         std::string &) {
    if (rank == 1)
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
    return true;
  };
  options.timeout = 0.3;
  RunReport report =
      run(describe({2}, "all_reduce", {0}), deedOfRankOne<+nothing>);
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_EQ(report.error,
            "rank 0 has waited 0.3 s at the end of a step, after " +
                std::string(second) + " for rank 1 (after " + second + ")");
}

/// What leaves a thread behind, or ends it and all others.
class ProcessTest : public RunTest {};

TEST_P(ProcessTest, EndsWithARankThatNeverComes) {
  auto computeForEver = [](moert_context *) {
    while (true)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  };
  options.timeout = 0.3;
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<+computeForEver>);
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_CONTAINS(report.error, "for rank 1 (after ");
}

template <int number>
void dieBy(moert_context *) {
  // As the program would, not as someone else does.
  ::raise(number);
}

TEST_P(ProcessTest, SaysWhoCrashes) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer has its own handler";
#endif
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<dieBy<SIGSEGV>>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_CONTAINS(report.error,
                  GetParam() == Mode::Processes
                      ? "rank 1 was killed by signal 11 (Segmentation fault) "
                        "after "
                      : "rank 1 crashed with signal 11 (Segmentation fault) "
                        "after ");
  EXPECT_CONTAINS(report.error, first);
}

TEST_P(ProcessTest, SaysWhoIsKilled) {
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<dieBy<SIGKILL>>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, (GetParam() == Mode::Processes
                               ? "rank 1 was killed by signal 9 (Killed) after "
                               : "the process of rank 1 died after ") +
                              std::string(first));
}

template <int number>
int32_t dieInTheSecondStep(moert_context *context, void *const *buffers) {
  thread_local int steps = 0;
  if (++steps == 2 && moert_axis_index(context, 0) == 1)
    ::raise(number);
  return deedOfRankOne<[](moert_context *) {}>(context, buffers);
}

TEST_P(ProcessTest, NamesACollectiveOfTheStepBefore) {
  options.steps = 3;
  RunReport report =
      run(describe({3}, "all_reduce", {0}), dieInTheSecondStep<SIGKILL>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_CONTAINS(report.error, "rank 1 ");
  EXPECT_CONTAINS(report.error, " after " + std::string(second));
}

TEST_P(ProcessTest, SaysWhoExits) {
  auto leave = [](moert_context *) { ::_exit(0); };
  RunReport report =
      run(describe({3}, "all_reduce", {0}), deedOfRankOne<+leave>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, (GetParam() == Mode::Processes
                               ? "rank 1 exited with code 0 after "
                               : "the process of rank 1 died after ") +
                              std::string(first));
}

/// In threads a crash leaves the thread behind, and the process ends soon.
TEST(RunThreadsTest, SaysWhoCrashes) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer has its own handler";
#endif
  auto runAndPrint = [](Program::Main main) {
    std::vector<LocalTensors> arguments(3), results;
    RunReport report =
        runThreads(Program(describe({3}, "all_reduce", {0}), main), arguments,
                   results, {});
    std::fprintf(stderr, "%s\n", report.error.c_str());
    std::_Exit(report.outcome);
  };
  EXPECT_EXIT(runAndPrint(deedOfRankOne<dieBy<SIGSEGV>>),
              testing::ExitedWithCode(RunReport::Failed),
              "rank 1 crashed with signal 11 .Segmentation fault. after "
              "all_reduce #0 at 'first' .layer.mlir:3:7, forward.");
  auto overflow = [](moert_context *context) {
    auto recurse = [](auto self, volatile char *outer) -> void {
      volatile char inner[4096];
      inner[0] = outer ? outer[0] : 0;
      self(self, inner);
      outer[0] = inner[0];
    };
    char start = 0;
    recurse(recurse, &start);
  };
  EXPECT_EXIT(runAndPrint(deedOfRankOne<+overflow>),
              testing::ExitedWithCode(RunReport::Failed),
              "rank 1 crashed with signal 11");
  EXPECT_EXIT(runAndPrint(deedOfRankOne<dieBy<SIGABRT>>),
              testing::ExitedWithCode(RunReport::Failed),
              "rank 1 crashed with signal 6 .Aborted.");
}

//===----------------------------------------------------------------------===//
// Global tensors
//===----------------------------------------------------------------------===//

/// What ranks of a 2 x 2 mesh get. Arguments: whole, cut into rows by both
/// axes, cut into columns, terms. Results as the arguments.
ProgramInfo describeGlobal() {
  ProgramInfo info = describe({2, 2}, "all_reduce", {0, 1});
  Placement rows{Placement::Shard, 0}, columns{Placement::Shard, 1},
      terms{Placement::Partial, 0}, whole;
  for (auto *values : {&info.arguments, &info.results})
    *values = {{"whole", "F32", {4, 4}, {whole, whole}},
               {"rows", "F32", {4, 4}, {rows, rows}},
               {"columns", "F32", {4, 4}, {whole, columns}},
               {"terms", "F32", {4, 4}, {terms, whole}}};
  return info;
}

std::array<std::array<void *, 8>, 4> givenBuffers;

/// Results are the arguments; but with `differ` the last rank's first result
/// is not.
template <bool differ>
int32_t copyAll(moert_context *context, void *const *buffers) {
  int64_t rank =
      moert_axis_index(context, 0) * 2 + moert_axis_index(context, 1);
  std::copy_n(buffers, 8, givenBuffers[rank].begin());
  constexpr int64_t sizes[] = {16, 4, 8, 16};
  for (int64_t i = 0; i < 4; ++i)
    std::memcpy(buffers[4 + i], buffers[i], sizes[i] * sizeof(float));
  if (differ && rank == 3)
    static_cast<float *>(buffers[4])[5] = -1;
  return 0;
}

struct GlobalTest : testing::Test {
  RunReport run(Program::Main main) {
    Program program(describeGlobal(), main);
    std::vector<const std::byte *> in;
    std::vector<std::byte *> out;
    for (size_t i = 0; i < 4; ++i) {
      std::iota(arguments[i].begin(), arguments[i].end(), float(i * 100));
      in.push_back(reinterpret_cast<std::byte *>(arguments[i].data()));
      out.push_back(reinterpret_cast<std::byte *>(results[i].data()));
    }
    return runThreads(program, in, out, RunOptions());
  }

  std::array<std::array<float, 16>, 4> arguments{}, results{};
};

TEST_F(GlobalTest, AreUsedWhereTheyAre) {
  RunReport report = run(copyAll<false>);
  ASSERT_EQ(report.error, "");
  EXPECT_EQ(results, arguments);
  for (int64_t rank = 0; rank < 4; ++rank) {
    // All share what is whole, and rows are in one piece.
    EXPECT_EQ(givenBuffers[rank][0], arguments[0].data());
    EXPECT_EQ(givenBuffers[rank][1], arguments[1].data() + rank * 4);
    EXPECT_EQ(givenBuffers[rank][5], results[1].data() + rank * 4);
    // The first rank's result is the result.
    EXPECT_EQ(givenBuffers[rank][4] == results[0].data(), rank == 0);
  }
}

TEST_F(GlobalTest, MustNotDiffer) {
  RunReport report = run(copyAll<true>);
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, "'whole': the replicas of ranks 0 and 3 differ");
}

std::string nameOfMode(const testing::TestParamInfo<Mode> &info) {
  return info.param == Mode::Threads     ? "Threads"
         : info.param == Mode::Processes ? "Processes"
                                         : "Launched";
}

INSTANTIATE_TEST_SUITE_P(Modes, RunTest,
                         testing::Values(Mode::Threads, Mode::Processes,
                                         Mode::Launched),
                         nameOfMode);
INSTANTIATE_TEST_SUITE_P(Modes, ProcessTest,
                         testing::Values(Mode::Processes, Mode::Launched),
                         nameOfMode);

} // namespace

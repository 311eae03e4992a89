//===- Reports.cpp - What a run of a compiled layer cost ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reports.h"
#include <algorithm>
#include <cstdio>
#include <map>

using namespace moert;

double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::ranges::sort(values);
  size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle]
                           : (values[middle - 1] + values[middle]) / 2;
}

std::string describeAxes(const ProgramInfo &info,
                         const CollectiveInfo &collective) {
  std::string axes;
  for (int64_t axis : collective.axes)
    axes += (axes.empty() ? "" : ",") + info.mesh[axis].name;
  return axes;
}

void printStatistics(const ProgramInfo &info,
                     const std::vector<CollectiveCount> &counts) {
  std::map<std::pair<std::string, std::string>, CollectiveCount> lines;
  CollectiveCount total;
  for (size_t i = 0; i < counts.size(); ++i) {
    const CollectiveInfo &collective = info.collectives[i];
    CollectiveCount &line =
        lines[{collective.kind,
               describeAxes(info, collective) + " " + collective.phase}];
    for (CollectiveCount *sum : {&line, &total}) {
      sum->count += counts[i].count;
      sum->bytes += counts[i].bytes;
    }
  }
  std::printf("%-16s %-16s %8s %14s\n", "collective", "axis phase", "count",
              "bytes");
  auto print = [](const char *kind, const char *where,
                  const CollectiveCount &line) {
    std::printf("%-16s %-16s %8lld %14lld\n", kind, where,
                static_cast<long long>(line.count),
                static_cast<long long>(line.bytes));
  };
  for (const auto &[key, line] : lines)
    print(key.first.c_str(), key.second.c_str(), line);
  print("total", "", total);
}

//===----------------------------------------------------------------------===//
// Benchmark
//===----------------------------------------------------------------------===//

namespace {
/// One collective in one step, or all of them. Over calls times and bytes add
/// up; over ranks the largest one counts, since the group waits for it.
struct Cost {
  int64_t waiting = 0, moving = 0;
  int64_t count = 0, bytes = 0, sent = 0;

  void addCall(const Span &span) {
    waiting += span.ready - span.begin;
    moving += span.end - span.ready;
    count += span.count;
    bytes += span.bytes;
    sent += span.sent;
  }
  void addRank(const Cost &rank) {
    waiting = std::max(waiting, rank.waiting);
    moving = std::max(moving, rank.moving);
    count = std::max(count, rank.count);
    bytes = std::max(bytes, rank.bytes);
    sent = std::max(sent, rank.sent);
  }
};
} // namespace

static void printLine(const std::string &name, const std::string &where,
                      const std::string &site, const std::vector<Cost> &steps) {
  // In microseconds.
  std::vector<double> waiting, moving;
  Cost most;
  for (const Cost &step : steps) {
    waiting.push_back(double(step.waiting) / 1e3);
    moving.push_back(double(step.moving) / 1e3);
    most.addRank(step);
  }
  double time = median(moving);
  std::printf("%-20s %-14s %-24s %10lld %12lld %10.1f %10.1f %10.1f %8.2f\n",
              name.c_str(), where.c_str(), site.c_str(),
              static_cast<long long>(most.count),
              static_cast<long long>(most.bytes), median(waiting),
              std::ranges::min(moving), time,
              time > 0 ? double(most.sent) / (time * 1e3) : 0.0);
}

void printBenchmark(const ProgramInfo &info,
                    const std::vector<std::vector<Span>> &spans) {
  size_t numSteps = 0;
  for (const Span &span : spans[0])
    numSteps = std::max(numSteps, size_t(span.step) + 1);
  // The last one has all collectives of a step.
  size_t total = info.collectives.size();
  std::vector<std::vector<Cost>> costs(total + 1, std::vector<Cost>(numSteps));
  std::vector<int64_t> begins(numSteps, INT64_MAX), ends(numSteps, INT64_MIN);
  for (const std::vector<Span> &rank : spans) {
    std::map<std::pair<size_t, size_t>, Cost> own;
    for (const Span &span : rank) {
      if (span.collective < 0) {
        begins[span.step] = std::min(begins[span.step], span.begin);
        ends[span.step] = std::max(ends[span.step], span.end);
        continue;
      }
      own[{span.collective, span.step}].addCall(span);
      own[{total, span.step}].addCall(span);
    }
    for (const auto &[key, cost] : own)
      costs[key.first][key.second].addRank(cost);
  }
  // As nccl-tests: bytes are of the whole, GB/s what a rank sends by a ring.
  std::printf("%-20s %-14s %-24s %10s %12s %10s %10s %10s %8s\n", "collective",
              "axis phase", "site", "count", "bytes", "wait us", "min us",
              "median us", "GB/s");
  for (size_t i = 0; i < total; ++i) {
    const CollectiveInfo &collective = info.collectives[i];
    printLine(collective.kind + " #" + std::to_string(i),
              describeAxes(info, collective) + " " + collective.phase,
              collective.site, costs[i]);
  }
  printLine("all", "", "", costs[total]);
  // In microseconds.
  std::vector<double> times;
  times.reserve(numSteps);
  for (size_t step = 0; step < numSteps; ++step)
    times.push_back(double(ends[step] - begins[step]) / 1e3);
  std::printf("%-20s %-14s %-24s %10s %12s %10s %10.1f %10.1f\n", "step", "",
              "", "", "", "", std::ranges::min(times), median(times));
}

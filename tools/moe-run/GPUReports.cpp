//===- GPUReports.cpp - What a run on GPUs cost ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reports.h"
#include <algorithm>
#include <cstdio>

using namespace moert;
using cuda::KernelSpan;

void printMemory(const cuda::Report &report) {
  std::printf("%-16s %14s %14s %14s %14s %14s\n", "bytes on GPU", "arena",
              "arguments", "results", "packing", "peak");
  for (size_t rank = 0; rank < report.ranks.size(); ++rank) {
    const cuda::Memory &memory = report.ranks[rank].memory;
    std::printf("%-16s", ("rank " + std::to_string(rank)).c_str());
    for (int64_t bytes : {memory.arena, memory.arguments, memory.results,
                          memory.packing, memory.total()})
      std::printf(" %14lld", static_cast<long long>(bytes));
    std::printf("\n");
  }
}

namespace {
/// A kernel in one step of one rank, or of the slowest.
struct Cost {
  int64_t calls = 0, time = 0;
  double operations = 0, bytes = 0;
};
} // namespace

/// By kernel and step: what the slowest rank does there.
static std::vector<std::vector<Cost>>
costsOfKernels(const ProgramInfo &info, const cuda::Report &report) {
  size_t steps = 0;
  for (const Span &span : report.spans[0])
    steps = std::max(steps, size_t(span.step) + 1);
  auto none = [&] {
    return std::vector(info.kernels.size(), std::vector<Cost>(steps));
  };
  std::vector<std::vector<Cost>> slowest = none();
  for (const cuda::RankReport &rank : report.ranks) {
    std::vector<std::vector<Cost>> own = none();
    for (const KernelSpan &span : rank.kernels) {
      Cost &cost = own[span.kernel][span.step];
      ++cost.calls;
      cost.time += span.end - span.begin;
      cost.operations += double(span.operations);
      cost.bytes += double(span.bytes);
    }
    for (size_t kernel = 0; kernel < own.size(); ++kernel)
      for (size_t step = 0; step < steps; ++step)
        if (own[kernel][step].time > slowest[kernel][step].time)
          slowest[kernel][step] = own[kernel][step];
  }
  return slowest;
}

void printKernels(const ProgramInfo &info, const cuda::Report &report) {
  int names = 12, operations = 12, places = 16;
  auto place = [](const KernelInfo &kernel) {
    return kernel.phase + " " + kernel.location;
  };
  for (const KernelInfo &kernel : info.kernels) {
    names = std::max(names, int(kernel.name.size()));
    operations = std::max(operations, int(kernel.op.size()));
    places = std::max(places, int(place(kernel).size()));
  }
  auto printStart = [&](const std::string &name, const std::string &operation,
                        const std::string &where) {
    std::printf("%-*s %-*s %-*s", names, name.c_str(), operations,
                operation.c_str(), places, where.c_str());
  };
  printStart("kernel", "operation", "phase location");
  std::printf(" %6s %10s %9s %9s %9s\n", "calls", "median us", "TFLOP/s",
              "GB/s", "roofline");
  std::vector<std::vector<Cost>> costs = costsOfKernels(info, report);
  std::vector<double> sums;
  for (size_t i = 0; i < costs.size(); ++i) {
    const KernelInfo &kernel = info.kernels[i];
    std::vector<double> times;
    for (const Cost &cost : costs[i])
      times.push_back(double(cost.time) * 1e-9);
    sums.resize(times.size());
    for (size_t step = 0; step < times.size(); ++step)
      sums[step] += times[step];
    const Cost &last = costs[i].back();
    double time = median(times);
    printStart(kernel.name, kernel.op, place(kernel));
    std::printf(" %6lld %10.1f", static_cast<long long>(last.calls),
                time * 1e6);
    if (time == 0) {
      std::printf(" %9s %9s %9s\n", "-", "-", "-");
      continue;
    }
    std::printf(" %9.2f %9.1f", last.operations / time * 1e-12,
                last.bytes / time * 1e-9);
    double least = 0;
    if (report.peakBytes > 0)
      least = last.bytes / report.peakBytes;
    if (report.peakOperations > 0)
      least = std::max(least, last.operations / report.peakOperations);
    std::printf(" %8.1f%%\n", 100 * least / time);
  }
  printStart("all kernels", "", "");
  std::printf(" %6s %10.1f\n", "", median(sums) * 1e6);
  std::printf("roofline: %s at its highest clocks: %.0f GB/s, ",
              report.ranks[0].device.c_str(), report.peakBytes * 1e-9);
  if (report.peakOperations > 0)
    std::printf("%.0f TFLOP/s (%s)\n", report.peakOperations * 1e-12,
                report.matrixUnits ? "matrix units, bfloat16" : "float32");
  else
    std::printf("operations not known\n");
}

void printSteps(const cuda::Report &report) {
  std::vector<double> slowest;
  for (const cuda::RankReport &rank : report.ranks) {
    slowest.resize(std::max(slowest.size(), rank.steps.size()));
    for (size_t step = 0; step < rank.steps.size(); ++step)
      slowest[step] = std::max(slowest[step], rank.steps[step]);
  }
  if (slowest.empty())
    return;
  std::printf("%-20s %-14s %-24s %10s %12s %10s %10.1f %10.1f\n",
              report.graph ? "step as a graph" : "step, not recorded", "", "",
              "", "", "", std::ranges::min(slowest) * 1e6,
              median(slowest) * 1e6);
}

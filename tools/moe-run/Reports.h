//===- Reports.h - What a run of a compiled layer cost ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_REPORTS_H
#define MOE_TOOLS_MOE_RUN_REPORTS_H

#include "moert/CUDA.h"

/// The middle value, of an even number of them the mean of the two; 0 of none.
double median(std::vector<double> values);

/// "tp", or "dp,tp": the axes of a collective.
std::string describeAxes(const moert::ProgramInfo &info,
                         const moert::CollectiveInfo &collective);

/// The table of --stats.
void printStatistics(const moert::ProgramInfo &info,
                     const std::vector<moert::CollectiveCount> &counts);

/// The table of --bench: a line per collective and one for the step.
void printBenchmark(const moert::ProgramInfo &info,
                    const std::vector<std::vector<moert::Span>> &spans);

/// The device memory of the ranks, for --stats.
void printMemory(const moert::cuda::Report &report);

/// The table of --bench of kernels: a line for each.
void printKernels(const moert::ProgramInfo &info,
                  const moert::cuda::Report &report);

/// The lines of --bench of whole steps, and what the device can do.
void printSteps(const moert::cuda::Report &report);

/// The spans in the format of Chrome's tracing, a process per rank. On a GPU
/// kernels and collectives each have a thread.
std::string makeTrace(const moert::ProgramInfo &info,
                      const moert::cuda::Report &report);

#endif // MOE_TOOLS_MOE_RUN_REPORTS_H

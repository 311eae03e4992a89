//===- Reports.h - What a run of a compiled layer cost ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_REPORTS_H
#define MOE_TOOLS_MOE_RUN_REPORTS_H

#include "moert/Run.h"

/// "tp", or "dp,tp": the axes of a collective.
std::string describeAxes(const moert::ProgramInfo &info,
                         const moert::CollectiveInfo &collective);

/// The table of --stats.
void printStatistics(const moert::ProgramInfo &info,
                     const std::vector<moert::CollectiveCount> &counts);

/// The table of --bench: a line per collective and one for the step.
void printBenchmark(const moert::ProgramInfo &info,
                    const std::vector<std::vector<moert::Span>> &spans);

/// The spans in the format of Chrome's tracing, a process per rank.
std::string makeTrace(const moert::ProgramInfo &info,
                      const std::vector<std::vector<moert::Span>> &spans);

#endif // MOE_TOOLS_MOE_RUN_REPORTS_H

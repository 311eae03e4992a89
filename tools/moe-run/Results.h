//===- Results.h - Inputs and results of a compiled layer ----- -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_RESULTS_H
#define MOE_TOOLS_MOE_RUN_RESULTS_H

#include "Compiled.h"
#include "moert/Run.h"

// Functions that return int return an exit code, having printed the error.

/// "2x16x64".
std::string describeShape(const std::vector<int64_t> &shape);

/// Reads the arguments and gives each rank its part.
int readInputs(const CompiledOptions &options, const moert::ProgramInfo &info,
               std::vector<moert::LocalTensors> &locals);

/// All ranks' values of argument or result `index`.
std::vector<const moert::Tensor *>
column(const std::vector<moert::LocalTensors> &locals, size_t index);

/// Prints whether all ranks have the same bits of `name`; returns it.
bool printReplicas(const std::string &name,
                   const std::vector<const moert::Tensor *> &locals);

/// Compares global results with the file of --expect, a line per tensor.
int compare(const CompiledOptions &options, const moert::ProgramInfo &info,
            const std::vector<moert::LocalTensors> &results);

/// Writes what --outputs and --gather ask for: all files or none.
int writeOutputs(const CompiledOptions &options, const moert::ProgramInfo &info,
                 const std::vector<moert::LocalTensors> &results,
                 const std::optional<moert::TensorMap> &globals);

/// The table of --stats.
void printStatistics(const moert::ProgramInfo &info,
                     const std::vector<moert::CollectiveCount> &counts);

#endif // MOE_TOOLS_MOE_RUN_RESULTS_H

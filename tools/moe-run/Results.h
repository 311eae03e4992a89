//===- Results.h - Inputs and results of a compiled layer -------*- C++ -*-===//
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

/// "'a', 'b'", cut off where there are many.
std::string listNames(const std::vector<std::string> &names);

/// Reads the arguments and gives each rank of `ranks` its part.
int readInputs(const CompiledOptions &options, const moert::ProgramInfo &info,
               const std::vector<int64_t> &ranks,
               std::vector<moert::LocalTensors> &locals);

/// All ranks' values of argument or result `index`.
std::vector<const moert::Tensor *>
column(const std::vector<moert::LocalTensors> &locals, size_t index);

/// Prints, if ranks have replicas of `value`, whether their bits are equal;
/// returns that.
bool printReplicas(const moert::ProgramInfo &info,
                   const moert::ValueInfo &value,
                   const std::vector<const moert::Tensor *> &locals);

/// Reads the file of --expect, each tensor of which has to be a result.
int readExpected(const CompiledOptions &options, const moert::ProgramInfo &info,
                 moert::TensorMap &expected);

/// Compares global results with those expected, a line per tensor.
int compare(const CompiledOptions &options, const moert::ProgramInfo &info,
            const moert::TensorMap &expected,
            const std::vector<moert::LocalTensors> &results);

/// Makes global tensors of all results. Returns false and why in `error` where
/// replicas differ.
bool gatherAll(const moert::ProgramInfo &info,
               const std::vector<moert::LocalTensors> &results,
               moert::TensorMap &globals, std::string &error);

#endif // MOE_TOOLS_MOE_RUN_RESULTS_H

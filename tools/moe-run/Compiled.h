//===- Compiled.h - Run a compiled layer ------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_COMPILED_H
#define MOE_TOOLS_MOE_RUN_COMPILED_H

#include "Launch.h"
#include "moert/CUDA.h"
#include <cstdint>
#include <optional>
#include <string>

/// The flags that concern a compiled layer.
struct CompiledOptions {
  std::string file;
  std::optional<int64_t> ranks;
  std::optional<std::string> inputs, outputs, expect, trace;
  bool gather = false, stats = false, bench = false;
  double rtol = 1e-5, atol = 0;
  /// Seconds that a collective may wait.
  double timeout = 60;
  /// The learning rate.
  std::optional<double> sgd;
  /// Whether steps on GPUs may be replays of a graph.
  bool graph = true;
  /// Whether each buffer on a GPU is allocated by itself.
  bool separateBuffers = false;
  /// Whether NCCL does the collectives of a single rank too.
  bool nccl = false;
  /// How often the layer runs.
  int64_t steps = 1, warmup = 0;
};

/// Runs the layer on all ranks, or on the one that this process is. Returns an
/// exit code, having printed the error.
int runCompiled(const moert::Program &program, const CompiledOptions &options,
                const Launch &launch);

/// Runs all ranks, or this process's one, where the program and the launch want
/// them.
moert::cuda::Report runRanks(const moert::Program &program,
                             const Launch &launch, moert::Rendezvous &others,
                             std::vector<moert::LocalTensors> &arguments,
                             std::vector<moert::LocalTensors> &results,
                             const moert::cuda::Options &options);

/// Whether the file that a flag names can probably be written. Returns Success
/// or the exit code, having printed the error.
int checkPlace(const std::string &file, const char *flag);

/// Prints why a run could not go on, and returns the exit code.
int explainFailure(const moert::RunReport &failure);

#endif // MOE_TOOLS_MOE_RUN_COMPILED_H

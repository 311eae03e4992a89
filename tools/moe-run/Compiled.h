//===- Compiled.h - Run a compiled layer ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_COMPILED_H
#define MOE_TOOLS_MOE_RUN_COMPILED_H

#include "moert/Program.h"
#include <cstdint>
#include <optional>
#include <string>

/// The flags that concern a compiled layer.
struct CompiledOptions {
  std::string file;
  std::optional<int64_t> ranks;
  std::optional<std::string> inputs, outputs, expect;
  bool gather = false, stats = false, processes = false;
  double rtol = 1e-5, atol = 0;
  /// Seconds that a collective may wait.
  std::optional<double> timeout;
  /// The learning rate, and how many steps are made.
  std::optional<double> sgd;
  int64_t steps = 1;
};

/// Runs the layer with every rank a thread. Returns an exit code, having
/// printed the error.
int runCompiled(const moert::Program &program, const CompiledOptions &options);

#endif // MOE_TOOLS_MOE_RUN_COMPILED_H

//===- Compiled.h - Run a compiled layer ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_COMPILED_H
#define MOE_TOOLS_MOE_RUN_COMPILED_H

#include <cstdint>
#include <optional>
#include <string>

/// Exit codes that scripts rely on.
enum ExitCode {
  Success = 0,
  UsageError = 1,
  Different = 2,
  RuntimeFailure = 3,
  TimedOut = 4,
};

/// Prints an error and its remedy, and returns `code`.
int fail(ExitCode code, const std::string &message, const std::string &help);

/// The flags that concern a compiled layer.
struct CompiledOptions {
  std::string file;
  std::optional<int64_t> ranks;
  std::optional<std::string> inputs, outputs, expect;
  bool gather = false, stats = false;
  double rtol = 1e-5, atol = 0;
  /// Seconds that a collective may wait.
  std::optional<double> timeout;
  /// The learning rate, and how many steps are made.
  std::optional<double> sgd;
  int64_t steps = 1;
};

/// Loads the layer and runs it with every rank a thread. Returns an exit code,
/// having printed the error.
int runCompiled(const CompiledOptions &options);

#endif // MOE_TOOLS_MOE_RUN_COMPILED_H

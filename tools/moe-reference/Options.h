//===- Options.h - Command line of moe-reference ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_REFERENCE_OPTIONS_H
#define MOE_TOOLS_REFERENCE_OPTIONS_H

#include <cstdint>
#include <optional>
#include <string>

/// Exit codes that scripts rely on; 4, a timeout, is moe-run's.
enum ExitCode {
  Success = 0,
  Rejected = 1,
  Different = 2,
  RuntimeFailure = 3,
};

struct Options {
  std::string file;
  std::optional<int64_t> ranks;
  std::optional<std::string> inputs, outputs, expect;
  std::optional<double> rtol, atol;
  std::optional<uint64_t> seed;
  bool gather = false, verify = true, stats = false, exact = false;
};

/// Prints an error and its remedy to stderr and returns `code`.
int fail(ExitCode code, const std::string &message, const std::string &help);

/// Reads the command line. Returns Success, or an exit code having printed the
/// error; `helpShown` says that there is nothing left to do.
int parseOptions(int argc, char **argv, Options &options, bool &helpShown);

#endif // MOE_TOOLS_REFERENCE_OPTIONS_H

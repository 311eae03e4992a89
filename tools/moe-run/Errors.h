//===- Errors.h - Exit codes and errors of moe-run --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_ERRORS_H
#define MOE_TOOLS_MOE_RUN_ERRORS_H

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

#endif // MOE_TOOLS_MOE_RUN_ERRORS_H

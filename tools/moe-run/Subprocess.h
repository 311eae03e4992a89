//===- Subprocess.h - Start a program beside this one -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_SUBPROCESS_H
#define MOE_TOOLS_MOE_RUN_SUBPROCESS_H

#include <optional>
#include <string>
#include <vector>

/// Returns the path of `program` in the directory of this executable, or "" if
/// that cannot be found out.
std::string besideThis(const char *program);

/// Runs `command`, which works on `file`, for at most `limit` seconds if there
/// is a limit. Returns its exit code, or TimedOut if it had to be killed.
int supervise(const std::vector<std::string> &command,
              std::optional<double> limit, const std::string &file);

#endif // MOE_TOOLS_MOE_RUN_SUBPROCESS_H

//===- CrashHandler.h - A crash of a rank that is a thread ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CPU_CRASHHANDLER_H
#define MOERT_LIB_CPU_CRASHHANDLER_H

#include "Meeting.h"
#include <csignal>

namespace moert {

/// While it lives, a crash in a `CrashScope` ends the run with the rank and its
/// collective, and the thread sleeps for ever; other crashes end the process as
/// before. One at a time.
class CrashHandler {
public:
  CrashHandler();
  CrashHandler(const CrashHandler &) = delete;
  ~CrashHandler();

private:
  std::vector<struct sigaction> previous;
};

/// While it lives, this thread is this rank.
class CrashScope {
public:
  CrashScope(Meeting &meeting, int64_t rank);
  CrashScope(const CrashScope &) = delete;
  ~CrashScope();

private:
  /// For the handler: the thread's own may be what overflowed.
  std::vector<std::byte> stack;
};

} // namespace moert

#endif // MOERT_LIB_CPU_CRASHHANDLER_H

//===- Subprocess.cpp - Start a program beside this one -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Subprocess.h"
#include "Errors.h"
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

std::string besideThis(const char *program) {
  std::string path(4096, '\0');
  ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0 || static_cast<size_t>(size) == path.size())
    return "";
  path.resize(size);
  return path.substr(0, path.rfind('/') + 1) + program;
}

/// Replaces this process by `command`. Returns only if that fails, then with
/// the exit code, having printed the error.
static int execute(const std::vector<std::string> &command) {
  std::vector<char *> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  return fail(RuntimeFailure,
              "cannot start '" + command[0] +
                  "': " + std::generic_category().message(errno),
              "it must lie beside moe-run; build or install it");
}

/// Waits for the child to end, and kills it after `limit` seconds if there is
/// a limit. SIGCHLD must be blocked. Returns what waitpid does; `expired` says
/// that the child was killed here.
static pid_t waitFor(pid_t child, std::optional<double> limit, int &status,
                     bool &expired) {
  using Clock = std::chrono::steady_clock;
  // A clock counts nanoseconds in 64 bits; 30 years are as good as forever.
  std::chrono::duration<double> seconds(std::min(limit.value_or(1e9), 1e9));
  Clock::time_point deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(seconds);
  expired = false;
  while (true) {
    bool blocks = !limit || expired;
    pid_t ended = ::waitpid(child, &status, blocks ? 0 : WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR))
      return ended;
    if (blocks)
      continue;
    std::chrono::nanoseconds left = deadline - Clock::now();
    if (left.count() <= 0) {
      expired = true;
      ::kill(child, SIGKILL);
      continue;
    }
    timespec wait;
    wait.tv_sec = left.count() / 1'000'000'000;
    wait.tv_nsec = left.count() % 1'000'000'000;
    sigset_t childSignal;
    sigemptyset(&childSignal);
    sigaddset(&childSignal, SIGCHLD);
    ::sigtimedwait(&childSignal, nullptr, &wait);
  }
}

/// A child even without a limit, so that a crash of it ends in an error, too.
int supervise(const std::vector<std::string> &command,
              std::optional<double> limit, const std::string &file) {
  // SIGCHLD is blocked and waited for with a time limit, and not ignored, as
  // the caller may have left it: the system would then drop the exit status.
  std::signal(SIGCHLD, SIG_DFL);
  sigset_t childSignal, previousSignals;
  sigemptyset(&childSignal);
  sigaddset(&childSignal, SIGCHLD);
  sigprocmask(SIG_BLOCK, &childSignal, &previousSignals);

  pid_t parent = ::getpid();
  pid_t child = ::fork();
  if (child < 0)
    return fail(RuntimeFailure,
                "cannot start a process: " +
                    std::generic_category().message(errno),
                "check the limit on processes (ulimit -u) and the free memory");
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &previousSignals, nullptr);
    // The child must not outlive a launcher that is killed.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
      ::_exit(RuntimeFailure);
    ::_exit(execute(command));
  }

  int status = 0;
  bool expired = false;
  pid_t ended = waitFor(child, limit, status, expired);
  sigprocmask(SIG_SETMASK, &previousSignals, nullptr);
  if (ended < 0)
    return fail(RuntimeFailure,
                "lost track of '" + command[0] +
                    "': " + std::generic_category().message(errno),
                "run it again");
  // The child may still have ended by itself between the check and the kill.
  if (WIFEXITED(status))
    return WEXITSTATUS(status);
  if (expired) {
    char seconds[32];
    std::snprintf(seconds, sizeof(seconds), "%g", *limit);
    return fail(TimedOut,
                "'" + file + "' did not finish within " + seconds + " seconds",
                "raise --timeout, or look for ranks that wait for each other");
  }
  return fail(
      RuntimeFailure,
      "'" + command[0] + "' was killed by signal " +
          std::to_string(WTERMSIG(status)) + " (" +
          ::strsignal(WTERMSIG(status)) + ") while it ran '" + file + "'",
      WTERMSIG(status) == SIGKILL
          ? "the system may have run out of memory; try a smaller layer"
          : "this is a bug in " + command[0].substr(command[0].rfind('/') + 1) +
                "; please report it with the file");
}

//===- CrashHandler.cpp - A crash of a rank that is a thread --------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CrashHandler.h"
#include <cstring>
#include <iterator>
#include <unistd.h>

using namespace moert;

static constexpr int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static thread_local Meeting *currentMeeting = nullptr;
static thread_local int64_t currentRank = 0;

namespace {
/// Text that a signal handler may put together.
class HandlerText {
public:
  void add(std::string_view text) {
    size += text.copy(buffer + size, sizeof(buffer) - size);
  }
  void add(int64_t number) {
    char digits[20];
    char *begin = std::end(digits);
    do
      *--begin = char('0' + number % 10);
    while (number /= 10);
    add(std::string_view(begin, std::end(digits) - begin));
  }
  void addPlace(const Meeting &meeting, int64_t rank) {
    size += meeting.describePlace(rank, buffer + size, sizeof(buffer) - size);
  }
  std::string_view get() const { return {buffer, size}; }

private:
  char buffer[2048];
  size_t size = 0;
};
} // namespace

static void handleCrash(int number) {
  Meeting *meeting = currentMeeting;
  if (!meeting) {
    // Not a rank: as if there were no handler.
    std::signal(number, SIG_DFL);
    ::raise(number);
    return;
  }
  HandlerText text;
  text.add("rank ");
  text.add(currentRank);
  text.add(" crashed with signal ");
  text.add(int64_t(number));
  const char *description = ::sigdescr_np(number);
  text.add(" (");
  text.add(description ? description : "unknown");
  text.add(") ");
  text.addPlace(*meeting, currentRank);
  meeting->end(RunReport::Failed, text.get());
  // Whoever waits for the ranks ends the process.
  while (true)
    ::pause();
}

CrashHandler::CrashHandler() {
  struct sigaction action = {};
  action.sa_handler = handleCrash;
  // Unblocked while it sleeps, so that the process can still be ended.
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (int number : crashes) {
    previous.emplace_back();
    ::sigaction(number, &action, &previous.back());
  }
}

CrashHandler::~CrashHandler() {
  for (size_t i = 0; i < previous.size(); ++i)
    ::sigaction(crashes[i], &previous[i], nullptr);
}

CrashScope::CrashScope(Meeting &meeting, int64_t rank) : stack(1 << 16) {
  stack_t memory = {};
  memory.ss_sp = stack.data();
  memory.ss_size = stack.size();
  ::sigaltstack(&memory, nullptr);
  currentMeeting = &meeting;
  currentRank = rank;
}

CrashScope::~CrashScope() {
  currentMeeting = nullptr;
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}

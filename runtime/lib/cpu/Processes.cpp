//===- Processes.cpp - Ranks as processes that are started here -----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Futex.h"
#include "SharedRank.h"
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

using namespace moert;

namespace {

class Processes {
public:
  Processes(const Program &program, const RunOptions &options)
      : program(program), info(program.getInfo()), options(options) {}
  ~Processes() { killAll(); }

  RunReport run(std::vector<LocalTensors> &arguments,
                std::vector<LocalTensors> &results);

private:
  struct Process {
    pid_t number = -1;
    /// Its other end closes when the process ends, however it does.
    Descriptor alive;
  };

  bool start(int64_t rank, LocalTensors &arguments);
  [[noreturn]] void runChild(int64_t rank, LocalTensors &arguments);
  void watch(Meeting &meeting);
  void reap(Meeting &meeting, int64_t rank);
  void killAll();

  const Program &program;
  const ProgramInfo &info;
  const RunOptions &options;
  SharedMemory memory;
  std::vector<Process> processes;
};

} // namespace

/// Does not return to the caller's code, which belongs to the parent.
void Processes::runChild(int64_t rank, LocalTensors &arguments) {
  Meeting meeting(info, memory.getBoard(), options.timeout);
  SharedRank(info, rank, meeting, memory)
      .runProcess(program, arguments, options);
  ::_exit(0);
}

bool Processes::start(int64_t rank, LocalTensors &arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return false;
  // The parent closes the writing end at once: no other child shall have it.
  Descriptor reading(ends[0]), writing(ends[1]);
  pid_t parent = ::getpid(), child = ::fork();
  if (child < 0)
    return false;
  if (child == 0) {
    // Ranks do not outlive a parent that is killed.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
      ::_exit(1);
    // What `ps -o comm` and `top` show: at most 15 characters.
    ::prctl(PR_SET_NAME, ("moe-rank " + std::to_string(rank)).c_str());
    runChild(rank, arguments);
  }
  processes.push_back({child, std::move(reading)});
  return true;
}

/// Takes the exit status of a rank that has ended, and ends the run if it died.
void Processes::reap(Meeting &meeting, int64_t rank) {
  Process &process = processes[rank];
  int status = 0;
  pid_t ended;
  do
    ended = ::waitpid(process.number, &status, 0);
  while (ended < 0 && errno == EINTR);
  process.number = -1;
  (void)process.alive.close();
  if (meeting.hasStopped(rank) || meeting.hasEnded())
    return;
  std::string how = " died ";
  if (ended >= 0 && WIFSIGNALED(status))
    how = " was killed by signal " + std::to_string(WTERMSIG(status)) + " (" +
          ::strsignal(WTERMSIG(status)) + ") ";
  else if (ended >= 0 && WIFEXITED(status))
    how = " exited with code " + std::to_string(WEXITSTATUS(status)) + " ";
  meeting.end(RunReport::Failed, "rank " + std::to_string(rank) + how +
                                     meeting.describePlace(rank));
}

/// Waits until all have ended; kills those that go on after the run's end.
void Processes::watch(Meeting &meeting) {
  int64_t deadline = 0;
  while (true) {
    std::vector<pollfd> polls;
    std::vector<int64_t> ranks;
    for (size_t rank = 0; rank < processes.size(); ++rank)
      if (processes[rank].alive.isOpen()) {
        polls.push_back({processes[rank].alive.get(), POLLIN, 0});
        ranks.push_back(int64_t(rank));
      }
    if (polls.empty())
      return;
    if (meeting.hasEnded() && deadline == 0)
      deadline = deadlineAfter(1);
    int milliseconds = -1;
    if (deadline != 0) {
      milliseconds = int((deadline - monotonicNow()) / 1'000'000);
      if (milliseconds <= 0) {
        killAll();
        return;
      }
    }
    if (::poll(polls.data(), polls.size(), milliseconds) <= 0)
      continue;
    for (size_t i = 0; i < polls.size(); ++i)
      if (polls[i].revents != 0)
        reap(meeting, ranks[i]);
  }
}

void Processes::killAll() {
  for (const Process &process : processes)
    if (process.number > 0)
      ::kill(process.number, SIGKILL);
  for (Process &process : processes) {
    if (process.number > 0)
      while (::waitpid(process.number, nullptr, 0) < 0 && errno == EINTR)
        continue;
    process.number = -1;
    (void)process.alive.close();
  }
}

RunReport Processes::run(std::vector<LocalTensors> &arguments,
                         std::vector<LocalTensors> &results) {
  int64_t ranks = info.numRanks();
  RunReport report;
  report.outcome = RunReport::Failed;
  if (!memory.create(Meeting::bytesFor(info), ranks, report.error))
    return report;
  Meeting meeting(info, memory.getBoard(), options.timeout);
  // What is buffered would be printed by every process.
  std::fflush(nullptr);
  for (int64_t rank = 0; rank < ranks; ++rank)
    if (!start(rank, arguments[rank])) {
      report.error = "cannot start a process for rank " + std::to_string(rank) +
                     ": " + describeSystemError(errno);
      return report;
    }
  watch(meeting);
  report = {};
  meeting.getReason(report);
  if (report.outcome != RunReport::Finished)
    return report;
  report.collectives = meeting.getCounts();
  report.spans.resize(ranks);
  results.clear();
  for (int64_t rank = 0; rank < ranks; ++rank) {
    results.push_back(allocateResults(info, rank));
    if (collect(memory, rank, options.afterStep ? &arguments[rank] : nullptr,
                results[rank], report.spans[rank]))
      continue;
    report.outcome = RunReport::Failed;
    report.error = "cannot map the results of rank " + std::to_string(rank);
    return report;
  }
  return report;
}

RunReport moert::runProcesses(const Program &program,
                              std::vector<LocalTensors> &arguments,
                              std::vector<LocalTensors> &results,
                              const RunOptions &options) {
  return Processes(program, options).run(arguments, results);
}

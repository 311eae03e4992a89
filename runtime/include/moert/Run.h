//===- Run.h - Run a compiled layer on all ranks ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ranks of a run are threads of this process, processes that it starts, or
// processes that a launcher has started, of which this one is one. The results
// are the same bit for bit.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_RUN_H
#define MOERT_RUN_H

#include "moert/Program.h"
#include <functional>

namespace moert {

class Rendezvous;

struct CollectiveCount {
  int64_t count = 0;
  /// Sent by all ranks together, by ring algorithms.
  int64_t bytes = 0;
};

/// A collective of one rank, or one of its steps. Times are nanoseconds of a
/// clock that all processes of a host share.
struct Span {
  /// A collective of the description; less than 0: a whole step.
  int32_t collective = -1;
  int32_t step = 0;
  /// When the rank came, when all had come, and when it was done.
  int64_t begin = 0, ready = 0, end = 0;
  /// Elements and bytes of what the collective is about: the operand, of a
  /// gather the result, of an all-to-all the rows that the rank sends.
  int64_t count = 0, bytes = 0;
  /// What the rank sends to others, by a ring algorithm.
  int64_t sent = 0;
};

/// What a rank does to its own arguments after a step. Returns false and one
/// sentence in `error` on failure, which ends the run.
using StepFunction =
    std::function<bool(int64_t rank, LocalTensors &arguments,
                       const LocalTensors &results, std::string &error)>;

struct RunOptions {
  /// A collective that waits longer ends the run. Seconds.
  double timeout = 60;
  /// How often the program runs, the last `steps` times recorded.
  int64_t warmup = 0, steps = 1;
  /// Whether spans are wanted.
  bool record = false;
  StepFunction afterStep;
};

struct RunReport {
  enum Outcome { Finished, Failed, TimedOut };
  Outcome outcome = Finished;
  /// If not finished: rank, collective, source line.
  std::string error;
  /// The remedy, if it is another than for any error.
  std::string help;
  /// By collective of the description, of the last step.
  std::vector<CollectiveCount> collectives;
  /// By rank, in the order of their ends.
  std::vector<std::vector<Span>> spans;
  /// A rank did not stop: it still uses the program and its buffers.
  bool isLeftBehind = false;
};

/// Runs all ranks as threads. `arguments[r]` and `results[r]` are rank r's;
/// results are allocated. A rank that does not stop after a failure is left
/// behind, and uses what it has been given: the process should end soon then.
RunReport runThreads(const Program &program,
                     std::vector<LocalTensors> &arguments,
                     std::vector<LocalTensors> &results,
                     const RunOptions &options);

/// The same on global tensors, dense and row-major: a pointer per argument, of
/// which nothing is written, and one per result, of what all ranks together
/// have of it. Nothing is copied that a rank can use where it is: an argument
/// or result that no axis cuts, or in pieces that are in one piece each. Of a
/// partial argument the first rank holds all; the terms of a partial result are
/// summed. Fails if ranks differ in what should be equal.
RunReport runThreads(const Program &program,
                     const std::vector<const std::byte *> &arguments,
                     const std::vector<std::byte *> &results,
                     const RunOptions &options);

/// Runs all ranks as processes, which have ended when this returns. To be
/// called before the process has threads.
RunReport runProcesses(const Program &program,
                       std::vector<LocalTensors> &arguments,
                       std::vector<LocalTensors> &results,
                       const RunOptions &options);

/// Runs one rank, its number being that of the rendezvous, with those of other
/// processes of this host. Rank 0 gets the arguments and results of all, others
/// have their own alone.
RunReport runRank(const Program &program, Rendezvous &rendezvous,
                  std::vector<LocalTensors> &arguments,
                  std::vector<LocalTensors> &results,
                  const RunOptions &options);

} // namespace moert

#endif // MOERT_RUN_H

//===- Run.h - Run a compiled layer on all ranks ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_RUN_H
#define MOERT_RUN_H

#include "moert/Program.h"

namespace moert {

struct CollectiveCount {
  int64_t count = 0;
  /// Sent by all ranks together, by ring algorithms.
  int64_t bytes = 0;
};

struct RunOptions {
  /// A collective that waits longer ends the run. Seconds.
  double timeout = 60;
};

struct RunReport {
  enum Outcome { Finished, Failed, TimedOut };
  Outcome outcome = Finished;
  /// If not finished: rank, collective, source line.
  std::string error;
  /// By collective of the description.
  std::vector<CollectiveCount> collectives;
};

/// Runs all ranks once on the CPU, as threads. `arguments[r]` and `results[r]`
/// are rank r's; results are allocated. A rank that does not stop after a
/// failure is left behind: the process should end soon then.
RunReport run(const Program &program,
              const std::vector<LocalTensors> &arguments,
              std::vector<LocalTensors> &results, const RunOptions &options);

} // namespace moert

#endif // MOERT_RUN_H

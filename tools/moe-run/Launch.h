//===- Launch.h - Where the ranks of a run come from ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_LAUNCH_H
#define MOE_TOOLS_MOE_RUN_LAUNCH_H

#include "CommandLine.h"
#include "moert/Rendezvous.h"

struct Launch {
  enum Kind {
    /// Ranks are threads of this process,
    Threads,
    /// or processes that it starts,
    Processes,
    /// or this process is one of them.
    Launched,
  };
  Kind kind = Threads;
  /// Who started this process and how that was found out.
  std::string launcher;
  /// Of a launched process. Otherwise this process speaks for all ranks.
  int64_t rank = 0, numRanks = 1;
  moert::Endpoint endpoint;

  /// "threads of this process".
  std::string describe() const;
};

/// Finds out from the flags and else from the variables of torchrun, Open MPI
/// or Slurm. Returns an exit code, having printed the error: they disagree, or
/// do not say enough.
int findLaunch(const Options &options, Launch &launch);

#endif // MOE_TOOLS_MOE_RUN_LAUNCH_H

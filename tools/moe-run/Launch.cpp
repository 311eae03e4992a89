//===- Launch.cpp - Where the ranks of a run come from --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Launch.h"
#include "Errors.h"
#include <cstdlib>

#include <unistd.h>

namespace {
/// The variables by which a launcher tells a process who it is.
struct Launcher {
  const char *name;
  const char *rank, *numRanks;
  /// Each of a job that may run beside others on a host has a value of its own.
  const char *job, *step;
};
} // namespace

static constexpr Launcher torchrun = {"torchrun", "RANK", "WORLD_SIZE", "", ""};
static constexpr Launcher openMPI = {"Open MPI", "OMPI_COMM_WORLD_RANK",
                                     "OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE",
                                     "OMPI_MCA_ess_base_jobid"};
static constexpr Launcher slurm = {"Slurm", "SLURM_PROCID", "SLURM_NTASKS",
                                   "SLURM_JOB_ID", "SLURM_STEP_ID"};

static std::optional<std::string> variable(const char *name) {
  const char *value = *name ? std::getenv(name) : nullptr;
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string Launch::describe() const {
  switch (kind) {
  case Threads:
    return "threads of this process";
  case Processes:
    return "processes started here";
  case Launched:
    return "processes started by " + launcher;
  }
  return "";
}

/// Reads a launcher's rank and number of ranks. `launch` stays as it is where
/// there are none.
static int read(const Launcher &launcher, std::optional<Launch> &launch) {
  std::optional<std::string> rank = variable(launcher.rank),
                             ranks = variable(launcher.numRanks);
  if (!rank && !ranks)
    return Success;
  std::string names = std::string(launcher.rank) + " and " + launcher.numRanks;
  std::string help = std::string("start moe-run with ") + launcher.name +
                     ", or unset " + names;
  if (!rank || !ranks)
    return fail(UsageError,
                std::string(rank ? launcher.numRanks : launcher.rank) +
                    " is not set, but " +
                    (rank ? launcher.rank : launcher.numRanks) + " is",
                help);
  std::optional<int64_t> number = parseNumber<int32_t>(*rank),
                         count = parseNumber<int32_t>(*ranks);
  if (!number || !count || *number < 0 || *number >= *count)
    return fail(UsageError,
                names + " are '" + *rank + "' and '" + *ranks +
                    "', which is no rank and a number of ranks",
                help);
  launch.emplace();
  launch->kind = Launch::Launched;
  launch->launcher = std::string(launcher.name) + " (" + launcher.rank + ", " +
                     launcher.numRanks + ")";
  launch->rank = *number;
  launch->numRanks = *count;
  // A name that processes of one job share and others do not.
  std::string job = variable(launcher.job).value_or("");
  if (std::optional<std::string> step = variable(launcher.step))
    job += "." + *step;
  if (job.empty())
    job = "parent " + std::to_string(::getppid());
  launch->endpoint.name = std::string("moe-run of ") + launcher.name + " job " +
                          job + " of user " + std::to_string(::getuid());
  return Success;
}

/// MASTER_ADDR and MASTER_PORT, if they are set.
static int readAddress(const Launcher &launcher, Launch &launch) {
  std::optional<std::string> host = variable("MASTER_ADDR"),
                             port = variable("MASTER_PORT");
  if (launch.numRanks == 1)
    return Success;
  if (!host && !port && &launcher != &torchrun)
    return Success;
  if (!host || host->empty() || !port)
    return fail(UsageError,
                std::string(port ? "MASTER_ADDR" : "MASTER_PORT") +
                    " is not set: the ranks of " + launcher.name +
                    " cannot find each other",
                "set MASTER_ADDR to the host of rank 0 and MASTER_PORT to a "
                "free port of it");
  // torchrun may keep a service of its own at the port.
  int64_t offset =
      variable("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
  std::optional<int64_t> number = parseNumber<int32_t>(*port);
  if (!number || *number < 1 || *number + offset > 65535)
    return fail(UsageError, "MASTER_PORT is '" + *port + "', which is no port",
                "set it to a number from 1 to 65535");
  launch.endpoint = {*host, uint16_t(*number + offset), {}};
  return Success;
}

static std::string describeWho(const Launch &launch) {
  return "rank " + std::to_string(launch.rank) + " of " +
         std::to_string(launch.numRanks);
}

int findLaunch(const Options &options, Launch &launch) {
  std::optional<Launch> byTorchrun, byMPI, bySlurm;
  if (int code = read(torchrun, byTorchrun))
    return code;
  if (int code = read(openMPI, byMPI))
    return code;
  // An allocation of Slurm gives its variables to all that runs in it.
  if (!byTorchrun && !byMPI)
    if (int code = read(slurm, bySlurm))
      return code;
  // torchrun itself may be what Open MPI has started.
  bool insideTorchrun = variable("TORCHELASTIC_RUN_ID").has_value();
  if (byTorchrun && byMPI && !insideTorchrun &&
      (byTorchrun->rank != byMPI->rank ||
       byTorchrun->numRanks != byMPI->numRanks))
    return fail(UsageError,
                "this process is " + describeWho(*byTorchrun) +
                    " by RANK and WORLD_SIZE, and " + describeWho(*byMPI) +
                    " by the variables of Open MPI",
                "unset those that are left over from something else");
  const Launcher &launcher = byTorchrun ? torchrun : byMPI ? openMPI : slurm;
  std::optional<Launch> found = byTorchrun ? byTorchrun
                                : byMPI    ? byMPI
                                           : bySlurm;
  if (options.has("--processes")) {
    if (found && found->numRanks > 1)
      return fail(UsageError,
                  "--processes starts the ranks, but this process is " +
                      describeWho(*found) + " of " + found->launcher,
                  "leave --processes out, or start moe-run once");
    launch.kind = Launch::Processes;
    return Success;
  }
  if (!found)
    return Success;
  launch = *found;
  std::optional<int64_t> ranks = options.number<int64_t>("--ranks");
  if (ranks && *ranks != launch.numRanks)
    return fail(UsageError,
                "--ranks is " + std::to_string(*ranks) +
                    ", but this process is " + describeWho(launch) + " of " +
                    launch.launcher,
                "leave --ranks out, or start as many processes");
  return readAddress(launcher, launch);
}

//===- Compiled.cpp - Run a compiled layer --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compiled.h"
#include "Errors.h"
#include "Reports.h"
#include "Results.h"
#include "moert/CUDA.h"
#include "moert/OutputFiles.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include <unistd.h>

using namespace moert;
namespace fs = std::filesystem;

int explainFailure(const RunReport &failure) {
  if (!failure.help.empty())
    return fail(failure.outcome == RunReport::TimedOut ? TimedOut
                                                       : RuntimeFailure,
                failure.error, failure.help);
  if (failure.outcome == RunReport::TimedOut)
    return fail(TimedOut, failure.error,
                "raise --timeout, or look for ranks that wait for each other");
  return fail(RuntimeFailure, failure.error,
              "the line above says which rank and where");
}

cuda::Report runRanks(const Program &program, const Launch &launch,
                      Rendezvous &others, std::vector<LocalTensors> &arguments,
                      std::vector<LocalTensors> &results,
                      const cuda::Options &options) {
  bool isLaunched = launch.numRanks > 1;
  if (program.getInfo().isForGPU())
    return isLaunched
               ? cuda::runRank(program, others, arguments, results, options)
               : cuda::runThreads(program, arguments, results, options);
  cuda::Report report;
  // Qualified, or the type of the options would find those for GPUs.
  static_cast<RunReport &>(report) =
      isLaunched ? moert::runRank(program, others, arguments, results, options)
      : launch.kind == Launch::Processes
          ? moert::runProcesses(program, arguments, results, options)
          : moert::runThreads(program, arguments, results, options);
  return report;
}

namespace {

class CompiledRun {
public:
  CompiledRun(const Program &program, const CompiledOptions &options,
              const Launch &launch)
      : program(program), info(program.getInfo()), options(options),
        launch(launch),
        others(launch.endpoint, launch.rank, launch.numRanks, options.timeout) {
  }

  int run();

private:
  int checkRanks() const;
  int checkSteps() const;
  int checkPlaces() const;
  int prepare();
  int execute();
  int judge();
  int checkParameters() const;
  bool addOutputs(OutputFiles &files, std::string &error) const;
  int write();

  /// Whether there are other processes to agree with.
  bool hasOthers() const { return launch.numRanks > 1; }
  /// Whether this process prints, and has the results of all ranks.
  bool isFirst() const { return launch.rank == 0; }
  /// The ranks whose files this process writes.
  std::vector<int64_t> getOwnRanks() const;
  bool agree(const std::string &objection, RunReport &failure);

  const Program &program;
  const ProgramInfo &info;
  const CompiledOptions &options;
  const Launch &launch;
  Rendezvous others;

  TensorMap expected;
  std::vector<LocalTensors> arguments, results;
  std::optional<TensorMap> globals;
  cuda::Report report;
};

} // namespace

std::vector<int64_t> CompiledRun::getOwnRanks() const {
  if (hasOthers())
    return {launch.rank};
  std::vector<int64_t> all(info.numRanks());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

bool CompiledRun::agree(const std::string &objection, RunReport &failure) {
  if (hasOthers())
    return others.agree(objection, failure);
  if (objection.empty())
    return true;
  failure.outcome = RunReport::Failed;
  failure.error = objection;
  return false;
}

//===----------------------------------------------------------------------===//
// Before the run
//===----------------------------------------------------------------------===//

int CompiledRun::checkRanks() const {
  std::string mesh =
      "the layer's mesh has " + std::to_string(info.numRanks()) + " ranks";
  if (info.isForGPU() && launch.kind == Launch::Processes)
    return fail(UsageError, "--processes does not start ranks on GPUs",
                "leave it out, or use torchrun --no-python, mpirun or srun");
  if (options.ranks && *options.ranks != info.numRanks())
    return fail(UsageError,
                "--ranks is " + std::to_string(*options.ranks) + ", but " +
                    mesh,
                "leave --ranks out, or compile for another mesh");
  if (launch.kind == Launch::Launched && launch.numRanks != info.numRanks())
    return fail(UsageError,
                launch.launcher + " has started " +
                    std::to_string(launch.numRanks) + " ranks, but " + mesh,
                "start as many, compile for another mesh, or unset the "
                "launcher's variables to run all ranks here");
  return Success;
}

/// The gradient of an argument that is a parameter.
static std::optional<size_t> findGradient(const ProgramInfo &info,
                                          const ValueInfo &argument) {
  for (size_t i = 0; i < info.results.size(); ++i)
    if (info.results[i].name == "grad." + argument.name && argument.name != "x")
      return i;
  return std::nullopt;
}

/// A rank can only move its own parameters by its own gradients.
int CompiledRun::checkSteps() const {
  bool any = false;
  for (const ValueInfo &argument : info.arguments) {
    std::optional<size_t> gradient = findGradient(info, argument);
    if (!gradient)
      continue;
    any = true;
    const ValueInfo &slope = info.results[*gradient];
    bool alike = argument.shape == slope.shape &&
                 argument.placements == slope.placements;
    if (!alike || argument.dtype[0] == 'I' || slope.dtype[0] == 'I')
      return fail(UsageError,
                  "'" + argument.name + "' and its gradient lie differently",
                  "--sgd needs gradients placed as their parameters");
  }
  if (any)
    return Success;
  return fail(UsageError, "'" + options.file + "' has no gradient",
              "--sgd needs a layer with results named grad.NAME");
}

/// Whether a file or folder can probably be made at `path`.
static std::string findObstacle(const fs::path &path) {
  std::error_code code;
  fs::path existing = fs::absolute(path, code);
  while (existing.has_relative_path() &&
         fs::symlink_status(existing, code).type() == fs::file_type::not_found)
    existing = existing.parent_path();
  if (!fs::is_directory(existing, code))
    return "'" + existing.string() + "' is a file";
  if (::access(existing.c_str(), W_OK | X_OK) != 0)
    return "'" + existing.string() + "' is not writable";
  return "";
}

int checkPlace(const std::string &file, const char *flag) {
  std::error_code code;
  fs::path folder = fs::absolute(file, code).parent_path();
  if (!fs::is_directory(file, code) && fs::is_directory(folder, code) &&
      findObstacle(folder).empty())
    return Success;
  return fail(RuntimeFailure, "cannot write '" + file + "'",
              std::string("choose a file in a writable directory with ") +
                  flag);
}

/// Before anything is computed.
int CompiledRun::checkPlaces() const {
  if (options.outputs)
    if (std::string obstacle = findObstacle(*options.outputs);
        !obstacle.empty())
      return fail(RuntimeFailure,
                  "cannot make the directory '" + *options.outputs +
                      "': " + obstacle,
                  "choose another directory with --outputs");
  if (options.trace && isFirst())
    return checkPlace(*options.trace, "--trace");
  return Success;
}

int CompiledRun::prepare() {
  if (options.sgd)
    if (int code = checkSteps())
      return code;
  if (options.expect && isFirst())
    if (int code = readExpected(options, info, expected))
      return code;
  // Rank 0 gets what the steps make of all arguments.
  std::vector<int64_t> ranks(info.numRanks());
  std::iota(ranks.begin(), ranks.end(), 0);
  if (int code = readInputs(options, info, isFirst() ? ranks : getOwnRanks(),
                            arguments))
    return code;
  return checkPlaces();
}

//===----------------------------------------------------------------------===//
// The run
//===----------------------------------------------------------------------===//

/// Moves a rank's own parameters by its own gradients.
static bool descend(double rate, const ProgramInfo &info,
                    LocalTensors &arguments, const LocalTensors &results,
                    std::string &error) {
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    std::optional<size_t> gradient = findGradient(info, info.arguments[i]);
    if (!gradient)
      continue;
    Tensor &parameter = arguments[i], moved;
    std::vector<double> values, slopes;
    if (!toDoubles(parameter, values, error) ||
        !toDoubles(results[*gradient], slopes, error))
      return false;
    for (size_t k = 0; k < values.size(); ++k)
      values[k] -= rate * slopes[k];
    if (!fromDoubles(parameter.dtype, parameter.shape, values, moved, error))
      return false;
    // In its place: the program has been given the address.
    std::ranges::copy(moved.data, parameter.data.begin());
  }
  return true;
}

int CompiledRun::execute() {
  cuda::Options runOptions;
  runOptions.timeout = options.timeout;
  runOptions.warmup = options.warmup;
  runOptions.steps = options.steps;
  runOptions.record = options.bench || options.trace;
  if (options.sgd)
    runOptions.afterStep = [this](int64_t, LocalTensors &own,
                                  const LocalTensors &gradients,
                                  std::string &error) {
      return descend(*options.sgd, info, own, gradients, error);
    };
  runOptions.graph = options.graph;
  runOptions.separateBuffers = options.separateBuffers;
  runOptions.nccl = options.nccl;
  runOptions.timedSteps = options.bench ? options.steps : 0;
  report = runRanks(program, launch, others, arguments, results, runOptions);
  if (report.outcome == RunReport::Finished)
    return Success;
  int code = explainFailure(report);
  // Ranks may still compute in the loaded program.
  std::fflush(nullptr);
  std::_Exit(code);
}

//===----------------------------------------------------------------------===//
// After the run
//===----------------------------------------------------------------------===//

/// The parameters after the last step.
int CompiledRun::checkParameters() const {
  std::vector<std::string> differing;
  for (size_t i = 0; i < info.arguments.size(); ++i)
    if (findGradient(info, info.arguments[i]) &&
        !printReplicas(info, info.arguments[i], column(arguments, i)))
      differing.push_back(info.arguments[i].name);
  if (differing.empty())
    return Success;
  return fail(Different,
              "after the last step the ranks have different " +
                  listNames(differing),
              "a gradient that should be the same on all ranks is not: run "
              "moe-opt --moe-check on the layer");
}

/// Prints what is to be said of the results of all ranks.
int CompiledRun::judge() {
  for (size_t i = 0; i < info.results.size(); ++i)
    (void)printReplicas(info, info.results[i], column(results, i));
  int code = options.sgd ? checkParameters() : Success;
  // One error for each run, the first one.
  if (options.expect && code == Success)
    code = compare(options, info, expected, results);
  std::string error;
  if (options.gather && !gatherAll(info, results, globals.emplace(), error)) {
    globals.reset();
    if (code == Success)
      code = fail(Different, error,
                  "run moe-opt --moe-check to see which claim is false; "
                  "global.safetensors is not written");
  }
  return code;
}

bool CompiledRun::addOutputs(OutputFiles &files, std::string &error) const {
  if (options.outputs) {
    std::error_code code;
    fs::create_directories(*options.outputs, code);
    if (!fs::is_directory(*options.outputs)) {
      error = "cannot make the directory '" + *options.outputs +
              "': " + (code ? code.message() : "it is a file");
      return false;
    }
    auto place = [&](const std::string &name) {
      return (fs::path(*options.outputs) / name).string();
    };
    for (int64_t rank : getOwnRanks()) {
      TensorMap tensors;
      for (size_t i = 0; i < info.results.size(); ++i)
        tensors[info.results[i].name] = results[rank][i];
      if (!files.add(place("rank" + std::to_string(rank) + ".safetensors"),
                     tensors, error))
        return false;
    }
    if (globals && !files.add(place("global.safetensors"), *globals, error))
      return false;
  }
  return !options.trace || !isFirst() ||
         files.add(*options.trace, makeTrace(info, report), error);
}

/// All files of all ranks or none.
int CompiledRun::write() {
  if (!options.outputs && !options.trace)
    return Success;
  std::error_code code;
  bool isNew = options.outputs && !fs::exists(*options.outputs, code);
  OutputFiles files;
  std::string error;
  RunReport failure;
  bool added = addOutputs(files, error);
  if (agree(added ? "" : error, failure)) {
    bool placed = files.commit(error);
    if (agree(placed ? "" : error, failure))
      return Success;
  }
  files.retract();
  if (isNew)
    fs::remove(*options.outputs, code);
  return fail(failure.outcome == RunReport::TimedOut ? TimedOut
                                                     : RuntimeFailure,
              failure.error,
              "no output of this run was kept; choose another directory");
}

int CompiledRun::run() {
  if (int code = checkRanks())
    return code;
  RunReport failure;
  if (hasOthers() && !others.meet(program.getFingerprint(), failure))
    return fail(failure.outcome == RunReport::TimedOut ? TimedOut
                                                       : RuntimeFailure,
                failure.error,
                "start all ranks with the same layer, MASTER_ADDR and "
                "MASTER_PORT; --timeout is how long they wait");
  int code = prepare();
  std::string objection;
  if (code)
    objection = "rank " + std::to_string(launch.rank) + " cannot start";
  if (hasOthers() && !others.agree(objection, failure) && !code)
    return fail(RuntimeFailure, failure.error, "its own error says why");
  if (code)
    return code;
  if (isFirst()) {
    std::printf("ranks: %lld, %s\n", static_cast<long long>(info.numRanks()),
                launch.describe().c_str());
    std::fflush(stdout);
  }
  if (int code = execute())
    return code;
  if (isFirst()) {
    if (info.isForGPU())
      std::printf("GPUs: %s\n", report.transport.c_str());
    code = judge();
  }
  if (int written = write())
    return written;
  if (isFirst() && options.stats) {
    printStatistics(info, report.collectives);
    if (info.isForGPU())
      printMemory(report);
  }
  if (isFirst() && options.bench) {
    if (info.isForGPU())
      printKernels(info, report);
    printBenchmark(info, report.spans);
    if (info.isForGPU())
      printSteps(report);
  }
  // The verdict of rank 0 is that of all.
  std::string verdict = std::to_string(code);
  if (hasOthers() && !others.broadcast(verdict, failure))
    return explainFailure(failure);
  return parseNumber<int>(verdict).value_or(RuntimeFailure);
}

int runCompiled(const Program &program, const CompiledOptions &options,
                const Launch &launch) {
  return CompiledRun(program, options, launch).run();
}

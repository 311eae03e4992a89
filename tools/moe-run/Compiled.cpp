//===- Compiled.cpp - Run a compiled layer --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compiled.h"
#include "Errors.h"
#include "Results.h"
#include <algorithm>
#include <cstdio>

using namespace moert;

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// Moves a rank's own parameters by its own gradients.
static bool descend(double rate, const ProgramInfo &info,
                    const LocalTensors &results, LocalTensors &arguments,
                    std::string &error) {
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    const std::string &name = info.arguments[i].name;
    auto gradient = std::ranges::find_if(info.results, [&](const ValueInfo &v) {
      return v.name == "grad." + name && name != "x";
    });
    if (gradient == info.results.end())
      continue;
    Tensor &parameter = arguments[i], moved;
    const Tensor &slope = results[gradient - info.results.begin()];
    std::vector<double> values, slopes;
    if (parameter.shape != slope.shape) {
      error = "'" + name + "' and its gradient lie differently";
      return false;
    }
    if (!toDoubles(parameter, values, error) ||
        !toDoubles(slope, slopes, error))
      return false;
    for (size_t k = 0; k < values.size(); ++k)
      values[k] -= rate * slopes[k];
    if (!fromDoubles(parameter.dtype, parameter.shape, values, moved, error))
      return false;
    parameter = std::move(moved);
  }
  return true;
}

/// The parameters after the last step.
static int checkParameters(const ProgramInfo &info,
                           const std::vector<LocalTensors> &arguments) {
  std::string differing;
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    const ValueInfo &value = info.arguments[i];
    bool trained = std::ranges::any_of(info.results, [&](const ValueInfo &v) {
      return v.name == "grad." + value.name;
    });
    if (trained && value.name != "x" && value.isReplicated() &&
        !printReplicas(value.name, column(arguments, i)))
      differing += (differing.empty() ? "'" : ", '") + value.name + "'";
  }
  if (differing.empty())
    return Success;
  return fail(Different,
              "after the last step the ranks have different " + differing,
              "a gradient that should be the same on all ranks is not: run "
              "moe-opt --moe-check on the layer");
}

int runCompiled(const Program &program, const CompiledOptions &options) {
  std::string error;
  const ProgramInfo &info = program.getInfo();
  if (info.target != "cpu")
    return fail(UsageError,
                "'" + options.file + "' is compiled for " + info.target +
                    ", which this build cannot run",
                "compile it with --target cpu");
  if (options.ranks && *options.ranks != info.numRanks())
    return fail(UsageError,
                "--ranks is " + std::to_string(*options.ranks) +
                    ", but the layer's mesh has " +
                    std::to_string(info.numRanks()) + " ranks",
                "leave --ranks out, or compile for another mesh");
  std::vector<LocalTensors> arguments, results;
  if (int code = readInputs(options, info, arguments))
    return code;

  RunOptions runOptions;
  runOptions.timeout = options.timeout.value_or(runOptions.timeout);
  runOptions.steps = options.steps;
  if (options.sgd)
    runOptions.afterStep = [&](int64_t, LocalTensors &own,
                               const LocalTensors &gradients,
                               std::string &why) {
      return descend(*options.sgd, info, gradients, own, why);
    };
  RunReport report = options.processes
                         ? runProcesses(program, arguments, results, runOptions)
                         : runThreads(program, arguments, results, runOptions);
  if (report.outcome != RunReport::Finished) {
    int code =
        fail(report.outcome == RunReport::TimedOut ? TimedOut : RuntimeFailure,
             report.error,
             report.outcome == RunReport::TimedOut
                 ? "raise --timeout, or look for ranks that wait for each other"
                 : "the line above says which rank and where");
    // Ranks may still compute in the loaded program.
    std::fflush(nullptr);
    std::_Exit(code);
  }

  for (size_t i = 0; i < info.results.size(); ++i)
    if (info.results[i].isReplicated())
      (void)printReplicas(info.results[i].name, column(results, i));
  int code = options.sgd ? checkParameters(info, arguments) : Success;
  if (options.expect)
    if (int compared = compare(options, info, results)) {
      code = compared;
      if (code == UsageError)
        return code;
    }
  std::optional<TensorMap> globals;
  if (options.gather) {
    globals.emplace();
    for (size_t i = 0; i < info.results.size() && globals; ++i) {
      error.clear();
      Tensor global;
      if (gather(info, info.results[i], column(results, i), global, error)) {
        (*globals)[info.results[i].name] = std::move(global);
        continue;
      }
      code = fail(Different, "result '" + info.results[i].name + "': " + error,
                  "run moe-opt --moe-check to see which claim is false; "
                  "global.safetensors is not written");
      globals.reset();
    }
  }
  if (options.outputs)
    if (int written = writeOutputs(options, info, results, globals))
      code = written;
  if (options.stats)
    printStatistics(info, report.collectives);
  return code;
}

//===- Compiled.cpp - Run a compiled layer --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compiled.h"
#include "moert/Run.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

using namespace moert;

static std::string describeShape(const std::vector<int64_t> &shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

static int readInputs(const CompiledOptions &options, const ProgramInfo &info,
                      std::vector<LocalTensors> &locals) {
  TensorMap tensors;
  std::string error;
  if (!options.inputs)
    return fail(UsageError, "a compiled layer needs --inputs",
                "give a safetensors file with a tensor for each argument");
  if (!readSafeTensors(*options.inputs, tensors, error))
    return fail(UsageError, error, "check the file that --inputs names");
  locals.assign(info.numRanks(), {});
  for (const ValueInfo &value : info.arguments) {
    auto found = tensors.find(value.name);
    if (found == tensors.end())
      return fail(UsageError,
                  "'" + *options.inputs + "' has no tensor '" + value.name +
                      "', which is an argument",
                  "add a tensor of that name and of shape " +
                      describeShape(value.shape));
    Tensor global = found->second;
    if (global.shape != value.shape)
      return fail(UsageError,
                  "input '" + value.name + "' has shape " +
                      describeShape(global.shape) + ", expected " +
                      describeShape(value.shape),
                  "inputs are global tensors: give the whole one");
    if (global.dtype != value.dtype) {
      std::vector<double> numbers;
      if (!toDoubles(global, numbers, error) ||
          !fromDoubles(value.dtype, value.shape, numbers, global, error))
        return fail(UsageError,
                    "input '" + value.name + "' is of type " +
                        found->second.dtype + ", expected " + value.dtype,
                    "convert the tensor in '" + *options.inputs + "'");
    }
    for (int64_t rank = 0; rank < info.numRanks(); ++rank)
      locals[rank].push_back(slice(info, value, global, rank));
  }
  return Success;
}

//===----------------------------------------------------------------------===//
// Replicas
//===----------------------------------------------------------------------===//

/// Prints whether all ranks have the same bits of `name`; returns it.
static bool printReplicas(const std::string &name,
                          const std::vector<const Tensor *> &locals) {
  size_t worst = 0;
  double largest = 0;
  std::vector<double> first, other;
  std::string error;
  for (size_t rank = 1; rank < locals.size(); ++rank) {
    if (locals[rank]->data == locals[0]->data)
      continue;
    double difference = INFINITY;
    if (toDoubles(*locals[0], first, error) &&
        toDoubles(*locals[rank], other, error)) {
      difference = 0;
      for (size_t i = 0; i < first.size(); ++i) {
        double distance = std::abs(first[i] - other[i]);
        difference =
            std::max(difference, std::isnan(distance) ? INFINITY : distance);
      }
    }
    if (worst == 0 || difference > largest) {
      worst = rank;
      largest = difference;
    }
  }
  if (worst == 0)
    std::printf("%s: replicated, ranks bit-equal\n", name.c_str());
  else
    std::printf("%s: replicated, ranks DIFFER (max |difference| %g between "
                "ranks 0 and %zu)\n",
                name.c_str(), largest, worst);
  return worst == 0;
}

static std::vector<const Tensor *>
column(const std::vector<LocalTensors> &locals, size_t index) {
  std::vector<const Tensor *> tensors;
  for (const LocalTensors &rank : locals)
    tensors.push_back(&rank[index]);
  return tensors;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

static int writeOutputs(const CompiledOptions &options, const ProgramInfo &info,
                        const std::vector<LocalTensors> &results,
                        const std::optional<TensorMap> &globals) {
  namespace fs = std::filesystem;
  std::error_code code;
  fs::create_directories(*options.outputs, code);
  if (!fs::is_directory(*options.outputs))
    return fail(RuntimeFailure,
                "cannot make the directory '" + *options.outputs +
                    "': " + (code ? code.message() : "it is a file"),
                "choose another directory with --outputs");
  std::vector<std::string> written;
  auto write = [&](const std::string &name, const TensorMap &tensors) {
    std::string path = (fs::path(*options.outputs) / name).string(), error;
    if (writeSafeTensors(path, tensors, error)) {
      written.push_back(path);
      return true;
    }
    for (const std::string &earlier : written)
      fs::remove(earlier, code);
    fail(RuntimeFailure, error,
         "no output of this run was kept; choose another directory");
    return false;
  };
  for (size_t rank = 0; rank < results.size(); ++rank) {
    TensorMap tensors;
    for (size_t i = 0; i < info.results.size(); ++i)
      tensors[info.results[i].name] = results[rank][i];
    if (!write("rank" + std::to_string(rank) + ".safetensors", tensors))
      return RuntimeFailure;
  }
  if (globals && !write("global.safetensors", *globals))
    return RuntimeFailure;
  return Success;
}

static int compare(const CompiledOptions &options, const ProgramInfo &info,
                   const std::vector<LocalTensors> &results) {
  TensorMap expected;
  std::string error;
  if (!readSafeTensors(*options.expect, expected, error))
    return fail(UsageError, error, "check the file that --expect names");
  bool different = false;
  for (const auto &[name, tensor] : expected) {
    auto value = std::ranges::find_if(
        info.results, [&](const ValueInfo &v) { return v.name == name; });
    if (value == info.results.end() || tensor.shape != value->shape)
      return fail(UsageError,
                  "'" + *options.expect + "' has a tensor '" + name +
                      "', but there is no such result of that shape",
                  "results are compared as global tensors");
    Tensor global;
    error.clear();
    if (!gather(info, *value, column(results, value - info.results.begin()),
                global, error)) {
      std::printf("%s: DIFFERS: %s\n", name.c_str(), error.c_str());
      different = true;
      continue;
    }
    std::vector<double> have, want;
    if (!toDoubles(global, have, error) || !toDoubles(tensor, want, error))
      return fail(UsageError, "'" + name + "': " + error,
                  "give it as F32, F64 or BF16");
    double squares = 0, norm = 0, largest = 0;
    for (size_t i = 0; i < have.size(); ++i) {
      double distance = std::abs(have[i] - want[i]);
      squares += distance * distance;
      norm += want[i] * want[i];
      largest = std::max(largest, std::isnan(distance) ? INFINITY : distance);
    }
    double relative = squares == 0 ? 0 : std::sqrt(squares) / std::sqrt(norm);
    bool equal = relative <= options.rtol || largest <= options.atol;
    different |= !equal;
    std::printf("%s: %s (relative error %.3g, max |difference| %.3g)\n",
                name.c_str(), equal ? "equal" : "DIFFERS", relative, largest);
  }
  if (!different)
    return Success;
  return fail(Different, "results differ from '" + *options.expect + "'",
              "the lines above say which; --rtol and --atol set tolerances");
}

static void printStatistics(const ProgramInfo &info,
                            const std::vector<CollectiveCount> &counts) {
  std::map<std::pair<std::string, std::string>, CollectiveCount> lines;
  CollectiveCount total;
  for (size_t i = 0; i < counts.size(); ++i) {
    const CollectiveInfo &collective = info.collectives[i];
    std::string axes;
    for (int64_t axis : collective.axes)
      axes += (axes.empty() ? "" : ",") + info.mesh[axis].name;
    CollectiveCount &line =
        lines[{collective.kind, axes + " " + collective.phase}];
    for (CollectiveCount *sum : {&line, &total}) {
      sum->count += counts[i].count;
      sum->bytes += counts[i].bytes;
    }
  }
  std::printf("%-16s %-16s %8s %14s\n", "collective", "axis phase", "count",
              "bytes");
  lines[{"total", ""}] = total;
  for (const auto &[key, line] : lines)
    std::printf("%-16s %-16s %8lld %14lld\n", key.first.c_str(),
                key.second.c_str(), static_cast<long long>(line.count),
                static_cast<long long>(line.bytes));
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// Every rank moves its own parameters by its own gradients.
static int descend(double rate, const ProgramInfo &info,
                   const std::vector<LocalTensors> &results,
                   std::vector<LocalTensors> &arguments) {
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    const std::string &name = info.arguments[i].name;
    auto gradient = std::ranges::find_if(info.results, [&](const ValueInfo &v) {
      return v.name == "grad." + name && name != "x";
    });
    if (gradient == info.results.end())
      continue;
    for (size_t rank = 0; rank < results.size(); ++rank) {
      Tensor &parameter = arguments[rank][i];
      const Tensor &slope = results[rank][gradient - info.results.begin()];
      std::vector<double> values, slopes;
      std::string error;
      if (parameter.shape != slope.shape ||
          !toDoubles(parameter, values, error) ||
          !toDoubles(slope, slopes, error))
        return fail(RuntimeFailure,
                    "'" + name + "' and its gradient lie differently",
                    "--sgd needs gradients placed as their parameters");
      for (size_t k = 0; k < values.size(); ++k)
        values[k] -= rate * slopes[k];
      Tensor moved;
      if (!fromDoubles(parameter.dtype, parameter.shape, values, moved, error))
        return fail(RuntimeFailure, error, "this is a bug; please report it");
      parameter = std::move(moved);
    }
  }
  return Success;
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

int runCompiled(const CompiledOptions &options) {
  Program program;
  std::string error;
  if (!program.load(options.file, error))
    return fail(UsageError, error, "make it with moe-compile --target cpu");
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
  RunReport report;
  for (int64_t step = 0; step < options.steps; ++step) {
    report = run(program, arguments, results, runOptions);
    if (report.outcome != RunReport::Finished) {
      int code = fail(
          report.outcome == RunReport::TimedOut ? TimedOut : RuntimeFailure,
          report.error,
          report.outcome == RunReport::TimedOut
              ? "raise --timeout, or look for ranks that wait for each other"
              : "the line above says which rank and where");
      // Ranks may still compute in the loaded program.
      std::fflush(nullptr);
      std::_Exit(code);
    }
    if (options.sgd)
      if (int code = descend(*options.sgd, info, results, arguments))
        return code;
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

//===- Results.cpp - Compare and write what a compiled layer gave ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Results.h"
#include "Errors.h"
#include "moert/OutputFiles.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

using namespace moert;

std::string describeShape(const std::vector<int64_t> &shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

//===----------------------------------------------------------------------===//
// Replicas
//===----------------------------------------------------------------------===//

bool printReplicas(const std::string &name,
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

std::vector<const Tensor *> column(const std::vector<LocalTensors> &locals,
                                   size_t index) {
  std::vector<const Tensor *> tensors;
  for (const LocalTensors &rank : locals)
    tensors.push_back(&rank[index]);
  return tensors;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

int writeOutputs(const CompiledOptions &options, const ProgramInfo &info,
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
  OutputFiles files;
  std::string error;
  auto add = [&](const std::string &name, const TensorMap &tensors) {
    return files.add((fs::path(*options.outputs) / name).string(), tensors,
                     error);
  };
  bool added = true;
  for (size_t rank = 0; rank < results.size() && added; ++rank) {
    TensorMap tensors;
    for (size_t i = 0; i < info.results.size(); ++i)
      tensors[info.results[i].name] = results[rank][i];
    added = add("rank" + std::to_string(rank) + ".safetensors", tensors);
  }
  if (added && (!globals || add("global.safetensors", *globals)) &&
      files.commit(error))
    return Success;
  return fail(RuntimeFailure, error,
              "no output of this run was kept; choose another directory with "
              "--outputs");
}

int compare(const CompiledOptions &options, const ProgramInfo &info,
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

void printStatistics(const ProgramInfo &info,
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

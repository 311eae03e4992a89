//===- Results.cpp - Compare what a compiled layer gave -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Results.h"
#include "Errors.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

using namespace moert;

std::string describeShape(const std::vector<int64_t> &shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

std::string listNames(const std::vector<std::string> &names) {
  constexpr size_t most = 12;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (i == 0 ? "'" : ", '") + names[i].substr(0, 60) + "'";
  if (names.size() > most)
    text += " and " + std::to_string(names.size() - most) + " more";
  return text.empty() ? "none" : text;
}

std::vector<const Tensor *> column(const std::vector<LocalTensors> &locals,
                                   size_t index) {
  std::vector<const Tensor *> tensors;
  tensors.reserve(locals.size());
  for (const LocalTensors &rank : locals)
    tensors.push_back(&rank[index]);
  return tensors;
}

template <typename Integer>
static std::vector<double> toDoubles(const Tensor &tensor) {
  std::vector<double> numbers(tensor.data.size() / sizeof(Integer));
  for (size_t i = 0; i < numbers.size(); ++i) {
    Integer number;
    std::memcpy(&number, tensor.data.data() + i * sizeof(number),
                sizeof(number));
    numbers[i] = double(number);
  }
  return numbers;
}

/// Floats or integers.
static bool toNumbers(const Tensor &tensor, std::vector<double> &numbers,
                      std::string &error) {
  if (tensor.dtype != "I32" && tensor.dtype != "I64")
    return toDoubles(tensor, numbers, error);
  numbers = tensor.dtype == "I32" ? toDoubles<int32_t>(tensor)
                                  : toDoubles<int64_t>(tensor);
  return true;
}

//===----------------------------------------------------------------------===//
// Replicas
//===----------------------------------------------------------------------===//

/// The largest difference of two tensors' elements. Infinite where one is no
/// number, or where the bits of what cannot be subtracted differ.
static double distance(const Tensor &a, const Tensor &b) {
  std::vector<double> first, second;
  std::string error;
  if (!toNumbers(a, first, error) || !toNumbers(b, second, error))
    return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    double difference = std::abs(first[i] - second[i]);
    largest = std::max(largest, std::isnan(difference) ? INFINITY : difference);
  }
  return largest;
}

/// "replicated", or over which axes.
static std::string describeReplication(const ProgramInfo &info,
                                       const ValueInfo &value) {
  if (value.isReplicated())
    return "replicated";
  std::string axes;
  for (size_t axis = 0; axis < info.mesh.size(); ++axis)
    if (value.placements[axis].kind == Placement::Replicate &&
        info.mesh[axis].size > 1)
      axes += (axes.empty() ? "'" : ", '") + info.mesh[axis].name + "'";
  return axes.empty() ? "" : "replicated over " + axes;
}

bool printReplicas(const ProgramInfo &info, const ValueInfo &value,
                   const std::vector<const Tensor *> &locals) {
  std::string replication = describeReplication(info, value);
  if (replication.empty())
    return true;
  int64_t worst = -1;
  double largest = 0;
  for (int64_t rank = 0; rank < int64_t(locals.size()); ++rank) {
    const Tensor &first = *locals[firstReplica(info, value, rank)];
    if (locals[rank]->data == first.data)
      continue;
    double difference = distance(first, *locals[rank]);
    if (worst < 0 || difference > largest) {
      worst = rank;
      largest = difference;
    }
  }
  if (worst < 0)
    std::printf("%s: %s, ranks bit-equal\n", value.name.c_str(),
                replication.c_str());
  else
    std::printf("%s: %s, ranks DIFFER (max |difference| %g between ranks %lld "
                "and %lld)\n",
                value.name.c_str(), replication.c_str(), largest,
                static_cast<long long>(firstReplica(info, value, worst)),
                static_cast<long long>(worst));
  return worst < 0;
}

//===----------------------------------------------------------------------===//
// Global results
//===----------------------------------------------------------------------===//

static std::vector<ValueInfo>::const_iterator
findResult(const ProgramInfo &info, const std::string &name) {
  return std::ranges::find_if(
      info.results, [&](const ValueInfo &value) { return value.name == name; });
}

int readExpected(const CompiledOptions &options, const ProgramInfo &info,
                 TensorMap &expected) {
  std::string error;
  if (!readSafeTensors(*options.expect, expected, error))
    return fail(UsageError, error, "check the file that --expect names");
  if (expected.empty())
    return fail(UsageError, "'" + *options.expect + "' has no tensor",
                "give it a tensor for each result to compare");
  for (const auto &[name, tensor] : expected) {
    auto value = findResult(info, name);
    if (value == info.results.end()) {
      std::vector<std::string> names;
      names.reserve(info.results.size());
      for (const ValueInfo &result : info.results)
        names.push_back(result.name);
      return fail(UsageError,
                  "'" + *options.expect + "' has a tensor '" + name +
                      "', but there is no such result",
                  "the results are " + listNames(names));
    }
    if (tensor.shape != value->shape)
      return fail(UsageError,
                  "'" + name + "' has shape " + describeShape(tensor.shape) +
                      " in '" + *options.expect + "', the result has " +
                      describeShape(value->shape),
                  "results are compared as global tensors");
    std::vector<double> numbers;
    if (!toNumbers(tensor, numbers, error))
      return fail(UsageError, "'" + name + "': " + error,
                  "convert the tensor in '" + *options.expect + "'");
  }
  return Success;
}

int compare(const CompiledOptions &options, const ProgramInfo &info,
            const TensorMap &expected,
            const std::vector<LocalTensors> &results) {
  bool different = false;
  for (const auto &[name, tensor] : expected) {
    auto value = findResult(info, name);
    Tensor global;
    std::vector<double> have, want;
    std::string error;
    if (!gather(info, *value, column(results, value - info.results.begin()),
                global, error) ||
        !toNumbers(global, have, error) || !toNumbers(tensor, want, error)) {
      std::printf("%s: DIFFERS: %s\n", name.c_str(), error.c_str());
      different = true;
      continue;
    }
    double squares = 0, norm = 0, largest = 0;
    for (size_t i = 0; i < have.size(); ++i) {
      double difference = std::abs(have[i] - want[i]);
      squares += difference * difference;
      norm += want[i] * want[i];
      largest =
          std::max(largest, std::isnan(difference) ? INFINITY : difference);
    }
    double relative = squares == 0 ? 0 : std::sqrt(squares) / std::sqrt(norm);
    bool equal = relative <= options.rtol || largest <= options.atol;
    different |= !equal;
    std::printf("%s: %s (relative error %.3g, max |difference| %.3g)\n",
                name.c_str(), equal ? "equal" : "DIFFERS", relative, largest);
  }
  for (const ValueInfo &value : info.results)
    if (!expected.contains(value.name))
      std::printf("%s: not compared, '%s' does not have it\n",
                  value.name.c_str(), options.expect->c_str());
  if (!different)
    return Success;
  return fail(Different, "results differ from '" + *options.expect + "'",
              "the lines above say which; --rtol and --atol set tolerances");
}

bool gatherAll(const ProgramInfo &info,
               const std::vector<LocalTensors> &results, TensorMap &globals,
               std::string &error) {
  for (size_t i = 0; i < info.results.size(); ++i)
    if (!gather(info, info.results[i], column(results, i),
                globals[info.results[i].name], error)) {
      error = "result '" + info.results[i].name + "': " + error;
      return false;
    }
  return true;
}

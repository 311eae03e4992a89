//===- Results.cpp - Inputs, outputs and comparisons of a run -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Results.h"
#include "moert/OutputFiles.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <cmath>
#include <cstring>

using namespace moe::reference;

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

template <typename Stored>
static std::vector<int64_t> readIntegers(const moert::Tensor &tensor) {
  std::vector<int64_t> values(tensor.data.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, tensor.data.data() + i * sizeof(Stored),
                sizeof(Stored));
    values[i] = stored;
  }
  return values;
}

/// The names in `tensors`, for messages.
static std::string listNames(const moert::TensorMap &tensors) {
  std::string names;
  for (const auto &[name, tensor] : tensors)
    names += (names.empty() ? "'" : ", '") + name + "'";
  return names.empty() ? "nothing" : names;
}

int readInputs(const std::string &path, llvm::ArrayRef<Slot> slots,
               std::vector<Value<double>> &values) {
  moert::TensorMap tensors;
  std::string error;
  if (!moert::readSafeTensors(path, tensors, error))
    return fail(Rejected, error, "check the file that --inputs names");
  for (const Slot &slot : slots) {
    auto found = tensors.find(slot.name);
    if (found == tensors.end())
      return fail(Rejected,
                  "'" + path + "' has no tensor '" + slot.name +
                      "', which is an argument; it has " + listNames(tensors),
                  "add a tensor of that name and of shape " +
                      describeShape(slot.shape()));
    const moert::Tensor &tensor = found->second;
    const std::string &dtype = tensor.dtype;
    bool isFloat = dtype == "F32" || dtype == "F64" || dtype == "BF16";
    bool isInt = dtype == "I32" || dtype == "I64";
    if (!(slot.isIndex() ? isInt : isFloat))
      return fail(Rejected,
                  "input '" + slot.name + "' is of type " + dtype +
                      ", expected " +
                      (slot.isIndex() ? "I32 or I64" : "F32, F64 or BF16"),
                  "convert the tensor in '" + path + "'");
    if (tensor.shape != slot.shape())
      return fail(Rejected,
                  "input '" + slot.name + "' has shape " +
                      describeShape(tensor.shape) + ", expected " +
                      describeShape(slot.shape()),
                  "inputs are global tensors of the shape that the argument's "
                  "type states");
    if (slot.isIndex()) {
      values.emplace_back(IndexTensor(
          tensor.shape, dtype == "I32" ? readIntegers<int32_t>(tensor)
                                       : readIntegers<int64_t>(tensor)));
      continue;
    }
    std::vector<double> numbers;
    if (!moert::toDoubles(tensor, numbers, error))
      return fail(Rejected, "input '" + slot.name + "': " + error,
                  "write the file anew");
    values.emplace_back(Tensor<double>(tensor.shape, std::move(numbers)));
  }
  // One may be there under a misspelt name, or be of another layer.
  for (const Slot &slot : slots)
    tensors.erase(slot.name);
  if (tensors.empty())
    return Success;
  std::string names;
  for (const Slot &slot : slots)
    names += (names.empty() ? "'" : ", '") + slot.name + "'";
  return fail(Rejected,
              "'" + path + "' has " + listNames(tensors) +
                  ", which no argument is named after",
              "leave it out or rename it; the arguments are " + names);
}

//===----------------------------------------------------------------------===//
// Replicas
//===----------------------------------------------------------------------===//

/// |lhs - rhs|; infinite where that is not a number, so that it is no match.
static double distance(double lhs, double rhs) {
  double difference = std::abs(lhs - rhs);
  return std::isnan(difference) ? INFINITY : difference;
}

/// The largest |lhs - rhs|; infinite if the shapes differ.
static double maxDifference(const Value<double> &lhs,
                            const Value<double> &rhs) {
  if (lhs.isIndex() != rhs.isIndex() || lhs.shape() != rhs.shape())
    return INFINITY;
  double largest = 0;
  auto compare = [&](const auto &a, const auto &b) {
    for (auto [x, y] : llvm::zip_equal(a.data, b.data)) {
      largest = std::max(largest, distance(double(x), double(y)));
    }
  };
  if (lhs.isIndex())
    compare(lhs.indices(), rhs.indices());
  else
    compare(lhs.floats(), rhs.floats());
  return largest;
}

void printReplicas(const RunResults &results) {
  for (auto [slot, locals] : llvm::zip_equal(results.slots, results.locals)) {
    bool replicated = true;
    for (auto [axis, placement] : llvm::enumerate(slot.type.getPlacements()))
      replicated &= results.mesh.sizes[axis] == 1 || placement.isReplicate();
    if (!replicated)
      continue;
    // Every pair would be quadratic; the largest distance from rank 0 shows
    // the same fault.
    int64_t worst = 0;
    double largest = 0;
    for (size_t rank = 1; rank < locals.size(); ++rank) {
      if (locals[rank].hasSameBits(locals[0]))
        continue;
      double difference = maxDifference(locals[0], locals[rank]);
      if (worst == 0 || difference > largest) {
        worst = rank;
        largest = difference;
      }
    }
    if (worst == 0)
      std::printf("%s: replicated, ranks bit-equal\n", slot.name.c_str());
    else
      std::printf("%s: replicated, ranks DIFFER (max |difference| %g between "
                  "ranks 0 and %lld)\n",
                  slot.name.c_str(), largest, static_cast<long long>(worst));
  }
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

static bool addTensor(const Slot &slot, const Value<double> &value,
                      moert::TensorMap &tensors, std::string &error) {
  moert::Tensor tensor;
  std::vector<int64_t> shape(value.shape().begin(), value.shape().end());
  if (value.isIndex()) {
    tensor.dtype = "I32";
    tensor.shape = shape;
    tensor.data.resize(value.indices().data.size() * sizeof(int32_t));
    for (auto [i, x] : llvm::enumerate(value.indices().data)) {
      int32_t stored = int32_t(x);
      std::memcpy(tensor.data.data() + i * sizeof(stored), &stored,
                  sizeof(stored));
    }
  } else if (!moert::fromDoubles(slot.type.getElementType().isF64() ? "F64"
                                                                    : "F32",
                                 shape, value.floats().data, tensor, error)) {
    return false;
  }
  tensors[slot.name] = std::move(tensor);
  return true;
}

int writeOutputs(const Options &options, const RunResults &results) {
  const std::string &dir = *options.outputs;
  std::vector<std::pair<std::string, moert::TensorMap>> files;
  std::string error;
  for (int64_t rank = 0; rank < results.mesh.numRanks(); ++rank) {
    moert::TensorMap tensors;
    for (auto [slot, locals] : llvm::zip_equal(results.slots, results.locals))
      if (!addTensor(slot, locals[rank], tensors, error))
        return fail(RuntimeFailure, "result '" + slot.name + "': " + error,
                    "this is a bug in moe-reference; please report it");
    files.emplace_back("rank" + std::to_string(rank) + ".safetensors",
                       std::move(tensors));
  }

  int code = Success;
  if (options.gather) {
    moert::TensorMap tensors;
    for (auto [slot, global] :
         llvm::zip_equal(results.slots, results.globals)) {
      if (!global.global) {
        // The ranks' own files are still written: they show the fault.
        code = fail(Different, "result '" + slot.name + "': " + global.reason,
                    "run without --no-verify to see which claim is false; "
                    "global.safetensors is not written");
        continue;
      }
      if (!addTensor(slot, *global.global, tensors, error))
        return fail(RuntimeFailure, "result '" + slot.name + "': " + error,
                    "this is a bug in moe-reference; please report it");
    }
    if (code == Success)
      files.emplace_back("global.safetensors", std::move(tensors));
  }

  std::error_code failure = llvm::sys::fs::create_directories(dir);
  // Anything that is there already satisfies create_directories.
  if (!failure && !llvm::sys::fs::is_directory(dir))
    failure = std::make_error_code(std::errc::not_a_directory);
  if (failure)
    return fail(RuntimeFailure,
                "cannot make the directory '" + dir + "': " + failure.message(),
                "choose another directory with --outputs");
  moert::OutputFiles output;
  bool written = true;
  for (const auto &[name, tensors] : files) {
    llvm::SmallString<128> path(dir);
    llvm::sys::path::append(path, name);
    written = written && output.add(std::string(path), tensors, error);
  }
  if (!written || !output.commit(error))
    return fail(RuntimeFailure, error,
                "no output of this run was kept; choose another directory "
                "with --outputs");
  return code;
}

//===----------------------------------------------------------------------===//
// Comparison
//===----------------------------------------------------------------------===//

int compareWithExpected(const Options &options, const RunResults &results) {
  moert::TensorMap expected;
  std::string error;
  if (!moert::readSafeTensors(*options.expect, expected, error))
    return fail(Rejected, error, "check the file that --expect names");
  if (expected.empty())
    return fail(Rejected, "'" + *options.expect + "' has no tensor",
                "give it a tensor for each result to compare");
  double rtol = options.rtol.value_or(1e-5), atol = options.atol.value_or(0);
  bool different = false;
  for (const auto &[name, tensor] : expected) {
    size_t index =
        llvm::find_if(results.slots,
                      [&](const Slot &slot) { return slot.name == name; }) -
        results.slots.begin();
    if (index == results.slots.size()) {
      std::string names;
      for (const Slot &slot : results.slots)
        names += (names.empty() ? "'" : ", '") + slot.name + "'";
      return fail(Rejected,
                  "'" + *options.expect + "' has a tensor '" + name +
                      "', but there is no such result",
                  "the results are " + names);
    }
    const Slot &slot = results.slots[index];
    const Denotation<double> &global = results.globals[index];
    if (tensor.shape != slot.shape())
      return fail(Rejected,
                  "'" + name + "' has shape " + describeShape(tensor.shape) +
                      " in '" + *options.expect + "', the result has " +
                      describeShape(slot.shape()),
                  "results are compared as global tensors");
    if (!global.global) {
      std::printf("%s: DIFFERS: %s\n", name.c_str(), global.reason.c_str());
      different = true;
      continue;
    }
    std::vector<double> want, have;
    if (tensor.dtype == "I32" || tensor.dtype == "I64")
      for (int64_t x : tensor.dtype == "I32" ? readIntegers<int32_t>(tensor)
                                             : readIntegers<int64_t>(tensor))
        want.push_back(double(x));
    else if (!moert::toDoubles(tensor, want, error))
      return fail(Rejected, "'" + name + "': " + error,
                  "convert the tensor in '" + *options.expect + "'");
    if (global.global->isIndex())
      have.assign(global.global->indices().data.begin(),
                  global.global->indices().data.end());
    else
      have = global.global->floats().data;

    double squares = 0, norm = 0, largest = 0;
    for (auto [x, y] : llvm::zip_equal(have, want)) {
      squares += (x - y) * (x - y);
      norm += y * y;
      largest = std::max(largest, distance(x, y));
    }
    double relative = squares == 0 ? 0 : std::sqrt(squares) / std::sqrt(norm);
    // Not a number is no match.
    bool equal = relative <= rtol || largest <= atol;
    different |= !equal;
    std::printf("%s: %s (relative error %.3g, max |difference| %.3g)\n",
                name.c_str(), equal ? "equal" : "DIFFERS", relative, largest);
  }
  for (const Slot &slot : results.slots)
    if (!expected.count(slot.name))
      std::printf("%s: not compared, '%s' does not have it\n",
                  slot.name.c_str(), options.expect->c_str());
  if (!different)
    return Success;
  return fail(Different, "results differ from '" + *options.expect + "'",
              "the lines above say which; --rtol and --atol set tolerances");
}

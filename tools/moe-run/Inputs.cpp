//===- Inputs.cpp - What a compiled layer is given ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Errors.h"
#include "Results.h"
#include <algorithm>
#include <cstring>

using namespace moert;

/// Converts integers, if all fit.
template <typename From, typename To>
static bool convertIntegers(Tensor &tensor, const char *dtype) {
  std::vector<std::byte> data(tensor.data.size() / sizeof(From) * sizeof(To));
  for (size_t i = 0; i < tensor.data.size() / sizeof(From); ++i) {
    From value;
    std::memcpy(&value, tensor.data.data() + i * sizeof(From), sizeof(From));
    To converted = To(value);
    if (From(converted) != value)
      return false;
    std::memcpy(data.data() + i * sizeof(To), &converted, sizeof(To));
  }
  tensor.data = std::move(data);
  tensor.dtype = dtype;
  return true;
}

/// Makes `tensor` one of type `dtype`, if both are floats or both integers.
static bool convert(Tensor &tensor, const std::string &dtype,
                    std::string &expected) {
  if (tensor.dtype == dtype)
    return true;
  if (dtype == "I32" || dtype == "I64") {
    expected = "I32 or I64 with values of " + dtype;
    if (tensor.dtype == "I64" && dtype == "I32")
      return convertIntegers<int64_t, int32_t>(tensor, "I32");
    return tensor.dtype == "I32" &&
           convertIntegers<int32_t, int64_t>(tensor, "I64");
  }
  expected = "F32, F64 or BF16";
  std::vector<double> numbers;
  std::string error;
  return toDoubles(tensor, numbers, error) &&
         fromDoubles(dtype, tensor.shape, numbers, tensor, error);
}

int readInputs(const CompiledOptions &options, const ProgramInfo &info,
               const std::vector<int64_t> &ranks,
               std::vector<LocalTensors> &locals) {
  TensorMap tensors;
  std::string error;
  if (!options.inputs)
    return fail(UsageError, "a compiled layer needs --inputs",
                "give a safetensors file with a tensor for each argument");
  if (!readSafeTensors(*options.inputs, tensors, error))
    return fail(UsageError, error, "check the file that --inputs names");
  std::vector<std::string> given, wanted, unknown;
  for (const auto &[name, tensor] : tensors)
    given.push_back(name);
  for (const ValueInfo &value : info.arguments) {
    wanted.push_back(value.name);
    auto found = tensors.find(value.name);
    if (found == tensors.end())
      return fail(UsageError,
                  "'" + *options.inputs + "' has no tensor '" + value.name +
                      "', which is an argument; it has " + listNames(given),
                  "add a tensor of that name and of shape " +
                      describeShape(value.shape));
    if (found->second.shape != value.shape)
      return fail(UsageError,
                  "input '" + value.name + "' has shape " +
                      describeShape(found->second.shape) + ", expected " +
                      describeShape(value.shape),
                  "inputs are global tensors: give the whole one");
  }
  for (const std::string &name : given)
    if (std::ranges::find(wanted, name) == wanted.end())
      unknown.push_back(name);
  if (!unknown.empty())
    return fail(UsageError,
                "'" + *options.inputs + "' has " + listNames(unknown) +
                    ", which no argument is named after",
                "leave it out or rename it; the arguments are " +
                    listNames(wanted));
  locals.assign(info.numRanks(), {});
  for (const ValueInfo &value : info.arguments) {
    // Each is gone when it has been cut: there may not be room for all twice.
    Tensor global = std::move(tensors.at(value.name));
    tensors.erase(value.name);
    std::string dtype = global.dtype, expected;
    if (!convert(global, value.dtype, expected))
      return fail(UsageError,
                  "input '" + value.name + "' is of type " + dtype +
                      ", expected " + expected,
                  "convert the tensor in '" + *options.inputs + "'");
    for (int64_t rank : ranks)
      locals[rank].push_back(slice(info, value, global.data.data(), rank));
  }
  return Success;
}

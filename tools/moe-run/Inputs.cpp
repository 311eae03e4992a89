//===- Inputs.cpp - What a compiled layer is given ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compiled.h"
#include "Errors.h"
#include "Results.h"

using namespace moert;

int readInputs(const CompiledOptions &options, const ProgramInfo &info,
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

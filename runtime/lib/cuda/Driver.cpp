//===- Driver.cpp - The CUDA driver ---------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Driver.h"
#include "Library.h"

using namespace moert::cuda;

/// Drivers run what was made for an earlier minor version of the same CUDA.
static constexpr int oldestVersion = CUDA_VERSION / 1000 * 1000;

std::string moert::cuda::describeVersion(int version) {
  return std::to_string(version / 1000) + "." +
         std::to_string(version % 1000 / 10);
}

static std::string askForDriver() {
  return "install an NVIDIA driver for CUDA " + describeVersion(oldestVersion) +
         " or later (nvidia-smi shows what a driver is for)";
}

Driver::Driver() {
  Library library("libcuda.so.1", "there is no NVIDIA driver",
                  "run this on a machine with an NVIDIA GPU and its driver, or "
                  "with --backend cpu");
  const char *missing = nullptr;
  // NOLINTBEGIN(bugprone-macro-parentheses)
#define CUDA_FUNCTION(name)                                                    \
  name =                                                                       \
      reinterpret_cast<decltype(&::name)>(library.find(MOERT_SYMBOL(name)));   \
  if (!name)                                                                   \
    missing = MOERT_SYMBOL(name);
#include "Driver.def"
  // NOLINTEND(bugprone-macro-parentheses)
  int version = 0;
  // The version first: it says more than the name of a function.
  if (cuDriverGetVersion && cuDriverGetVersion(&version) == CUDA_SUCCESS &&
      version < oldestVersion)
    throw Failure{"the NVIDIA driver is too old: it is for CUDA " +
                      describeVersion(version) + ", and this program needs " +
                      describeVersion(oldestVersion),
                  askForDriver()};
  if (missing)
    throw Failure{std::string("the NVIDIA driver is too old: it lacks ") +
                      missing,
                  askForDriver()};
  CUresult result = cuInit(0);
  if (result == CUDA_ERROR_NO_DEVICE)
    throw Failure{"there is no GPU here that CUDA can use",
                  "check nvidia-smi and CUDA_VISIBLE_DEVICES, or run with "
                  "--backend cpu"};
  if (result == CUDA_ERROR_STUB_LIBRARY)
    throw Failure{"libcuda.so.1 is the toolkit's stub and no driver",
                  "take the toolkit's 'stubs' out of LD_LIBRARY_PATH"};
  check(result, "start the NVIDIA driver");
}

const Driver &Driver::get() {
  static Driver driver;
  return driver;
}

std::string Driver::describe(CUresult result) const {
  const char *name = nullptr, *text = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
    return "CUDA error " + std::to_string(result);
  if (cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
    return name;
  return std::string(name) + " (" + text + ")";
}

/// Errors that every call returns after a kernel has failed.
static bool isOfKernel(CUresult result) {
  switch (result) {
  case CUDA_ERROR_ILLEGAL_ADDRESS:
  case CUDA_ERROR_LAUNCH_TIMEOUT:
  case CUDA_ERROR_ASSERT:
  case CUDA_ERROR_HARDWARE_STACK_ERROR:
  case CUDA_ERROR_ILLEGAL_INSTRUCTION:
  case CUDA_ERROR_MISALIGNED_ADDRESS:
  case CUDA_ERROR_INVALID_ADDRESS_SPACE:
  case CUDA_ERROR_INVALID_PC:
  case CUDA_ERROR_LAUNCH_FAILED:
    return true;
  default:
    return false;
  }
}

static const char *helpFor(CUresult result) {
  switch (result) {
  case CUDA_ERROR_OUT_OF_MEMORY:
    return "end what else runs on the GPU (nvidia-smi shows it), make batch or "
           "sequence smaller, or use more GPUs";
  case CUDA_ERROR_INVALID_IMAGE:
  case CUDA_ERROR_NO_BINARY_FOR_GPU:
  case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
  case CUDA_ERROR_NOT_FOUND:
    return "compile the layer again, for this GPU and with a toolkit that is "
           "not newer than the driver";
  default:
    return "look at nvidia-smi and the system's log; if the GPU is in order, "
           "this is a bug: please report it";
  }
}

void Driver::check(CUresult result, std::string_view doing) const {
  if (result == CUDA_SUCCESS)
    return;
  std::string reason = describe(result);
  throw Failure{"cannot " + std::string(doing) + ": " + reason, helpFor(result),
                RunReport::Failed, isOfKernel(result) ? reason : ""};
}

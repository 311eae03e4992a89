//===- Driver.h - The CUDA driver -------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_DRIVER_H
#define MOERT_LIB_CUDA_DRIVER_H

#include "Failure.h"
#include <cuda.h>

namespace moert::cuda {

/// The functions of libcuda, which is loaded when the first layer for GPUs is:
/// a program that links this starts where there is no driver.
class Driver {
public:
  /// The driver of this process. Throws Failure if there is none, or one too
  /// old for what this was built with.
  static const Driver &get();

  // As declared in cuda.h.
  // NOLINTNEXTLINE(bugprone-macro-parentheses)
#define CUDA_FUNCTION(name) decltype(&::name) name = nullptr;
#include "Driver.def"

  /// Throws Failure unless `result` is success: what was `doing`, and the
  /// driver's name and words for the error.
  void check(CUresult result, std::string_view doing) const;
  /// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
  std::string describe(CUresult result) const;

private:
  Driver();
};

/// "13.0" of 13000.
std::string describeVersion(int version);

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_DRIVER_H

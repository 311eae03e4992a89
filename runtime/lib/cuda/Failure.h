//===- Failure.h - Why a run on GPUs ends -----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_FAILURE_H
#define MOERT_LIB_CUDA_FAILURE_H

#include "moert/Run.h"
#include <string>

namespace moert::cuda {

/// Thrown and caught inside this back end only; none crosses compiled code.
struct Failure {
  std::string error;
  /// The remedy.
  std::string help;
  RunReport::Outcome outcome = RunReport::Failed;
  /// Of a kernel that ran, not of the call that found it out: what went wrong,
  /// in the driver's words.
  std::string ofKernel = {};
};

/// Thrown where a rank learns that the run has ended elsewhere.
struct Ended {};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_FAILURE_H

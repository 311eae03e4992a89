//===- Nccl.h - The NCCL library --------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_NCCL_H
#define MOERT_LIB_CUDA_NCCL_H

#include "Failure.h"
#include <nccl.h>

namespace moert::cuda {

/// The functions of libnccl, which is loaded when ranks have a GPU each.
class Nccl {
public:
  /// The library of this process. Throws Failure if there is none, or one too
  /// old.
  static const Nccl &get();

  // As declared in nccl.h.
  // NOLINTNEXTLINE(bugprone-macro-parentheses)
#define NCCL_FUNCTION(name) decltype(&::name) name = nullptr;
#include "Nccl.def"

  /// As in nccl.h: 22809 is 2.28.9.
  int version = 0;

  /// Throws Failure unless `result` is success: what was `doing`, and NCCL's
  /// words for the error, of `comm` if there is one.
  void check(ncclResult_t result, std::string_view doing,
             ncclComm_t comm = nullptr) const;

private:
  Nccl();
};

/// "2.28.9" of 22809.
std::string describeNcclVersion(int version);

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_NCCL_H

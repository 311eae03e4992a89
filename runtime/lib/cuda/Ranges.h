//===- Ranges.h - Names for profilers ---------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_RANGES_H
#define MOERT_LIB_CUDA_RANGES_H

#ifdef MOERT_HAVE_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace moert::cuda {

/// What the host does while this lives, under a name that profilers show. Costs
/// next to nothing where none watches.
class Range {
public:
#ifdef MOERT_HAVE_NVTX
  explicit Range(const char *name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
#else
  explicit Range(const char *) {}
  ~Range() {}
#endif
  Range(Range &&) = delete;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_RANGES_H

//===- Recorder.h - When work runs on a GPU ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_RECORDER_H
#define MOERT_LIB_CUDA_RECORDER_H

#include "Streams.h"
#include "moert/CUDA.h"

namespace moert::cuda {

/// Puts events around the kernels and collectives of a step, for spans.
class Recorder {
public:
  Recorder(const Driver &driver, std::vector<Span> &spans,
           std::vector<KernelSpan> &kernels)
      : driver(driver), spans(spans), kernels(kernels) {}

  /// The step begins now, at the end of what `stream` has.
  void beginStep(int32_t step, CUstream stream);
  void endStep(CUstream stream);
  void beginWork(CUstream stream);
  void endWork(const Span &collective, CUstream stream);
  void endWork(const KernelSpan &kernel, CUstream stream);
  /// Adds the step to the spans. All of it is done.
  void finishStep();

private:
  /// Records the next unused event; returns its place.
  size_t record(CUstream stream);
  /// When that event happened.
  int64_t timeOf(size_t event) const;

  template <typename Kind>
  struct Open {
    Kind span;
    size_t begin, end;
  };

  const Driver &driver;
  std::vector<Span> &spans;
  std::vector<KernelSpan> &kernels;
  std::vector<Event> events;
  size_t used = 0, begun = 0, ended = 0;
  int32_t step = 0;
  /// When event 0 happened.
  int64_t start = 0;
  std::vector<Open<Span>> openSpans;
  std::vector<Open<KernelSpan>> openKernels;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_RECORDER_H

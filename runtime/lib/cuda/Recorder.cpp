//===- Recorder.cpp - When work runs on a GPU -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Recorder.h"
#include "Futex.h"

using namespace moert;
using namespace moert::cuda;

size_t Recorder::record(CUstream stream) {
  if (used == events.size())
    events.emplace_back(driver, /*timed=*/true);
  driver.check(driver.cuEventRecord(events[used].get(), stream),
               "record an event");
  return used++;
}

int64_t Recorder::timeOf(size_t event) const {
  float milliseconds = 0;
  driver.check(driver.cuEventElapsedTime(&milliseconds, events[0].get(),
                                         events[event].get()),
               "read a time");
  return start + int64_t(double(milliseconds) * 1e6);
}

void Recorder::beginStep(int32_t step, CUstream stream) {
  used = 0;
  openSpans.clear();
  openKernels.clear();
  this->step = step;
  // The stream is idle, so the event happens at once.
  start = monotonicNow();
  (void)record(stream);
}

void Recorder::endStep(CUstream stream) { ended = record(stream); }

void Recorder::beginWork(CUstream stream) { begun = record(stream); }

void Recorder::endWork(const Span &collective, CUstream stream) {
  openSpans.push_back({collective, begun, record(stream)});
}

void Recorder::endWork(const KernelSpan &kernel, CUstream stream) {
  openKernels.push_back({kernel, begun, record(stream)});
}

void Recorder::finishStep() {
  for (Open<Span> &open : openSpans) {
    open.span.step = step;
    open.span.begin = open.span.ready = timeOf(open.begin);
    open.span.end = timeOf(open.end);
    spans.push_back(open.span);
  }
  for (Open<KernelSpan> &open : openKernels) {
    open.span.step = step;
    open.span.begin = timeOf(open.begin);
    open.span.end = timeOf(open.end);
    kernels.push_back(open.span);
  }
  Span whole;
  whole.step = step;
  whole.begin = whole.ready = start;
  whole.end = timeOf(ended);
  spans.push_back(whole);
}

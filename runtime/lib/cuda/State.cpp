//===- State.cpp - What the ranks of a process use ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "State.h"
#include <algorithm>

using namespace moert;
using namespace moert::cuda;

void moert::cuda::setReason(Report &report, const Failure &failure) {
  report.outcome = failure.outcome;
  report.error = failure.error;
  report.help = failure.help;
}

void moert::cuda::describePeaks(const ProgramInfo &info, const Device &device,
                                Report &report) {
  report.matrixUnits =
      std::ranges::any_of(info.arguments, [](const ValueInfo &value) {
        return value.dtype == "BF16";
      });
  report.peakBytes = device.getPeakBytes();
  report.peakOperations = device.getPeakOperations(report.matrixUnits);
}

std::string moert::cuda::describeCount(size_t count, const char *what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

//===- CostFit.h - Costs of collectives by their bytes ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_COSTFIT_H
#define MOE_TOOLS_MOE_RUN_COSTFIT_H

#include <optional>
#include <vector>

/// One measurement.
struct CostSample {
  /// What a rank sends.
  double bytes = 0;
  double microseconds = 0;
};

/// alpha + beta * bytes, neither of them negative.
struct CostSegment {
  /// The largest message that it is for; the last segment has no bound.
  std::optional<double> upToBytes;
  /// Microseconds, and microseconds per byte.
  double alpha = 0, beta = 0;

  double at(double bytes) const { return alpha + beta * bytes; }
};

/// One segment or two, whichever has the smaller sum of squared relative
/// errors; costs do not fall where they meet. `samples` ascend by bytes, and
/// there are at least two.
std::vector<CostSegment> fitCosts(const std::vector<CostSample> &samples);

/// By the segment whose messages are of that size.
double costOf(const std::vector<CostSegment> &segments, double bytes);

#endif // MOE_TOOLS_MOE_RUN_COSTFIT_H

//===- CostFit.cpp - Costs of collectives by their bytes ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CostFit.h"
#include <algorithm>
#include <span>

using Samples = std::span<const CostSample>;

/// Least squares of relative errors, hence weights 1 / time^2: a small message
/// counts as much as a large one. Where a coefficient would be negative, the
/// best line with that coefficient 0.
static CostSegment fitLine(Samples samples) {
  double ones = 0, bytes = 0, squares = 0, times = 0, products = 0;
  for (const CostSample &sample : samples) {
    double weight = 1 / (sample.microseconds * sample.microseconds);
    ones += weight;
    bytes += weight * sample.bytes;
    squares += weight * sample.bytes * sample.bytes;
    times += weight * sample.microseconds;
    products += weight * sample.bytes * sample.microseconds;
  }
  double determinant = ones * squares - bytes * bytes;
  CostSegment line;
  if (determinant > 0) {
    line.alpha = (squares * times - bytes * products) / determinant;
    line.beta = (ones * products - bytes * times) / determinant;
  }
  if (line.alpha < 0)
    line = {std::nullopt, 0, products / squares};
  else if (line.beta < 0 || determinant <= 0)
    line = {std::nullopt, times / ones, 0};
  return line;
}

static double errorOf(const CostSegment &line, Samples samples) {
  double sum = 0;
  for (const CostSample &sample : samples) {
    double error = line.at(sample.bytes) / sample.microseconds - 1;
    sum += error * error;
  }
  return sum;
}

std::vector<CostSegment> fitCosts(const std::vector<CostSample> &samples) {
  Samples all(samples);
  std::vector<CostSegment> best = {fitLine(all)};
  double least = errorOf(best[0], all);
  for (size_t split = 2; split + 2 <= all.size(); ++split) {
    Samples small = all.first(split), large = all.subspan(split);
    CostSegment first = fitLine(small), second = fitLine(large);
    first.upToBytes = small.back().bytes;
    double error = errorOf(first, small) + errorOf(second, large);
    if (error < least &&
        second.at(*first.upToBytes) >= first.at(*first.upToBytes)) {
      best = {first, second};
      least = error;
    }
  }
  return best;
}

double costOf(const std::vector<CostSegment> &segments, double bytes) {
  auto segment = std::ranges::find_if(segments, [&](const CostSegment &one) {
    return !one.upToBytes || bytes <= *one.upToBytes;
  });
  return segment->at(bytes);
}

//===- CostFitTest.cpp - Costs of collectives by their bytes --------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CostFit.h"
#include "gtest/gtest.h"

static std::vector<CostSample> sample(double (*cost)(double)) {
  std::vector<CostSample> samples;
  for (double bytes = 1024; bytes <= 1 << 24; bytes *= 4)
    samples.push_back({bytes, cost(bytes)});
  return samples;
}

TEST(CostFit, FindsOneLine) {
  std::vector<CostSegment> segments =
      fitCosts(sample([](double bytes) { return 7 + bytes / 1000; }));
  ASSERT_EQ(segments.size(), 1u);
  EXPECT_FALSE(segments[0].upToBytes);
  EXPECT_NEAR(segments[0].alpha, 7, 1e-9);
  EXPECT_NEAR(segments[0].beta, 1e-3, 1e-12);
}

TEST(CostFit, FindsWhereThingsChange) {
  std::vector<CostSegment> segments = fitCosts(sample([](double bytes) {
    return bytes <= 65536 ? 5 + bytes / 1e4 : 30 + bytes / 3e5;
  }));
  ASSERT_EQ(segments.size(), 2u);
  ASSERT_TRUE(segments[0].upToBytes);
  EXPECT_EQ(*segments[0].upToBytes, 65536);
  EXPECT_NEAR(segments[0].alpha, 5, 1e-9);
  EXPECT_NEAR(segments[0].beta, 1e-4, 1e-12);
  EXPECT_NEAR(segments[1].alpha, 30, 1e-9);
  EXPECT_NEAR(segments[1].beta, 1 / 3e5, 1e-12);
  EXPECT_NEAR(costOf(segments, 65536), 5 + 6.5536, 1e-9);
  EXPECT_NEAR(costOf(segments, 65537), 30 + 65537 / 3e5, 1e-9);
}

/// The best line through each of these has a negative coefficient.
TEST(CostFit, IsNeverNegative) {
  for (auto cost : {+[](double bytes) { return bytes * bytes / 1e6; },
                    +[](double bytes) { return 1e6 / bytes; }})
    for (const CostSegment &segment : fitCosts(sample(cost))) {
      EXPECT_GE(segment.alpha, 0);
      EXPECT_GE(segment.beta, 0);
    }
}

/// A larger message that takes less time is noise.
TEST(CostFit, DoesNotFall) {
  std::vector<CostSegment> segments = fitCosts(sample([](double bytes) {
    return bytes <= 65536 ? 40 + bytes / 1e4 : 20 + bytes / 1e5;
  }));
  double before = 0;
  for (double bytes = 1; bytes < 1 << 26; bytes *= 1.5) {
    double cost = costOf(segments, bytes);
    EXPECT_GE(cost, before);
    before = cost;
  }
}

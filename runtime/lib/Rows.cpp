//===- Rows.cpp - Routing tables ------------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/Program.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

using moert::Chunk;

namespace {

template <typename T>
double load(const void *data, int64_t i) {
  return static_cast<double>(static_cast<const T *>(data)[i]);
}

double loadBFloat(const void *data, int64_t i) {
  uint32_t bits = uint32_t(static_cast<const uint16_t *>(data)[i]) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

bool hasNaN(const std::vector<double> &values) {
  return std::ranges::any_of(values, [](double x) { return std::isnan(x); });
}

/// Bars the experts that `groups` do not leave to choose from. False if the
/// groups have no order.
bool limitGroups(const std::vector<double> &scores, std::vector<bool> &allowed,
                 int64_t groups, int64_t limited) {
  int64_t size = int64_t(scores.size()) / groups;
  std::vector<double> best(groups);
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<double> group(scores.begin() + g * size,
                              scores.begin() + (g + 1) * size);
    std::sort(group.rbegin(), group.rend());
    best[g] = group[0] + (size > 1 ? group[1] : 0);
  }
  if (hasNaN(best))
    return false;
  std::vector<int64_t> order(groups);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return best[a] != best[b] ? best[a] > best[b] : a < b;
  });
  for (int64_t i = limited; i < groups; ++i)
    for (int64_t e = 0; e < size; ++e)
      allowed[order[i] * size + e] = false;
  return true;
}

/// As moert_top_k. Returns the first token whose scores have no order, or -1.
int64_t chooseExperts(int32_t dtype, const void *scores, const void *bias,
                      int32_t *experts, int64_t tokens, int64_t numExperts,
                      int64_t chosen, int64_t groups, int64_t limitedGroups) {
  auto get = dtype == MOERT_F64    ? load<double>
             : dtype == MOERT_BF16 ? loadBFloat
                                   : load<float>;
  std::vector<double> row(numExperts);
  std::vector<int32_t> order(numExperts);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t e = 0; e < numExperts; ++e)
      row[e] = get(scores, t * numExperts + e) + (bias ? get(bias, e) : 0);
    std::vector<bool> allowed(numExperts, true);
    if (hasNaN(row) ||
        (groups > 1 && !limitGroups(row, allowed, groups, limitedGroups)))
      return t;
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      if (allowed[a] != allowed[b])
        return bool(allowed[a]);
      return row[a] != row[b] ? row[a] > row[b] : a < b;
    });
    std::copy_n(order.begin(), chosen, experts + t * chosen);
  }
  return -1;
}

} // namespace

void moert_top_k(moert_context *context, const char *location, int32_t dtype,
                 const void *scores, const void *bias, int32_t *experts,
                 int64_t tokens, int64_t numExperts, int64_t chosen,
                 int64_t groups, int64_t limitedGroups) {
  int64_t token = chooseExperts(dtype, scores, bias, experts, tokens,
                                numExperts, chosen, groups, limitedGroups);
  if (token < 0)
    return;
  char text[128];
  (void)std::snprintf(text, sizeof(text),
                      "the scores of this rank's token %lld have no order: not "
                      "all are finite numbers",
                      static_cast<long long>(token));
  moert_fail(context, location, text);
}

/// Before anything that a failure would leave behind.
static void checkExperts(moert_context *context, const char *location,
                         const int32_t *experts, int64_t entries,
                         int64_t numExperts) {
  for (int64_t i = 0; i < entries; ++i)
    if (experts[i] < 0 || experts[i] >= numExperts)
      moert_fail(context, location, "an expert number is out of range");
}

void moert_count_rows(moert_context *context, const char *location,
                      const int32_t *experts, int64_t entries,
                      int64_t numExperts, int32_t *counts) {
  checkExperts(context, location, experts, entries, numExperts);
  std::fill_n(counts, numExperts, 0);
  for (int64_t i = 0; i < entries; ++i)
    ++counts[experts[i]];
}

void moert_sort_rows(moert_context *context, const char *location,
                     const int32_t *experts, int64_t tokens, int64_t chosen,
                     int64_t numExperts, int64_t *order, int64_t *rows) {
  checkExperts(context, location, experts, tokens * chosen, numExperts);
  std::vector<int64_t> next(numExperts + 1);
  for (int64_t i = 0; i < tokens * chosen; ++i)
    ++next[experts[i] + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  for (int64_t i = 0; i < tokens * chosen; ++i) {
    int64_t row = next[experts[i]]++;
    order[row] = i;
    rows[i] = row;
  }
}

int64_t moert_count_received(moert_context *context, int32_t axis,
                             const int32_t *counts, int64_t ranks,
                             int64_t numExperts) {
  Chunk mine(numExperts, ranks, moert_axis_index(context, axis));
  int64_t sum = 0;
  for (int64_t r = 0; r < ranks; ++r)
    for (int64_t e = mine.begin; e < mine.end; ++e)
      sum += counts[r * numExperts + e];
  return sum;
}

void moert_plan_exchange(moert_context *context, int32_t axis,
                         const int32_t *counts, int64_t ranks,
                         int64_t numExperts, int64_t *send, int64_t *receive,
                         int64_t *arrival, int64_t *departure) {
  int64_t self = moert_axis_index(context, axis);
  for (int64_t r = 0; r < ranks; ++r) {
    Chunk theirs(numExperts, ranks, r), mine(numExperts, ranks, self);
    send[r] = receive[r] = 0;
    for (int64_t e = theirs.begin; e < theirs.end; ++e)
      send[r] += counts[self * numExperts + e];
    for (int64_t e = mine.begin; e < mine.end; ++e)
      receive[r] += counts[r * numExperts + e];
  }
  if (!arrival || !departure)
    return;
  // Where each rank's next row arrives.
  std::vector<int64_t> next(ranks);
  std::exclusive_scan(receive, receive + ranks, next.begin(), int64_t(0));
  Chunk mine(numExperts, ranks, self);
  int64_t row = 0;
  for (int64_t e = mine.begin; e < mine.end; ++e)
    for (int64_t r = 0; r < ranks; ++r)
      for (int32_t i = 0; i < counts[r * numExperts + e]; ++i) {
        arrival[row] = next[r];
        departure[next[r]++] = row++;
      }
}

//===- Reduction.cpp - Sums over ranks on the CPU -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Reduction.h"
#include "moert/moert.h"
#include <algorithm>
#include <cstring>
#include <type_traits>

using namespace moert;

int64_t moert::widthOf(int32_t dtype) {
  switch (dtype) {
  case MOERT_BF16:
    return 2;
  case MOERT_F32:
  case MOERT_I32:
    return 4;
  default:
    return 8;
  }
}

namespace {
/// bfloat16 in memory, float in computation.
struct BFloat {
  uint16_t bits;
  operator float() const {
    uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof(value));
    return value;
  }
  static BFloat round(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof(wide));
    if ((wide & 0x7fffffff) > 0x7f800000)
      return {uint16_t(wide >> 16 | 0x40)};
    return {uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16)};
  }
};
} // namespace

/// sum[i] = the combination of sum[i] and from[i].
template <typename T, typename Sum>
static void combine(Sum *sum, const T *from, int32_t reduction, int64_t count) {
  if (reduction == MOERT_MAX)
    for (int64_t i = 0; i < count; ++i)
      sum[i] = std::max(sum[i], Sum(from[i]));
  else if (reduction == MOERT_MIN)
    for (int64_t i = 0; i < count; ++i)
      sum[i] = std::min(sum[i], Sum(from[i]));
  else
    for (int64_t i = 0; i < count; ++i)
      sum[i] += Sum(from[i]);
}

template <typename T, typename Sum>
static void reduceAs(const std::vector<const void *> &operands,
                     int32_t reduction, int64_t at, T *out, int64_t count) {
  // A block of sums stays in the cache while the operands pass.
  constexpr int64_t most = 2048;
  Sum sums[most];
  for (int64_t begin = 0; begin < count; begin += most) {
    int64_t size = std::min(most, count - begin);
    auto from = [&](size_t rank) {
      return static_cast<const T *>(operands[rank]) + at + begin;
    };
    std::copy_n(from(0), size, sums);
    for (size_t rank = 1; rank < operands.size(); ++rank)
      combine(sums, from(rank), reduction, size);
    if (reduction == MOERT_AVG)
      for (int64_t i = 0; i < size; ++i)
        sums[i] /= Sum(operands.size());
    for (int64_t i = 0; i < size; ++i)
      if constexpr (std::is_same_v<T, BFloat>)
        out[begin + i] = BFloat::round(sums[i]);
      else
        out[begin + i] = sums[i];
  }
}

void moert::reduce(const std::vector<const void *> &operands, int32_t dtype,
                   int32_t reduction, int64_t at, void *out, int64_t count) {
  auto as = [&]<typename T, typename Sum>(T *to, Sum) {
    reduceAs<T, Sum>(operands, reduction, at, to, count);
  };
  switch (dtype) {
  case MOERT_F32:
    return as(static_cast<float *>(out), float());
  case MOERT_F64:
    return as(static_cast<double *>(out), double());
  case MOERT_BF16:
    return as(static_cast<BFloat *>(out), float());
  case MOERT_I32:
    return as(static_cast<int32_t *>(out), int32_t());
  default:
    return as(static_cast<int64_t *>(out), int64_t());
  }
}

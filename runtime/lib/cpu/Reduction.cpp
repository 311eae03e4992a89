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

/// One number reduced over all ranks, in their order.
template <typename T, typename Sum>
static Sum reduceAt(const std::vector<const void *> &operands,
                    int32_t reduction, int64_t i) {
  auto get = [&](size_t rank) {
    return Sum(static_cast<const T *>(operands[rank])[i]);
  };
  Sum value = get(0);
  for (size_t rank = 1; rank < operands.size(); ++rank)
    value = reduction == MOERT_MAX   ? std::max(value, get(rank))
            : reduction == MOERT_MIN ? std::min(value, get(rank))
                                     : value + get(rank);
  return reduction == MOERT_AVG ? value / Sum(operands.size()) : value;
}

void moert::reduce(const std::vector<const void *> &operands, int32_t dtype,
                   int32_t reduction, int64_t at, void *out, int64_t count) {
  auto fill = [&]<typename T, typename Sum>(T *to, Sum) {
    for (int64_t i = 0; i < count; ++i) {
      Sum value = reduceAt<T, Sum>(operands, reduction, at + i);
      if constexpr (std::is_same_v<T, BFloat>)
        to[i] = BFloat::round(value);
      else
        to[i] = value;
    }
  };
  switch (dtype) {
  case MOERT_F32:
    return fill(static_cast<float *>(out), float());
  case MOERT_F64:
    return fill(static_cast<double *>(out), double());
  case MOERT_BF16:
    return fill(static_cast<BFloat *>(out), float());
  case MOERT_I32:
    return fill(static_cast<int32_t *>(out), int32_t());
  default:
    return fill(static_cast<int64_t *>(out), int64_t());
  }
}

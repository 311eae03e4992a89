//===- Traffic.h - Bytes that a collective moves ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What one of the ranks of a group sends by ring algorithms, whichever
// algorithm is used: the measure of all reports.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_TRAFFIC_H
#define MOERT_LIB_TRAFFIC_H

#include <cstdint>

namespace moert {

/// The part of the rank at `place` where all together send `total`.
inline int64_t shareOfTraffic(int64_t total, int64_t ranks, int64_t place) {
  return total / ranks + (place < total % ranks);
}

/// `bytes` is the operand's size.
inline int64_t trafficOfAllReduce(int64_t bytes, int64_t ranks, int64_t place) {
  return shareOfTraffic(2 * bytes * (ranks - 1), ranks, place);
}

/// `bytes` is the size of this rank's chunk.
inline int64_t trafficOfAllGather(int64_t bytes, int64_t ranks) {
  return bytes * (ranks - 1);
}

/// `bytes` is the operand's size.
inline int64_t trafficOfReduceScatter(int64_t bytes, int64_t ranks,
                                      int64_t place) {
  return shareOfTraffic(bytes * (ranks - 1), ranks, place);
}

} // namespace moert

#endif // MOERT_LIB_TRAFFIC_H

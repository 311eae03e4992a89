//===- Reduction.h - Sums over ranks on the CPU -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CPU_REDUCTION_H
#define MOERT_LIB_CPU_REDUCTION_H

#include <cstdint>
#include <vector>

namespace moert {

/// Bytes of one element of a moert_dtype.
int64_t widthOf(int32_t dtype);

/// out[i] = the reduction of all operands' [at + i] in their order, for `count`
/// elements.
void reduce(const std::vector<const void *> &operands, int32_t dtype,
            int32_t reduction, int64_t at, void *out, int64_t count);

} // namespace moert

#endif // MOERT_LIB_CPU_REDUCTION_H

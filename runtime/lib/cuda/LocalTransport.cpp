//===- LocalTransport.cpp - Collectives of a single rank ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LocalTransport.h"
#include "cpu/Reduction.h"

using namespace moert;
using namespace moert::cuda;

void LocalTransport::copy(int32_t dtype, const void *in, void *out,
                          int64_t elements) {
  if (elements > 0 && in != out)
    driver.check(driver.cuMemcpyDtoDAsync(reinterpret_cast<CUdeviceptr>(out),
                                          reinterpret_cast<CUdeviceptr>(in),
                                          elements * widthOf(dtype),
                                          streams.getCommunication()),
                 "copy on the GPU");
}

void LocalTransport::allReduce(int32_t, int32_t dtype, int32_t, const void *in,
                               void *out, int64_t count) {
  copy(dtype, in, out, count);
}

void LocalTransport::allGather(int32_t, int32_t dtype, const void *in,
                               void *out, int64_t outer, int64_t size,
                               int64_t inner) {
  copy(dtype, in, out, outer * size * inner);
}

void LocalTransport::reduceScatter(int32_t, int32_t dtype, int32_t,
                                   const void *in, void *out, int64_t outer,
                                   int64_t size, int64_t inner) {
  copy(dtype, in, out, outer * size * inner);
}

void LocalTransport::allToAll(int32_t, int32_t dtype, const void *in,
                              const int64_t *send, void *out, const int64_t *,
                              int64_t row) {
  copy(dtype, in, out, *send * row);
}

//===- StagedTransport.cpp - Collectives in host memory -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "StagedTransport.h"
#include "cpu/Reduction.h"
#include <algorithm>
#include <numeric>

using namespace moert;
using namespace moert::cuda;

int64_t StagedTransport::sizeOf(int32_t collective) const {
  return int64_t(meeting.getGroup(collective, host.getNumber()).ranks.size());
}

int64_t StagedTransport::placeIn(int32_t collective) const {
  const std::vector<int64_t> &ranks =
      meeting.getGroup(collective, host.getNumber()).ranks;
  return std::ranges::find(ranks, host.getNumber()) - ranks.begin();
}

Chunk StagedTransport::chunkOf(int32_t collective, int64_t size) const {
  return {size, sizeOf(collective), placeIn(collective)};
}

template <typename Compute>
void StagedTransport::stage(const void *in, int64_t inBytes, void *out,
                            int64_t outBytes, Compute compute) {
  const Driver &driver = device.getDriver();
  CUstream stream = streams.getCommunication();
  hostIn.resize(inBytes);
  hostOut.resize(outBytes);
  if (inBytes > 0)
    driver.check(driver.cuMemcpyDtoHAsync(hostIn.data(),
                                          reinterpret_cast<CUdeviceptr>(in),
                                          inBytes, stream),
                 "copy from " + device.describe());
  // All that the compute stream had before is done then, too.
  streams.wait(stream, [] {});
  if (!compute(hostIn.data(), hostOut.data()))
    throw Ended{};
  if (outBytes > 0)
    driver.check(driver.cuMemcpyHtoDAsync(reinterpret_cast<CUdeviceptr>(out),
                                          hostOut.data(), outBytes, stream),
                 "copy to " + device.describe());
  // The next collective has the same host memory.
  streams.wait(stream, [] {});
}

void StagedTransport::allReduce(int32_t collective, int32_t dtype,
                                int32_t reduction, const void *in, void *out,
                                int64_t count) {
  int64_t bytes = count * widthOf(dtype);
  stage(in, bytes, out, bytes, [&](const void *from, void *to) {
    return host.allReduce(collective, dtype, reduction, from, to, count);
  });
}

void StagedTransport::allGather(int32_t collective, int32_t dtype,
                                const void *in, void *out, int64_t outer,
                                int64_t size, int64_t inner) {
  int64_t row = outer * inner * widthOf(dtype);
  int64_t bytes = chunkOf(collective, size).size() * row;
  stage(in, bytes, out, size * row, [&](const void *from, void *to) {
    return host.allGather(collective, dtype, from, to, outer, size, inner);
  });
}

void StagedTransport::reduceScatter(int32_t collective, int32_t dtype,
                                    int32_t reduction, const void *in,
                                    void *out, int64_t outer, int64_t size,
                                    int64_t inner) {
  int64_t row = outer * inner * widthOf(dtype);
  stage(in, size * row, out, chunkOf(collective, size).size() * row,
        [&](const void *from, void *to) {
          return host.reduceScatter(collective, dtype, reduction, from, to,
                                    outer, size, inner);
        });
}

void StagedTransport::allToAll(int32_t collective, int32_t dtype,
                               const void *in, const int64_t *send, void *out,
                               const int64_t *receive, int64_t row) {
  int64_t bytes = row * widthOf(dtype), ranks = sizeOf(collective);
  stage(in, std::accumulate(send, send + ranks, int64_t(0)) * bytes, out,
        std::accumulate(receive, receive + ranks, int64_t(0)) * bytes,
        [&](const void *from, void *to) {
          return host.allToAll(collective, dtype, from, send, to, receive, row);
        });
}

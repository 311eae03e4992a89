//===- LocalTransport.h - Collectives of a single rank ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_LOCALTRANSPORT_H
#define MOERT_LIB_CUDA_LOCALTRANSPORT_H

#include "Transport.h"

namespace moert::cuda {

/// Where there is one rank in all, a collective is a copy.
class LocalTransport : public Transport {
public:
  LocalTransport(const Driver &driver, Streams &streams)
      : driver(driver), streams(streams) {}

  bool isCapturable() const override { return true; }

  void allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                 const void *in, void *out, int64_t count) override;
  void allGather(int32_t collective, int32_t dtype, const void *in, void *out,
                 int64_t outer, int64_t size, int64_t inner) override;
  void reduceScatter(int32_t collective, int32_t dtype, int32_t reduction,
                     const void *in, void *out, int64_t outer, int64_t size,
                     int64_t inner) override;
  void allToAll(int32_t collective, int32_t dtype, const void *in,
                const int64_t *send, void *out, const int64_t *receive,
                int64_t row) override;

private:
  void copy(int32_t dtype, const void *in, void *out, int64_t elements);

  const Driver &driver;
  Streams &streams;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_LOCALTRANSPORT_H

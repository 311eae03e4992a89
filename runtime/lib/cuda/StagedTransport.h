//===- StagedTransport.h - Collectives in host memory -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For ranks that share a GPU, which NCCL refuses: operands go to the host, the
// CPU back end computes from them in the order of ranks, and results go back.
// Slow, and always the same bits.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_STAGEDTRANSPORT_H
#define MOERT_LIB_CUDA_STAGEDTRANSPORT_H

#include "Transport.h"
#include "cpu/CPURank.h"

namespace moert::cuda {

class StagedTransport : public Transport {
public:
  /// `host` is this rank's counterpart on the CPU.
  StagedTransport(const Device &device, CPURank &host, const Meeting &meeting,
                  Streams &streams)
      : device(device), host(host), meeting(meeting), streams(streams) {}

  bool isCapturable() const override { return false; }
  bool counts() const override { return true; }

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
  /// Calls `compute(hostIn, hostOut)` between the copies; false ends the run.
  template <typename Compute>
  void stage(const void *in, int64_t inBytes, void *out, int64_t outBytes,
             Compute compute);
  int64_t sizeOf(int32_t collective) const;
  int64_t placeIn(int32_t collective) const;
  /// This rank's part of `size` in the group of a collective.
  Chunk chunkOf(int32_t collective, int64_t size) const;

  const Device &device;
  CPURank &host;
  const Meeting &meeting;
  Streams &streams;
  std::vector<std::byte> hostIn, hostOut;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_STAGEDTRANSPORT_H

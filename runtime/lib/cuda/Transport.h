//===- Transport.h - How collectives of GPUs are done -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_TRANSPORT_H
#define MOERT_LIB_CUDA_TRANSPORT_H

#include "Streams.h"

namespace moert::cuda {

/// Enqueues the collectives of one rank on its communication stream. Data is on
/// the device; the counts of an all-to-all are on the host. All functions
/// throw Failure or Ended.
class Transport {
public:
  virtual ~Transport() = default;

  /// Whether a step can be captured in a graph: no collective needs the host.
  virtual bool isCapturable() const = 0;
  /// Whether it counts its collectives in the Meeting.
  virtual bool counts() const { return false; }

  virtual void allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                         const void *in, void *out, int64_t count) = 0;
  virtual void allGather(int32_t collective, int32_t dtype, const void *in,
                         void *out, int64_t outer, int64_t size,
                         int64_t inner) = 0;
  virtual void reduceScatter(int32_t collective, int32_t dtype,
                             int32_t reduction, const void *in, void *out,
                             int64_t outer, int64_t size, int64_t inner) = 0;
  virtual void allToAll(int32_t collective, int32_t dtype, const void *in,
                        const int64_t *send, void *out, const int64_t *receive,
                        int64_t row) = 0;

  /// Looks for errors that no stream shows.
  virtual void poll() {}
  /// Gives up what is under way, so that the device comes to rest.
  virtual void abort() {}
  /// Takes leave of the other ranks, when all are done.
  virtual void close() {}

  /// Bytes on the device, besides what libraries take.
  virtual int64_t getMemory() const { return 0; }
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_TRANSPORT_H

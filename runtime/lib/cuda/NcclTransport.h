//===- NcclTransport.h - Collectives by NCCL --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each collective is one of NCCL's, an all-to-all one group of sends and
// receives, so NCCL's log and the compiler's report have the same count. NCCL
// knows contiguous equal parts only: where parts are uneven, or lie in an inner
// dimension, data is packed and unpacked around the call.
//
// No call of NCCL blocks: communicators are asked for their state, with a
// deadline, before anything else is done with them.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_NCCLTRANSPORT_H
#define MOERT_LIB_CUDA_NCCLTRANSPORT_H

#include "Nccl.h"
#include "Transport.h"
#include <map>
#include <memory>

namespace moert::cuda {

class NcclTransport : public Transport {
public:
  /// Joins the communicator of all ranks that has the name `id`, and makes one
  /// for each set of axes that a collective names: on all ranks in one order.
  NcclTransport(const Nccl &nccl, const Device &device, const ProgramInfo &info,
                int64_t rank, const ncclUniqueId &id, Streams &streams,
                Meeting &meeting);
  ~NcclTransport() override;

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

  void poll() override;
  void abort() override;
  void close() override;
  int64_t getMemory() const override;

private:
  /// Waits until `comm` is no longer busy with what returned `result`.
  void settle(ncclResult_t result, ncclComm_t comm, const std::string &doing);
  void settle(ncclResult_t result, ncclComm_t comm, const std::string &doing,
              const std::function<std::string()> &describe);
  /// Calls NCCL for a collective by `call(comm)`.
  template <typename Call>
  void perform(int32_t collective, Call call);

  /// Memory that only the communication stream uses, kept for later calls.
  struct Scratch {
    std::vector<std::unique_ptr<DeviceMemory>> blocks;
  };
  CUdeviceptr reserve(Scratch &scratch, size_t bytes);
  /// Copies `rows` rows of `bytes` bytes, `fromPitch` and `toPitch` apart.
  void copyRows(CUdeviceptr from, int64_t fromPitch, CUdeviceptr to,
                int64_t toPitch, int64_t bytes, int64_t rows);

  const Group &getGroup(int32_t collective) const {
    return meeting.getGroup(collective, rank);
  }
  int64_t placeIn(const Group &group) const;

  const Nccl &nccl;
  const Device &device;
  const ProgramInfo &info;
  int64_t rank;
  Streams &streams;
  Meeting &meeting;
  /// By the group's index.
  std::map<size_t, ncclComm_t> commOfGroup;
  /// Each once; that of all ranks comes first.
  std::vector<ncclComm_t> comms;
  Scratch sendScratch, receiveScratch;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_NCCLTRANSPORT_H

//===- NcclTransport.cpp - Collectives by NCCL ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NcclTransport.h"
#include "Rank.h"
#include "cpu/Reduction.h"
#include <algorithm>

using namespace moert;
using namespace moert::cuda;

static ncclDataType_t dataType(int32_t dtype) {
  switch (dtype) {
  case MOERT_F32:
    return ncclFloat32;
  case MOERT_F64:
    return ncclFloat64;
  case MOERT_BF16:
    return ncclBfloat16;
  case MOERT_I32:
    return ncclInt32;
  default:
    return ncclInt64;
  }
}

static ncclRedOp_t reductionOf(int32_t reduction) {
  switch (reduction) {
  case MOERT_AVG:
    return ncclAvg;
  case MOERT_MAX:
    return ncclMax;
  case MOERT_MIN:
    return ncclMin;
  default:
    return ncclSum;
  }
}

static CUdeviceptr addressOf(const void *pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}

static void *pointerTo(CUdeviceptr address) {
  return reinterpret_cast<void *>(address);
}

//===----------------------------------------------------------------------===//
// Communicators
//===----------------------------------------------------------------------===//

static std::string describeAxes(const ProgramInfo &info, int32_t collective) {
  std::string names;
  for (int64_t axis : info.collectives[collective].axes)
    names += (names.empty() ? "'" : ", '") + info.mesh[axis].name + "'";
  return names;
}

NcclTransport::NcclTransport(const Nccl &nccl, const Device &device,
                             const ProgramInfo &info, int64_t rank,
                             const ncclUniqueId &id, Streams &streams,
                             Meeting &meeting)
    : nccl(nccl), device(device), info(info), rank(rank), streams(streams),
      meeting(meeting) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  int ranks = int(info.numRanks());
  std::string doing = "join the communicator of all ranks";
  try {
    ncclComm_t world = nullptr;
    ncclResult_t result =
        nccl.ncclCommInitRankConfig(&world, ranks, id, int(rank), &config);
    if (world)
      comms.push_back(world);
    settle(result, world, doing);
    // In the order of the description, so in one order on all ranks.
    for (size_t i = 0; i < info.collectives.size(); ++i) {
      const Group &group = getGroup(int32_t(i));
      auto [entry, isNew] = commOfGroup.try_emplace(group.index, world);
      if (!isNew || group.ranks.size() == size_t(ranks))
        continue;
      doing = "make the communicator over " + describeAxes(info, int32_t(i));
      result = nccl.ncclCommSplit(world, int(group.ranks.front()), int(rank),
                                  &entry->second, &config);
      // The new one is there only when the old one is no longer busy.
      settle(result, world, doing);
      comms.push_back(entry->second);
      settle(ncclSuccess, entry->second, doing);
    }
  } catch (...) {
    abort();
    throw;
  }
}

NcclTransport::~NcclTransport() { abort(); }

void NcclTransport::abort() {
  // One that was split off first.
  while (!comms.empty()) {
    (void)nccl.ncclCommAbort(comms.back());
    comms.pop_back();
  }
}

void NcclTransport::close() {
  while (!comms.empty()) {
    settle(nccl.ncclCommFinalize(comms.back()), comms.back(),
           "leave a communicator");
    ncclComm_t comm = comms.back();
    comms.pop_back();
    nccl.check(nccl.ncclCommDestroy(comm), "leave a communicator");
  }
}

void NcclTransport::settle(ncclResult_t result, ncclComm_t comm,
                           const std::string &doing) {
  settle(result, comm, doing, [&] { return "to " + doing; });
}

void NcclTransport::settle(ncclResult_t result, ncclComm_t comm,
                           const std::string &doing,
                           const std::function<std::string()> &describe) {
  if (result != ncclInProgress)
    nccl.check(result, doing, comm);
  streams.waitUntil(
      [&] {
        ncclResult_t state = ncclSuccess;
        nccl.check(nccl.ncclCommGetAsyncError(comm, &state), doing, comm);
        if (state == ncclInProgress)
          return false;
        nccl.check(state, doing, comm);
        return true;
      },
      describe);
}

void NcclTransport::poll() {
  for (ncclComm_t comm : comms) {
    ncclResult_t state = ncclSuccess;
    nccl.check(nccl.ncclCommGetAsyncError(comm, &state),
               "ask a communicator for errors", comm);
    if (state != ncclInProgress && state != ncclSuccess)
      nccl.check(state, "finish " + streams.describeUnfinished(), comm);
  }
}

template <typename Call>
void NcclTransport::perform(int32_t collective, Call call) {
  ncclComm_t comm = commOfGroup.at(getGroup(collective).index);
  // What it waits for may be the end of one before it.
  settle(call(comm), comm, "start " + describeCollective(info, collective),
         [&] { return "for " + streams.describeUnfinished(); });
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

CUdeviceptr NcclTransport::reserve(Scratch &scratch, size_t bytes) {
  // Work under way may still use a smaller block.
  if (scratch.blocks.empty() || scratch.blocks.back()->size() < bytes) {
    const Driver &driver = device.getDriver();
    scratch.blocks.push_back(std::make_unique<DeviceMemory>(
        driver, bytes,
        "allocate " + describeBytes(bytes) + " for a collective on " +
            device.describe()));
    // What fills up uneven parts is sent too.
    driver.check(driver.cuMemsetD8Async(scratch.blocks.back()->get(), 0,
                                        scratch.blocks.back()->size(),
                                        streams.getCommunication()),
                 "clear memory on the GPU");
  }
  return scratch.blocks.back()->get();
}

void NcclTransport::copyRows(CUdeviceptr from, int64_t fromPitch,
                             CUdeviceptr to, int64_t toPitch, int64_t bytes,
                             int64_t rows) {
  if (bytes == 0 || rows == 0)
    return;
  const Driver &driver = device.getDriver();
  CUstream stream = streams.getCommunication();
  if (rows == 1 || (fromPitch == bytes && toPitch == bytes)) {
    driver.check(driver.cuMemcpyDtoDAsync(to, from, bytes * rows, stream),
                 "copy on the GPU");
    return;
  }
  CUDA_MEMCPY2D copy = {};
  copy.srcMemoryType = copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
  copy.srcDevice = from;
  copy.srcPitch = fromPitch;
  copy.dstDevice = to;
  copy.dstPitch = toPitch;
  copy.WidthInBytes = bytes;
  copy.Height = rows;
  driver.check(driver.cuMemcpy2DAsync(&copy, stream), "copy on the GPU");
}

int64_t NcclTransport::getMemory() const {
  int64_t bytes = 0;
  for (const Scratch *scratch : {&sendScratch, &receiveScratch})
    for (const std::unique_ptr<DeviceMemory> &block : scratch->blocks)
      bytes += int64_t(block->size());
  return bytes;
}

int64_t NcclTransport::placeIn(const Group &group) const {
  return std::ranges::find(group.ranks, rank) - group.ranks.begin();
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

void NcclTransport::allReduce(int32_t collective, int32_t dtype,
                              int32_t reduction, const void *in, void *out,
                              int64_t count) {
  perform(collective, [&](ncclComm_t comm) {
    return nccl.ncclAllReduce(in, out, count, dataType(dtype),
                              reductionOf(reduction), comm,
                              streams.getCommunication());
  });
}

void NcclTransport::allGather(int32_t collective, int32_t dtype, const void *in,
                              void *out, int64_t outer, int64_t size,
                              int64_t inner) {
  const Group &group = getGroup(collective);
  int64_t ranks = group.ranks.size(), row = inner * widthOf(dtype);
  int64_t most = Chunk(size, ranks, 0).size();
  Chunk mine(size, ranks, placeIn(group));
  bool even = most * ranks == size, whole = even && outer == 1;
  // [ranks, outer, most, inner], of which this rank's part is sent.
  int64_t part = outer * most * row;
  CUdeviceptr from = addressOf(in), to = addressOf(out);
  if (!even) {
    from = reserve(sendScratch, part);
    copyRows(addressOf(in), mine.size() * row, from, most * row,
             mine.size() * row, outer);
  }
  if (!whole)
    to = reserve(receiveScratch, part * ranks);
  perform(collective, [&](ncclComm_t comm) {
    return nccl.ncclAllGather(pointerTo(from), pointerTo(to),
                              outer * most * inner, dataType(dtype), comm,
                              streams.getCommunication());
  });
  for (int64_t r = 0; !whole && r < ranks; ++r) {
    Chunk chunk(size, ranks, r);
    copyRows(to + r * part, most * row, addressOf(out) + chunk.begin * row,
             size * row, chunk.size() * row, outer);
  }
}

void NcclTransport::reduceScatter(int32_t collective, int32_t dtype,
                                  int32_t reduction, const void *in, void *out,
                                  int64_t outer, int64_t size, int64_t inner) {
  const Group &group = getGroup(collective);
  int64_t ranks = group.ranks.size(), row = inner * widthOf(dtype);
  int64_t most = Chunk(size, ranks, 0).size();
  Chunk mine(size, ranks, placeIn(group));
  bool even = most * ranks == size, whole = even && outer == 1;
  // [ranks, outer, most, inner], of which this rank gets its part.
  int64_t part = outer * most * row;
  CUdeviceptr from = addressOf(in), to = addressOf(out);
  if (!whole) {
    from = reserve(sendScratch, part * ranks);
    for (int64_t r = 0; r < ranks; ++r) {
      Chunk chunk(size, ranks, r);
      copyRows(addressOf(in) + chunk.begin * row, size * row, from + r * part,
               most * row, chunk.size() * row, outer);
    }
  }
  if (!even)
    to = reserve(receiveScratch, part);
  perform(collective, [&](ncclComm_t comm) {
    return nccl.ncclReduceScatter(
        pointerTo(from), pointerTo(to), outer * most * inner, dataType(dtype),
        reductionOf(reduction), comm, streams.getCommunication());
  });
  if (!even)
    copyRows(to, most * row, addressOf(out), mine.size() * row,
             mine.size() * row, outer);
}

void NcclTransport::allToAll(int32_t collective, int32_t dtype, const void *in,
                             const int64_t *send, void *out,
                             const int64_t *receive, int64_t row) {
  const Group &group = getGroup(collective);
  int64_t bytes = row * widthOf(dtype);
  auto exchange = [&](ncclComm_t comm) {
    CUdeviceptr from = addressOf(in), to = addressOf(out);
    ncclResult_t result = ncclSuccess;
    auto keep = [&](ncclResult_t now) {
      if (result == ncclSuccess || result == ncclInProgress)
        result = now;
    };
    keep(nccl.ncclGroupStart());
    for (size_t r = 0; r < group.ranks.size(); ++r) {
      if (send[r] > 0)
        keep(nccl.ncclSend(pointerTo(from), send[r] * row, dataType(dtype),
                           int(r), comm, streams.getCommunication()));
      if (receive[r] > 0)
        keep(nccl.ncclRecv(pointerTo(to), receive[r] * row, dataType(dtype),
                           int(r), comm, streams.getCommunication()));
      from += send[r] * bytes;
      to += receive[r] * bytes;
    }
    keep(nccl.ncclGroupEnd());
    return result;
  };
  perform(collective, exchange);
}

//===- Nccl.cpp - A libnccl over shared memory ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the runtime's tests load as libnccl.so.2, beside the fake libcuda. Ranks
// are threads or processes of one host and meet in a file of /dev/shm.
// Communicators are as NCCL's that do not block: a call returns at once,
// another thread enqueues the work, and until then the communicator is busy and
// takes no other call. Work waits for its peers for ever, until it is aborted.
//
// Settings of FAKE_NCCL: version, log (a file that gets a line per call), delay
// (of all work, in ms), rank (the one that the faults concern; else all), fail
// and fail-with (Settings.h), async (a call, as "ncclAllReduce@2", after which
// the communicator has an error), hang (a call whose work does not end), die (a
// call at whose work the process is killed).
//
//===----------------------------------------------------------------------===//

#include "Settings.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <cuda.h>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <nccl.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr size_t slotBytes = 16 << 20;
constexpr size_t mailBytes = 4 << 20;
constexpr int mostRanks = 16;

/// What a rank brings to a collective.
struct Slot {
  /// Twice the collectives done, and one more when the operand is here.
  std::atomic<uint64_t> arrived;
  uint64_t kind, count, type;
  char data[slotBytes];
};

/// What one rank sends another.
struct Mail {
  std::atomic<uint64_t> sent, received;
  char data[mailBytes];
};

struct Shared {
  std::atomic<uint32_t> joined;
  Slot slots[mostRanks];
  Mail mail[mostRanks][mostRanks];
};

fake::Settings &settings() {
  static auto *instance = new fake::Settings("FAKE_NCCL");
  return *instance;
}

struct Call;

} // namespace

struct ncclComm {
  std::string name;
  int rank = 0, size = 0;
  /// Among all ranks of the program.
  int worldRank = 0;
  Shared *shared = nullptr;
  std::atomic<ncclResult_t> state = ncclSuccess;
  std::atomic<bool> aborted = false;
  uint64_t collectives = 0;
  int splits = 0;
  std::string lastError;

  bool concerns() const {
    return !settings().has("rank") || settings().number("rank", 0) == worldRank;
  }
  /// Waits for `done`; false if the communicator is aborted first.
  bool await(const std::function<bool()> &done) const {
    while (!done()) {
      if (aborted)
        return false;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
  }
};

namespace {

/// Work that waits for the end of a group.
struct Call {
  ncclComm_t comm;
  CUstream stream;
  std::string name;
  std::function<void()> work;
};

thread_local int groupDepth = 0;
thread_local std::vector<Call> groupCalls;

} // namespace

static size_t widthOf(ncclDataType_t type) {
  switch (type) {
  case ncclBfloat16:
    return 2;
  case ncclFloat32:
  case ncclInt32:
    return 4;
  default:
    return 8;
  }
}

static void log(ncclComm_t comm, const char *name, size_t count,
                ncclDataType_t type) {
  std::string file = settings().text("log");
  if (file.empty())
    return;
  char line[256];
  int size = std::snprintf(line, sizeof(line),
                           "rank %d: %s: count %zu datatype %d nranks %d\n",
                           comm->worldRank, name, count, int(type), comm->size);
  int descriptor =
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  (void)!::write(descriptor, line, size);
  ::close(descriptor);
}

//===----------------------------------------------------------------------===//
// Communicators
//===----------------------------------------------------------------------===//

ncclResult_t ncclGetVersion(int *version) {
  *version = int(settings().number("version", NCCL_VERSION_CODE));
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t) {
  return "as the fake NCCL was told";
}

const char *ncclGetLastError(ncclComm_t comm) {
  return comm ? comm->lastError.c_str() : "";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  static std::atomic<int> count;
  *id = {};
  std::snprintf(
      id->internal, sizeof(id->internal), "/moe-fake-nccl-%d-%d-%lld",
      ::getpid(), count++,
      static_cast<long long>(
          std::chrono::steady_clock::now().time_since_epoch().count()));
  return ncclSuccess;
}

/// Finds the memory of a communicator and waits for its ranks.
static void join(ncclComm_t comm) {
  int descriptor =
      ::shm_open(comm->name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0 || ::ftruncate(descriptor, sizeof(Shared)) != 0) {
    comm->state = ncclSystemError;
    return;
  }
  void *memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  comm->shared = static_cast<Shared *>(memory);
  ++comm->shared->joined;
  bool all =
      comm->await([&] { return int(comm->shared->joined) >= comm->size; });
  // Nothing needs the name any longer.
  ::shm_unlink(comm->name.c_str());
  if (all)
    comm->state = ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id,
                                    int rank, ncclConfig_t *config) {
  if (int error = settings().errorOf("ncclCommInitRankConfig"))
    return ncclResult_t(error);
  if (config->blocking != 0 || size > mostRanks)
    return ncclInvalidUsage;
  *comm = new ncclComm;
  (*comm)->name = id.internal;
  (*comm)->rank = (*comm)->worldRank = rank;
  (*comm)->size = size;
  (*comm)->state = ncclInProgress;
  std::thread(join, *comm).detach();
  return ncclInProgress;
}

/// What ranks of a split tell each other.
static bool shareWith(ncclComm_t comm, uint64_t kind, const void *in,
                      size_t bytes, const std::function<void()> &compute);

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key,
                           ncclComm_t *made, ncclConfig_t *) {
  if (int error = settings().errorOf("ncclCommSplit"))
    return ncclResult_t(error);
  if (comm->state != ncclSuccess)
    return ncclInvalidUsage;
  comm->state = ncclInProgress;
  *made = nullptr;
  std::thread([=] {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    int mine[2] = {color, key};
    auto *child = new ncclComm;
    child->name = comm->name + "-" + std::to_string(comm->splits++) + "-" +
                  std::to_string(color);
    child->worldRank = comm->worldRank;
    bool all = shareWith(comm, 100, mine, sizeof(mine), [&] {
      for (int rank = 0; rank < comm->size; ++rank) {
        int theirs[2];
        std::memcpy(theirs, comm->shared->slots[rank].data, sizeof(theirs));
        if (theirs[0] != color)
          continue;
        ++child->size;
        child->rank += theirs[1] < key;
      }
    });
    if (!all)
      return;
    child->state = ncclInProgress;
    *made = child;
    join(child);
    comm->state = ncclSuccess;
  }).detach();
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state) {
  *state = comm->state;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  return comm->state == ncclSuccess ? ncclSuccess : ncclInvalidUsage;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  ::munmap(comm->shared, sizeof(Shared));
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  // What is under way still looks at it.
  comm->aborted = true;
  ::shm_unlink(comm->name.c_str());
  return ncclSuccess;
}

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

static bool shareWith(ncclComm_t comm, uint64_t kind, const void *in,
                      size_t bytes, const std::function<void()> &compute) {
  uint64_t before = 2 * comm->collectives++;
  Slot *slots = comm->shared->slots;
  auto allAt = [&](uint64_t step) {
    return comm->await([&] {
      for (int rank = 0; rank < comm->size; ++rank)
        if (slots[rank].arrived < step)
          return false;
      return true;
    });
  };
  if (bytes > slotBytes) {
    comm->state = ncclInternalError;
    return false;
  }
  if (!allAt(before))
    return false;
  std::memcpy(slots[comm->rank].data, in, bytes);
  slots[comm->rank].kind = kind;
  slots[comm->rank].count = bytes;
  slots[comm->rank].arrived = before + 1;
  if (!allAt(before + 1))
    return false;
  for (int rank = 0; rank < comm->size; ++rank)
    if (slots[rank].kind != kind || slots[rank].count != bytes) {
      comm->lastError =
          "ranks call different collectives: " + std::to_string(kind) + " of " +
          std::to_string(bytes) + " bytes, and rank " + std::to_string(rank) +
          " " + std::to_string(slots[rank].kind) + " of " +
          std::to_string(slots[rank].count) + " bytes";
      comm->state = ncclInvalidUsage;
    }
  compute();
  slots[comm->rank].arrived = before + 2;
  return true;
}

/// Enqueues calls in their order, from another thread; the communicators are
/// busy until then.
static ncclResult_t start(std::vector<Call> calls) {
  for (Call &call : calls)
    call.comm->state = ncclInProgress;
  std::thread([calls = std::move(calls)] {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    for (const Call &call : calls) {
      bool concerned = call.comm->concerns();
      bool hangs = concerned && settings().matches("hang", call.name);
      bool dies = concerned && settings().matches("die", call.name);
      // Kept: a graph may run it again.
      auto *work = new std::function<void()>([=] {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(settings().number("delay", 0)));
        if (dies)
          std::raise(SIGKILL);
        if (hangs)
          call.comm->await([] { return false; });
        else
          call.work();
      });
      cuLaunchHostFunc(
          call.stream,
          [](void *data) { (*static_cast<std::function<void()> *>(data))(); },
          work);
    }
    // Each is let go once: its owner may use it at once.
    std::map<ncclComm_t, ncclResult_t> states;
    for (const Call &call : calls) {
      ncclResult_t &state = states[call.comm];
      if (call.comm->concerns() && settings().matches("async", call.name))
        state = ncclRemoteError;
    }
    for (auto [comm, state] : states)
      comm->state = state;
  }).detach();
  return ncclInProgress;
}

static ncclResult_t submit(Call call) {
  if (call.comm->concerns())
    if (int error = settings().errorOf(call.name))
      return ncclResult_t(error);
  if (call.comm->state != ncclSuccess)
    return ncclInvalidUsage;
  if (groupDepth > 0) {
    groupCalls.push_back(std::move(call));
    return ncclSuccess;
  }
  return start({std::move(call)});
}

ncclResult_t ncclGroupStart() {
  ++groupDepth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (--groupDepth > 0 || groupCalls.empty())
    return ncclSuccess;
  // Nothing that is received waits for a rank that has not sent.
  std::vector<Call> ordered;
  for (bool sends : {true, false})
    for (Call &call : groupCalls)
      if ((call.name == "ncclSend") == sends)
        ordered.push_back(call);
  groupCalls.clear();
  return start(std::move(ordered));
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
  void operator=(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof(wide));
    bits = uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
  }
};
} // namespace

/// out[i] = the reduction of all ranks' [at + i].
template <typename T, typename Sum>
static void reduceAs(ncclComm_t comm, ncclRedOp_t op, size_t at, void *out,
                     size_t count) {
  for (size_t i = 0; i < count; ++i) {
    auto get = [&](int rank) {
      T value;
      std::memcpy(&value, comm->shared->slots[rank].data + (at + i) * sizeof(T),
                  sizeof(T));
      return Sum(value);
    };
    Sum sum = get(0);
    for (int rank = 1; rank < comm->size; ++rank)
      sum = op == ncclMax   ? std::max(sum, get(rank))
            : op == ncclMin ? std::min(sum, get(rank))
                            : sum + get(rank);
    static_cast<T *>(out)[i] = op == ncclAvg ? sum / Sum(comm->size) : sum;
  }
}

static void reduce(ncclComm_t comm, ncclDataType_t type, ncclRedOp_t op,
                   size_t at, void *out, size_t count) {
  switch (type) {
  case ncclFloat32:
    return reduceAs<float, float>(comm, op, at, out, count);
  case ncclFloat64:
    return reduceAs<double, double>(comm, op, at, out, count);
  case ncclBfloat16:
    return reduceAs<BFloat, float>(comm, op, at, out, count);
  case ncclInt32:
    return reduceAs<int32_t, int32_t>(comm, op, at, out, count);
  default:
    return reduceAs<int64_t, int64_t>(comm, op, at, out, count);
  }
}

ncclResult_t ncclAllReduce(const void *in, void *out, size_t count,
                           ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
  log(comm, "AllReduce", count, type);
  auto work = [=] {
    shareWith(comm, 1, in, count * widthOf(type),
              [=] { reduce(comm, type, op, 0, out, count); });
  };
  return submit({comm, stream, "ncclAllReduce", work});
}

ncclResult_t ncclAllGather(const void *in, void *out, size_t count,
                           ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  log(comm, "AllGather", count, type);
  size_t bytes = count * widthOf(type);
  auto work = [=] {
    shareWith(comm, 2, in, bytes, [=] {
      for (int rank = 0; rank < comm->size; ++rank)
        std::memcpy(static_cast<char *>(out) + rank * bytes,
                    comm->shared->slots[rank].data, bytes);
    });
  };
  return submit({comm, stream, "ncclAllGather", work});
}

ncclResult_t ncclReduceScatter(const void *in, void *out, size_t count,
                               ncclDataType_t type, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream) {
  log(comm, "ReduceScatter", count, type);
  auto work = [=] {
    shareWith(comm, 3, in, comm->size * count * widthOf(type),
              [=] { reduce(comm, type, op, comm->rank * count, out, count); });
  };
  return submit({comm, stream, "ncclReduceScatter", work});
}

ncclResult_t ncclSend(const void *in, size_t count, ncclDataType_t type,
                      int peer, ncclComm_t comm, cudaStream_t stream) {
  log(comm, "Send", count, type);
  size_t bytes = count * widthOf(type);
  auto work = [=] {
    Mail &mail = comm->shared->mail[comm->rank][peer];
    if (bytes > mailBytes ||
        !comm->await([&] { return mail.received == mail.sent; }))
      return;
    std::memcpy(mail.data, in, bytes);
    ++mail.sent;
  };
  return submit({comm, stream, "ncclSend", work});
}

ncclResult_t ncclRecv(void *out, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  log(comm, "Recv", count, type);
  size_t bytes = count * widthOf(type);
  auto work = [=] {
    Mail &mail = comm->shared->mail[peer][comm->rank];
    if (!comm->await([&] { return mail.sent > mail.received; }))
      return;
    std::memcpy(out, mail.data, bytes);
    ++mail.received;
  };
  return submit({comm, stream, "ncclRecv", work});
}

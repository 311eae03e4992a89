//===- Driver.cpp - A libcuda whose GPUs are threads of the host ----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the runtime's tests load as libcuda.so.1 where there is no GPU. Each
// stream is a thread, so work that nothing orders runs in any order; a graph
// runs what is ready in the reverse order of its capture, so that an edge which
// is missing shows. New memory holds NaNs. Faults come from FAKE_CUDA.
//
// Settings: devices, identity (of a machine with other ones), arch, driver,
// memory (bytes per device), fail and fail-with (Settings.h), trap and hang
// (the name of a kernel that does).
//
//===----------------------------------------------------------------------===//

#include "FakeKernels.h"
#include "Settings.h"
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <cuda.h>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace {

using Work = std::function<int32_t()>;

struct Graph {
  struct Node {
    Work work;
    std::set<size_t> dependencies;
  };
  std::vector<Node> nodes;
  CUstream origin = nullptr;
  std::thread::id thread;
  std::set<CUstream> members;
  bool ended = false;
};

/// One record of an event.
struct Marker {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::chrono::steady_clock::time_point time;
};

} // namespace

struct CUctx_st {
  int device = 0;
  std::atomic<int32_t> error = 0;
  std::mutex mutex;
  size_t used = 0;
  std::map<CUdeviceptr, size_t> allocations;
  std::set<CUstream> streams;
};

struct CUstream_st {
  CUcontext context = nullptr;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Work> queue;
  bool closed = false, busy = false;
  std::shared_ptr<Graph> capture;
  std::set<size_t> tips;
};

struct CUevent_st {
  std::shared_ptr<Marker> last;
  std::shared_ptr<Graph> captured;
  std::set<size_t> tips;
};

struct CUfunc_st {
  /// Null if the module is real device code, which is not run.
  const fake_kernel *kernel;
  uint32_t allowedShared = 48 * 1024;
};

struct CUmod_st {
  const fake_module *code;
  std::vector<std::unique_ptr<CUfunc_st>> functions;
};

struct CUgraph_st {
  std::shared_ptr<Graph> graph;
};

struct CUgraphExec_st {
  std::shared_ptr<Graph> graph;
};

// None of these is ever destroyed: threads outlive main.
static fake::Settings &settings() {
  static auto *instance = new fake::Settings("FAKE_CUDA");
  return *instance;
}

static std::vector<CUcontext> &contexts() {
  static auto *instance = [] {
    auto *made = new std::vector<CUcontext>;
    for (long i = 0; i < settings().number("devices", 1); ++i) {
      made->push_back(new CUctx_st);
      made->back()->device = int(i);
    }
    return made;
  }();
  return *instance;
}

/// Guards captures.
static std::mutex &captureMutex() {
  static auto *instance = new std::mutex;
  return *instance;
}

static thread_local CUcontext current = nullptr;
static thread_local int capturesOfThread = 0;

#define FAIL_IF_ASKED(name)                                                    \
  if (int error = settings().errorOf(name))                                    \
    return CUresult(error);
#define NEED_CONTEXT                                                           \
  if (!current)                                                                \
    return CUDA_ERROR_INVALID_CONTEXT;                                         \
  if (int32_t error = current->error)                                          \
    return CUresult(error);
/// A call that a thread must not make while it captures.
#define UNSAFE_IN_CAPTURE                                                      \
  if (capturesOfThread)                                                        \
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;

//===----------------------------------------------------------------------===//
// The driver and its devices
//===----------------------------------------------------------------------===//

CUresult cuInit(unsigned int) {
  FAIL_IF_ASKED("cuInit")
  return contexts().empty() ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
  *version = int(settings().number("driver", CUDA_VERSION));
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **text) {
  switch (error) {
  case CUDA_ERROR_OUT_OF_MEMORY:
    *text = "CUDA_ERROR_OUT_OF_MEMORY";
    return CUDA_SUCCESS;
  case CUDA_ERROR_ILLEGAL_ADDRESS:
    *text = "CUDA_ERROR_ILLEGAL_ADDRESS";
    return CUDA_SUCCESS;
  case CUDA_ERROR_INVALID_VALUE:
    *text = "CUDA_ERROR_INVALID_VALUE";
    return CUDA_SUCCESS;
  default:
    return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuGetErrorString(CUresult, const char **text) {
  *text = "as the fake GPU was told";
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
  *count = int(contexts().size());
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  FAIL_IF_ASKED("cuDeviceGet")
  if (size_t(ordinal) >= contexts().size())
    return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice) {
  std::strncpy(name, "Fake GPU", length);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *id, CUdevice device) {
  *id = {};
  id->bytes[0] = char(device + 1);
  id->bytes[1] = char(settings().number("identity", 0));
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute,
                              CUdevice) {
  long arch = settings().number("arch", 90);
  switch (attribute) {
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
    *value = int(arch / 10);
    return CUDA_SUCCESS;
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
    *value = int(arch % 10);
    return CUDA_SUCCESS;
  case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE:
    *value = 1000000;
    return CUDA_SUCCESS;
  case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH:
    *value = 4000;
    return CUDA_SUCCESS;
  case CU_DEVICE_ATTRIBUTE_CLOCK_RATE:
    *value = 1000000;
    return CUDA_SUCCESS;
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
    *value = 100;
    return CUDA_SUCCESS;
  default:
    return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  FAIL_IF_ASKED("cuDevicePrimaryCtxRetain")
  *context = contexts()[device];
  return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
  current = context;
  return CUDA_SUCCESS;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static size_t totalMemory() { return settings().number("memory", 1l << 32); }

CUresult cuMemGetInfo(size_t *available, size_t *total) {
  NEED_CONTEXT
  std::lock_guard<std::mutex> lock(current->mutex);
  *total = totalMemory();
  *available = *total - current->used;
  return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr *address, size_t bytes) {
  FAIL_IF_ASKED("cuMemAlloc")
  NEED_CONTEXT
  UNSAFE_IN_CAPTURE
  if (bytes == 0)
    return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard<std::mutex> lock(current->mutex);
  if (bytes > totalMemory() - current->used)
    return CUDA_ERROR_OUT_OF_MEMORY;
  size_t whole = (bytes + 255) / 256 * 256;
  void *memory = std::aligned_alloc(256, whole);
  std::memset(memory, 0xff, whole);
  *address = reinterpret_cast<CUdeviceptr>(memory);
  current->allocations[*address] = bytes;
  current->used += bytes;
  return CUDA_SUCCESS;
}

static void synchronize(CUcontext context);

CUresult cuMemFree(CUdeviceptr address) {
  NEED_CONTEXT
  UNSAFE_IN_CAPTURE
  synchronize(current);
  for (CUcontext context : contexts()) {
    std::lock_guard<std::mutex> lock(context->mutex);
    auto found = context->allocations.find(address);
    if (found == context->allocations.end())
      continue;
    context->used -= found->second;
    context->allocations.erase(found);
    std::free(reinterpret_cast<void *>(address));
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned int) {
  FAIL_IF_ASKED("cuMemHostAlloc")
  NEED_CONTEXT
  UNSAFE_IN_CAPTURE
  *memory = std::calloc(1, bytes);
  return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *memory) {
  NEED_CONTEXT
  synchronize(current);
  std::free(memory);
  return CUDA_SUCCESS;
}

/// Whether all of it lies in one allocation of the current device.
static bool isOnDevice(CUdeviceptr address, size_t bytes) {
  std::lock_guard<std::mutex> lock(current->mutex);
  auto after = current->allocations.upper_bound(address);
  if (after == current->allocations.begin())
    return false;
  auto [begin, size] = *std::prev(after);
  return address + bytes <= begin + size;
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

static void runStream(CUstream stream) {
  current = stream->context;
  while (true) {
    Work work;
    {
      std::unique_lock<std::mutex> lock(stream->mutex);
      stream->changed.wait(
          lock, [&] { return stream->closed || !stream->queue.empty(); });
      if (stream->queue.empty())
        return;
      work = std::move(stream->queue.front());
      stream->queue.pop_front();
      stream->busy = true;
    }
    // After an error the device does nothing more.
    if (stream->context->error == 0)
      if (int32_t error = work())
        stream->context->error = error;
    std::lock_guard<std::mutex> lock(stream->mutex);
    stream->busy = false;
    stream->changed.notify_all();
  }
}

/// Waits until the device has nothing to do.
static void synchronize(CUcontext context) {
  std::set<CUstream> streams;
  {
    std::lock_guard<std::mutex> lock(context->mutex);
    streams = context->streams;
  }
  for (CUstream stream : streams) {
    std::unique_lock<std::mutex> lock(stream->mutex);
    stream->changed.wait(
        lock, [&] { return stream->queue.empty() && !stream->busy; });
  }
}

/// Enqueues `work`, or makes a node of it.
static CUresult enqueue(CUstream stream, Work work) {
  {
    std::lock_guard<std::mutex> lock(captureMutex());
    if (stream->capture) {
      size_t node = stream->capture->nodes.size();
      stream->capture->nodes.push_back({std::move(work), stream->tips});
      stream->tips = {node};
      return CUDA_SUCCESS;
    }
  }
  std::lock_guard<std::mutex> lock(stream->mutex);
  stream->queue.push_back(std::move(work));
  stream->changed.notify_all();
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned int) {
  FAIL_IF_ASKED("cuStreamCreate")
  NEED_CONTEXT
  *stream = new CUstream_st;
  (*stream)->context = current;
  {
    std::lock_guard<std::mutex> lock(current->mutex);
    current->streams.insert(*stream);
  }
  std::thread(runStream, *stream).detach();
  return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream stream) {
  std::lock_guard<std::mutex> lock(stream->mutex);
  stream->closed = true;
  stream->changed.notify_all();
  return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data) {
  return enqueue(stream, [=] {
    function(data);
    return 0;
  });
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes,
                           CUstream stream) {
  FAIL_IF_ASKED("cuMemcpyHtoDAsync")
  NEED_CONTEXT
  if (!isOnDevice(to, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  // Memory that is not page-locked may change as soon as the call returns.
  auto data = std::make_shared<std::vector<char>>(
      static_cast<const char *>(from), static_cast<const char *>(from) + bytes);
  return enqueue(stream, [=] {
    std::memcpy(reinterpret_cast<void *>(to), data->data(), bytes);
    return 0;
  });
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes,
                           CUstream stream) {
  FAIL_IF_ASKED("cuMemcpyDtoHAsync")
  NEED_CONTEXT
  if (!isOnDevice(from, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, [=] {
    std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
    return 0;
  });
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes,
                           CUstream stream) {
  FAIL_IF_ASKED("cuMemcpyDtoDAsync")
  NEED_CONTEXT
  if (!isOnDevice(from, bytes) || !isOnDevice(to, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, [=] {
    std::memcpy(reinterpret_cast<void *>(to),
                reinterpret_cast<const void *>(from), bytes);
    return 0;
  });
}

CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *asked, CUstream stream) {
  FAIL_IF_ASKED("cuMemcpy2DAsync")
  NEED_CONTEXT
  CUDA_MEMCPY2D copy = *asked;
  if (copy.srcMemoryType != CU_MEMORYTYPE_DEVICE ||
      copy.dstMemoryType != CU_MEMORYTYPE_DEVICE || copy.Height == 0 ||
      copy.srcPitch < copy.WidthInBytes || copy.dstPitch < copy.WidthInBytes ||
      !isOnDevice(copy.srcDevice,
                  (copy.Height - 1) * copy.srcPitch + copy.WidthInBytes) ||
      !isOnDevice(copy.dstDevice,
                  (copy.Height - 1) * copy.dstPitch + copy.WidthInBytes))
    return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, [=] {
    for (size_t row = 0; row < copy.Height; ++row)
      std::memcpy(
          reinterpret_cast<void *>(copy.dstDevice + row * copy.dstPitch),
          reinterpret_cast<const void *>(copy.srcDevice + row * copy.srcPitch),
          copy.WidthInBytes);
    return 0;
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes,
                         CUstream stream) {
  FAIL_IF_ASKED("cuMemsetD8Async")
  NEED_CONTEXT
  if (!isOnDevice(to, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  return enqueue(stream, [=] {
    std::memset(reinterpret_cast<void *>(to), value, bytes);
    return 0;
  });
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  FAIL_IF_ASKED("cuModuleLoadData")
  NEED_CONTEXT
  auto *code = static_cast<const fake_module *>(image);
  if (std::memcmp(image,
                  "\x7f"
                  "ELF",
                  4) == 0)
    code = nullptr;
  else if (code->magic != FAKE_MAGIC)
    return CUDA_ERROR_INVALID_IMAGE;
  *module = new CUmod_st{code, {}};
  return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module) {
  delete module;
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module,
                             const char *name) {
  FAIL_IF_ASKED("cuModuleGetFunction")
  const fake_kernel *kernel = nullptr;
  if (module->code) {
    for (int32_t i = 0; i < module->code->num_kernels; ++i)
      if (std::strcmp(module->code->kernels[i].name, name) == 0)
        kernel = &module->code->kernels[i];
    if (!kernel)
      return CUDA_ERROR_NOT_FOUND;
  }
  module->functions.push_back(std::make_unique<CUfunc_st>(CUfunc_st{kernel}));
  *function = module->functions.back().get();
  return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute,
                            int value) {
  FAIL_IF_ASKED("cuFuncSetAttribute")
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ||
      value > 227 * 1024)
    return CUDA_ERROR_INVALID_VALUE;
  function->allowedShared = value;
  return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned int gridX,
                        unsigned int gridY, unsigned int gridZ,
                        unsigned int blockX, unsigned int blockY,
                        unsigned int blockZ, unsigned int shared,
                        CUstream stream, void **arguments, void **) {
  FAIL_IF_ASKED("cuLaunchKernel")
  NEED_CONTEXT
  unsigned int threads = blockX * blockY * blockZ;
  if (gridX == 0 || gridY == 0 || gridZ == 0 || threads == 0 ||
      threads > 1024 || shared > function->allowedShared)
    return CUDA_ERROR_INVALID_VALUE;
  const fake_kernel *kernel = function->kernel;
  if (!kernel)
    return enqueue(stream, [] { return 0; });
  std::vector<std::array<char, 8>> values(kernel->num_arguments);
  for (int32_t i = 0; i < kernel->num_arguments; ++i)
    std::memcpy(values[i].data(), arguments[i], kernel->argument_sizes[i]);
  return enqueue(stream, [=]() mutable -> int32_t {
    if (settings().text("trap") == kernel->name)
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    while (settings().text("hang") == kernel->name)
      std::this_thread::sleep_for(std::chrono::seconds(1));
    std::vector<void *> pointers;
    for (std::array<char, 8> &value : values)
      pointers.push_back(value.data());
    fake_launch launch{{int32_t(gridX), int32_t(gridY), int32_t(gridZ)},
                       {int32_t(blockX), int32_t(blockY), int32_t(blockZ)},
                       shared,
                       pointers.data()};
    return kernel->run(&launch);
  });
}

//===----------------------------------------------------------------------===//
// Events
//===----------------------------------------------------------------------===//

CUresult cuEventCreate(CUevent *event, unsigned int) {
  FAIL_IF_ASKED("cuEventCreate")
  NEED_CONTEXT
  *event = new CUevent_st;
  return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
  delete event;
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  FAIL_IF_ASKED("cuEventRecord")
  NEED_CONTEXT {
    std::lock_guard<std::mutex> lock(captureMutex());
    event->captured = stream->capture;
    event->tips = stream->tips;
    if (stream->capture)
      return CUDA_SUCCESS;
  }
  auto marker = std::make_shared<Marker>();
  event->last = marker;
  return enqueue(stream, [marker] {
    std::lock_guard<std::mutex> lock(marker->mutex);
    marker->done = true;
    marker->time = std::chrono::steady_clock::now();
    marker->changed.notify_all();
    return 0;
  });
}

CUresult cuEventQuery(CUevent event) {
  FAIL_IF_ASKED("cuEventQuery")
  NEED_CONTEXT
  UNSAFE_IN_CAPTURE
  if (event->captured)
    return CUDA_ERROR_CAPTURED_EVENT;
  if (!event->last)
    return CUDA_SUCCESS;
  std::lock_guard<std::mutex> lock(event->last->mutex);
  return event->last->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent from, CUevent to) {
  if (!from->last || !to->last || !from->last->done || !to->last->done)
    return CUDA_ERROR_NOT_READY;
  *milliseconds = std::chrono::duration<float, std::milli>(to->last->time -
                                                           from->last->time)
                      .count();
  return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int) {
  FAIL_IF_ASKED("cuStreamWaitEvent")
  NEED_CONTEXT {
    std::lock_guard<std::mutex> lock(captureMutex());
    if (event->captured) {
      if (event->captured->ended)
        return CUDA_ERROR_CAPTURED_EVENT;
      // A capture spreads to the streams that wait for it.
      if (!stream->capture) {
        stream->capture = event->captured;
        stream->tips.clear();
        stream->capture->members.insert(stream);
      }
      if (stream->capture != event->captured)
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
      stream->tips.insert(event->tips.begin(), event->tips.end());
      return CUDA_SUCCESS;
    }
    if (stream->capture)
      return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  std::shared_ptr<Marker> marker = event->last;
  if (!marker)
    return CUDA_SUCCESS;
  return enqueue(stream, [marker] {
    std::unique_lock<std::mutex> lock(marker->mutex);
    marker->changed.wait(lock, [&] { return marker->done; });
    return 0;
  });
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode) {
  FAIL_IF_ASKED("cuStreamBeginCapture")
  NEED_CONTEXT
  std::lock_guard<std::mutex> lock(captureMutex());
  if (stream->capture)
    return CUDA_ERROR_ILLEGAL_STATE;
  stream->capture = std::make_shared<Graph>();
  stream->capture->origin = stream;
  stream->capture->thread = std::this_thread::get_id();
  stream->capture->members = {stream};
  stream->tips.clear();
  ++capturesOfThread;
  return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  FAIL_IF_ASKED("cuStreamEndCapture")
  std::lock_guard<std::mutex> lock(captureMutex());
  std::shared_ptr<Graph> captured = stream->capture;
  if (!captured || captured->origin != stream)
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  if (captured->thread != std::this_thread::get_id())
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  --capturesOfThread;
  captured->ended = true;
  std::set<size_t> reached = stream->tips;
  for (size_t node = captured->nodes.size(); node-- > 0;)
    if (reached.count(node))
      reached.insert(captured->nodes[node].dependencies.begin(),
                     captured->nodes[node].dependencies.end());
  bool joined = true;
  for (CUstream member : captured->members) {
    for (size_t tip : member->tips)
      joined &= reached.count(tip) != 0;
    member->capture = nullptr;
    member->tips.clear();
  }
  if (!joined)
    return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  *graph = new CUgraph_st{captured};
  return CUDA_SUCCESS;
}

CUresult cuGraphInstantiate(CUgraphExec *executable, CUgraph graph,
                            unsigned long long) {
  FAIL_IF_ASKED("cuGraphInstantiate")
  *executable = new CUgraphExec_st{graph->graph};
  return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  FAIL_IF_ASKED("cuGraphLaunch")
  NEED_CONTEXT
  return enqueue(stream, [graph = executable->graph]() -> int32_t {
    std::vector<bool> done(graph->nodes.size());
    for (size_t count = 0; count < done.size(); ++count)
      for (size_t node = done.size(); node-- > 0;) {
        const std::set<size_t> &needs = graph->nodes[node].dependencies;
        bool ready = !done[node];
        for (size_t other : needs)
          ready &= done[other];
        if (!ready)
          continue;
        if (int32_t error = graph->nodes[node].work())
          return error;
        done[node] = true;
        break;
      }
    return 0;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  delete graph;
  return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  delete executable;
  return CUDA_SUCCESS;
}

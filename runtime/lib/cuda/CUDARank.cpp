//===- CUDARank.cpp - A rank on a GPU -------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CUDARank.h"
#include "Buffers.h"
#include "Ranges.h"
#include "Traffic.h"
#include "cpu/Reduction.h"
#include <algorithm>
#include <new>
#include <numeric>
#include <utility>

using namespace moert;
using namespace moert::cuda;

/// What every buffer's address is a multiple of.
static constexpr int64_t alignment = 256;

struct CUDARank::Kernel {
  CUfunction function = nullptr;
  /// The dynamic shared memory that it may be started with.
  int32_t shared = 0;
  /// "start kernel 'einsum_0' (moe.einsum at layer.mlir:5:10, forward)".
  std::string doing;
};

/// What exists only once the device is in use.
struct CUDARank::Resources {
  Resources(const Device &device, const ProgramInfo &info, Meeting &meeting,
            double timeout, const std::atomic<int64_t> &lostRank,
            const Memory &memory, bool separate)
      : driver(device.getDriver()),
        streams(device, info, meeting, timeout, lostRank),
        arena(device, memory.arena, "the arena", separate),
        arguments(device, memory.arguments, "the arguments", separate),
        results(device, memory.results, "the results", separate),
        fault(driver, 2 * sizeof(int32_t),
              "allocate memory for a fault on " + device.describe()),
        begun(driver, /*timed=*/true), done(driver, /*timed=*/true) {}
  ~Resources() {
    if (module)
      (void)driver.cuModuleUnload(module);
  }

  const Driver &driver;
  Streams streams;
  Buffers arena, arguments, results;
  DeviceMemory fault;
  /// The step that is timed.
  Event begun, done;
  CUmodule module = nullptr;
  std::vector<Kernel> kernels;
  /// Of moert_main.
  std::vector<void *> buffers;
};

CUDARank::CUDARank(const Program &program, int64_t number, const Device &device,
                   Meeting &meeting, const Options &options)
    : Rank(program.getInfo(), number), program(program), device(device),
      driver(device.getDriver()), meeting(meeting), options(options) {}

CUDARank::~CUDARank() = default;

//===----------------------------------------------------------------------===//
// Errors
//===----------------------------------------------------------------------===//

static std::string describeKernel(const KernelInfo &kernel) {
  return "kernel '" + kernel.name + "' (" + kernel.op + " at " +
         kernel.location + ", " + kernel.phase + ")";
}

std::string CUDARank::describeLastKernel() const {
  if (replayed || lastKernel < 0)
    return "a kernel";
  return describeKernel(getInfo().kernels[lastKernel]) +
         " or one started before it";
}

bool CUDARank::end(RunReport::Outcome outcome, const std::string &error,
                   const std::string &help) {
  meeting.end(outcome, error, help);
  return false;
}

template <typename Body>
bool CUDARank::guarded(Body body) {
  try {
    body();
    return true;
  } catch (const Failure &failure) {
    if (!failure.ofKernel.empty())
      return end(RunReport::Failed,
                 "rank " + std::to_string(getNumber()) + ": " +
                     describeLastKernel() + " failed: " + failure.ofKernel,
                 "to learn which one, run it with --no-graph and "
                 "CUDA_LAUNCH_BLOCKING=1 in the environment, or under "
                 "compute-sanitizer");
    return end(failure.outcome,
               "rank " + std::to_string(getNumber()) +
                   (failure.outcome == RunReport::TimedOut ? " " : ": ") +
                   failure.error,
               failure.help);
  } catch (const Ended &) {
    return false;
  } catch (const std::bad_alloc &) {
    return end(RunReport::Failed,
               "rank " + std::to_string(getNumber()) +
                   ": out of memory on the host",
               "end what else runs here, or use a smaller layer");
  }
}

//===----------------------------------------------------------------------===//
// Loading
//===----------------------------------------------------------------------===//

static int64_t bytesOf(const ProgramInfo &info, const ValueInfo &value,
                       int64_t rank) {
  return *elementCount(info.localShape(value, rank)) *
         int64_t(dtypeSize(value.dtype));
}

static int64_t aligned(int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

Memory CUDARank::memoryOf(const ProgramInfo &info, int64_t rank) {
  Memory memory;
  memory.arena = info.arenaBytes;
  for (const ValueInfo &value : info.arguments)
    memory.arguments += aligned(bytesOf(info, value, rank));
  for (const ValueInfo &value : info.results)
    memory.results += aligned(bytesOf(info, value, rank));
  return memory;
}

bool CUDARank::load() {
  return guarded([&] {
    device.makeCurrent();
    const ProgramInfo &info = getInfo();
    resources = std::make_unique<Resources>(
        device, info, meeting, options.timeout, lostRank,
        memoryOf(info, getNumber()), options.separateBuffers);
    if (program.getDeviceCode())
      driver.check(
          driver.cuModuleLoadData(&resources->module, program.getDeviceCode()),
          "load the layer's kernels on " + device.describe());
    for (const KernelInfo &kernel : info.kernels) {
      Kernel &loaded = resources->kernels.emplace_back();
      loaded.doing = "start " + describeKernel(kernel);
      driver.check(driver.cuModuleGetFunction(&loaded.function,
                                              resources->module,
                                              kernel.name.c_str()),
                   "find " + describeKernel(kernel));
      allowShared(loaded, int32_t(kernel.shared));
    }
    auto place = [&](Buffers &buffers, const std::vector<ValueInfo> &values) {
      int64_t offset = 0;
      for (const ValueInfo &value : values) {
        int64_t bytes = bytesOf(info, value, getNumber());
        resources->buffers.push_back(buffers.get(offset, bytes));
        offset += aligned(bytes);
      }
    };
    place(resources->arguments, info.arguments);
    place(resources->results, info.results);
    driver.check(driver.cuMemsetD8Async(resources->fault.get(), 0,
                                        resources->fault.size(),
                                        resources->streams.getCompute()),
                 "clear memory on " + device.describe());
  });
}

void CUDARank::allowShared(Kernel &kernel, int32_t bytes) {
  // A kernel gets this much without being asked for.
  static constexpr int32_t always = 48 * 1024;
  if (bytes <= std::max(kernel.shared, always))
    return;
  driver.check(driver.cuFuncSetAttribute(
                   kernel.function,
                   CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes),
               "take " + std::to_string(bytes) +
                   " bytes of shared memory and " + kernel.doing);
  kernel.shared = bytes;
}

bool CUDARank::connect(
    const std::function<std::unique_ptr<Transport>(Streams &)> &make) {
  return guarded([&] {
    device.makeCurrent();
    transport = make(resources->streams);
  });
}

bool CUDARank::close() {
  return guarded([&] {
    device.makeCurrent();
    if (graph)
      driver.check(driver.cuGraphExecDestroy(std::exchange(graph, nullptr)),
                   "let go of a graph");
    if (transport)
      transport->close();
    transport = nullptr;
    resources = nullptr;
  });
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

void CUDARank::upload(const LocalTensors &arguments) {
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!arguments[i].data.empty())
      driver.check(driver.cuMemcpyHtoDAsync(
                       reinterpret_cast<CUdeviceptr>(resources->buffers[i]),
                       arguments[i].data.data(), arguments[i].data.size(),
                       resources->streams.getCompute()),
                   "copy an argument to the GPU");
}

void CUDARank::download(LocalTensors &results) {
  size_t first = getInfo().arguments.size();
  for (size_t i = 0; i < results.size(); ++i)
    if (!results[i].data.empty())
      driver.check(
          driver.cuMemcpyDtoHAsync(
              results[i].data.data(),
              reinterpret_cast<CUdeviceptr>(resources->buffers[first + i]),
              results[i].data.size(), resources->streams.getCompute()),
          "copy a result from the GPU");
  resources->streams.wait(resources->streams.getCompute(), [] {});
}

bool CUDARank::runSteps(LocalTensors &arguments, LocalTensors &results) {
  bool going = guarded([&] {
    device.makeCurrent();
    int64_t last = options.warmup + options.steps - 1;
    for (int64_t i = 0; i <= last; ++i) {
      if (options.afterStep || i == 0)
        upload(arguments);
      if (options.record && i >= options.warmup)
        runRecorded(int32_t(i - options.warmup));
      else
        runFast();
      if (options.afterStep || i == last)
        download(results);
      std::string error;
      if (options.afterStep &&
          !options.afterStep(getNumber(), arguments, results, error))
        throw Failure{error, ""};
    }
    for (int64_t i = 0; i < options.timedSteps; ++i)
      report.steps.push_back(timeStep());
    report.device = device.describe();
    report.memory = memoryOf(getInfo(), getNumber());
    report.memory.packing = transport->getMemory();
  });
  // Only now, so that the reason is recorded before others notice.
  if (!going)
    transport->abort();
  return going;
}

void CUDARank::callProgram() {
  meeting.beginStep(getNumber());
  resources->streams.beginStep();
  if (!execute(program.getMain(), resources->buffers.data()))
    throw Ended{};
  resources->streams.join();
  driver.check(driver.cuMemcpyDtoHAsync(
                   resources->streams.getFaultWords(), resources->fault.get(),
                   resources->fault.size(), resources->streams.getCompute()),
               "copy from " + device.describe());
  hasRun = true;
}

void CUDARank::runRecorded(int32_t step) {
  Recorder local(driver, spans, report.kernels);
  CUstream stream = resources->streams.getCompute();
  // The copies of arguments are no part of it.
  resources->streams.wait(stream, [] {});
  recorder = &local;
  local.beginStep(step, stream);
  callProgram();
  local.endStep(stream);
  recorder = nullptr;
  finish();
  local.finishStep();
}

bool CUDARank::canCapture() const {
  // The first step makes all that a capture must not make.
  return hasRun && options.graph && getInfo().capturable &&
         transport->isCapturable();
}

void CUDARank::startFast() {
  if (!graph && canCapture())
    capture();
  replayed = graph != nullptr;
  if (!graph)
    return callProgram();
  resources->streams.beginReplay();
  driver.check(driver.cuGraphLaunch(graph, resources->streams.getCompute()),
               "start the graph of a step");
}

void CUDARank::runFast() {
  startFast();
  finish();
}

double CUDARank::timeStep() {
  CUstream stream = resources->streams.getCompute();
  driver.check(driver.cuEventRecord(resources->begun.get(), stream),
               "record an event");
  startFast();
  driver.check(driver.cuEventRecord(resources->done.get(), stream),
               "record an event");
  finish();
  float milliseconds = 0;
  driver.check(driver.cuEventElapsedTime(&milliseconds, resources->begun.get(),
                                         resources->done.get()),
               "read a time");
  return milliseconds * 1e-3;
}

void CUDARank::capture() {
  CUstream stream = resources->streams.getCompute();
  CUgraph captured = nullptr;
  // Other threads, NCCL's among them, go on as they are.
  driver.check(
      driver.cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
      "begin the capture of a step");
  isCapturing = true;
  try {
    callProgram();
  } catch (...) {
    isCapturing = false;
    (void)driver.cuStreamEndCapture(stream, &captured);
    throw;
  }
  isCapturing = false;
  CUresult result = driver.cuStreamEndCapture(stream, &captured);
  if (result == CUDA_SUCCESS)
    result = driver.cuGraphInstantiate(&graph, captured, 0);
  if (result != CUDA_SUCCESS)
    throw Failure{"cannot make a graph of a step: " + driver.describe(result),
                  "run it with --no-graph"};
  driver.check(driver.cuGraphDestroy(captured), "let go of a graph");
}

void CUDARank::finish() {
  Streams &streams = resources->streams;
  streams.wait(streams.getCompute(), [&] { transport->poll(); });
  const int32_t *fault = streams.getFaultWords();
  if (fault[0] == 0)
    return;
  const std::vector<KernelInfo> &kernels = getInfo().kernels;
  std::string value = std::to_string(fault[1]);
  if (fault[0] < 1 || size_t(fault[0]) > kernels.size())
    throw Failure{"fault " + std::to_string(fault[0]) +
                      " of no kernel: " + value,
                  "look for what writes beyond its buffer: run it with "
                  "--separate-buffers under compute-sanitizer"};
  const KernelInfo &kernel = kernels[fault[0] - 1];
  if (kernel.fault.empty())
    throw Failure{describeKernel(kernel) + " met an impossible value: " + value,
                  "look at the inputs"};
  std::string error = kernel.fault;
  if (size_t place = error.find("{}"); place != std::string::npos)
    error.replace(place, 2, value);
  throw Failure{describeKernel(kernel) + ": " + error, kernel.faultHelp};
}

//===----------------------------------------------------------------------===//
// What the program calls
//===----------------------------------------------------------------------===//

bool CUDARank::launch(int32_t kernel, const Grid &grid, int32_t block,
                      int32_t sharedBytes, void *const *arguments,
                      int64_t operations, int64_t bytes) {
  if (std::ranges::count(grid, 0))
    return true;
  return guarded([&] {
    Range range(getInfo().kernels[kernel].op.c_str());
    Kernel &loaded = resources->kernels[kernel];
    CUstream stream = resources->streams.getCompute();
    allowShared(loaded, sharedBytes);
    lastKernel = kernel;
    if (recorder)
      recorder->beginWork(stream);
    driver.check(driver.cuLaunchKernel(loaded.function, grid[0], grid[1],
                                       grid[2], block, 1, 1, sharedBytes,
                                       stream, const_cast<void **>(arguments),
                                       nullptr),
                 loaded.doing);
    if (recorder)
      recorder->endWork(KernelSpan{kernel, 0, 0, 0, operations, bytes}, stream);
  });
}

template <typename Call>
bool CUDARank::perform(int32_t collective, const Span &span, Call call) {
  return guarded([&] {
    Range range(getInfo().collectives[collective].kind.c_str());
    Streams &streams = resources->streams;
    streams.startCollective(collective);
    if (recorder)
      recorder->beginWork(streams.getCommunication());
    call();
    if (recorder)
      recorder->endWork(span, streams.getCommunication());
    streams.finishCollective(collective);
    if (!transport->counts())
      meeting.count(collective, getNumber(), span.sent);
  });
}

/// What a collective of `count` elements is about.
static Span spanOf(int32_t collective, int32_t dtype, int64_t count) {
  Span span;
  span.collective = collective;
  span.count = count;
  span.bytes = count * widthOf(dtype);
  return span;
}

int64_t CUDARank::groupSize(int32_t collective) const {
  return int64_t(meeting.getGroup(collective, getNumber()).ranks.size());
}

int64_t CUDARank::placeInGroup(int32_t collective) const {
  const std::vector<int64_t> &ranks =
      meeting.getGroup(collective, getNumber()).ranks;
  return std::ranges::find(ranks, getNumber()) - ranks.begin();
}

bool CUDARank::allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                         const void *in, void *out, int64_t count) {
  Span span = spanOf(collective, dtype, count);
  span.sent = trafficOfAllReduce(span.bytes, groupSize(collective),
                                 placeInGroup(collective));
  return perform(collective, span, [&] {
    transport->allReduce(collective, dtype, reduction, in, out, count);
  });
}

bool CUDARank::allGather(int32_t collective, int32_t dtype, const void *in,
                         void *out, int64_t outer, int64_t size,
                         int64_t inner) {
  Span span = spanOf(collective, dtype, outer * size * inner);
  int64_t ranks = groupSize(collective);
  Chunk mine(size, ranks, placeInGroup(collective));
  span.sent =
      trafficOfAllGather(outer * mine.size() * inner * widthOf(dtype), ranks);
  return perform(collective, span, [&] {
    transport->allGather(collective, dtype, in, out, outer, size, inner);
  });
}

bool CUDARank::reduceScatter(int32_t collective, int32_t dtype,
                             int32_t reduction, const void *in, void *out,
                             int64_t outer, int64_t size, int64_t inner) {
  Span span = spanOf(collective, dtype, outer * size * inner);
  span.sent = trafficOfReduceScatter(span.bytes, groupSize(collective),
                                     placeInGroup(collective));
  return perform(collective, span, [&] {
    transport->reduceScatter(collective, dtype, reduction, in, out, outer, size,
                             inner);
  });
}

bool CUDARank::allToAll(int32_t collective, int32_t dtype, const void *in,
                        const int64_t *send, void *out, const int64_t *receive,
                        int64_t row) {
  int64_t ranks = groupSize(collective);
  for (int64_t i = 0; i < ranks; ++i)
    if (send[i] < 0 || receive[i] < 0)
      return end(RunReport::Failed,
                 "rank " + std::to_string(getNumber()) + ": " +
                     describeCollective(getInfo(), collective) +
                     " is to exchange less than no rows",
                 "this is a bug of the compiler; please report it");
  int64_t rows = std::accumulate(send, send + ranks, int64_t(0));
  Span span = spanOf(collective, dtype, rows * row);
  span.sent = (rows - send[placeInGroup(collective)]) * row * widthOf(dtype);
  return perform(collective, span, [&] {
    transport->allToAll(collective, dtype, in, send, out, receive, row);
  });
}

bool CUDARank::wait(int32_t collective) {
  return guarded([&] { resources->streams.waitForCollective(collective); });
}

bool CUDARank::fetch(void *host, const void *device, int64_t bytes) {
  return guarded([&] {
    if (isCapturing)
      throw Failure{"the program reads from the GPU in a step that it calls "
                    "capturable",
                    "this is a bug of the compiler; please report it"};
    // The copy itself has no deadline.
    CUstream stream = resources->streams.getCompute();
    resources->streams.wait(stream, [&] { transport->poll(); });
    driver.check(driver.cuMemcpyDtoHAsync(host,
                                          reinterpret_cast<CUdeviceptr>(device),
                                          bytes, stream),
                 "copy from the GPU");
    resources->streams.wait(stream, [] {});
  });
}

void *CUDARank::getBuffer(int64_t offset, int64_t bytes) {
  void *buffer = nullptr;
  (void)guarded([&] { buffer = resources->arena.get(offset, bytes); });
  return buffer;
}

int32_t *CUDARank::getFault() {
  return reinterpret_cast<int32_t *>(resources->fault.get());
}

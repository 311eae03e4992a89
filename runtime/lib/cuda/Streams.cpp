//===- Streams.cpp - The order of a rank's work on its GPU ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Streams.h"
#include "Rank.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <utility>

using namespace moert;
using namespace moert::cuda;

Event::Event(const Driver &driver, bool timed) : driver(driver) {
  driver.check(driver.cuEventCreate(&event, timed ? CU_EVENT_DEFAULT
                                                  : CU_EVENT_DISABLE_TIMING),
               "make an event");
}

Event::Event(Event &&other) noexcept
    : driver(other.driver), event(std::exchange(other.event, nullptr)) {}

Event::~Event() {
  if (event)
    (void)driver.cuEventDestroy(event);
}

Streams::Streams(const Device &device, const ProgramInfo &info,
                 Meeting &meeting, double timeout,
                 const std::atomic<int64_t> &lostRank)
    : driver(device.getDriver()), info(info), meeting(meeting),
      timeout(timeout), lostRank(lostRank), done(driver, /*timed=*/false),
      numbers(driver, info.collectives.size() * sizeof(int32_t),
              "allocate memory on " + device.describe()) {
  for (CUstream *stream : {&compute, &communication})
    driver.check(driver.cuStreamCreate(stream, CU_STREAM_NON_BLOCKING),
                 "make a stream on " + device.describe());
  void *memory = nullptr;
  driver.check(driver.cuMemHostAlloc(&memory, sizeof(Words), 0),
               "allocate page-locked memory");
  words = static_cast<Words *>(memory);
  *words = {};
  for (size_t i = 0; i < info.collectives.size(); ++i) {
    ready.emplace_back(driver, /*timed=*/false);
    finished.emplace_back(driver, /*timed=*/false);
  }
  std::vector<int32_t> values(info.collectives.size());
  std::iota(values.begin(), values.end(), 1);
  if (!values.empty())
    driver.check(driver.cuMemcpyHtoDAsync(numbers.get(), values.data(),
                                          values.size() * sizeof(int32_t),
                                          compute),
                 "copy to " + device.describe());
}

Streams::~Streams() {
  if (words)
    (void)driver.cuMemFreeHost(words);
  for (CUstream stream : {compute, communication})
    if (stream)
      (void)driver.cuStreamDestroy(stream);
}

void Streams::beginStep() {
  beginReplay();
  started.clear();
}

void Streams::beginReplay() { *words = {}; }

void Streams::startCollective(int32_t collective) {
  driver.check(driver.cuEventRecord(ready[collective].get(), compute),
               "record an event");
  driver.check(driver.cuStreamWaitEvent(communication, ready[collective].get(),
                                        CU_EVENT_WAIT_DEFAULT),
               "order two streams");
  started.push_back(collective);
}

void Streams::finishCollective(int32_t collective) {
  driver.check(driver.cuEventRecord(finished[collective].get(), communication),
               "record an event");
  // After the event: the compute stream need not wait for it.
  driver.check(
      driver.cuMemcpyDtoHAsync(&words->progress,
                               numbers.get() + collective * sizeof(int32_t),
                               sizeof(int32_t), communication),
      "note the end of a collective");
}

void Streams::waitForCollective(int32_t collective) {
  if (std::ranges::find(started, collective) == started.end())
    throw Failure{"the program waits for " +
                      describeCollective(info, collective) +
                      ", which it has not started",
                  "this is a bug of the compiler; please report it"};
  driver.check(driver.cuStreamWaitEvent(compute, finished[collective].get(),
                                        CU_EVENT_WAIT_DEFAULT),
               "order two streams");
}

void Streams::join() {
  // A capture must not be left by a stream that has taken no part in it.
  if (started.empty())
    return;
  driver.check(driver.cuEventRecord(done.get(), communication),
               "record an event");
  driver.check(
      driver.cuStreamWaitEvent(compute, done.get(), CU_EVENT_WAIT_DEFAULT),
      "order two streams");
}

int32_t Streams::readProgress() const {
  return std::atomic_ref<int32_t>(words->progress)
      .load(std::memory_order_acquire);
}

std::string Streams::describeUnfinished() const {
  int32_t progress = readProgress();
  auto next = started.begin();
  if (progress > 0) {
    auto last = std::find(started.rbegin(), started.rend(), progress - 1);
    next = last.base();
  }
  if (next != started.end())
    return describeCollective(info, *next);
  return "the kernels of a step";
}

void Streams::waitUntil(const std::function<bool()> &isDone,
                        const std::function<std::string()> &describe) {
  using Clock = std::chrono::steady_clock;
  auto limit = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(std::min(timeout, 1e9)));
  Clock::time_point deadline = Clock::now() + limit;
  int32_t progress = readProgress();
  std::chrono::microseconds pause(2);
  while (!isDone()) {
    if (meeting.hasEnded())
      throw Ended{};
    if (lostRank >= 0)
      throw Failure{"the process of rank " + std::to_string(lostRank) +
                        " is gone, while this one waited " + describe(),
                    "its own error, or the system's log, says why"};
    // The time is each collective's, not the step's.
    if (int32_t now = readProgress(); now != progress) {
      progress = now;
      deadline = Clock::now() + limit;
    }
    if (Clock::now() >= deadline) {
      char seconds[32];
      std::snprintf(seconds, sizeof(seconds), "%g", timeout);
      throw Failure{"has waited " + std::string(seconds) + " s " + describe(),
                    "raise --timeout, or look for a rank that has ended or "
                    "waits elsewhere",
                    RunReport::TimedOut};
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 3 / 2 + std::chrono::microseconds(1),
                     std::chrono::microseconds(100));
  }
}

void Streams::wait(CUstream stream, const std::function<void()> &poll) {
  driver.check(driver.cuEventRecord(done.get(), stream), "record an event");
  waitUntil(
      [&] {
        CUresult result = driver.cuEventQuery(done.get());
        if (result == CUDA_ERROR_NOT_READY) {
          poll();
          return false;
        }
        driver.check(result, "finish " + describeUnfinished());
        return true;
      },
      [&] { return "for " + describeUnfinished(); });
}

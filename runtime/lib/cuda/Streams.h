//===- Streams.h - The order of a rank's work on its GPU --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rank has a stream for kernels and one for collectives. A collective waits
// for all kernels that were started before it; a kernel waits for a collective
// only where the program says so, so that the two overlap. No work of a step
// makes the host wait; it sleeps at the end of the step, with a deadline.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_STREAMS_H
#define MOERT_LIB_CUDA_STREAMS_H

#include "Device.h"
#include "Meeting.h"
#include <functional>

namespace moert::cuda {

/// An event; destroyed with this.
class Event {
public:
  Event(const Driver &driver, bool timed);
  Event(Event &&other) noexcept;
  ~Event();

  CUevent get() const { return event; }

private:
  const Driver &driver;
  CUevent event = nullptr;
};

class Streams {
public:
  /// What the GPU writes for the host to read.
  struct Words {
    /// One more than the number of the last collective that ended; 0 at the
    /// beginning of a step.
    int32_t progress;
    /// moert_fault.
    int32_t fault[2];
  };

  /// `lostRank` is set when the process of another rank is gone.
  Streams(const Device &device, const ProgramInfo &info, Meeting &meeting,
          double timeout, const std::atomic<int64_t> &lostRank);
  Streams(Streams &&) = delete;
  ~Streams();

  CUstream getCompute() const { return compute; }
  CUstream getCommunication() const { return communication; }
  /// Where the fault of this step arrives. The GPU writes it.
  int32_t *getFaultWords() const { return words->fault; }

  /// Called before a step, when the GPU does nothing for this rank.
  void beginStep();
  /// As `beginStep`, before what the last step did is done again.
  void beginReplay();
  /// What comes next on the communication stream comes after all that is on the
  /// compute stream.
  void startCollective(int32_t collective);
  void finishCollective(int32_t collective);
  /// What comes next on the compute stream comes after the collective.
  void waitForCollective(int32_t collective);
  /// The compute stream comes after all collectives.
  void join();

  /// Sleeps until all that `stream` has is done. `poll` looks for errors that
  /// the stream does not show. Throws Failure after the deadline, or Ended.
  void wait(CUstream stream, const std::function<void()> &poll);
  /// As above, until `done` says so; `describe` says what is being waited for.
  void waitUntil(const std::function<bool()> &done,
                 const std::function<std::string()> &describe);

  /// The first collective of this step that has not ended, or the kernels.
  std::string describeUnfinished() const;

private:
  int32_t readProgress() const;

  const Driver &driver;
  const ProgramInfo &info;
  Meeting &meeting;
  double timeout;
  const std::atomic<int64_t> &lostRank;
  CUstream compute = nullptr, communication = nullptr;
  Event done;
  /// By collective.
  std::vector<Event> ready, finished;
  /// The collectives of this step, in their order.
  std::vector<int32_t> started;
  /// Page-locked.
  Words *words = nullptr;
  /// The values of `progress`.
  DeviceMemory numbers;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_STREAMS_H

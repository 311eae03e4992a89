//===- CUDARank.h - A rank on a GPU -----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_CUDARANK_H
#define MOERT_LIB_CUDA_CUDARANK_H

#include "Rank.h"
#include "Recorder.h"
#include "Transport.h"
#include "moert/CUDA.h"

namespace moert::cuda {

/// What a rank has on its GPU: the program's kernels, its arena, its buffers.
/// Functions that return bool return false if the run has ended; the reason is
/// recorded. Each rank has a thread of its own at a time.
class CUDARank : public Rank {
public:
  CUDARank(const Program &program, int64_t number, const Device &device,
           Meeting &meeting, const Options &options);
  ~CUDARank() override;

  /// What `load` will allocate.
  static Memory memoryOf(const ProgramInfo &info, int64_t rank);

  /// Loads kernels and allocates memory.
  bool load();
  /// Takes the transport that `make` returns.
  bool
  connect(const std::function<std::unique_ptr<Transport>(Streams &)> &make);
  /// Lets go of everything, after the last step.
  bool close();

  /// Runs all steps. False if the run has ended.
  bool runSteps(LocalTensors &arguments, LocalTensors &results);

  /// Ends the run at the next wait: the process of that rank is gone. Another
  /// thread may call it.
  void lose(int64_t rank) { lostRank = rank; }

  const Device &getDevice() const { return device; }
  /// What the steps have told.
  const RankReport &getReport() const { return report; }
  const std::vector<Span> &getSpans() const { return spans; }
  /// Whether the last step was a replay of a graph.
  bool hasReplayed() const { return replayed; }

  bool end(RunReport::Outcome outcome, const std::string &error,
           const std::string &help = "") override;
  bool allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                 const void *in, void *out, int64_t count) override;
  bool allGather(int32_t collective, int32_t dtype, const void *in, void *out,
                 int64_t outer, int64_t size, int64_t inner) override;
  bool reduceScatter(int32_t collective, int32_t dtype, int32_t reduction,
                     const void *in, void *out, int64_t outer, int64_t size,
                     int64_t inner) override;
  bool allToAll(int32_t collective, int32_t dtype, const void *in,
                const int64_t *send, void *out, const int64_t *receive,
                int64_t row) override;
  bool launch(int32_t kernel, const Grid &grid, int32_t block,
              int32_t sharedBytes, void *const *arguments, int64_t operations,
              int64_t bytes) override;
  bool fetch(void *host, const void *device, int64_t bytes) override;
  bool wait(int32_t collective) override;
  void *getBuffer(int64_t offset, int64_t bytes) override;
  int32_t *getFault() override;

private:
  struct Kernel;
  struct Resources;

  /// Runs `body`; ends the run if it throws.
  template <typename Body>
  bool guarded(Body body);
  std::string describeLastKernel() const;
  /// Lets a kernel be started with this much dynamic shared memory.
  void allowShared(Kernel &kernel, int32_t bytes);
  /// Enqueues a collective by `call`. `span` says what it is about.
  template <typename Call>
  bool perform(int32_t collective, const Span &span, Call call);

  void upload(const LocalTensors &arguments);
  void download(LocalTensors &results);
  /// Enqueues a step by the program.
  void callProgram();
  /// Enqueues a step, as a graph where that is possible.
  void startFast();
  bool canCapture() const;
  void capture();
  /// Sleeps until the step is done, and looks for its fault.
  void finish();
  // These do both.
  void runFast();
  void runRecorded(int32_t step);
  double timeStep();

  int64_t groupSize(int32_t collective) const;
  int64_t placeInGroup(int32_t collective) const;

  const Program &program;
  const Device &device;
  const Driver &driver;
  Meeting &meeting;
  Options options;
  std::atomic<int64_t> lostRank = -1;
  std::unique_ptr<Resources> resources;
  std::unique_ptr<Transport> transport;
  std::vector<Span> spans;
  RankReport report;
  /// Null but in a step that is recorded.
  Recorder *recorder = nullptr;
  CUgraphExec graph = nullptr;
  /// The last one started; less than 0 before the first.
  int32_t lastKernel = -1;
  bool isCapturing = false;
  bool hasRun = false, replayed = false;
};

} // namespace moert::cuda

#endif // MOERT_LIB_CUDA_CUDARANK_H

//===- CUDA.h - Run a compiled layer on GPUs --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Includes nothing of CUDA. Where this was built without it, the functions say
// so.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_CUDA_H
#define MOERT_CUDA_H

#include "moert/Run.h"

namespace moert::cuda {

struct Options : RunOptions {
  /// Whether steps after the first are replays of a graph, if the program
  /// allows it. Recorded ones never are.
  bool graph = true;
  /// Whether each buffer is allocated by itself, for checkers of memory.
  bool separateBuffers = false;
  /// Whether NCCL does the collectives even if there is one rank.
  bool nccl = false;
  /// How many steps are timed after the others, as wholes.
  int64_t timedSteps = 0;
};

/// A kernel of one rank. Times as of Span.
struct KernelSpan {
  /// Of the description.
  int32_t kernel = 0;
  int32_t step = 0;
  int64_t begin = 0, end = 0;
  /// As the compiler counts them.
  int64_t operations = 0, bytes = 0;
};

/// Device memory of a rank, in bytes.
struct Memory {
  int64_t arena = 0, arguments = 0, results = 0;
  /// For packing what a collective sends and gets.
  int64_t packing = 0;
  int64_t total() const { return arena + arguments + results + packing; }
};

/// What a rank has to tell besides its spans.
struct RankReport {
  /// "GPU 0 (NVIDIA H100 80GB HBM3)".
  std::string device;
  Memory memory;
  std::vector<KernelSpan> kernels;
  /// Of the timed steps, in seconds.
  std::vector<double> steps;
};

struct Report : RunReport {
  /// How ranks lie on GPUs, and what does the collectives.
  std::string transport;
  /// By rank; of others than rank 0 only in rank 0's process.
  std::vector<RankReport> ranks;
  /// Whether timed steps were replays.
  bool graph = false;
  /// What rank 0's device can do per second by its own properties, 0 where it
  /// is not known: bytes read and written, and operations. The latter of matrix
  /// units with bfloat16 if an argument has that type, else of float32.
  double peakBytes = 0, peakOperations = 0;
  bool matrixUnits = false;
};

/// Runs all ranks as threads, each on a GPU of its own with NCCL, or, if there
/// are fewer GPUs, with collectives in host memory. As moert::runThreads
/// otherwise.
Report runThreads(const Program &program, std::vector<LocalTensors> &arguments,
                  std::vector<LocalTensors> &results, const Options &options);

/// Runs one rank on a GPU of its own, with those of other processes, on any
/// hosts. As moert::runRank otherwise.
Report runRank(const Program &program, Rendezvous &rendezvous,
               std::vector<LocalTensors> &arguments,
               std::vector<LocalTensors> &results, const Options &options);

} // namespace moert::cuda

#endif // MOERT_CUDA_H

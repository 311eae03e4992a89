//===- Rank.h - One rank of one run -----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What moert.h needs of a back end. The functions of moert.h forward to it, and
// leave the compiled program where one of these returns false. The jump crosses
// frames of the compiled program only; a back end returns, so that what its
// frames hold is released.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_RANK_H
#define MOERT_LIB_RANK_H

#include "moert/Run.h"
#include <array>
#include <csetjmp>

namespace moert {

class Rank {
public:
  Rank(const ProgramInfo &info, int64_t number)
      : info(info), number(number), coordinates(info.coordinates(number)) {}
  virtual ~Rank();

  const ProgramInfo &getInfo() const { return info; }
  int64_t getNumber() const { return number; }
  int64_t getCoordinate(int32_t axis) const { return coordinates[axis]; }

  /// Runs the program on these buffers of moert_main. False if the run has
  /// ended, here or elsewhere; the reason is recorded.
  bool execute(Program::Main main, void *const *buffers);

  /// Goes back to `execute`, which returns false.
  [[noreturn]] void leave();

  /// Records why the run ends, unless another rank did already, and returns
  /// false. `error` names rank, collective and source line; `help` is the
  /// remedy, if it is another than for any error.
  virtual bool end(RunReport::Outcome outcome, const std::string &error,
                   const std::string &help = "") = 0;

  // As in moert.h. Each returns false if the run has ended.
  virtual bool allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                         const void *in, void *out, int64_t count) = 0;
  virtual bool allGather(int32_t collective, int32_t dtype, const void *in,
                         void *out, int64_t outer, int64_t size,
                         int64_t inner) = 0;
  virtual bool reduceScatter(int32_t collective, int32_t dtype,
                             int32_t reduction, const void *in, void *out,
                             int64_t outer, int64_t size, int64_t inner) = 0;
  virtual bool allToAll(int32_t collective, int32_t dtype, const void *in,
                        const int64_t *send, void *out, const int64_t *receive,
                        int64_t row) = 0;

  // What programs for GPUs ask for. A back end without one ends the run.

  using Grid = std::array<int32_t, 3>;
  virtual bool launch(int32_t kernel, const Grid &grid, int32_t block,
                      int32_t sharedBytes, void *const *arguments,
                      int64_t operations, int64_t bytes);
  virtual bool fetch(void *host, const void *device, int64_t bytes);
  virtual bool wait(int32_t collective);
  /// Null if the run has ended.
  virtual void *getBuffer(int64_t offset, int64_t bytes);
  virtual int32_t *getFault();

private:
  const ProgramInfo &info;
  int64_t number;
  std::vector<int64_t> coordinates;
  std::jmp_buf exit;
};

/// "all_reduce #1 at 'x' (layer.mlir:5:10, backward)".
std::string describeCollective(const ProgramInfo &info, int32_t collective);

} // namespace moert

struct moert_context {
  moert::Rank *rank;
};

#endif // MOERT_LIB_RANK_H

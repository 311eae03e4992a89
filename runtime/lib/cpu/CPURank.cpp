//===- CPURank.cpp - A rank on the CPU ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CPURank.h"
#include "Futex.h"
#include "Reduction.h"
#include "Traffic.h"
#include <algorithm>
#include <cstring>
#include <numeric>

using namespace moert;

/// Reductions of fewer elements are computed whole by every rank.
static constexpr int64_t fewElements = 4096;

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

LocalTensors moert::allocateResults(const ProgramInfo &info, int64_t rank) {
  LocalTensors tensors;
  for (const ValueInfo &value : info.results) {
    Tensor tensor{value.dtype, info.localShape(value, rank), {}};
    tensor.data.resize(*elementCount(tensor.shape) * dtypeSize(value.dtype));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

bool CPURank::end(RunReport::Outcome outcome, const std::string &error,
                  const std::string &help) {
  meeting.end(outcome, error, help);
  return false;
}

bool CPURank::runStep(const Program &program, void *const *buffers,
                      int64_t number, const RunOptions &options) {
  step = int32_t(number - options.warmup);
  recording = options.record && step >= 0;
  meeting.beginStep(getNumber());
  int64_t begin = monotonicNow();
  if (!execute(program.getMain(), buffers))
    return false;
  if (recording)
    spans.push_back({-1, step, begin, begin, monotonicNow()});
  return true;
}

bool CPURank::runSteps(const Program &program, LocalTensors &arguments,
                       LocalTensors &results, const RunOptions &options) {
  for (int64_t i = 0; i < options.warmup + options.steps; ++i) {
    // Afresh each time: a step moves arguments.
    std::vector<void *> buffers;
    for (LocalTensors *tensors : {&arguments, &results})
      for (Tensor &tensor : *tensors)
        buffers.push_back(tensor.data.data());
    if (!runStep(program, buffers.data(), i, options))
      return false;
    std::string error;
    if (options.afterStep &&
        !options.afterStep(getNumber(), arguments, results, error))
      return end(RunReport::Failed, error);
    if (!meeting.finishStep(getNumber()))
      return false;
  }
  return true;
}

bool CPURank::runSteps(const Program &program,
                       const std::vector<void *> &buffers,
                       const RunOptions &options) {
  for (int64_t i = 0; i < options.warmup + options.steps; ++i)
    if (!runStep(program, buffers.data(), i, options) ||
        !meeting.finishStep(getNumber()))
      return false;
  return true;
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

struct CPURank::Call {
  explicit Call(const Request &request) : request(request) {}

  Request request;
  Span span;
  /// This rank's part of a reduction that the ranks compute in turns.
  void *share = nullptr;
  /// In the group's order of ranks.
  std::vector<Operand> operands;
  std::vector<const void *> in;
  /// Of this rank.
  size_t place = 0;

  int64_t numRanks() const { return operands.size(); }
  int64_t width() const { return widthOf(request.dtype); }
};

bool CPURank::publish(Request &request, const void *in, int64_t,
                      const int64_t *send, int64_t, void *&share) {
  request.in = reinterpret_cast<uint64_t>(in);
  request.send = reinterpret_cast<uint64_t>(send);
  request.out = reinterpret_cast<uint64_t>(share);
  return true;
}

bool CPURank::find(int64_t, const Request &request, Operand &operand) {
  operand = {reinterpret_cast<const void *>(request.in),
             reinterpret_cast<const int64_t *>(request.send),
             reinterpret_cast<const void *>(request.out)};
  return true;
}

/// Meets the group. The request is complete but for where things are.
bool CPURank::enter(Call &call, const void *in, int64_t bytes,
                    const int64_t *send, void *share) {
  call.span.collective = call.request.collective;
  call.span.step = step;
  call.span.begin = monotonicNow();
  call.share = share;
  const std::vector<int64_t> &ranks =
      meeting.getGroup(call.request.collective, getNumber()).ranks;
  if (!publish(call.request, in, bytes, send, send ? ranks.size() : 0,
               call.share) ||
      !meeting.meet(getNumber(), call.request))
    return false;
  call.span.ready = monotonicNow();
  for (int64_t rank : ranks) {
    if (rank == getNumber())
      call.place = call.operands.size();
    call.operands.emplace_back();
    if (!find(rank, meeting.getRequest(rank), call.operands.back()))
      return false;
    call.in.push_back(call.operands.back().in);
  }
  return true;
}

bool CPURank::leave(Call &call) {
  meeting.count(call.request.collective, getNumber(), call.span.sent);
  if (!meeting.part(getNumber()))
    return false;
  call.span.end = monotonicNow();
  if (recording)
    spans.push_back(call.span);
  return true;
}

/// Each rank reduces a chunk and takes the others' chunks: not all of them the
/// whole, of which there is as much work as there are ranks.
bool CPURank::reduceInTurns(Call &call, void *out, int64_t count) {
  int64_t width = call.width();
  Chunk mine(count, call.numRanks(), call.place);
  reduce(call.in, call.request.dtype, call.request.reduction, mine.begin,
         static_cast<char *>(call.share) + mine.begin * width, mine.size());
  if (!meeting.meetAgain(getNumber()))
    return false;
  for (int64_t i = 0; i < call.numRanks(); ++i) {
    Chunk chunk(count, call.numRanks(), i);
    char *to = static_cast<char *>(out) + chunk.begin * width;
    const char *from =
        static_cast<const char *>(call.operands[i].out) + chunk.begin * width;
    if (from != to && chunk.size() > 0)
      std::memcpy(to, from, chunk.size() * width);
  }
  return true;
}

bool CPURank::allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                        const void *in, void *out, int64_t count) {
  Call call({collective, dtype, reduction, {count}});
  if (!enter(call, in, count * call.width(), nullptr, out))
    return false;
  if (count < fewElements)
    reduce(call.in, dtype, reduction, 0, out, count);
  else if (!reduceInTurns(call, out, count))
    return false;
  call.span.count = count;
  call.span.bytes = count * call.width();
  call.span.sent =
      trafficOfAllReduce(call.span.bytes, call.numRanks(), int64_t(call.place));
  return leave(call);
}

bool CPURank::allGather(int32_t collective, int32_t dtype, const void *in,
                        void *out, int64_t outer, int64_t size, int64_t inner) {
  Call call({collective, dtype, 0, {outer, size, inner}});
  const Group &group = meeting.getGroup(collective, getNumber());
  int64_t ranks = group.ranks.size(), row = inner * call.width();
  int64_t place =
      std::ranges::find(group.ranks, getNumber()) - group.ranks.begin();
  int64_t mine = outer * Chunk(size, ranks, place).size() * row;
  if (!enter(call, in, mine, nullptr, nullptr))
    return false;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    Chunk chunk(size, ranks, rank);
    for (int64_t o = 0; o < outer && chunk.size() > 0; ++o)
      std::memcpy(static_cast<char *>(out) + (o * size + chunk.begin) * row,
                  static_cast<const char *>(call.in[rank]) +
                      o * chunk.size() * row,
                  chunk.size() * row);
  }
  call.span.count = outer * size * inner;
  call.span.bytes = outer * size * row;
  call.span.sent = trafficOfAllGather(mine, ranks);
  return leave(call);
}

bool CPURank::reduceScatter(int32_t collective, int32_t dtype,
                            int32_t reduction, const void *in, void *out,
                            int64_t outer, int64_t size, int64_t inner) {
  Call call({collective, dtype, reduction, {outer, size, inner}});
  int64_t width = call.width();
  call.span.count = outer * size * inner;
  call.span.bytes = call.span.count * width;
  if (!enter(call, in, call.span.bytes, nullptr, nullptr))
    return false;
  int64_t ranks = call.numRanks();
  Chunk chunk(size, ranks, call.place);
  for (int64_t o = 0; o < outer; ++o)
    reduce(call.in, dtype, reduction, (o * size + chunk.begin) * inner,
           static_cast<char *>(out) + o * chunk.size() * inner * width,
           chunk.size() * inner);
  call.span.sent =
      trafficOfReduceScatter(call.span.bytes, ranks, int64_t(call.place));
  return leave(call);
}

bool CPURank::allToAll(int32_t collective, int32_t dtype, const void *in,
                       const int64_t *send, void *out, const int64_t *receive,
                       int64_t row) {
  Call call({collective, dtype, 0, {row}});
  int64_t ranks = meeting.getGroup(collective, getNumber()).ranks.size();
  int64_t bytes = row * call.width();
  int64_t rows = std::accumulate(send, send + ranks, int64_t(0));
  call.span.count = rows * row;
  call.span.bytes = rows * bytes;
  if (!enter(call, in, rows * bytes, send, nullptr))
    return false;
  char *to = static_cast<char *>(out);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const int64_t *theirs = call.operands[rank].send;
    int64_t size = theirs[call.place] * bytes;
    if (theirs[call.place] != receive[rank])
      return end(RunReport::Failed,
                 "rank " + std::to_string(getNumber()) + " in " +
                     describeCollective(getInfo(), collective) +
                     ": another number of rows came than was expected");
    int64_t skip = std::accumulate(theirs, theirs + call.place, int64_t(0));
    if (size > 0)
      std::memcpy(to, static_cast<const char *>(call.in[rank]) + skip * bytes,
                  size);
    to += size;
  }
  call.span.sent = (rows - send[call.place]) * bytes;
  return leave(call);
}

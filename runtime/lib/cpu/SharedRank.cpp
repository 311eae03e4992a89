//===- SharedRank.cpp - A rank that is a process --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SharedRank.h"
#include <cstring>
#include <new>

using namespace moert;

static uint64_t align(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

bool SharedRank::endWithoutRoom(uint64_t bytes) {
  return end(RunReport::Failed,
             "rank " + std::to_string(getNumber()) + " finds no room for " +
                 std::to_string(bytes) + " bytes that processes share");
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

bool SharedRank::publish(Request &request, const void *in, int64_t bytes,
                         const int64_t *send, int64_t numSend, void *&share) {
  request.send = align(bytes);
  request.bytes = request.send + numSend * sizeof(int64_t);
  std::byte *window = memory.getWindow(getNumber(), request.bytes);
  if (!window)
    return endWithoutRoom(request.bytes);
  if (bytes > 0)
    std::memcpy(window, in, bytes);
  if (numSend > 0)
    std::memcpy(window + request.send, send, numSend * sizeof(int64_t));
  // Nobody else reads the chunk of the operand that this rank reduces.
  share = window;
  return true;
}

bool SharedRank::find(int64_t rank, const Request &request, Operand &operand) {
  std::byte *window = memory.getWindow(rank, request.bytes);
  if (!window)
    return endWithoutRoom(request.bytes);
  operand = {window, reinterpret_cast<const int64_t *>(window + request.send),
             window};
  return true;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

namespace {
/// What is at the beginning of a window once a rank has published.
struct Header {
  uint64_t bytes, numSpans;
};
} // namespace

bool SharedRank::runAndPublish(const Program &program, LocalTensors &arguments,
                               LocalTensors &results,
                               const RunOptions &options) {
  if (!runSteps(program, arguments, results, options))
    return false;
  std::vector<const LocalTensors *> lists{&results};
  if (options.afterStep)
    lists.push_back(&arguments);
  Header header{align(sizeof(Header)), getSpans().size()};
  for (const LocalTensors *list : lists)
    for (const Tensor &tensor : *list)
      header.bytes += align(tensor.data.size());
  header.bytes += header.numSpans * sizeof(Span);
  std::byte *window = memory.getWindow(getNumber(), header.bytes);
  if (!window)
    return endWithoutRoom(header.bytes);
  std::memcpy(window, &header, sizeof(header));
  window += align(sizeof(header));
  for (const LocalTensors *list : lists)
    for (const Tensor &tensor : *list) {
      if (!tensor.data.empty())
        std::memcpy(window, tensor.data.data(), tensor.data.size());
      window += align(tensor.data.size());
    }
  if (header.numSpans > 0)
    std::memcpy(window, getSpans().data(), header.numSpans * sizeof(Span));
  return meeting.finishStep(getNumber());
}

void SharedRank::runProcess(const Program &program, LocalTensors &arguments,
                            const RunOptions &options) {
  try {
    LocalTensors results = allocateResults(getInfo(), getNumber());
    (void)runAndPublish(program, arguments, results, options);
  } catch (const std::bad_alloc &) {
    (void)end(RunReport::Failed,
              "rank " + std::to_string(getNumber()) + " has not enough memory");
  }
  meeting.stop(getNumber());
}

bool moert::collect(SharedMemory &memory, int64_t rank, LocalTensors *arguments,
                    LocalTensors &results, std::vector<Span> &spans) {
  const std::byte *window = memory.getWindow(rank, sizeof(Header));
  if (!window)
    return false;
  Header header;
  std::memcpy(&header, window, sizeof(header));
  window = memory.getWindow(rank, header.bytes);
  if (!window)
    return false;
  window += align(sizeof(header));
  for (LocalTensors *list : {&results, arguments}) {
    if (!list)
      continue;
    for (Tensor &tensor : *list) {
      if (!tensor.data.empty())
        std::memcpy(tensor.data.data(), window, tensor.data.size());
      window += align(tensor.data.size());
    }
  }
  spans.resize(header.numSpans);
  if (header.numSpans > 0)
    std::memcpy(spans.data(), window, header.numSpans * sizeof(Span));
  return true;
}

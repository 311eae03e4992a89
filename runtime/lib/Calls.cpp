//===- Calls.cpp - The functions that a compiled layer calls --------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rank.h"

using moert::Rank;

/// No frame between here and Rank::execute has anything to clean up.
static void leaveUnless(bool going, moert_context *context) {
  if (!going)
    context->rank->leave();
}

int64_t moert_axis_index(moert_context *context, int32_t axis) {
  return context->rank->getCoordinate(axis);
}

void moert_all_reduce(moert_context *context, int32_t collective, int32_t dtype,
                      int32_t reduction, const void *in, void *out,
                      int64_t count) {
  leaveUnless(
      context->rank->allReduce(collective, dtype, reduction, in, out, count),
      context);
}

void moert_all_gather(moert_context *context, int32_t collective, int32_t dtype,
                      const void *in, void *out, int64_t outer, int64_t size,
                      int64_t inner) {
  leaveUnless(
      context->rank->allGather(collective, dtype, in, out, outer, size, inner),
      context);
}

void moert_reduce_scatter(moert_context *context, int32_t collective,
                          int32_t dtype, int32_t reduction, const void *in,
                          void *out, int64_t outer, int64_t size,
                          int64_t inner) {
  leaveUnless(context->rank->reduceScatter(collective, dtype, reduction, in,
                                           out, outer, size, inner),
              context);
}

void moert_all_to_all(moert_context *context, int32_t collective, int32_t dtype,
                      const void *in, const int64_t *send, void *out,
                      const int64_t *receive, int64_t row) {
  leaveUnless(
      context->rank->allToAll(collective, dtype, in, send, out, receive, row),
      context);
}

void *moert_buffer(moert_context *context, int64_t offset, int64_t bytes) {
  void *buffer = context->rank->getBuffer(offset, bytes);
  leaveUnless(buffer, context);
  return buffer;
}

int32_t *moert_fault(moert_context *context) {
  int32_t *fault = context->rank->getFault();
  leaveUnless(fault, context);
  return fault;
}

void moert_launch(moert_context *context, int32_t kernel, int32_t gridX,
                  int32_t gridY, int32_t gridZ, int32_t block,
                  int32_t sharedBytes, void *const *arguments, int64_t flops,
                  int64_t bytes) {
  leaveUnless(context->rank->launch(kernel, {gridX, gridY, gridZ}, block,
                                    sharedBytes, arguments, flops, bytes),
              context);
}

void moert_wait(moert_context *context, int32_t collective) {
  leaveUnless(context->rank->wait(collective), context);
}

void moert_fetch(moert_context *context, void *host, const void *device,
                 int64_t bytes) {
  leaveUnless(context->rank->fetch(host, device, bytes), context);
}

static bool endWith(Rank &rank, const char *location, const char *message) {
  std::string place = *location ? std::string(" at ") + location : "";
  return rank.end(moert::RunReport::Failed,
                  "rank " + std::to_string(rank.getNumber()) + place + ": " +
                      message);
}

void moert_fail(moert_context *context, const char *location,
                const char *message) {
  leaveUnless(endWith(*context->rank, location, message), context);
}

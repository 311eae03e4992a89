//===- CPURank.cpp - A rank on the CPU ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CPURank.h"
#include "Reduction.h"
#include <cstring>
#include <numeric>

using namespace moert;

bool CPURank::end(RunReport::Outcome outcome, const std::string &error) {
  meeting.end(outcome, error);
  return false;
}

template <typename Compute>
bool CPURank::perform(const Request &request, Compute compute) {
  if (!meeting.meet(getNumber(), request))
    return false;
  Operands operands;
  for (int64_t rank : meeting.getGroup(request.collective, getNumber()).ranks) {
    if (rank == getNumber())
      operands.place = operands.in.size();
    const Request &theirs = meeting.getRequest(rank);
    operands.in.push_back(reinterpret_cast<const void *>(theirs.in));
    operands.send.push_back(reinterpret_cast<const int64_t *>(theirs.send));
  }
  int64_t bytes = compute(operands);
  if (bytes < 0)
    return false;
  meeting.count(request.collective, getNumber(), bytes);
  return meeting.part(getNumber());
}

bool CPURank::allReduce(int32_t collective, int32_t dtype, int32_t reduction,
                        const void *in, void *out, int64_t count) {
  Request request{collective, dtype, reduction, {count}, uint64_t(in), 0};
  return perform(request, [&](const Operands &all) {
    reduce(all.in, dtype, reduction, 0, out, count);
    int64_t ranks = all.in.size();
    return 2 * count * widthOf(dtype) * (ranks - 1) / ranks;
  });
}

bool CPURank::allGather(int32_t collective, int32_t dtype, const void *in,
                        void *out, int64_t outer, int64_t size, int64_t inner) {
  Request request{collective, dtype, 0, {outer, size, inner}, uint64_t(in), 0};
  return perform(request, [&](const Operands &all) {
    int64_t ranks = all.in.size(), row = inner * widthOf(dtype);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      Chunk chunk(size, ranks, rank);
      for (int64_t o = 0; o < outer && chunk.size() > 0; ++o)
        std::memcpy(static_cast<char *>(out) + (o * size + chunk.begin) * row,
                    static_cast<const char *>(all.in[rank]) +
                        o * chunk.size() * row,
                    chunk.size() * row);
    }
    return outer * Chunk(size, ranks, all.place).size() * row * (ranks - 1);
  });
}

bool CPURank::reduceScatter(int32_t collective, int32_t dtype,
                            int32_t reduction, const void *in, void *out,
                            int64_t outer, int64_t size, int64_t inner) {
  Request request{collective,           dtype,        reduction,
                  {outer, size, inner}, uint64_t(in), 0};
  return perform(request, [&](const Operands &all) {
    int64_t ranks = all.in.size(), width = widthOf(dtype);
    Chunk chunk(size, ranks, all.place);
    for (int64_t o = 0; o < outer; ++o)
      reduce(all.in, dtype, reduction, (o * size + chunk.begin) * inner,
             static_cast<char *>(out) + o * chunk.size() * inner * width,
             chunk.size() * inner);
    return outer * size * inner * width * (ranks - 1) / ranks;
  });
}

bool CPURank::allToAll(int32_t collective, int32_t dtype, const void *in,
                       const int64_t *send, void *out, const int64_t *receive,
                       int64_t row) {
  Request request{collective, dtype, 0, {row}, uint64_t(in), uint64_t(send)};
  return perform(request, [&](const Operands &all) -> int64_t {
    int64_t bytes = row * widthOf(dtype), sent = 0;
    char *to = static_cast<char *>(out);
    for (size_t rank = 0; rank < all.in.size(); ++rank) {
      const int64_t *theirs = all.send[rank];
      int64_t rows = theirs[all.place];
      if (rows != receive[rank]) {
        end(RunReport::Failed,
            "rank " + std::to_string(getNumber()) + " in " +
                describeCollective(getInfo(), collective) +
                ": another number of rows came than was expected");
        return -1;
      }
      int64_t skip = std::accumulate(theirs, theirs + all.place, int64_t(0));
      if (rows > 0)
        std::memcpy(to, static_cast<const char *>(all.in[rank]) + skip * bytes,
                    rows * bytes);
      to += rows * bytes;
      sent += rank == all.place ? 0 : send[rank] * bytes;
    }
    return sent;
  });
}

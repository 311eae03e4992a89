//===- Rank.cpp - One rank of one run -------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Rank.h"

using namespace moert;

std::string moert::describeCollective(const ProgramInfo &info,
                                      int32_t collective) {
  const CollectiveInfo &call = info.collectives[collective];
  std::string text = call.kind + " #" + std::to_string(collective);
  if (!call.site.empty())
    text += " at '" + call.site + "'";
  return text + " (" + call.location + ", " + call.phase + ")";
}

Rank::~Rank() = default;

bool Rank::execute(Program::Main main, void *const *buffers) {
  moert_context context{this};
  if (setjmp(exit) != 0)
    return false;
  int32_t code = main(&context, buffers);
  return code == 0 || end(RunReport::Failed, "rank " + std::to_string(number) +
                                                 " returned the error " +
                                                 std::to_string(code));
}

void Rank::leave() { std::longjmp(exit, 1); }

static bool endWithoutDevice(Rank &rank) {
  return rank.end(RunReport::Failed,
                  "rank " + std::to_string(rank.getNumber()) +
                      " was asked for work on a GPU, which this back end does "
                      "not have");
}

bool Rank::launch(int32_t, const Grid &, int32_t, int32_t, void *const *,
                  int64_t, int64_t) {
  return endWithoutDevice(*this);
}

bool Rank::fetch(void *, const void *, int64_t) {
  return endWithoutDevice(*this);
}

bool Rank::wait(int32_t) { return endWithoutDevice(*this); }

void *Rank::getBuffer(int64_t, int64_t) {
  (void)endWithoutDevice(*this);
  return nullptr;
}

int32_t *Rank::getFault() {
  (void)endWithoutDevice(*this);
  return nullptr;
}

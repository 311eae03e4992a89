//===- Futex.cpp - Sleep until a word in shared memory changes ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Futex.h"
#include <algorithm>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static_assert(std::atomic<uint32_t>::is_always_lock_free &&
                  sizeof(std::atomic<uint32_t>) == sizeof(uint32_t),
              "the kernel and other processes see the word itself");

static constexpr int64_t second = 1'000'000'000;

int64_t moert::monotonicNow() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * second + now.tv_nsec;
}

int64_t moert::deadlineAfter(double seconds) {
  return monotonicNow() + int64_t(std::min(seconds, 1e9) * double(second));
}

void moert::sleepWhile(const std::atomic<uint32_t> &word, uint32_t value,
                       int64_t deadline) {
  timespec until{deadline / second, deadline % second};
  // The only FUTEX_WAIT that takes a point in time.
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, value, &until, nullptr,
            FUTEX_BITSET_MATCH_ANY);
}

void moert::wakeAll(const std::atomic<uint32_t> &word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

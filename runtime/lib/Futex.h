//===- Futex.h - Sleep until a word in shared memory changes ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// std::atomic::wait knows no deadline, and the condition variables of POSIX do
// not survive a process that is killed inside of one.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_FUTEX_H
#define MOERT_LIB_FUTEX_H

#include <atomic>
#include <cstdint>

namespace moert {

/// Nanoseconds of a clock that all processes of a host share.
int64_t monotonicNow();

/// `seconds` from now; far in the future at most.
int64_t deadlineAfter(double seconds);

/// Sleeps while `word` is `value`, at most until `deadline`; may wake early.
void sleepWhile(const std::atomic<uint32_t> &word, uint32_t value,
                int64_t deadline);

/// Wakes all that sleep on `word`.
void wakeAll(const std::atomic<uint32_t> &word);

} // namespace moert

#endif // MOERT_LIB_FUTEX_H

//===- StackOverflow.cpp - Text that nests too deeply ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Support/StackOverflow.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Signals.h"
#include <csignal>
#include <pthread.h>
#include <string>
#include <unistd.h>

/// What the handler needs: a signal handler allocates nothing.
static std::string message;
static uintptr_t stackEnd = 0;
static struct sigaction previous;
static char handlerStack[64 << 10];

/// Stacks grow down; a frame may step over their end by its size.
static bool isPastStackEnd(const siginfo_t *info) {
  constexpr uintptr_t slack = 1 << 20;
  auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  return address + slack >= stackEnd && address < stackEnd + slack;
}

static void handle(int, siginfo_t *info, void *) {
  if (isPastStackEnd(info)) {
    // Removes output files that are not finished.
    llvm::sys::RunInterruptHandlers();
    (void)!write(STDERR_FILENO, message.data(), message.size());
    _exit(1);
  }
  // Another fault: it occurs again, and is handled as before.
  sigaction(SIGSEGV, &previous, nullptr);
}

void moe::reportStackOverflow(llvm::StringRef tool, llvm::StringRef input) {
  pthread_attr_t attributes;
  void *address = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0)
    return;
  pthread_attr_getstack(&attributes, &address, &size);
  pthread_attr_destroy(&attributes);
  stackEnd = reinterpret_cast<uintptr_t>(address);
  message = (tool + ": error: '" + input +
             "' is nested too deeply\nhelp: nest brackets, regions and "
             "attributes less; a chain of operators nests too\n")
                .str();

  // There is no room left for the handler where it is needed.
  stack_t stack = {};
  stack.ss_sp = handlerStack;
  stack.ss_size = sizeof handlerStack;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &previous);
}

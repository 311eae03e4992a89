//===- Nccl.cpp - The NCCL library ----------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Nccl.h"
#include "Library.h"
#include <cstdlib>

using namespace moert::cuda;

/// The first version with ncclCommSplit.
static constexpr int oldestVersion = NCCL_VERSION(2, 18, 1);

std::string moert::cuda::describeNcclVersion(int version) {
  return std::to_string(version / 10000) + "." +
         std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

static std::string askForLibrary() {
  return "install NCCL " + describeNcclVersion(oldestVersion) +
         " or later (tools/setup --cuda does), and name its folder in "
         "LD_LIBRARY_PATH if it is none of the system's";
}

Nccl::Nccl() {
  // Multicast over NVLink needs a fabric manager in order and, where several
  // programs share the GPUs of a host, can put them out of service. What it
  // would save is time in all-reduces of many GPUs.
  ::setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/0);
  Library library("libnccl.so.2", "NCCL is missing", askForLibrary());
  const char *missing = nullptr;
  // NOLINTBEGIN(bugprone-macro-parentheses)
#define NCCL_FUNCTION(name)                                                    \
  name = reinterpret_cast<decltype(&::name)>(library.find(#name));             \
  if (!name)                                                                   \
    missing = #name;
#include "Nccl.def"
  // NOLINTEND(bugprone-macro-parentheses)
  if (ncclGetVersion && ncclGetErrorString)
    check(ncclGetVersion(&version), "ask NCCL for its version");
  if (missing || version < oldestVersion)
    throw Failure{"NCCL is too old: it is of version " +
                      describeNcclVersion(version) +
                      ", and this program "
                      "needs " +
                      describeNcclVersion(oldestVersion),
                  askForLibrary()};
}

const Nccl &Nccl::get() {
  static Nccl nccl;
  return nccl;
}

void Nccl::check(ncclResult_t result, std::string_view doing,
                 ncclComm_t comm) const {
  if (result == ncclSuccess)
    return;
  std::string text = ncclGetErrorString(result);
  const char *last = ncclGetLastError ? ncclGetLastError(comm) : nullptr;
  if (last && *last)
    text += ": " + std::string(last);
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  throw Failure{"cannot " + std::string(doing) + ": NCCL says: " + text,
                "set NCCL_DEBUG=INFO for what NCCL did before"};
}

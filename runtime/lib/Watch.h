//===- Watch.h - Hear of the end of other processes -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_WATCH_H
#define MOERT_LIB_WATCH_H

#include "Descriptor.h"
#include "moert/Rendezvous.h"
#include <functional>
#include <thread>

namespace moert {

/// While it lives, calls `gone(rank)` when the process of a rank is gone, on a
/// thread of its own: rank 0 hears of all, the others of rank 0.
class Watch {
public:
  Watch(const Rendezvous &rendezvous, std::function<void(int64_t)> gone);
  Watch(const Watch &) = delete;
  ~Watch();

private:
  void run();

  std::vector<Rendezvous::Peer> peers;
  std::function<void(int64_t)> gone;
  Descriptor wake;
  std::thread thread;
};

} // namespace moert

#endif // MOERT_LIB_WATCH_H

//===- Watch.cpp - Hear of the end of other processes ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Watch.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

using namespace moert;

Watch::Watch(const Rendezvous &rendezvous, std::function<void(int64_t)> gone)
    : peers(rendezvous.getPeers()), gone(std::move(gone)),
      wake(::eventfd(0, EFD_CLOEXEC)), thread([this] { run(); }) {}

Watch::~Watch() {
  uint64_t one = 1;
  (void)!::write(wake.get(), &one, sizeof(one));
  thread.join();
}

void Watch::run() {
  while (true) {
    std::vector<pollfd> polls{{wake.get(), POLLIN, 0}};
    for (const Rendezvous::Peer &peer : peers)
      polls.push_back({peer.socket, POLLRDHUP, 0});
    if (::poll(polls.data(), polls.size(), -1) < 0)
      continue;
    if (polls[0].revents != 0)
      return;
    for (size_t i = polls.size(); i-- > 1;) {
      if (polls[i].revents == 0)
        continue;
      gone(peers[i - 1].rank);
      peers.erase(peers.begin() + (i - 1));
    }
  }
}

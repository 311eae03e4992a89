//===- Rendezvous.h - Processes of a run find each other --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Processes that a launcher started know their number and an address. Rank 0
// listens there, on that address only, the others connect. What comes without
// the greeting of this protocol is turned away and delays nobody. Every wait
// has a deadline.
//
// Every function returns false on failure, with `report` saying why: a timeout
// or another error, in one sentence that names ranks.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_RENDEZVOUS_H
#define MOERT_RENDEZVOUS_H

#include "moert/Run.h"

namespace moert {

/// Where rank 0 listens.
struct Endpoint {
  /// TCP at this host and port,
  std::string host;
  uint16_t port = 0;
  /// or if there is no host, a name on this machine. Only processes of the same
  /// user are let in.
  std::string name;

  std::string describe() const;
};

class Rendezvous {
public:
  /// `timeout` holds for each of the functions below, in seconds.
  Rendezvous(Endpoint endpoint, int64_t rank, int64_t numRanks, double timeout);
  Rendezvous(const Rendezvous &) = delete;
  Rendezvous &operator=(const Rendezvous &) = delete;
  ~Rendezvous();

  int64_t getRank() const { return rank; }
  int64_t getNumRanks() const { return numRanks; }
  double getTimeout() const { return timeout; }

  /// Waits until all are there. All must bring the same token: the fingerprint
  /// of what they will run.
  bool meet(const Fingerprint &token, RunReport &report);

  /// Gives rank 0's bytes to all.
  bool broadcast(std::string &bytes, RunReport &report);
  /// Gives everybody's bytes to rank 0, by rank.
  bool gather(const std::string &bytes, std::vector<std::string> &all,
              RunReport &report);
  /// Waits for all. A rank may object, with a sentence: then the function fails
  /// on all, with the sentence of the first that does.
  bool agree(const std::string &objection, RunReport &report);

  /// The sockets on which this process hears of the end of another one. Rank 0
  /// has all, the others have rank 0.
  struct Peer {
    int64_t rank;
    int socket;
  };
  std::vector<Peer> getPeers() const;

private:
  /// Rank 0's side of `meet`: takes those who come.
  class Listener;

  bool connect(const Fingerprint &token, RunReport &report);
  bool announce(const RunReport &verdict, RunReport &report);
  bool send(int64_t to, const std::string &bytes, int64_t deadline,
            RunReport &report);
  bool receive(int64_t from, std::string &bytes, int64_t deadline,
               RunReport &report);

  Endpoint endpoint;
  int64_t rank, numRanks;
  double timeout;
  /// By rank, -1 where there is none.
  std::vector<int> sockets;
};

} // namespace moert

#endif // MOERT_RENDEZVOUS_H

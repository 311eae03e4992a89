//===- Rendezvous.cpp - Processes of a run find each other ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/Rendezvous.h"
#include "Futex.h"
#include "Sockets.h"
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace moert;

/// Everything that is sent after the greeting starts with its length.
static constexpr uint64_t maxMessageBytes = uint64_t(1) << 30;

namespace {
/// What a rank says when it connects.
struct Greeting {
  std::array<char, 8> magic = {'m', 'o', 'e', 'r', 't', '-', 'r', 'v'};
  uint32_t version = 1;
  uint32_t rank = 0, numRanks = 0, reserved = 0;
  Fingerprint token{};
};
} // namespace

static std::string describeRanks(const std::vector<int64_t> &ranks) {
  constexpr size_t most = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < std::min(ranks.size(), most); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[i]);
  if (ranks.size() > most)
    text += " and " + std::to_string(ranks.size() - most) + " more";
  return text;
}

static bool fail(RunReport &report, RunReport::Outcome outcome,
                 const std::string &error) {
  report.outcome = outcome;
  report.error = error;
  return false;
}

Rendezvous::Rendezvous(Endpoint endpoint, int64_t rank, int64_t numRanks,
                       double timeout)
    : endpoint(std::move(endpoint)), rank(rank), numRanks(numRanks),
      timeout(timeout), sockets(numRanks, -1) {}

Rendezvous::~Rendezvous() {
  for (int socket : sockets)
    if (socket >= 0)
      ::close(socket);
}

std::vector<Rendezvous::Peer> Rendezvous::getPeers() const {
  std::vector<Peer> peers;
  for (int64_t other = 0; other < numRanks; ++other)
    if (sockets[other] >= 0)
      peers.push_back({other, sockets[other]});
  return peers;
}

static std::string formatSeconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g s", seconds);
  return text;
}

//===----------------------------------------------------------------------===//
// Messages
//===----------------------------------------------------------------------===//

/// How rank 0 says what all think: the outcome as a digit, and the sentence.
static std::string encode(const RunReport &verdict) {
  return char('0' + verdict.outcome) + verdict.error;
}

/// Returns false if the verdict is bad, or is none.
static bool decode(const std::string &message, RunReport &report) {
  int outcome = message.empty() ? -1 : message[0] - '0';
  if (outcome == RunReport::Finished)
    return true;
  report.outcome =
      outcome == RunReport::TimedOut ? RunReport::TimedOut : RunReport::Failed;
  report.error = message.substr(std::min<size_t>(message.size(), 1));
  return false;
}

/// What became of a transfer with `other`.
static bool explain(Transfer transfer, int64_t other, double timeout,
                    RunReport &report) {
  if (transfer == Transfer::Done)
    return true;
  std::string name = "rank " + std::to_string(other);
  return transfer == Transfer::Gone
             ? fail(report, RunReport::Failed, name + " has gone")
             : fail(report, RunReport::TimedOut,
                    name + " has said nothing for " + formatSeconds(timeout));
}

bool Rendezvous::send(int64_t to, const std::string &bytes, int64_t deadline,
                      RunReport &report) {
  uint64_t size = bytes.size();
  std::string message(sizeof(size), '\0');
  std::memcpy(message.data(), &size, sizeof(size));
  message += bytes;
  return explain(sendAll(sockets[to], message, deadline), to, timeout, report);
}

bool Rendezvous::receive(int64_t from, std::string &bytes, int64_t deadline,
                         RunReport &report) {
  uint64_t size = 0;
  Transfer transfer = receiveAll(sockets[from], reinterpret_cast<char *>(&size),
                                 sizeof(size), deadline);
  if (transfer == Transfer::Done && size > maxMessageBytes)
    transfer = Transfer::Gone;
  if (transfer == Transfer::Done) {
    bytes.assign(size, '\0');
    transfer = receiveAll(sockets[from], bytes.data(), size, deadline);
  }
  return explain(transfer, from, timeout, report);
}

bool Rendezvous::broadcast(std::string &bytes, RunReport &report) {
  int64_t deadline = deadlineAfter(timeout);
  if (rank != 0)
    return receive(0, bytes, deadline, report);
  bool sent = true;
  for (const Peer &peer : getPeers()) {
    RunReport one;
    if (!send(peer.rank, bytes, deadline, one) && sent) {
      sent = false;
      report = one;
    }
  }
  return sent;
}

bool Rendezvous::gather(const std::string &bytes, std::vector<std::string> &all,
                        RunReport &report) {
  int64_t deadline = deadlineAfter(timeout);
  if (rank != 0)
    return send(0, bytes, deadline, report);
  all.assign(numRanks, {});
  all[0] = bytes;
  for (const Peer &peer : getPeers())
    if (!receive(peer.rank, all[peer.rank], deadline, report))
      return false;
  return true;
}

bool Rendezvous::agree(const std::string &objection, RunReport &report) {
  int64_t deadline = deadlineAfter(timeout);
  if (rank != 0) {
    std::string verdict;
    // Rank 0 may have waited for others all the time that it has.
    return send(0, objection, deadline, report) &&
           receive(0, verdict, deadlineAfter(2 * timeout), report) &&
           decode(verdict, report);
  }
  RunReport verdict;
  if (!objection.empty())
    (void)fail(verdict, RunReport::Failed, objection);
  for (const Peer &peer : getPeers()) {
    RunReport one;
    std::string theirs;
    // That a rank has gone is an objection, too.
    if (receive(peer.rank, theirs, deadline, one) && !theirs.empty())
      (void)fail(one, RunReport::Failed, theirs);
    if (verdict.outcome == RunReport::Finished)
      verdict = one;
  }
  return announce(verdict, report);
}

/// Tells all what rank 0 knows. Returns whether it is good.
bool Rendezvous::announce(const RunReport &verdict, RunReport &report) {
  for (const Peer &peer : getPeers()) {
    RunReport ignored;
    (void)send(peer.rank, encode(verdict), deadlineAfter(timeout), ignored);
  }
  return decode(encode(verdict), report);
}

//===----------------------------------------------------------------------===//
// Meeting
//===----------------------------------------------------------------------===//

class Rendezvous::Listener {
public:
  Listener(Rendezvous &owner, const Fingerprint &token)
      : owner(owner), token(token) {}

  /// Waits for all ranks.
  bool run(RunReport &report);

private:
  /// Has connected and not yet said who it is.
  struct Guest {
    Descriptor socket;
    std::string said;
  };

  bool wait(const Descriptor &listener, int64_t deadline);
  void hear(Guest &guest);
  void admit(Guest &guest, const Greeting &greeting);
  std::vector<int64_t> getMissing() const;
  bool isGood() const { return verdict.outcome == RunReport::Finished; }

  Rendezvous &owner;
  const Fingerprint &token;
  std::vector<Guest> guests;
  /// Ranks with another token.
  std::vector<int64_t> strangers;
  RunReport verdict;
};

std::vector<int64_t> Rendezvous::Listener::getMissing() const {
  std::vector<int64_t> missing;
  for (int64_t other = 1; other < owner.numRanks; ++other)
    if (owner.sockets[other] < 0)
      missing.push_back(other);
  return missing;
}

void Rendezvous::Listener::admit(Guest &guest, const Greeting &greeting) {
  std::string name = "rank " + std::to_string(greeting.rank), objection;
  int64_t other = greeting.rank;
  if (greeting.version != Greeting().version)
    objection = name + " speaks another version of the protocol than rank 0";
  else if (greeting.numRanks != owner.numRanks)
    objection =
        name + " was told that there are " + std::to_string(greeting.numRanks) +
        " ranks, rank 0 that there are " + std::to_string(owner.numRanks);
  else if (other >= owner.numRanks || other == 0 || owner.sockets[other] >= 0)
    objection = "two processes were told that they are " + name;
  if (!objection.empty())
    (void)fail(verdict, RunReport::Failed, objection);
  if (!objection.empty() &&
      (other >= owner.numRanks || owner.sockets[other] >= 0 || other == 0)) {
    // There is no place among the ranks for it, and it shall know why.
    std::string text = encode(verdict);
    uint64_t size = text.size();
    std::string message(reinterpret_cast<const char *>(&size), sizeof(size));
    (void)sendAll(guest.socket.get(), message + text, deadlineAfter(1));
    (void)guest.socket.close();
    return;
  }
  if (greeting.token != token)
    strangers.push_back(other);
  owner.sockets[other] = guest.socket.release();
}

/// Takes what a guest has said; it is let go if that is no greeting.
void Rendezvous::Listener::hear(Guest &guest) {
  char bytes[sizeof(Greeting)];
  ssize_t got = ::recv(guest.socket.get(), bytes,
                       sizeof(Greeting) - guest.said.size(), MSG_DONTWAIT);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
      (void)guest.socket.close();
    return;
  }
  guest.said.append(bytes, got);
  const auto &magic = Greeting().magic;
  size_t known = std::min(guest.said.size(), magic.size());
  if (std::memcmp(guest.said.data(), magic.data(), known) != 0) {
    (void)guest.socket.close();
  } else if (guest.said.size() == sizeof(Greeting)) {
    Greeting greeting;
    std::memcpy(&greeting, guest.said.data(), sizeof(greeting));
    admit(guest, greeting);
  }
}

/// Waits for something to happen and deals with it. False at the deadline.
bool Rendezvous::Listener::wait(const Descriptor &listener, int64_t deadline) {
  int64_t left = (deadline - monotonicNow() + 999'999) / 1'000'000;
  if (left <= 0)
    return false;
  std::vector<pollfd> polls{{listener.get(), POLLIN, 0}};
  for (const Guest &guest : guests)
    polls.push_back({guest.socket.get(), POLLIN, 0});
  if (::poll(polls.data(), polls.size(),
             int(std::min<int64_t>(left, INT_MAX))) <= 0)
    return true;
  for (size_t i = 0; i < guests.size() && isGood(); ++i)
    if (polls[i + 1].revents != 0)
      hear(guests[i]);
  std::erase_if(guests,
                [](const Guest &guest) { return !guest.socket.isOpen(); });
  if (polls[0].revents != 0) {
    // Those who never say anything must not use up all that can be open.
    constexpr size_t maxGuests = 256;
    if (guests.size() >= maxGuests)
      guests.erase(guests.begin());
    if (Descriptor socket = acceptFrom(listener); socket.isOpen())
      guests.push_back({std::move(socket), {}});
  }
  return true;
}

bool Rendezvous::Listener::run(RunReport &report) {
  int64_t deadline = deadlineAfter(owner.timeout);
  std::string error;
  Descriptor listener = listenAt(owner.endpoint, error);
  if (!listener.isOpen())
    return fail(report, RunReport::Failed, error);
  while (isGood() && !getMissing().empty())
    if (!wait(listener, deadline))
      (void)fail(verdict, RunReport::TimedOut,
                 "rank 0 has waited " + formatSeconds(owner.timeout) + " at " +
                     owner.endpoint.describe() + " for " +
                     describeRanks(getMissing()));
  if (isGood() && !strangers.empty()) {
    std::ranges::sort(strangers);
    (void)fail(verdict, RunReport::Failed,
               describeRanks(strangers) +
                   (strangers.size() == 1 ? " has" : " have") +
                   " another compiled layer than rank 0");
  }
  return owner.announce(verdict, report);
}

bool Rendezvous::connect(const Fingerprint &token, RunReport &report) {
  int64_t deadline = deadlineAfter(timeout);
  Greeting greeting;
  greeting.rank = uint32_t(rank);
  greeting.numRanks = uint32_t(numRanks);
  greeting.token = token;
  std::string_view bytes(reinterpret_cast<const char *>(&greeting),
                         sizeof(greeting));
  std::string error;
  bool again = true;
  // Rank 0 may start later. Not more often than it costs next to nothing.
  for (int64_t pause = 5'000'000; again && monotonicNow() < deadline;
       pause = std::min<int64_t>(2 * pause, 200'000'000)) {
    Descriptor socket = connectTo(endpoint, deadline, error, again);
    if (socket.isOpen()) {
      sockets[0] = socket.release();
      std::string verdict;
      // Rank 0 may wait for others all the time that it has.
      if (sendAll(sockets[0], bytes, deadline) == Transfer::Done &&
          receive(0, verdict, deadlineAfter(2 * timeout), report))
        return decode(verdict, report);
      if (report.outcome == RunReport::TimedOut)
        return false;
      // Another program, or a rank 0 that has ended.
      ::close(std::exchange(sockets[0], -1));
      again = true;
      error = "what listens at " + endpoint.describe() +
              " is not rank 0 of this run";
    }
    int64_t rest =
        std::min(pause, std::max<int64_t>(deadline - monotonicNow(), 0));
    timespec sleep = {rest / 1'000'000'000, rest % 1'000'000'000};
    ::nanosleep(&sleep, nullptr);
  }
  if (!again)
    return fail(report, RunReport::Failed, error);
  return fail(report, RunReport::TimedOut,
              "rank " + std::to_string(rank) + " has waited " +
                  formatSeconds(timeout) + " for rank 0: " + error);
}

bool Rendezvous::meet(const Fingerprint &token, RunReport &report) {
  if (numRanks == 1)
    return true;
  return rank == 0 ? Listener(*this, token).run(report)
                   : connect(token, report);
}

//===- RendezvousTest.cpp - Processes of a run find each other ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/Rendezvous.h"
#include "gtest/gtest.h"
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace moert;

namespace {

sockaddr_in loopback(const char *host, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

/// A socket that listens at the loopback interface.
int listenAnywhere(uint16_t &port) {
  int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback("127.0.0.1", 0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr *>(&address), size), 0);
  EXPECT_EQ(::listen(socket, 8), 0);
  ::getsockname(socket, reinterpret_cast<sockaddr *>(&address), &size);
  port = ntohs(address.sin_port);
  return socket;
}

uint16_t freePort() {
  uint16_t port;
  ::close(listenAnywhere(port));
  return port;
}

/// Connects as soon as someone listens; -1 if nobody does for a second.
int connectTo(const char *host, uint16_t port) {
  for (int i = 0; i < 100; ++i) {
    int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(host, port);
    if (::connect(socket, reinterpret_cast<sockaddr *>(&address),
                  sizeof(address)) == 0)
      return socket;
    ::close(socket);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return -1;
}

class RendezvousTest : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    if (GetParam())
      endpoint = {"127.0.0.1", freePort(), {}};
    else
      endpoint.name = "RendezvousTest " + std::to_string(::getpid());
  }

  using Body = std::function<bool(Rendezvous &, RunReport &)>;

  /// Runs `body` on each rank; returns what each reports.
  std::vector<RunReport> run(int64_t ranks, const Body &body,
                             double timeout = 10) {
    std::vector<RunReport> reports(ranks);
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < ranks; ++rank)
      threads.emplace_back([&, rank] {
        Rendezvous rendezvous(endpoint, rank, ranks, timeout);
        bool good = body(rendezvous, reports[rank]);
        EXPECT_EQ(good, reports[rank].outcome == RunReport::Finished);
        EXPECT_EQ(good, reports[rank].error.empty());
      });
    for (std::thread &thread : threads)
      thread.join();
    return reports;
  }

  Endpoint endpoint;
  Fingerprint token{std::byte(1), std::byte(2)};
};

TEST_P(RendezvousTest, CarriesMessages) {
  for (int64_t ranks : {1, 2, 5}) {
    auto body = [&](Rendezvous &self, RunReport &report) {
      std::string bytes =
          self.getRank() == 0 ? std::string(3'000'000, 'x') : std::string();
      std::vector<std::string> all;
      bool good =
          self.meet(token, report) && self.broadcast(bytes, report) &&
          self.gather(std::to_string(self.getRank()) + bytes, all, report) &&
          self.agree("", report) && self.agree("", report);
      EXPECT_EQ(bytes, std::string(3'000'000, 'x'));
      if (self.getRank() == 0) {
        EXPECT_EQ(all.size(), size_t(ranks));
        for (int64_t rank = 0; rank < ranks; ++rank)
          EXPECT_EQ(all[rank], std::to_string(rank) + bytes);
        EXPECT_EQ(self.getPeers().size(), size_t(ranks - 1));
      }
      return good;
    };
    for (const RunReport &report : run(ranks, body))
      EXPECT_EQ(report.error, "");
  }
}

TEST_P(RendezvousTest, TellsAllTheFirstObjection) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    if (!self.meet(token, report))
      return false;
    int64_t rank = self.getRank();
    return self.agree(rank >= 2 ? "no, says " + std::to_string(rank) : "",
                      report);
  };
  for (const RunReport &report : run(4, body)) {
    EXPECT_EQ(report.outcome, RunReport::Failed);
    EXPECT_EQ(report.error, "no, says 2");
  }
}

TEST_P(RendezvousTest, NamesRanksWithAnotherLayer) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    Fingerprint mine = token;
    mine[31] = std::byte(self.getRank() % 2);
    return self.meet(mine, report);
  };
  for (const RunReport &report : run(4, body)) {
    EXPECT_EQ(report.outcome, RunReport::Failed);
    EXPECT_EQ(report.error,
              "ranks 1, 3 have another compiled layer than rank 0");
  }
}

TEST_P(RendezvousTest, NamesRanksThatDoNotCome) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    if (self.getRank() % 2 == 0)
      return self.meet(token, report);
    return true;
  };
  std::vector<RunReport> reports = run(5, body, 0.4);
  for (int64_t rank : {0, 2, 4}) {
    EXPECT_EQ(reports[rank].outcome, RunReport::TimedOut);
    EXPECT_EQ(reports[rank].error, "rank 0 has waited 0.4 s at " +
                                       endpoint.describe() + " for ranks 1, 3");
  }
}

TEST_P(RendezvousTest, NamesRankZeroIfItDoesNotCome) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    return self.getRank() == 0 || self.meet(token, report);
  };
  RunReport report = run(2, body, 0.3)[1];
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_EQ(report.error,
            "rank 1 has waited 0.3 s for rank 0: cannot connect to " +
                endpoint.describe() + ": Connection refused");
}

TEST_P(RendezvousTest, WaitsForALateRankZero) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    if (self.getRank() == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return self.meet(token, report) && self.agree("", report);
  };
  for (const RunReport &report : run(3, body))
    EXPECT_EQ(report.error, "");
}

TEST_P(RendezvousTest, RefusesTwoOfOneRank) {
  std::vector<RunReport> reports(3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&, i] {
      Rendezvous self(endpoint, i > 0, 3, 10);
      (void)self.meet(token, reports[i]);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const RunReport &report : reports) {
    EXPECT_EQ(report.outcome, RunReport::Failed);
    EXPECT_EQ(report.error, "two processes were told that they are rank 1");
  }
}

TEST_P(RendezvousTest, RefusesAnotherNumberOfRanks) {
  std::vector<RunReport> reports(2);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&, i] {
      Rendezvous self(endpoint, i == 0 ? 0 : 3, i == 0 ? 2 : 4, 10);
      (void)self.meet(token, reports[i]);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const RunReport &report : reports)
    EXPECT_EQ(report.error, "rank 3 was told that there are 4 ranks, rank 0 "
                            "that there are 2");
}

TEST_P(RendezvousTest, NoticesARankThatHasGone) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    if (!self.meet(token, report))
      return false;
    return self.getRank() == 2 || self.agree("", report);
  };
  std::vector<RunReport> reports = run(4, body);
  for (int64_t rank : {0, 1, 3}) {
    EXPECT_EQ(reports[rank].outcome, RunReport::Failed);
    EXPECT_EQ(reports[rank].error, "rank 2 has gone");
  }
}

TEST_P(RendezvousTest, NoticesThatRankZeroHasGone) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    std::string bytes;
    return self.meet(token, report) &&
           (self.getRank() == 0 || self.broadcast(bytes, report));
  };
  std::vector<RunReport> reports = run(3, body);
  for (int64_t rank : {1, 2})
    EXPECT_EQ(reports[rank].error, "rank 0 has gone");
}

TEST_P(RendezvousTest, DoesNotWaitForEverForASilentRank) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    std::vector<std::string> all;
    if (!self.meet(token, report))
      return false;
    if (self.getRank() == 0)
      return self.gather("", all, report);
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    return true;
  };
  RunReport report = run(2, body, 0.3)[0];
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_EQ(report.error, "rank 1 has said nothing for 0.3 s");
}

INSTANTIATE_TEST_SUITE_P(Endpoints, RendezvousTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool> &info) {
                           return info.param ? "TCP" : "Local";
                         });

//===----------------------------------------------------------------------===//
// Strangers
//===----------------------------------------------------------------------===//

class StrangerTest : public RendezvousTest {};

TEST_P(StrangerTest, DelaysNobody) {
  std::thread stranger([&] {
    // One that is silent, ones that say something else, one that stops in the
    // middle, and one that goes at once.
    std::vector<int> sockets;
    for (const char *text :
         {"", "GET / HTTP/1.1\r\n\r\n", "moert-rv", "moert-xx", "m"}) {
      int socket = connectTo("127.0.0.1", endpoint.port);
      ASSERT_GE(socket, 0);
      EXPECT_GE(::send(socket, text, std::strlen(text), MSG_NOSIGNAL), 0);
      sockets.push_back(socket);
    }
    ::close(connectTo("127.0.0.1", endpoint.port));
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    for (int socket : sockets)
      ::close(socket);
  });
  auto start = std::chrono::steady_clock::now();
  auto body = [&](Rendezvous &self, RunReport &report) {
    // After the strangers.
    if (self.getRank() != 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return self.meet(token, report) && self.agree("", report);
  };
  for (const RunReport &report : run(3, body))
    EXPECT_EQ(report.error, "");
  EXPECT_LT(std::chrono::steady_clock::now() - start,
            std::chrono::milliseconds(600));
  stranger.join();
}

TEST_P(StrangerTest, CannotMakeRankZeroReserveMemory) {
  auto body = [&](Rendezvous &self, RunReport &report) {
    if (!self.meet(token, report))
      return false;
    if (self.getRank() == 0) {
      std::vector<std::string> all;
      return self.gather("", all, report);
    }
    uint64_t size = UINT64_MAX;
    EXPECT_EQ(::send(self.getPeers()[0].socket, &size, sizeof(size), 0), 8);
    return true;
  };
  EXPECT_EQ(run(2, body)[0].error, "rank 1 has gone");
}

TEST_P(StrangerTest, IsNotTakenForRankZero) {
  // A service that lets one in and says nothing of ours.
  uint16_t port;
  int listener = listenAnywhere(port);
  std::thread service([&] {
    while (true) {
      int guest = ::accept(listener, nullptr, nullptr);
      if (guest < 0)
        return;
      ::close(guest);
    }
  });
  Rendezvous self({"127.0.0.1", port, {}}, 1, 2, 0.5);
  RunReport report;
  EXPECT_FALSE(self.meet(token, report));
  EXPECT_EQ(report.outcome, RunReport::TimedOut);
  EXPECT_NE(report.error.find("is not rank 0 of this run"), std::string::npos)
      << report.error;
  // Rank 0 says so at once.
  Rendezvous zero({"127.0.0.1", port, {}}, 0, 2, 0.5);
  EXPECT_FALSE(zero.meet(token, report));
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error, "cannot listen at 127.0.0.1:" + std::to_string(port) +
                              ": Address already in use");
  ::shutdown(listener, SHUT_RDWR);
  ::close(listener);
  service.join();
}

TEST_P(StrangerTest, OnAnotherAddressIsNotHeard) {
  std::thread rankZero([&] {
    Rendezvous self(endpoint, 0, 2, 0.5);
    RunReport report;
    EXPECT_FALSE(self.meet(token, report));
  });
  int here = connectTo("127.0.0.1", endpoint.port);
  EXPECT_GE(here, 0);
  int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = loopback("127.0.0.2", endpoint.port);
  EXPECT_NE(::connect(socket, reinterpret_cast<sockaddr *>(&address),
                      sizeof(address)),
            0);
  ::close(socket);
  ::close(here);
  rankZero.join();
}

TEST_P(StrangerTest, HostIsAnErrorAtOnce) {
  Rendezvous self({"no-such-host.invalid", 1, {}}, 1, 2, 30);
  RunReport report;
  EXPECT_FALSE(self.meet(token, report));
  EXPECT_EQ(report.outcome, RunReport::Failed);
  EXPECT_EQ(report.error.find("cannot find the host 'no-such-host.invalid'"),
            0u)
      << report.error;
}

INSTANTIATE_TEST_SUITE_P(TCP, StrangerTest, testing::Values(true));

} // namespace

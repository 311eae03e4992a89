//===- Launched.cpp - Ranks as processes of a launcher --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CrashHandler.h"
#include "Futex.h"
#include "SharedRank.h"
#include "Sockets.h"
#include "Watch.h"
#include "moert/Rendezvous.h"
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <thread>
#include <utility>

using namespace moert;

//===----------------------------------------------------------------------===//
// Sharing memory
//===----------------------------------------------------------------------===//

/// Equal for processes that can share memory over a socket of this host.
static std::string identifyHost() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  char network[64] = {};
  (void)::readlink("/proc/self/ns/net", network, sizeof(network) - 1);
  return boot + " " + network;
}

static std::string drawName() {
  unsigned char bytes[16];
  (void)::getrandom(bytes, sizeof(bytes), 0);
  std::string name = "moert-";
  for (unsigned char byte : bytes)
    for (int digit : {byte >> 4, byte & 15})
      name += "0123456789abcdef"[digit];
  return name;
}

static bool sendDescriptor(int socket, int descriptor) {
  char byte = 0;
  iovec data = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::copy_n(reinterpret_cast<const unsigned char *>(&descriptor),
              sizeof(descriptor), CMSG_DATA(header));
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

static Descriptor receiveDescriptor(int socket) {
  char byte = 0;
  iovec data = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
    return Descriptor();
  cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (!header || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    return Descriptor();
  int descriptor = -1;
  std::copy_n(CMSG_DATA(header), sizeof(descriptor),
              reinterpret_cast<unsigned char *>(&descriptor));
  return Descriptor(descriptor);
}

/// Gives the memory of rank 0 to all who come. Returns an objection or "".
static std::string handOut(const Descriptor &listener, const Descriptor &file,
                           int64_t guests, double timeout) {
  int64_t deadline = deadlineAfter(timeout);
  while (guests > 0) {
    if (!waitFor(listener.get(), POLLIN, deadline))
      return std::to_string(guests) +
             " ranks did not take the memory of rank 0";
    Descriptor socket = acceptFrom(listener);
    guests -= socket.isOpen() && sendDescriptor(socket.get(), file.get());
  }
  return "";
}

static std::string takeMemory(const std::string &name, size_t boardBytes,
                              int64_t numRanks, double timeout,
                              SharedMemory &memory) {
  int64_t deadline = deadlineAfter(timeout);
  std::string error;
  bool again;
  Endpoint endpoint{{}, 0, name};
  Descriptor socket = connectTo(endpoint, deadline, error, again);
  if (!socket.isOpen())
    return error;
  Descriptor file;
  if (waitFor(socket.get(), POLLIN, deadline))
    file = receiveDescriptor(socket.get());
  if (!file.isOpen())
    return "rank 0 did not hand out its memory";
  (void)memory.attach(std::move(file), boardBytes, numRanks, error);
  return error;
}

/// Makes the memory of the run, or gets it from rank 0.
static bool shareMemory(Rendezvous &rendezvous, size_t boardBytes,
                        SharedMemory &memory, RunReport &report) {
  int64_t ranks = rendezvous.getNumRanks();
  std::vector<std::string> hosts;
  std::string objection, name = drawName();
  bool heard = rendezvous.gather(identifyHost(), hosts, report);
  if (!heard && rendezvous.getRank() != 0)
    return false;
  Descriptor listener;
  if (!heard) {
    // The others shall hear why.
    objection = std::exchange(report, {}).error;
  } else if (rendezvous.getRank() == 0) {
    for (int64_t rank = 1; rank < ranks && objection.empty(); ++rank)
      if (hosts[rank] != hosts[0])
        objection = "rank " + std::to_string(rank) +
                    " is on another host than rank 0, or in another container, "
                    "where the CPU back end does not reach";
    if (objection.empty() && memory.create(boardBytes, ranks, objection))
      listener = listenAt({{}, 0, name}, objection);
  }
  if (!rendezvous.agree(objection, report) ||
      !rendezvous.broadcast(name, report))
    return false;
  objection = rendezvous.getRank() == 0
                  ? handOut(listener, memory.getFile(), ranks - 1,
                            rendezvous.getTimeout())
                  : takeMemory(name, boardBytes, ranks, rendezvous.getTimeout(),
                               memory);
  return rendezvous.agree(objection, report);
}

//===----------------------------------------------------------------------===//
// The run
//===----------------------------------------------------------------------===//

RunReport moert::runRank(const Program &program, Rendezvous &rendezvous,
                         std::vector<LocalTensors> &arguments,
                         std::vector<LocalTensors> &results,
                         const RunOptions &options) {
  const ProgramInfo &info = program.getInfo();
  int64_t rank = rendezvous.getRank(), ranks = info.numRanks();
  RunReport report;
  auto memory = std::make_unique<SharedMemory>();
  if (!shareMemory(rendezvous, Meeting::bytesFor(info), *memory, report))
    return report;
  auto meeting =
      std::make_unique<Meeting>(info, memory->getBoard(), options.timeout);
  auto self = std::make_unique<SharedRank>(info, rank, *meeting, *memory);
  auto crashes = std::make_unique<CrashHandler>();
  results.assign(ranks, {});
  for (int64_t other = 0; other < ranks; ++other)
    if (rank == 0 || other == rank)
      results[other] = allocateResults(info, other);
  bool stopped;
  {
    Watch watch(rendezvous, [&meeting = *meeting](int64_t gone) {
      if (!meeting.hasStopped(gone))
        meeting.end(RunReport::Failed, "the process of rank " +
                                           std::to_string(gone) + " died " +
                                           meeting.describePlace(gone));
    });
    std::thread thread([&, meeting = meeting.get(), self = self.get()] {
      CrashScope scope(*meeting, rank);
      (void)self->runAndPublish(program, arguments[rank], results[rank],
                                options);
      meeting->stop(rank);
    });
    stopped = meeting->waitUntilStopped({&rank, 1}, /*grace=*/1);
    stopped ? thread.join() : thread.detach();
  }
  meeting->getReason(report);
  if (!stopped) {
    // The thread still uses these, and may still crash.
    (void)memory.release();
    (void)meeting.release();
    (void)self.release();
    (void)crashes.release();
  }
  if (report.outcome != RunReport::Finished || rank != 0)
    return report;
  report.collectives = meeting->getCounts();
  report.spans.resize(ranks);
  for (int64_t other = 0; other < ranks; ++other)
    if (!collect(*memory, other,
                 options.afterStep ? &arguments[other] : nullptr,
                 results[other], report.spans[other])) {
      report.outcome = RunReport::Failed;
      report.error = "cannot map the results of rank " + std::to_string(other);
      return report;
    }
  return report;
}

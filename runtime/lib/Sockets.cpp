//===- Sockets.cpp - Stream sockets with deadlines ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Sockets.h"
#include "Futex.h"
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace moert;

//===----------------------------------------------------------------------===//
// Transfers
//===----------------------------------------------------------------------===//

bool moert::waitFor(int socket, short events, int64_t deadline) {
  while (true) {
    int64_t left = (deadline - monotonicNow() + 999'999) / 1'000'000;
    if (left <= 0)
      return false;
    pollfd poll = {socket, events, 0};
    if (::poll(&poll, 1, int(std::min<int64_t>(left, INT_MAX))) > 0)
      return true;
  }
}

Transfer moert::sendAll(int socket, std::string_view bytes, int64_t deadline) {
  while (!bytes.empty()) {
    ssize_t sent =
        ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
      bytes.remove_prefix(sent);
    else if (errno == EAGAIN) {
      if (!waitFor(socket, POLLOUT, deadline))
        return Transfer::Late;
    } else if (errno != EINTR)
      return Transfer::Gone;
  }
  return Transfer::Done;
}

Transfer moert::receiveAll(int socket, char *bytes, size_t size,
                           int64_t deadline) {
  while (size > 0) {
    ssize_t got = ::recv(socket, bytes, size, MSG_DONTWAIT);
    if (got > 0) {
      bytes += got;
      size -= got;
    } else if (got < 0 && errno == EAGAIN) {
      if (!waitFor(socket, POLLIN, deadline))
        return Transfer::Late;
    } else if (got == 0 || errno != EINTR)
      return Transfer::Gone;
  }
  return Transfer::Done;
}

//===----------------------------------------------------------------------===//
// Addresses
//===----------------------------------------------------------------------===//

namespace {
struct Address {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  int family = AF_UNIX;

  const sockaddr *get() const {
    return reinterpret_cast<const sockaddr *>(&storage);
  }
};
} // namespace

std::string Endpoint::describe() const {
  if (host.empty())
    return "'" + name + "' on this host";
  bool numericV6 = host.find(':') != std::string::npos;
  return (numericV6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

static std::vector<Address> resolve(const Endpoint &endpoint,
                                    std::string &error) {
  std::vector<Address> addresses;
  if (endpoint.host.empty()) {
    // An abstract name, which is gone with the process that has it.
    auto *name =
        reinterpret_cast<sockaddr_un *>(&addresses.emplace_back().storage);
    name->sun_family = AF_UNIX;
    size_t length =
        endpoint.name.copy(name->sun_path + 1, sizeof(name->sun_path) - 1);
    addresses[0].size = offsetof(sockaddr_un, sun_path) + 1 + length;
    return addresses;
  }
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  int code =
      ::getaddrinfo(endpoint.host.c_str(),
                    std::to_string(endpoint.port).c_str(), &hints, &found);
  if (code != 0) {
    error =
        "cannot find the host '" + endpoint.host + "': " + ::gai_strerror(code);
    return addresses;
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, ::freeaddrinfo);
  for (; found; found = found->ai_next) {
    Address &address = addresses.emplace_back();
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    address.family = found->ai_family;
  }
  return addresses;
}

static Descriptor makeSocket(int family) {
  Descriptor made(
      ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int on = 1;
  if (made.isOpen() && family != AF_UNIX) {
    ::setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    // A listener of a run before this one leaves its port busy for a while.
    ::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  }
  return made;
}

/// Whether the other side of a connection on this machine is of the same user.
static bool isOwn(const Descriptor &socket) {
  ucred other = {};
  socklen_t size = sizeof(other);
  int family = 0;
  socklen_t familySize = sizeof(family);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &familySize) !=
      0)
    return false;
  return family != AF_UNIX || (::getsockopt(socket.get(), SOL_SOCKET,
                                            SO_PEERCRED, &other, &size) == 0 &&
                               other.uid == ::geteuid());
}

Descriptor moert::listenAt(const Endpoint &endpoint, std::string &error) {
  for (const Address &address : resolve(endpoint, error)) {
    Descriptor socket = makeSocket(address.family);
    if (socket.isOpen() &&
        ::bind(socket.get(), address.get(), address.size) == 0 &&
        ::listen(socket.get(), SOMAXCONN) == 0)
      return socket;
    error = "cannot listen at " + endpoint.describe() + ": " +
            describeSystemError(errno);
  }
  return Descriptor();
}

Descriptor moert::acceptFrom(const Descriptor &listener) {
  Descriptor socket(::accept4(listener.get(), nullptr, nullptr,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.isOpen() && !isOwn(socket))
    return Descriptor();
  return socket;
}

Descriptor moert::connectTo(const Endpoint &endpoint, int64_t deadline,
                            std::string &error, bool &again) {
  again = false;
  for (const Address &address : resolve(endpoint, error)) {
    Descriptor socket = makeSocket(address.family);
    int code = 0;
    socklen_t size = sizeof(code);
    if (!socket.isOpen() ||
        ::connect(socket.get(), address.get(), address.size) != 0)
      code = errno;
    if (code == EINPROGRESS) {
      if (!waitFor(socket.get(), POLLOUT, deadline))
        code = ETIMEDOUT;
      else
        ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &code, &size);
    }
    if (code == 0 && isOwn(socket))
      return socket;
    again = true;
    error = "cannot connect to " + endpoint.describe() + ": " +
            (code == 0 ? "another user's program listens there"
                       : describeSystemError(code));
  }
  return Descriptor();
}

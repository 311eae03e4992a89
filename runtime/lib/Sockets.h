//===- Sockets.h - Stream sockets with deadlines ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_SOCKETS_H
#define MOERT_LIB_SOCKETS_H

#include "Descriptor.h"
#include "moert/Rendezvous.h"
#include <string_view>

namespace moert {

enum class Transfer {
  Done,
  /// The other side has closed the connection or is gone.
  Gone,
  /// The deadline has passed.
  Late,
};

/// Sends all bytes until `deadline`, a time of monotonicNow.
Transfer sendAll(int socket, std::string_view bytes, int64_t deadline);
/// Receives exactly `size` bytes.
Transfer receiveAll(int socket, char *bytes, size_t size, int64_t deadline);

/// Sleeps until one of `events` happens. Returns false at the deadline.
bool waitFor(int socket, short events, int64_t deadline);

/// A socket that listens at `endpoint` and does not block. Not open on failure,
/// with one sentence in `error`.
Descriptor listenAt(const Endpoint &endpoint, std::string &error);
/// The next connection, of an own process where that can be known. Not open if
/// there is none.
Descriptor acceptFrom(const Descriptor &listener);
/// A connection to `endpoint`. Not open on failure, with one sentence in
/// `error`; it is worth trying again if `again` is set.
Descriptor connectTo(const Endpoint &endpoint, int64_t deadline,
                     std::string &error, bool &again);

} // namespace moert

#endif // MOERT_LIB_SOCKETS_H

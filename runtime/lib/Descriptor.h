//===- Descriptor.h - An open file ------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_DESCRIPTOR_H
#define MOERT_LIB_DESCRIPTOR_H

#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace moert {

/// Owns a file descriptor.
class Descriptor {
public:
  Descriptor() = default;
  explicit Descriptor(int number) : number(number) {}
  Descriptor(Descriptor &&other) noexcept
      : number(std::exchange(other.number, -1)) {}
  Descriptor &operator=(Descriptor &&other) noexcept {
    std::swap(number, other.number);
    return *this;
  }
  ~Descriptor() { (void)close(); }

  int get() const { return number; }
  bool isOpen() const { return number >= 0; }

  /// Gives the descriptor away.
  int release() { return std::exchange(number, -1); }

  /// Closes the file and returns whether that worked: some file systems report
  /// a full disk only here.
  bool close() {
    int open = std::exchange(number, -1);
    return open < 0 || ::close(open) == 0;
  }

private:
  int number = -1;
};

/// "No such file or directory".
inline std::string describeSystemError(int code) {
  return std::generic_category().message(code);
}

} // namespace moert

#endif // MOERT_LIB_DESCRIPTOR_H

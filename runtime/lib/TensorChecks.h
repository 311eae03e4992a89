//===- TensorChecks.h - Errors and checks of tensors ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to the library: how its parts report errors among themselves, and the
// checks that reading, writing and converting share.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_TENSORCHECKS_H
#define MOERT_LIB_TENSORCHECKS_H

#include "moert/SafeTensors.h"

#include <exception>
#include <new>
#include <stdexcept>
#include <string_view>

namespace moert {

/// The element types that this library has, for messages.
inline constexpr const char *knownTypes = "BF16, F32, F64, I32, I64 and U64";

/// A complaint about a file, thrown and caught inside this library only.
struct FormatError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Quotes a string from a file for a message. Such strings may be huge or hold
/// control characters that would garble a terminal.
std::string quote(std::string_view text);

/// Returns the number of bytes that a tensor of this type and shape has.
/// Throws FormatError, in terms of the tensor called `subject`, if the type is
/// unknown or the number has no 64-bit representation.
uint64_t byteCount(const std::string &subject, const std::string &dtype,
                   const std::vector<int64_t> &shape);

/// Throws FormatError if the data of `tensor` does not have the size that its
/// type and shape demand.
void checkSize(const std::string &subject, const Tensor &tensor);

/// Returns the length field and the header of a file of these tensors; `data`
/// gets the order in which their data follows. Throws FormatError.
std::string layOutSafeTensors(const TensorMap &tensors,
                              std::vector<const Tensor *> &data);

/// Runs `body` and turns whatever it throws into `error`, which starts with
/// `prefix`. This is the border that no exception crosses.
template <typename Body>
bool guarded(const std::string &prefix, std::string &error,
             Body body) noexcept {
  try {
    try {
      body();
      return true;
    } catch (const std::bad_alloc &) {
      error = prefix + "there is not enough memory for it; free some or use "
                       "smaller tensors";
    } catch (const std::exception &exception) {
      error = prefix + exception.what();
    }
  } catch (...) {
    // Even the message did not fit. A string this short needs no memory.
    error = "out of memory";
  }
  return false;
}

} // namespace moert

#endif // MOERT_LIB_TENSORCHECKS_H

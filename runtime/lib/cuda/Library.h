//===- Library.h - A shared library loaded on demand ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_CUDA_LIBRARY_H
#define MOERT_LIB_CUDA_LIBRARY_H

#include "Failure.h"

namespace moert::cuda {

/// Stays loaded: its threads and handlers outlive every run.
class Library {
public:
  /// Throws Failure, with the loader's reason after `what` and with `help`.
  Library(const char *file, const std::string &what, const std::string &help);

  /// Null if there is none of that name.
  void *find(const char *symbol) const;

private:
  void *handle;
};

} // namespace moert::cuda

/// The name that `name` stands for where a header defines it as a macro.
#define MOERT_SYMBOL(name) MOERT_SYMBOL_TEXT(name)
#define MOERT_SYMBOL_TEXT(name) #name

#endif // MOERT_LIB_CUDA_LIBRARY_H

//===- Library.cpp - A shared library loaded on demand --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Library.h"
#include <dlfcn.h>

using namespace moert::cuda;

Library::Library(const char *file, const std::string &what,
                 const std::string &help)
    : handle(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
  if (!handle)
    throw Failure{what + ": " + ::dlerror(), help};
}

void *Library::find(const char *symbol) const {
  return ::dlsym(handle, symbol);
}

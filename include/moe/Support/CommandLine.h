//===- CommandLine.h - Errors of the command line ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SUPPORT_COMMANDLINE_H
#define MOE_SUPPORT_COMMANDLINE_H

#include "llvm/ADT/StringRef.h"

namespace moe {

/// Reads the flags that are declared with llvm::cl. Prints the first complaint
/// as the program's other errors are, and returns false then.
bool parseCommandLine(int argc, char **argv, llvm::StringRef overview);

} // namespace moe

#endif // MOE_SUPPORT_COMMANDLINE_H

//===- CommandLine.cpp - Errors of the command line -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Support/CommandLine.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Path.h"

bool moe::parseCommandLine(int argc, char **argv, llvm::StringRef overview) {
  std::string complaints;
  llvm::raw_string_ostream os(complaints);
  if (llvm::cl::ParseCommandLineOptions(argc, argv, overview, &os))
    return true;
  // The first line says it; it ends in advice of its own, "Try: ..".
  llvm::StringRef line = llvm::StringRef(complaints).split('\n').first;
  line = line.substr(0, line.find("  Try: "));
  llvm::StringRef program = llvm::sys::path::filename(argv[0]);
  line.consume_front((program + ": ").str());
  std::string message = line.rtrim(".! ").str();
  // Of a wrong value llvm::cl has complained by itself.
  if (!message.empty()) {
    message[0] = llvm::toLower(message[0]);
    llvm::errs() << program << ": error: " << message << "\n";
  }
  llvm::errs() << "help: " << program << " --help lists the flags\n";
  return false;
}

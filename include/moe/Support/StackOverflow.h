//===- StackOverflow.h - Text that nests too deeply -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SUPPORT_STACKOVERFLOW_H
#define MOE_SUPPORT_STACKOVERFLOW_H

#include "llvm/ADT/StringRef.h"

namespace moe {

/// From here on, if the calling thread runs out of stack, the program ends with
/// exit code 1 and an error of `tool` about `input`, and leaves no output file.
/// MLIR's parser and printer recurse over what nests, so any text may lead
/// there. Call it once, after `llvm::InitLLVM`.
void reportStackOverflow(llvm::StringRef tool, llvm::StringRef input);

} // namespace moe

#endif // MOE_SUPPORT_STACKOVERFLOW_H

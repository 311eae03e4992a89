//===- OutputFile.h - Files that are whole or not there ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SUPPORT_OUTPUTFILE_H
#define MOE_SUPPORT_OUTPUTFILE_H

#include "llvm/Support/Error.h"

namespace moe {

/// Writes `contents` to `path`, or to the standard output if that is "-". A
/// file is written beside its place and then moved there: it is replaced by a
/// whole one or stays as it was. A device or a pipe is written to and never
/// replaced. Errors name the path.
llvm::Error writeOutputFile(llvm::StringRef path, llvm::StringRef contents);

} // namespace moe

#endif // MOE_SUPPORT_OUTPUTFILE_H

//===- Artifact.h - The file of a compiled layer ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_ARTIFACT_H
#define MOERT_LIB_ARTIFACT_H

#include "moert/Program.h"

namespace moert {

/// Reads the description out of the shared object at `path`, without running
/// anything of it: loading a file that is cut short would end the process, and
/// one that is not ours would run its constructors. Returns false and one
/// sentence in `error` if the file is no compiled layer.
bool readArtifact(const std::string &path, std::string &description,
                  Fingerprint &fingerprint, std::string &error);

} // namespace moert

#endif // MOERT_LIB_ARTIFACT_H

//===- Calibrate.h - What collectives cost on this machine ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_MOE_RUN_CALIBRATE_H
#define MOE_TOOLS_MOE_RUN_CALIBRATE_H

#include "Launch.h"

/// Measures collectives of many sizes, over all ranks and over each mesh axis,
/// prints the times and writes the file of costs that --calibrate names.
/// Returns the exit code, having printed the error.
int calibrate(const Options &options, const Launch &launch);

#endif // MOE_TOOLS_MOE_RUN_CALIBRATE_H

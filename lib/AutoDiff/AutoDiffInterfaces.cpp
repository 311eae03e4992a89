//===- AutoDiffInterfaces.cpp - Derivatives of operations -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/AutoDiff/AutoDiffInterfaces.h"

#include "moe/AutoDiff/AutoDiffInterfaces.cpp.inc"

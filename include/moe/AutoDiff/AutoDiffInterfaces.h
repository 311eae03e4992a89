//===- AutoDiffInterfaces.h - Derivatives of operations ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_AUTODIFF_AUTODIFFINTERFACES_H
#define MOE_AUTODIFF_AUTODIFFINTERFACES_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

#include "moe/AutoDiff/AutoDiffInterfaces.h.inc"

#endif // MOE_AUTODIFF_AUTODIFFINTERFACES_H

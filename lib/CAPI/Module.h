//===- Module.h - A program of the C API ------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CAPI_MODULE_H
#define MOE_LIB_CAPI_MODULE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "moe-c/Module.h"
#include <memory>

struct MoEModule {
  /// Shared with its copies.
  std::shared_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

#endif // MOE_LIB_CAPI_MODULE_H

//===- ProgramDescription.h - What a compiled program says of itself ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_PROGRAMDESCRIPTION_H
#define MOE_TARGET_PROGRAMDESCRIPTION_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "llvm/Support/JSON.h"

namespace moe {

/// The JSON of runtime/include/moert/moert.h for a localized function, its
/// collectives and launches, and the kernels of its device, all in order.
llvm::json::Object
describeProgram(mlir::func::FuncOp function,
                llvm::ArrayRef<rt::CollectiveOpInterface> collectives,
                llvm::ArrayRef<rt::LaunchOp> launches,
                llvm::ArrayRef<mlir::gpu::GPUFuncOp> kernels,
                llvm::StringRef target);

} // namespace moe

#endif // MOE_TARGET_PROGRAMDESCRIPTION_H

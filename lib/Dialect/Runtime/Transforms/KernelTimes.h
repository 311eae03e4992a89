//===- KernelTimes.h - What operations will take on a device ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_KERNELTIMES_H
#define MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_KERNELTIMES_H

#include "mlir/IR/Operation.h"
#include "moe/Dialect/SPMD/IR/CostModel.h"

namespace moe::rt {

/// Whether an operation on tensors becomes a kernel, or a call of the host that
/// waits for kernels. A fill is a part of what is summed into it.
bool isKernel(mlir::Operation *op);

/// Of a kernel, picoseconds. Rows that routing decides on are taken to be cut
/// evenly, and loops to be kernels of their own, which may be joined later.
int64_t getKernelTime(mlir::Operation *op, const moe::spmd::CostModel &model);

} // namespace moe::rt

#endif // MOE_LIB_DIALECT_RUNTIME_TRANSFORMS_KERNELTIMES_H

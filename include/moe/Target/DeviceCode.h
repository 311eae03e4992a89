//===- DeviceCode.h - Kernels to PTX and to machine code --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_DEVICECODE_H
#define MOE_TARGET_DEVICECODE_H

#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace moe {

/// The PTX of the module's `gpu.module`, in the NVVM dialect, for `chip`
/// (`sm_90a`). Equal modules give equal text. Reports errors at the module.
mlir::FailureOr<std::string> emitPTX(mlir::ModuleOp module,
                                     llvm::StringRef chip);

/// Has NVIDIA's `ptxas` make machine code of the kernels, and replaces them by
/// the constants `moert_device_code` and `moert_device_code_size`, so that what
/// is left is a host program. `ptxas` is looked for in MOE_CUDA_PATH/bin,
/// CUDA_HOME/bin, the search path and /usr/local/cuda/bin, in this order.
/// Reports errors at the module.
mlir::LogicalResult embedDeviceCode(mlir::ModuleOp module,
                                    llvm::StringRef chip);

} // namespace moe

#endif // MOE_TARGET_DEVICECODE_H

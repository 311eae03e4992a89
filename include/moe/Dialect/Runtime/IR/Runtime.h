//===- Runtime.h - The moert dialect ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_RUNTIME_IR_RUNTIME_H
#define MOE_DIALECT_RUNTIME_IR_RUNTIME_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "moe/Dialect/Runtime/IR/RuntimeDialect.h.inc"

#define GET_OP_CLASSES
#include "moe/Dialect/Runtime/IR/RuntimeOps.h.inc"

namespace moe::rt {

/// Lets one-shot bufferization see the dialect's operations.
void registerBufferizableOpInterfaceModels(mlir::DialectRegistry &registry);

} // namespace moe::rt

#endif // MOE_DIALECT_RUNTIME_IR_RUNTIME_H

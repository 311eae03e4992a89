//===- SharedObject.h - LLVM dialect to a shared object ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_SHAREDOBJECT_H
#define MOE_TARGET_SHAREDOBJECT_H

#include "mlir/IR/BuiltinOps.h"

namespace llvm {
class raw_ostream;
} // namespace llvm

namespace moe {

/// Prints the LLVM IR of a module in the LLVM dialect, optimized for this
/// machine's processor. Errors are reported at the module.
mlir::LogicalResult emitLLVMIR(mlir::ModuleOp module, llvm::raw_ostream &os);

/// The module's code for this machine, as the contents of an object file.
mlir::FailureOr<std::string> emitObject(mlir::ModuleOp module);

/// The module as a shared object, as the contents of its file. Its `moert_*`
/// symbols are left to the program that loads it. Errors, reported at the
/// module: no linker is found, it fails, there is no place for temporary files.
mlir::FailureOr<std::string> emitSharedObject(mlir::ModuleOp module);

} // namespace moe

#endif // MOE_TARGET_SHAREDOBJECT_H

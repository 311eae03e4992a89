//===- InProcess.h - LLVM dialect to code in this process -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_INPROCESS_H
#define MOE_TARGET_INPROCESS_H

#include "mlir/IR/BuiltinOps.h"
#include <memory>

namespace llvm::orc {
class LLJIT;
} // namespace llvm::orc

namespace moe {

/// A function that code may call, by its name.
struct HostSymbol {
  llvm::StringRef name;
  void *address;
};

/// Code for this machine's CPU, in this process. No linker is needed.
class InProcessCode {
public:
  /// Of a module in the LLVM dialect, which may call `symbols` and libm.
  /// Errors are reported at the module.
  static mlir::FailureOr<std::unique_ptr<InProcessCode>>
  load(mlir::ModuleOp module, llvm::ArrayRef<HostSymbol> symbols);
  ~InProcessCode();

  /// The address of a symbol of the module; null if it has none of that name.
  void *lookup(llvm::StringRef name) const;

private:
  explicit InProcessCode(std::unique_ptr<llvm::orc::LLJIT> jit);

  std::unique_ptr<llvm::orc::LLJIT> jit;
};

} // namespace moe

#endif // MOE_TARGET_INPROCESS_H

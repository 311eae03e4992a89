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
#include "moe/Dialect/SPMD/IR/CostModel.h"

#include "moe/Dialect/Runtime/IR/RuntimeDialect.h.inc"

namespace moe::rt::detail {
mlir::LogicalResult verifyCollective(mlir::Operation *op);
} // namespace moe::rt::detail

#include "moe/Dialect/Runtime/IR/RuntimeInterfaces.h.inc"

#define GET_OP_CLASSES
#include "moe/Dialect/Runtime/IR/RuntimeOps.h.inc"

namespace moe::rt {

/// How much one rank sends in a collective.
struct BytesSent {
  int64_t bytes = 0;
  /// Routing decides, and `bytes` is the most there can be.
  bool isBound = false;
};

/// What rank `rank` of the mesh sends, by ring algorithms. Nothing where the
/// operation does not say what its operands are parts of.
std::optional<BytesSent> getBytesSent(CollectiveOpInterface op, int64_t rank);

/// What it is estimated to take, in picoseconds; rows that routing decides on
/// are taken to be cut evenly. Nothing where the operation does not say what
/// its operands are parts of.
std::optional<int64_t> getCost(CollectiveOpInterface op,
                               const moe::spmd::CostModel &model);

/// Lets one-shot bufferization see the dialect's operations.
void registerBufferizableOpInterfaceModels(mlir::DialectRegistry &registry);

} // namespace moe::rt

#endif // MOE_DIALECT_RUNTIME_IR_RUNTIME_H

//===- KernelBuilder.h - Kernels and their launches -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shared by the families of kernels: each replaces operations on buffers by a
// launch of a kernel that it makes.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_FORMKERNELS_KERNELBUILDER_H
#define MOE_LIB_CONVERSION_FORMKERNELS_KERNELBUILDER_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Builders.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "llvm/ADT/DenseMap.h"

namespace moe {

using mlir::Location;
using mlir::LogicalResult;
using mlir::OpBuilder;
using mlir::Operation;
using mlir::OpFoldResult;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// What a launch says besides its kernel and arguments.
struct LaunchShape {
  OpFoldResult x, y, z;
  int32_t block = 1;
  /// Bytes of dynamic shared memory.
  int32_t shared = 0;
  /// What is computed, and what has to be moved.
  OpFoldResult flops, bytes;
};

/// Kernels of one module, and the host code that launches them.
class KernelBuilder {
public:
  KernelBuilder(mlir::gpu::GPUModuleOp module, Value rank)
      : module(module), rank(rank) {}

  /// A kernel over `arguments`, called after `stem` and a number. `name` and
  /// types decide nothing else.
  mlir::gpu::GPUFuncOp create(Location loc, llvm::StringRef stem,
                              mlir::TypeRange arguments);
  /// Kernels of a text of MLIR, in which `$NAME` stands for what `values` says.
  /// The text has one `gpu.func` called `kernel`; it gets a name as above.
  mlir::gpu::GPUFuncOp
  parse(Location loc, llvm::StringRef stem, llvm::StringRef text,
        llvm::ArrayRef<std::pair<llvm::StringRef, std::string>> values);
  void launch(OpBuilder &builder, Location loc, mlir::gpu::GPUFuncOp kernel,
              const LaunchShape &shape, ValueRange arguments);

  /// Kernels made so far: the number of the next one.
  unsigned getNumKernels() const { return count; }

  mlir::gpu::GPUModuleOp module;
  /// The first argument of the host function.
  Value rank;
  /// By offsets and tile size: the list of tiles of grouped rows.
  llvm::DenseMap<std::pair<Value, int64_t>, Value> tiles;

  /// Where `kernel` reports impossible data. `error` says what is wrong, with
  /// "{}" for the value that it reports.
  Value getFault(OpBuilder &builder, mlir::gpu::GPUFuncOp kernel,
                 llvm::StringRef error, llvm::StringRef help);

private:
  std::string nextName(llvm::StringRef stem);
  unsigned count = 0;
};

//===----------------------------------------------------------------------===//
// Sizes on the host
//===----------------------------------------------------------------------===//

/// Arithmetic on sizes, folded where they are known.
class SizeBuilder {
public:
  SizeBuilder(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}
  OpFoldResult dim(Value memref, int64_t dim);
  OpFoldResult constant(int64_t value) { return builder.getIndexAttr(value); }
  OpFoldResult mul(OpFoldResult a, OpFoldResult b);
  OpFoldResult add(OpFoldResult a, OpFoldResult b);
  OpFoldResult ceilDiv(OpFoldResult a, int64_t b);
  OpFoldResult product(llvm::ArrayRef<OpFoldResult> sizes);
  /// Elements of a memref.
  OpFoldResult elements(Value memref);
  OpFoldResult bytes(Value memref);
  Value toValue(OpFoldResult size);

private:
  OpBuilder &builder;
  Location loc;
};

/// A grid of `blocks` along x, of which each buffer is read or written once.
LaunchShape getLineShape(SizeBuilder &sizes, OpFoldResult blocks,
                         int32_t threads, llvm::ArrayRef<Value> buffers);

/// A type as a kernel's text spells it.
std::string printType(Type type);

//===----------------------------------------------------------------------===//
// Families of kernels
//===----------------------------------------------------------------------===//

/// A loop over elements: one thread per element of the result, or one warp
/// where the last dimension of the operands is summed up.
LogicalResult formLoopKernel(KernelBuilder &kernels, mlir::linalg::LinalgOp op);

/// Matrix products, dense and grouped by expert.
LogicalResult formProductKernel(KernelBuilder &kernels, rt::EinsumOp op);
LogicalResult formProductKernel(KernelBuilder &kernels, rt::GroupedEinsumOp op);

/// The choice of experts and the order of rows.
LogicalResult formTopKKernel(KernelBuilder &kernels, rt::TopKOp op);
LogicalResult formCountKernel(KernelBuilder &kernels, rt::CountRowsOp op);
LogicalResult formSortKernels(KernelBuilder &kernels, rt::SortRowsOp op);
LogicalResult formExchangeKernel(KernelBuilder &kernels, rt::PlanExchangeOp op);

} // namespace moe

#endif // MOE_LIB_CONVERSION_FORMKERNELS_KERNELBUILDER_H

//===- Dependence.h - How a value depends on terms of a reduction -*- C++ -*-=//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Some operands of an operation are Partial. Its results are Partial in turn if
// the operation commutes with the reduction, applied to all those operands at
// once while the others are held. Scalar operations say what becomes of each
// kind of dependence; an operation with a body follows from its scalars.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_EXTERNALMODELS_DEPENDENCE_H
#define MOE_LIB_DIALECT_SPMD_EXTERNALMODELS_DEPENDENCE_H

#include "mlir/IR/Operation.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <optional>

namespace moe::spmd {

enum class Dependence : uint8_t {
  /// Zero, whatever the terms are.
  Zero,
  /// Does not depend on the terms.
  Constant,
  /// Commutes with the reduction: f(reduce x_r) = reduce f(x_r).
  Commutes,
  /// Makes a max a min and a min a max: f(max x_r) = min f(x_r).
  Reverses,
  /// A sum of one that commutes and a constant: commutes with a mean, not with
  /// a sum.
  Affine,
  /// None of these, as far as is known.
  Other,
};

/// That of the result of the scalar operation `op`. Anything it does not know
/// is `Other`, unless it depends on nothing.
Dependence applyScalar(mlir::Operation *op, llvm::ArrayRef<Dependence> operands,
                       ReductionKind kind);

/// That of a result, given those of the operands.
using DependenceFn =
    llvm::function_ref<Dependence(llvm::ArrayRef<Dependence>, ReductionKind)>;

/// The placement of one result if some of `operands` are Partial or Mixed and
/// none is cut; `isZero[i]` says that operand i is zero everywhere.
Transfer transferTerms(DependenceFn result, llvm::ArrayRef<Placement> operands,
                       llvm::ArrayRef<bool> isZero);

/// The one element that `value` consists of, whatever piece of it is wanted: a
/// null attribute if it is one but unknown, nothing if it is not.
std::optional<mlir::Attribute> getUniformElement(mlir::Value value);
bool isUniformZero(mlir::Value value);

/// Which operands of `op` are zero everywhere.
llvm::SmallVector<bool> findZeros(mlir::Operation *op);

/// Gives operands that consist of one element the cut that they meet.
llvm::SmallVector<Placement> adoptCuts(const PlacementRule &rule,
                                       mlir::ValueRange values,
                                       llvm::ArrayRef<Placement> operands);

/// Attach the models of one kind of operations each.
void registerElementwiseModels(mlir::DialectRegistry &registry);
void registerLinalgModels(mlir::DialectRegistry &registry);
void registerTensorModels(mlir::DialectRegistry &registry);

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_EXTERNALMODELS_DEPENDENCE_H

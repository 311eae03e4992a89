//===- PlacementModels.h - Rules of upstream operations ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_EXTERNALMODELS_PLACEMENTMODELS_H
#define MOE_DIALECT_SPMD_EXTERNALMODELS_PLACEMENTMODELS_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace moe::spmd {

/// Attaches PlacementOpInterface to the operations of arith, math, linalg and
/// tensor that may stand in the body of a `spmd.compute`.
void registerPlacementModels(mlir::DialectRegistry &registry);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_EXTERNALMODELS_PLACEMENTMODELS_H

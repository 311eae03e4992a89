//===- PlacementModels.cpp - Rules of upstream operations -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/ExternalModels/PlacementModels.h"
#include "Dependence.h"

void moe::spmd::registerPlacementModels(mlir::DialectRegistry &registry) {
  registerElementwiseModels(registry);
  registerLinalgModels(registry);
  registerTensorModels(registry);
}

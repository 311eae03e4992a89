//===- Locations.h - What a location says to a user -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_LOCATIONS_H
#define MOE_DIALECT_SPMD_IR_LOCATIONS_H

#include "mlir/IR/Location.h"
#include <string>

namespace moe::spmd {

/// Part of the backward pass: differentiation fused the forward operation's
/// location.
bool isBackward(mlir::Location loc);

/// The first place in a file, as `layer.mlir:5:10`; empty if there is none.
std::string getPlace(mlir::Location loc);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_LOCATIONS_H

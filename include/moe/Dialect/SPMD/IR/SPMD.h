//===- SPMD.h - The spmd dialect --------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_SPMD_H
#define MOE_DIALECT_SPMD_IR_SPMD_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypeInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "moe/AutoDiff/AutoDiffInterfaces.h"
#include "moe/Dialect/SPMD/IR/Placement.h"
#include "moe/Dialect/SPMD/IR/PlacementRule.h"

#include "moe/Dialect/SPMD/IR/SPMDDialect.h.inc"

#include "moe/Dialect/SPMD/IR/SPMDInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "moe/Dialect/SPMD/IR/SPMDAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "moe/Dialect/SPMD/IR/SPMDTypes.h.inc"

#define GET_OP_CLASSES
#include "moe/Dialect/SPMD/IR/SPMDOps.h.inc"

namespace moe::spmd {

/// The placements of the results of `op`, which stands in the body of a
/// `spmd.compute`, on leaf axis `axis` of its mesh; `placementOf` knows those
/// of the tensors before.
Transfer
transferThroughBody(mlir::Operation *op, unsigned axis,
                    llvm::function_ref<Placement(mlir::Value)> placementOf);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_SPMD_H

//===- MoE.h - The moe dialect ----------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_MOE_IR_MOE_H
#define MOE_DIALECT_MOE_IR_MOE_H

#include "moe/Dialect/SPMD/IR/SPMD.h"

#include "moe/Dialect/MoE/IR/MoEDialect.h.inc"

namespace moe {

/// What an axis does to tokens that are in equal parts.
enum class PartsCut {
  /// Nothing: it does not cut them.
  None,
  /// Its ranks have parts of their own.
  Apart,
  /// Its ranks share one part, and exchange rows.
  Within,
  /// It cuts several parts at places that are not between two.
  Across,
};

/// How leaf axis `axis` cuts dimension 0 of `type`: `parts` equal parts, or
/// tokens in them. Outer axes cut parts apart until there is one on each rank.
PartsCut getPartsCut(spmd::PlacedTensorType type, int64_t parts, unsigned axis);

} // namespace moe

#define GET_OP_CLASSES
#include "moe/Dialect/MoE/IR/MoEOps.h.inc"

#endif // MOE_DIALECT_MOE_IR_MOE_H

//===- GraphLabels.h - What a drawn graph says ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_GRAPHLABELS_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_GRAPHLABELS_H

#include "moe/Dialect/SPMD/IR/Communication.h"

namespace moe::spmd::graph {

/// For labels between < and >.
std::string html(llvm::StringRef text);
/// A string of the DOT language; lines are kept.
std::string quote(llvm::StringRef text);
std::string formatBytes(int64_t bytes);
std::string formatTime(int64_t picoseconds);
/// `4096x2048 bf16`.
std::string formatShape(mlir::Type type);
/// The same with placements.
std::string describe(mlir::Type type);
/// A path without folders.
llvm::StringRef shorten(llvm::StringRef place);

/// Of Okabe and Ito: people who do not see all colours tell them apart, and
/// black text is legible on each.
struct Colour {
  llvm::StringRef fill, meaning;
};
inline constexpr llvm::StringLiteral kCollective = "#F0E442";
Colour colourOf(const Placement &placement);
/// Cells of a table, one for each axis of more than one rank.
std::string chipsOf(mlir::Type type);
/// Attributes of an edge: lines side by side, one per axis, thick if one of
/// them holds terms of a sum.
std::string strokeOf(mlir::Type type);

std::string nameOf(mlir::Operation *op);
/// What stands behind a value that is not drawn.
std::string nameOf(mlir::Value value);
/// An index or a count: nothing flows through it backwards.
bool isInteger(mlir::Type type);
/// Only renames or moves the elements of its operand, each rank for itself.
bool isTrivial(mlir::Operation *op);
/// The steps of a collective, or of an operation that sends rows to the ranks
/// of their experts: `byRouting` is whether routing decides how many.
llvm::SmallVector<CollectiveStep, 2> findSteps(mlir::Operation *op,
                                               bool &byRouting);
/// By which rule the results lie as they do, a line for each axis.
std::string explain(mlir::Operation *op);

} // namespace moe::spmd::graph

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_GRAPHLABELS_H

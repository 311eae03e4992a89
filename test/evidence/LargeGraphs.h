//===- LargeGraphs.h - Graphs of the size of whole models -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_EVIDENCE_LARGEGRAPHS_H
#define MOE_TEST_EVIDENCE_LARGEGRAPHS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include <random>

namespace moe::evidence {

struct StackOptions {
  /// Ranks along dp, ep and tp.
  int64_t dp = 2, ep = 2, tp = 2;
  int64_t blocks = 1;
  /// Different MoE layers among the blocks.
  int64_t kinds = 64;
};

/// A function `name` of transformer blocks, each an attention of its own and an
/// MoE layer of one of `kinds` forms, with every placement `?` that inference
/// can find. Axes: tokens and experts are cut over dp; over ep experts or
/// nothing; over tp hidden dimensions and heads, or experts.
void buildStack(mlir::ModuleOp module, llvm::StringRef name,
                const StackOptions &options, std::mt19937_64 &random);

/// Replaces every function of `module` by its joint one, whose placements are
/// `?` where inference can find them. Fails if it has an error.
mlir::LogicalResult differentiateAll(mlir::ModuleOp module);

/// Graphs that are hard on an algorithm rather than like a model.
enum class HardGraph {
  /// One chain through non-linear operations and true claims, each value used
  /// by the next and by one far away.
  Chain,
  /// One Partial value with `size` uses, whose results are added up.
  Fan,
  /// A chain of products no two of which have the same types.
  Shapes,
  /// A chain in which every tenth operation is a false claim.
  FalseClaims,
};

/// Builds a function of about `size` operations.
void buildHardGraph(mlir::ModuleOp module, HardGraph kind, int64_t size);

/// The function as upstream operations on tensors with shardings: an operation
/// for each of this one's, on its first two operands, all of them element by
/// element; a conversion is two. Text, as upstream's tools read it.
void printUpstream(mlir::func::FuncOp function, llvm::raw_ostream &os);

} // namespace moe::evidence

#endif // MOE_TEST_EVIDENCE_LARGEGRAPHS_H

//===- PrintGraph.h - A function's graph as Graphviz reads it ---*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_TRANSFORMS_PRINTGRAPH_H
#define MOE_DIALECT_SPMD_TRANSFORMS_PRINTGRAPH_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/SPMD/IR/CostModel.h"

namespace moe::spmd {

enum class GraphPart {
  /// The backward pass where there is one, else the whole function.
  Any,
  Backward,
  Whole
};

struct GraphOptions {
  GraphOptions(const CostModel &model) : model(model) {}

  /// For the microseconds.
  const CostModel &model;
  GraphPart part = GraphPart::Any;
  /// Also what only moves elements, claims, and values from outside the part
  /// that is drawn.
  bool all = false;
};

/// One of the pictures that stand side by side.
struct GraphState {
  /// What it shows, for people.
  std::string title;
  mlir::func::FuncOp function;
};

/// The function of `module` called `name`; if that is empty, the only public
/// one over placed tensors, a joint function in place of what it is the
/// derivative of. Fails with an error.
mlir::FailureOr<mlir::func::FuncOp> findGraph(mlir::ModuleOp module,
                                              llvm::StringRef name);

/// Writes a graph in the DOT language; docs/Rendering.md says how to read it.
/// Fails with an error where a function has nothing to draw.
mlir::LogicalResult writeGraph(llvm::raw_ostream &os,
                               llvm::ArrayRef<GraphState> states,
                               const GraphOptions &options);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_TRANSFORMS_PRINTGRAPH_H

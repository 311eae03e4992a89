//===- DrawnGraph.h - One function as Graphviz reads it ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DRAWNGRAPH_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DRAWNGRAPH_H

#include "moe/Dialect/SPMD/IR/Communication.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Dialect/SPMD/Transforms/PrintGraph.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace moe::spmd::graph {

/// Where a value comes from in the picture.
struct Source {
  /// Empty if it is not drawn.
  std::string node;
  /// Operations on the way that are not drawn.
  std::string folded;
};

struct Total {
  int64_t count = 0, bytes = 0, picoseconds = 0;
};

/// What is drawn of one function.
class Graph {
public:
  Graph(const GraphState &state, const GraphOptions &options, bool whole,
        unsigned number)
      : options(options), whole(whole), title(state.title),
        function(state.function), prefix("g" + std::to_string(number) + "_") {}

  void write(llvm::raw_ostream &os);

private:
  bool isDrawn(mlir::Operation *op) const {
    return whole || !isa<mlir::func::FuncOp>(op->getParentOp()) ||
           isBackward(op->getLoc());
  }
  std::string newNode() { return prefix + std::to_string(numNodes++); }
  std::string drawValue(mlir::Value value);
  std::string drawArguments(mlir::Block &block);
  std::string drawCollective(mlir::Operation *op,
                             llvm::ArrayRef<CollectiveStep> steps,
                             bool byRouting, llvm::StringRef place);
  std::string drawOperation(mlir::Operation *op, llvm::StringRef place);
  std::string drawRegions(mlir::Operation *op, llvm::StringRef place);
  std::string drawNode(mlir::Operation *op, llvm::StringRef place);
  void fold(mlir::Operation *op);
  std::string drawBlock(mlir::Block &block);
  std::string drawResults(mlir::Operation *op);
  bool isLinked(mlir::OpOperand &operand) const;
  void connect(mlir::OpOperand &operand, const std::string &node);

  const GraphOptions &options;
  bool whole;
  const std::string &title;
  mlir::func::FuncOp function;
  std::string prefix;
  unsigned numNodes = 0, numClusters = 0;
  llvm::DenseMap<mlir::Value, Source> sources;
  /// Arguments that the forward pass uses.
  llvm::DenseSet<mlir::Value> kept;
  /// Written last, outside all clusters.
  std::string edges;
  /// With `all`, values from outside the drawn part.
  std::string outside;
  /// Forward operations by place, to name clusters.
  llvm::StringMap<std::string> forward;
  /// Of what conversions send, and of what routing decides.
  Total conversions, rows;
};

} // namespace moe::spmd::graph

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DRAWNGRAPH_H

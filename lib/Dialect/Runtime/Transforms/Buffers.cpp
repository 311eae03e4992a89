//===- Buffers.cpp - What a view is a view of -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;

Value moe::rt::getRoot(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

SmallVector<Value> moe::rt::getRoots(Operation *op) {
  SmallVector<Value> roots;
  for (Value operand : op->getOperands())
    if (isa<MemRefType>(operand.getType())) {
      Value root = getRoot(operand);
      if (!llvm::is_contained(roots, root))
        roots.push_back(root);
    }
  return roots;
}

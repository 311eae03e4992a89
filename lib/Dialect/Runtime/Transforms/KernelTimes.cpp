//===- KernelTimes.cpp - What operations will take on a device ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelTimes.h"
#include "Buffers.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "moe/Dialect/Runtime/IR/EinsumTerms.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace moe::rt;
using moe::spmd::CostModel;

bool moe::rt::isKernel(Operation *op) {
  if (isa<linalg::FillOp>(op))
    return false;
  if (isa<linalg::LinalgOp, tensor::InsertSliceOp, CountReceivedOp>(op))
    return true;
  return isa<DestinationStyleOpInterface>(op) &&
         isa<MoERTDialect>(op->getDialect());
}

/// The product of the sizes of all letters, twice. If `grouped`, rows meet one
/// expert each.
static double countProducts(StringRef equation, ValueRange factors,
                            bool grouped) {
  EinsumTerms terms(equation);
  llvm::SmallDenseMap<char, int64_t> sizes;
  for (auto [letters, factor] : llvm::zip(terms.operands, factors))
    for (auto [dim, letter] : llvm::enumerate(letters))
      sizes[letter] = getSize(factor, dim, Rows::Even).value_or(1);
  double operations = 2;
  for (auto [letter, size] : sizes)
    if (!grouped || letter != 'e')
      operations *= double(size);
  return operations;
}

int64_t moe::rt::getKernelTime(Operation *op, const CostModel &model) {
  llvm::SmallSetVector<Value, 8> tensors;
  // Bodies read tensors that are no operands.
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (isa<RankedTensorType>(operand.getType()) &&
          !operand.getDefiningOp<tensor::EmptyOp>() &&
          !op->isAncestor(operand.getParentBlock()->getParentOp()))
        tensors.insert(operand);
  });
  for (Value result : op->getResults())
    if (isa<RankedTensorType>(result.getType()))
      tensors.insert(result);
  // It copies into a part of its destination.
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op)) {
    tensors.clear();
    tensors.insert(insert.getSource());
  }
  double bytes = 0;
  for (Value tensor : tensors)
    bytes += double(getBytes(tensor, Rows::Even).value_or(0));
  if (!isa<EinsumOp, GroupedEinsumOp>(op))
    return model.getKernel(0, bytes, false);
  auto inputs = cast<DestinationStyleOpInterface>(op).getDpsInputs();
  // The first is the rank.
  ValueRange factors(inputs);
  factors = factors.slice(1, 2);
  auto equation = op->getAttrOfType<StringAttr>("equation");
  // The wider operand of two is rounded for the tensor cores.
  bool isNarrow = llvm::any_of(factors, [](Value factor) {
    return getElementTypeOrSelf(factor.getType()).getIntOrFloatBitWidth() <= 16;
  });
  return model.getKernel(
      countProducts(equation, factors, isa<GroupedEinsumOp>(op)), bytes,
      isNarrow);
}

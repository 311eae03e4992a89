//===- Samples.cpp - Programs and data that the sweeps draw ---------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Samples.h"

using namespace moe;
using namespace moe::evidence;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;
using moe::spmd::ReductionKind;

bool evidence::makesType(PlacedTensorType type,
                         llvm::ArrayRef<Placement> placements) {
  mlir::MLIRContext *context = type.getContext();
  mlir::ScopedDiagnosticHandler quiet(
      context, [](mlir::Diagnostic &) { return mlir::success(); });
  return mlir::succeeded(PlacedTensorType::verify(
      [&] { return mlir::emitError(mlir::UnknownLoc::get(context)); },
      type.getShape(), type.getElementType(), type.getMesh(), placements));
}

std::vector<std::vector<Placement>>
evidence::allPlacements(PlacedTensorType type, bool ragged) {
  std::vector<Placement> single = {Placement::replicate()};
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    single.push_back(Placement::shard(dim));
  if (ragged && type.getRank())
    single.push_back(Placement::ragged(0));
  for (ReductionKind kind : {ReductionKind::Sum, ReductionKind::Avg,
                             ReductionKind::Max, ReductionKind::Min})
    // The mean of integers is none.
    if (!isInteger(type) || kind != ReductionKind::Avg)
      single.push_back(Placement::partial(kind));
  std::vector<std::vector<Placement>> all = {{}};
  for (size_t axis = 0; axis < type.getPlacements().size(); ++axis) {
    std::vector<std::vector<Placement>> longer;
    for (const auto &list : all)
      for (Placement placement : single) {
        longer.push_back(list);
        longer.back().push_back(placement);
      }
    all = std::move(longer);
  }
  llvm::erase_if(all, [&](const std::vector<Placement> &list) {
    return !makesType(type, list);
  });
  return all;
}

static int64_t resized(int64_t size, const std::map<int64_t, int64_t> &primes) {
  int64_t result = 1;
  for (int64_t prime = 2; size > 1; ++prime)
    for (; size % prime == 0; size /= prime)
      result *= primes.contains(prime) ? primes.at(prime) : prime;
  return result;
}

void evidence::resize(mlir::Operation *root,
                      const std::map<int64_t, int64_t> &primes) {
  auto resizeValue = [&](mlir::Value value) {
    auto type = llvm::dyn_cast<PlacedTensorType>(value.getType());
    if (!type)
      return;
    llvm::SmallVector<int64_t> shape;
    for (int64_t size : type.getShape())
      shape.push_back(resized(size, primes));
    value.setType(PlacedTensorType::get(shape, type.getElementType(),
                                        type.getMesh(), type.getPlacements()));
  };
  auto resizeAttribute = [&](mlir::IntegerAttr attribute) {
    return mlir::IntegerAttr::get(attribute.getType(),
                                  resized(attribute.getInt(), primes));
  };
  root->walk([&](mlir::Operation *op) {
    for (mlir::Value result : op->getResults())
      resizeValue(result);
    for (const char *name : {"num_experts", "parts"})
      if (auto number = op->getAttrOfType<mlir::IntegerAttr>(name))
        op->setAttr(name, resizeAttribute(number));
    auto function = llvm::dyn_cast<mlir::func::FuncOp>(op);
    if (!function || function.isDeclaration())
      return;
    for (mlir::BlockArgument argument : function.getArguments()) {
      resizeValue(argument);
      for (const char *name : {"rule.experts", "rule.rows"})
        if (auto number = function.getArgAttrOfType<mlir::IntegerAttr>(
                argument.getArgNumber(), name))
          function.setArgAttr(argument.getArgNumber(), name,
                              resizeAttribute(number));
    }
    llvm::SmallVector<mlir::Type> results;
    auto *terminator = function.getBody().front().getTerminator();
    llvm::append_range(results, terminator->getOperandTypes());
    function.setFunctionType(mlir::FunctionType::get(
        op->getContext(), function.getBody().front().getArgumentTypes(),
        results));
  });
}

//===- CheckRequirements.cpp - Gradients as the outside needs them --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_CHECKREQUIREMENTS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;

namespace {

struct CheckRequirementsPass
    : moe::spmd::impl::CheckRequirementsBase<CheckRequirementsPass> {
  void runOnOperation() override;

private:
  /// The argument's name; as in the names of gradients where it has none.
  std::string nameOf(unsigned argument);
  /// How the gradient of argument `i` has to lie.
  SmallVector<Placement> getRequired(unsigned i);
  LogicalResult check(unsigned argument, unsigned result);
};

} // namespace

std::string CheckRequirementsPass::nameOf(unsigned argument) {
  auto name = getOperation().getArgAttrOfType<StringAttr>(
      argument, SPMDDialect::kNameAttr);
  return name ? name.str() : "arg" + std::to_string(argument);
}

SmallVector<Placement> CheckRequirementsPass::getRequired(unsigned i) {
  func::FuncOp function = getOperation();
  auto type = cast<PlacedTensorType>(function.getArgumentTypes()[i]);
  if (auto stated = function.getArgAttrOfType<PlacementsAttr>(
          i, SPMDDialect::kGradPlacementAttr))
    // The attribute's verifier has resolved it once.
    return *stated.resolve(type.getMesh(),
                           [&] { return function.emitError(); });
  return SmallVector<Placement>(type.getPlacements());
}

LogicalResult CheckRequirementsPass::check(unsigned argument, unsigned result) {
  func::FuncOp function = getOperation();
  auto from = dyn_cast<PlacedTensorType>(function.getArgumentTypes()[argument]);
  auto type = dyn_cast<PlacedTensorType>(function.getResultTypes()[result]);
  if (!from || !type || from.getMesh() != type.getMesh())
    return success();
  SmallVector<Placement> required = getRequired(argument);
  Operation *ret = function.getBody().front().getTerminator();
  Operation *last = ret->getOperand(result).getDefiningOp();
  std::string unmet;
  bool terms = false;
  for (auto [i, axis] : llvm::enumerate(type.getMesh().getLeafAxes())) {
    Placement placement = type.getPlacements()[i];
    if (axis.getSize() == 1 || placement.implies(required[i]))
      continue;
    unmet += (unmet.empty() ? "" : ", and ") + placement.str() + " over '" +
             axis.getName().str() + "', but has to be " + required[i].str();
    terms |= placement.isPartial() && required[i].isReplicate();
  }
  if (unmet.empty())
    return success();
  auto diag = (last ? last : ret)->emitError("[Q1] the gradient of '")
              << nameOf(argument) << "' leaves as " << unmet;
  if (terms)
    diag << ": each rank would go on with its own term";
  diag.attachNote()
      << "help: convert it before it is returned (spmd.redistribute), or say "
         "on "
         "the argument how its gradient is left (spmd.grad_placement)";
  return failure();
}

void CheckRequirementsPass::runOnOperation() {
  func::FuncOp function = getOperation();
  markAllAnalysesPreserved();
  if (function.isDeclaration() || !llvm::hasSingleElement(function.getBody()))
    return;
  llvm::StringMap<unsigned> arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    arguments[nameOf(i)] = i;
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto name =
        function.getResultAttrOfType<StringAttr>(i, SPMDDialect::kNameAttr);
    StringRef of = name ? name.getValue() : StringRef();
    if (!of.consume_front("grad."))
      continue;
    auto argument = arguments.find(of);
    if (argument != arguments.end() && failed(check(argument->second, i)))
      signalPassFailure();
  }
}

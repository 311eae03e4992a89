//===- VerifyGradients.cpp - Refuse what is not true ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/SymbolTable.h"
#include "moe/Analysis/Counterexample.h"
#include "moe/Analysis/Repairs.h"
#include "moe/AutoDiff/Differentiate.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_VERIFYGRADIENTS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;
using moe::getJointName;

namespace {

/// Whether differentiation has copied the function into a joint one. An
/// attribute whose joint function is gone excuses nothing.
bool isCheckedInJoint(func::FuncOp function) {
  auto name = function->getAttrOfType<FlatSymbolRefAttr>(SPMDDialect::kVjpAttr);
  if (!name || name.getValue() != (function.getName() + ".vjp").str())
    return false;
  auto joint =
      SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(function, name);
  return joint && !joint.isDeclaration();
}

/// The function that differentiation made this one of; null if it was written
/// as it is.
func::FuncOp getForward(func::FuncOp joint) {
  for (auto function :
       joint->getParentOfType<ModuleOp>().getOps<func::FuncOp>()) {
    auto name =
        function->getAttrOfType<FlatSymbolRefAttr>(SPMDDialect::kVjpAttr);
    if (name && name.getValue() == joint.getName() &&
        getJointName(function) == joint.getName() && !function.isDeclaration())
      return function;
  }
  return nullptr;
}

struct VerifyGradientsPass
    : moe::spmd::impl::VerifyGradientsBase<VerifyGradientsPass> {
  using VerifyGradientsBase::VerifyGradientsBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isDeclaration() && !isCheckedInJoint(function) &&
          failed(verifyFunction(function)))
        signalPassFailure();
  }

private:
  LogicalResult verifyFunction(func::FuncOp function) const;
  void emitFindings(func::FuncOp function,
                    const PlacementAnalysis &analysis) const;
};

LogicalResult VerifyGradientsPass::verifyFunction(func::FuncOp function) const {
  if (failed(checkSingleBlock(function)))
    return failure();
  auto isUnknown = [](Type type) {
    auto placed = dyn_cast<PlacedTensorType>(type);
    return placed && placed.hasUnknownPlacement();
  };
  // Operands are results of operations before, or arguments.
  bool askOperands = llvm::any_of(function.getArgumentTypes(), isUnknown);
  for (Operation &op : function.getBody().front())
    if (llvm::any_of(op.getResultTypes(), isUnknown) ||
        (askOperands && llvm::any_of(op.getOperandTypes(), isUnknown)))
      return op.emitError("[I2] a placement is not known yet; help: run "
                          "spmd-infer-placements first");
  PlacementAnalysis analysis(function);
  if (analysis.getFindings().empty())
    return success();
  emitFindings(function, analysis);
  return failure();
}

void VerifyGradientsPass::emitFindings(
    func::FuncOp function, const PlacementAnalysis &analysis) const {
  func::FuncOp written = getForward(function);
  std::optional<RepairSearch> search;
  if (tryRepairs && written)
    search.emplace(written, /*differentiated=*/true, analysis);
  if (tryRepairs && (!search || !search->isUsable())) {
    written = function;
    search.emplace(function, /*differentiated=*/false, analysis);
  }
  for (ArrayRef<Finding> error : analysis.getErrors()) {
    InFlightDiagnostic diag = moe::spmd::emitError(analysis, function, error);
    if (search && error.front().label != "R6")
      noteRepairs(diag, written, error, *search);
    if (counterexample)
      for (const Finding &finding : error)
        noteCounterexample(diag, function, analysis, finding);
  }
}

} // namespace

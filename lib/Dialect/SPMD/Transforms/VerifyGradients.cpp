//===- VerifyGradients.cpp - Refuse what is not true ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Threading.h"
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
bool isCheckedInJoint(func::FuncOp function, const SymbolTable &symbols) {
  auto name = function->getAttrOfType<FlatSymbolRefAttr>(SPMDDialect::kVjpAttr);
  if (!name || name.getValue() != (function.getName() + ".vjp").str())
    return false;
  auto joint = symbols.lookup<func::FuncOp>(name.getValue());
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

bool hasUnknownPlacement(Type type) {
  auto placed = dyn_cast<PlacedTensorType>(type);
  return placed && placed.hasUnknownPlacement();
}

/// The first operation of which a placement is not known; null if there is
/// none.
Operation *findUnknownPlacement(func::FuncOp function) {
  // Operands are results of operations before, or arguments.
  bool askOperands =
      llvm::any_of(function.getArgumentTypes(), hasUnknownPlacement);
  for (Operation &op : function.getBody().front())
    if (llvm::any_of(op.getResultTypes(), hasUnknownPlacement) ||
        (askOperands &&
         llvm::any_of(op.getOperandTypes(), hasUnknownPlacement)))
      return &op;
  return nullptr;
}

/// Whether there is nothing to report.
bool isTrue(func::FuncOp function) {
  return llvm::hasSingleElement(function.getBody()) &&
         !findUnknownPlacement(function) &&
         PlacementAnalysis(function).getFindings().empty();
}

struct VerifyGradientsPass
    : moe::spmd::impl::VerifyGradientsBase<VerifyGradientsPass> {
  using VerifyGradientsBase::VerifyGradientsBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    SymbolTable symbols(getOperation());
    SmallVector<func::FuncOp> functions;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isDeclaration() && !isCheckedInJoint(function, symbols))
        functions.push_back(function);
    // All at once; what is wrong is then reported in order.
    std::vector<char> verdicts(functions.size());
    parallelFor(&getContext(), 0, functions.size(),
                [&](size_t i) { verdicts[i] = isTrue(functions[i]); });
    for (auto [function, verdict] : llvm::zip_equal(functions, verdicts))
      if (!verdict && failed(verifyFunction(function)))
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
  if (Operation *op = findUnknownPlacement(function))
    return op->emitError("[I2] a placement is not known yet; help: run "
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

//===- VerifyGradients.cpp - Refuse what is not true ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/SymbolTable.h"
#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_VERIFYGRADIENTS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;

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

struct VerifyGradientsPass
    : moe::spmd::impl::VerifyGradientsBase<VerifyGradientsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    markAllAnalysesPreserved();
    if (function.isDeclaration() || isCheckedInJoint(function))
      return;
    if (failed(checkSingleBlock(function)))
      return signalPassFailure();
    for (Operation &op : function.getBody().front())
      for (Value value : llvm::concat<Value>(op.getOperands(), op.getResults()))
        if (auto type = dyn_cast<PlacedTensorType>(value.getType()))
          if (type.hasUnknownPlacement()) {
            op.emitError("[I2] a placement is not known yet; help: run "
                         "spmd-infer-placements first");
            return signalPassFailure();
          }
    PlacementAnalysis analysis(function);
    for (const Finding &finding : analysis.getFindings())
      emitFinding(analysis, function, finding);
    if (!analysis.getFindings().empty())
      signalPassFailure();
  }
};

} // namespace

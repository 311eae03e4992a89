//===- DeferReductions.cpp - Put each reduction where it costs least ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "mlir/IR/Remarks.h"
#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_DEFERREDUCTIONS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;

static MeshAttr findMesh(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (auto type = dyn_cast<PlacedTensorType>(argument.getType()))
      return type.getMesh();
  return {};
}

namespace {

struct DeferReductionsPass
    : moe::spmd::impl::DeferReductionsBase<DeferReductionsPass> {
  using DeferReductionsBase::DeferReductionsBase;

  LogicalResult initialize(MLIRContext *context) override;
  void runOnOperation() override;

private:
  std::shared_ptr<const CostModel> model;
};

} // namespace

LogicalResult DeferReductionsPass::initialize(MLIRContext *context) {
  auto fail = [&](const Twine &message) {
    return emitError(UnknownLoc::get(context)) << message;
  };
  if (policy != "eager" && policy != "boundary" && policy != "min-cut")
    return fail("unknown policy '" + policy +
                "'; help: use min-cut, boundary or eager");
  if (memoryBudget < -1)
    return fail("the memory budget is negative; help: give a number of bytes");
  llvm::Expected<CostModel> loaded = CostModel::load(costFile);
  if (!loaded)
    return fail(llvm::toString(loaded.takeError()));
  model = std::make_shared<CostModel>(std::move(*loaded));
  return success();
}

void DeferReductionsPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isDeclaration() || function->hasAttr(SPMDDialect::kVjpAttr))
    return;
  MeshAttr mesh = findMesh(function);
  if (!mesh)
    return;
  if (llvm::Error error = model->check(mesh)) {
    function.emitError(llvm::toString(std::move(error)));
    return signalPassFailure();
  }
  // What is false before is not ours to move around.
  if (!PlacementAnalysis(function).getFindings().empty()) {
    function.emitError("it makes false claims; help: run "
                       "spmd-verify-gradients and see its errors");
    return signalPassFailure();
  }
  // Reductions around loops and branches stay where they are.
  if (llvm::any_of(getOperations(function), [](Operation *op) {
        return isStructured(op) && touchesPlacedTensors(op);
      }))
    return;
  DeferralOptions options;
  options.policy = policy == "eager"      ? Policy::Eager
                   : policy == "boundary" ? Policy::Boundary
                                          : Policy::MinCut;
  if (memoryBudget >= 0)
    options.memoryBudget = memoryBudget;
  options.remarks = function.getContext()->getRemarkEngine() != nullptr;
  if (failed(deferReductions(function, mesh, *model, options)))
    return signalPassFailure();
  // Every requirement is met: types are true, and results are typed as before.
  PlacementAnalysis after(function);
  for (ArrayRef<Finding> error : after.getErrors())
    moe::spmd::emitError(after, function, error);
  if (!after.getFindings().empty())
    signalPassFailure();
}

//===- ReportTrusted.cpp - List what nothing checks -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/ControlFlow.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_REPORTTRUSTED
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;

/// `partial<sum> over 'tp', shard<0> over 'ep'`; on an axis of one rank there
/// is nothing to trust.
static std::string describe(MeshAttr mesh, ArrayRef<Placement> placements) {
  std::string text;
  for (auto [axis, placement] : llvm::zip_equal(mesh.getLeafAxes(), placements))
    if (axis.getSize() > 1)
      text += (text.empty() ? "" : ", ") + placement.str() + " over '" +
              axis.getName().str() + "'";
  return text;
}

static std::string describe(MeshAttr mesh, PlacementsAttr list) {
  // Verified to resolve; the callback never runs.
  auto placements = list.resolve(
      mesh, [&] { return emitError(UnknownLoc::get(list.getContext())); });
  return describe(mesh, *placements);
}

namespace {

struct ReportTrustedPass
    : moe::spmd::impl::ReportTrustedBase<ReportTrustedPass> {
  void runOnOperation() override;

private:
  void reportArgument(unsigned i);
  void reportOpaque(OpaqueOp op);
  void reportCall(func::CallOp call);
  void report(Location loc, const Twine &what, const std::string &placements) {
    if (placements.empty())
      return;
    ++count;
    emitRemark(loc) << "trusted: " << what << placements;
  }

  unsigned count = 0;
};

} // namespace

void ReportTrustedPass::reportArgument(unsigned i) {
  func::FuncOp function = getOperation();
  auto type = dyn_cast<PlacedTensorType>(function.getArgumentTypes()[i]);
  if (!type)
    return;
  auto given = function.getArgAttrOfType<StringAttr>(i, SPMDDialect::kNameAttr);
  std::string name = given ? given.str() : "arg" + std::to_string(i);
  Location loc = function.getArgument(i).getLoc();
  report(loc, "argument '" + name + "' is ",
         describe(type.getMesh(), type.getPlacements()));
  if (auto left = function.getArgAttrOfType<PlacementsAttr>(
          i, SPMDDialect::kGradPlacementAttr))
    report(loc, "the gradient of '" + name + "' is left ",
           describe(type.getMesh(), left));
}

void ReportTrustedPass::reportOpaque(OpaqueOp op) {
  auto type = cast<PlacedTensorType>(op.getResult().getType());
  std::string what = "the result of '" + op.getCallee().str() + "'";
  if (auto operand = op.getOfOperand())
    what = "the gradient of operand " + std::to_string(*operand) + " by '" +
           op.getCallee().str() + "'";
  report(op.getLoc(), what + " is ",
         describe(type.getMesh(), type.getPlacements()));
  if (!op.getGrad())
    return;
  // The joint function has an operation of its own for each.
  if (getOperation().getName().ends_with(".vjp"))
    return;
  for (auto [i, entry] :
       llvm::enumerate(op.getGrad()->getAsRange<PlacementsAttr>()))
    report(op.getLoc(),
           "the gradient of operand " + std::to_string(i) + " by '" +
               op.getCallee() + "' is ",
           describe(type.getMesh(), entry));
}

void ReportTrustedPass::reportCall(func::CallOp call) {
  func::FuncOp callee = getCallee(call);
  if (!callee || !callee.isDeclaration())
    return;
  for (auto [i, result] : llvm::enumerate(call.getResultTypes()))
    if (auto type = dyn_cast<PlacedTensorType>(result))
      report(call.getLoc(),
             "result " + std::to_string(i) + " of '@" + callee.getName() +
                 "' is ",
             describe(type.getMesh(), type.getPlacements()));
}

void ReportTrustedPass::runOnOperation() {
  func::FuncOp function = getOperation();
  markAllAnalysesPreserved();
  count = 0;
  if (function.isDeclaration() || function->hasAttr(SPMDDialect::kVjpAttr))
    return;
  // Calls of a private function are seen, and checked.
  for (unsigned i = 0; !function.isPrivate() && i < function.getNumArguments();
       ++i)
    reportArgument(i);
  function.walk([&](Operation *op) {
    if (auto opaque = dyn_cast<OpaqueOp>(op))
      reportOpaque(opaque);
    else if (auto call = dyn_cast<func::CallOp>(op))
      reportCall(call);
  });
  emitRemark(function.getLoc()) << "'" << function.getName() << "' rests on "
                                << count << " placements that nothing checks";
}

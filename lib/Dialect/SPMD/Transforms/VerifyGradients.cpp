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
  // Operands are results of operations before, or arguments. What a loop
  // carries is as its results are.
  bool askOperands =
      llvm::any_of(function.getArgumentTypes(), hasUnknownPlacement);
  Operation *found = nullptr;
  walkInOrder(function.getBody().front(), [&](Operation *op) {
    if (!found && (llvm::any_of(op->getResultTypes(), hasUnknownPlacement) ||
                   (askOperands &&
                    llvm::any_of(op->getOperandTypes(), hasUnknownPlacement))))
      found = op;
  });
  return found;
}

/// Whether there is nothing to report.
bool isTrue(func::FuncOp function) {
  return llvm::hasSingleElement(function.getBody()) &&
         !findUnknownPlacement(function) &&
         PlacementAnalysis(function).getFindings().empty();
}

/// The place of an operation in the text; of one that was inlined, where it was
/// written, whoever calls it.
std::pair<Attribute, bool> getPlaceAndInlined(Operation *op) {
  Attribute place;
  op->getLoc()->walk([&](Location part) {
    auto call = dyn_cast<CallSiteLoc>(part);
    while (call) {
      place = call.getCallee();
      call = dyn_cast<CallSiteLoc>(call.getCallee());
    }
    return place ? WalkResult::interrupt() : WalkResult::advance();
  });
  return place ? std::pair(place, true)
               : std::pair(Attribute(LocationAttr(op->getLoc())), false);
}

/// `written` with what it calls in place of the calls, as it is differentiated,
/// in a module of its own; nothing if it calls nothing.
OwningOpRef<ModuleOp> inlineWritten(func::FuncOp &written) {
  SmallVector<func::FuncOp> callees = getCallees(written);
  if (callees.empty())
    return {};
  OwningOpRef<ModuleOp> module = EditableProgram(written).clone().takeModule();
  auto function = *module->getOps<func::FuncOp>().begin();
  if (failed(inlineCalls(function, "[A1] ")))
    return {};
  written = function;
  return module;
}

struct VerifyGradientsPass
    : moe::spmd::impl::VerifyGradientsBase<VerifyGradientsPass> {
  using VerifyGradientsBase::VerifyGradientsBase;

  void runOnOperation() override {
    markAllAnalysesPreserved();
    SymbolTable symbols(getOperation());
    reported.clear();
    SmallVector<func::FuncOp> functions;
    // A function that is called before those that it is inlined in.
    for (bool isPrivate : {true, false})
      for (auto function : getOperation().getOps<func::FuncOp>())
        if (function.isPrivate() == isPrivate && !function.isDeclaration() &&
            !isCheckedInJoint(function, symbols))
          functions.push_back(function);
    if (failed(checkRecursion(functions)))
      return signalPassFailure();
    // All at once; what is wrong is then reported in order.
    std::vector<char> verdicts(functions.size());
    parallelFor(&getContext(), 0, functions.size(),
                [&](size_t i) { verdicts[i] = isTrue(functions[i]); });
    for (auto [function, verdict] : llvm::zip_equal(functions, verdicts))
      if (!verdict && failed(verifyFunction(function)))
        signalPassFailure();
  }

private:
  LogicalResult verifyFunction(func::FuncOp function);
  void emitFindings(func::FuncOp function, const PlacementAnalysis &analysis);

  /// Places, and what was said of them. Who calls a function twice makes no
  /// second fault of one that is in it.
  DenseSet<std::pair<Attribute, StringRef>> reported;
};

LogicalResult VerifyGradientsPass::verifyFunction(func::FuncOp function) {
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

void VerifyGradientsPass::emitFindings(func::FuncOp function,
                                       const PlacementAnalysis &analysis) {
  func::FuncOp written = getForward(function);
  OwningOpRef<ModuleOp> inlined;
  if (tryRepairs && written)
    inlined = inlineWritten(written);
  std::optional<RepairSearch> search;
  if (tryRepairs && written)
    search.emplace(written, /*differentiated=*/true, analysis);
  if (tryRepairs && (!search || !search->isUsable())) {
    written = function;
    search.emplace(function, /*differentiated=*/false, analysis);
  }
  for (ArrayRef<Finding> error : analysis.getErrors()) {
    Operation *op = error.front().op;
    auto [place, isInlined] = getPlaceAndInlined(op);
    bool isNew = reported.insert({place, error.front().label}).second;
    if (isInlined && !isNew)
      continue;
    InFlightDiagnostic diag = moe::spmd::emitError(analysis, function, error);
    bool mayRepair = error.front().label != "R6" && error.front().label != "R8";
    if (search && mayRepair)
      noteRepairs(diag, written, error, *search);
    if (counterexample)
      for (const Finding &finding : error)
        noteCounterexample(diag, function, analysis, finding);
  }
}

} // namespace

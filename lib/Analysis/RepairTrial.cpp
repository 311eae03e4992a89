//===- RepairTrial.cpp - A changed program, checked -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RepairTrial.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Verifier.h"
#include "moe/Analysis/PlacementInference.h"
#include "moe/AutoDiff/Differentiate.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Reference/ExactCheck.h"
#include "moe/Reference/ReducedSizes.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

/// Multiplications of one execution on all ranks.
static constexpr int64_t kMostWork = int64_t(1) << 23;

/// Locations of a copy hold numbers of operations; differentiation keeps them.
static constexpr StringLiteral kNumberFile = "number of operation";

static Location numberLoc(MLIRContext *context, unsigned number) {
  return FileLineColLoc::get(context, kNumberFile, number, 0);
}

unsigned moe::spmd::getNumber(Location loc) {
  unsigned number = 0;
  loc->walk([&](Location part) {
    auto file = dyn_cast<FileLineColLoc>(part);
    if (!file || file.getFilename() != kNumberFile)
      return WalkResult::advance();
    number = file.getLine();
    return WalkResult::interrupt();
  });
  return number;
}

LogicalResult RepairTrial::run(bool differentiated) {
  func::FuncOp function = program.getFunction();
  MLIRContext *context = function.getContext();
  ScopedDiagnosticHandler silence(context,
                                  [](Diagnostic &) { return success(); });
  for (unsigned i = 0; i < program.getNumOperations(); ++i)
    if (Operation *op = program.getOperation(i))
      op->setLoc(numberLoc(context, i));
  // What is called is none of its operations.
  for (auto callee : program.getModule().getOps<func::FuncOp>())
    if (callee != function)
      callee.walk([&](Operation *op) {
        op->setLoc(numberLoc(context, std::numeric_limits<unsigned>::max()));
      });
  for (BlockArgument argument : function.getArguments())
    argument.setLoc(numberLoc(context, program.getNumOperations() +
                                           argument.getArgNumber()));
  if (failed(inferPlacements(function)))
    return failure();
  checked = function;
  if (differentiated) {
    SymbolTable symbols(program.getModule());
    if (failed(differentiate(function, symbols)))
      return failure();
    checked = symbols.lookup<func::FuncOp>(getJointName(function));
    if (failed(inferPlacements(checked)))
      return failure();
  }
  if (failed(verify(program.getModule())))
    return failure();
  analysis = std::make_unique<PlacementAnalysis>(checked);
  auto keyOf = [](Operation *op, unsigned axis) {
    if (auto compute = op->getParentOfType<ComputeOp>())
      op = compute;
    return FaultKey{getNumber(op->getLoc()), isBackward(op->getLoc()),
                    op->getName().getStringRef(), axis};
  };
  for (const Finding &finding : analysis->getFindings())
    faults.push_back(keyOf(finding.op, finding.axis));
  for (auto [op, axis] : analysis->getConsequences())
    consequences.push_back(keyOf(op, axis));
  for (Operation *op : getOperations(checked))
    cost += getCommunication(op);
  return success();
}

std::optional<std::string> RepairTrial::execute() const {
  func::FuncOp function = checked;
  // Faults that are not this repair's affair; execution puts them right.
  DenseSet<unsigned> others;
  SmallVector<Operation *> operations = getOperations(function);
  for (const Finding &finding : analysis->getFindings())
    others.insert(llvm::find(operations, finding.op) - operations.begin());

  std::string reason;
  ScopedDiagnosticHandler listen(function.getContext(),
                                 [&](Diagnostic &diagnostic) {
                                   if (reason.empty())
                                     reason = diagnostic.str();
                                   return success();
                                 });
  auto reduced = reference::reduceSizes(function);
  if (succeeded(reduced)) {
    auto small = *(*reduced)->getOps<func::FuncOp>().begin();
    // The same claims have to be false.
    if (PlacementAnalysis(small).getFindings().size() ==
        analysis->getFindings().size())
      function = small;
  }
  auto attr = reference::getMesh(function);
  if (failed(attr))
    return reason;
  auto mesh = reference::RankMesh::get(*attr, reason);
  if (failed(mesh))
    return reason;
  if (reference::estimateWork(function) > kMostWork / (mesh->numRanks() + 1))
    return "it is too large for the reference";
  reference::Random random(1);
  auto execution = reference::checkExactly(function, *mesh, random);
  if (failed(execution))
    return reason.empty() ? "the reference can't run it" : reason;
  for (auto [i, op] : llvm::enumerate(getOperations(function))) {
    if (!execution->faults.contains(op) || others.contains(i))
      continue;
    // What only follows from another fault is not reported a second time.
    if (others.empty() || isa<ClaimOp, BoundaryOp>(op))
      return std::nullopt;
  }
  return "";
}

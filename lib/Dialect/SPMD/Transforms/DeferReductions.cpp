//===- DeferReductions.cpp - Put each reduction where it costs least ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One mesh axis at a time. A value that is Partial, or was until a conversion
// reduced it, may be computed Partial or replicated: both mean the same global
// value. A policy picks one for each; the pass then rewrites the operations and
// reduces wherever a replicated form is needed and only a Partial one exists.
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "MinCut.h"
#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

namespace moe::spmd {
#define GEN_PASS_DEF_DEFERREDUCTIONS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;

/// Whether a conversion makes a Partial sum replicated and nothing else.
bool Deferral::reduces(RedistributeOp op) const {
  if (!isPartialSum(op.getInput()) || !get(op.getResult()).isReplicate())
    return false;
  auto from = cast<PlacedTensorType>(op.getInput().getType()).getPlacements();
  auto to = cast<PlacedTensorType>(op.getType()).getPlacements();
  for (unsigned i = 0; i < from.size(); ++i)
    if (i != axis && from[i] != to[i])
      return false;
  return true;
}

/// What the operation can do with flexible operands that are Partial; nothing
/// if its rule forbids them.
std::optional<Flexible::Kind> Deferral::classify(Operation *op) const {
  auto rule = dyn_cast<PlacementOpInterface>(op);
  if (!rule || op->getNumResults() != 1 || isa<SPMDDialect>(op->getDialect()))
    return std::nullopt;
  bool sum = rule.getPlacementRule().linearity == Linearity::Additive;
  SmallVector<Placement> placements;
  unsigned partials = 0;
  for (Value operand : op->getOperands()) {
    placements.push_back(get(operand));
    if (find(operand) || (sum && placements.back().isReplicate()))
      placements.back() = Placement::partial();
    partials += find(operand).has_value();
  }
  if (partials == 0 || (!sum && partials > 1))
    return std::nullopt;
  Transfer transfer = rule.transferPlacements(axis, placements);
  if (!transfer.ok || transfer.step != TransferStep::Carried ||
      transfer.results[0] != Placement::partial())
    return std::nullopt;
  return sum ? Flexible::Sum : Flexible::Linear;
}

void Deferral::collect(Operation *op) {
  if (auto conversion = dyn_cast<RedistributeOp>(op))
    if (reduces(conversion)) {
      unsigned entry = *find(conversion.getInput());
      numbers[conversion.getResult()] = entry;
      entries[entry].conversions.push_back(op);
      return;
    }
  if (std::optional<Flexible::Kind> kind = classify(op)) {
    Flexible entry(*kind, op->getResult(0));
    for (Value operand : op->getOperands())
      if (std::optional<unsigned> number = find(operand))
        entry.operands.push_back(*number);
    add(std::move(entry));
  } else {
    for (Value result : op->getResults())
      if (isPartialSum(result))
        add({Flexible::Created, result});
  }
  for (OpOperand &operand : op->getOpOperands())
    collectUse(operand);
}

void Deferral::collectUse(OpOperand &operand) {
  std::optional<unsigned> number = find(operand.get());
  if (!number)
    return;
  Operation *user = operand.getOwner();
  Flexible &entry = entries[*number];
  Use use{Use::Replicated, &operand, *number};
  std::optional<unsigned> result;
  if (user->getNumResults() == 1)
    result = find(user->getResult(0));
  auto conversion = dyn_cast<RedistributeOp>(user);
  if (result && entries[*result].kind != Flexible::Created) {
    use.kind = Use::AsResult;
    use.result = *result;
  } else if (conversion && get(conversion.getResult()).isShard()) {
    use.kind = Use::Scatter;
    use.reduced = isPartialSum(operand.get());
    ++entry.numScatters;
  } else if (isPartialSum(operand.get())) {
    use.kind = Use::Partial;
    entry.mustBePartial = true;
  } else {
    entry.neededReplicated = true;
  }
  entry.uses.push_back(uses.size());
  useNumbers[&operand] = uses.size();
  uses.push_back(use);
}

/// The terms of a Partial value are not unique: whoever depends on them depends
/// on all that they were computed from.
void Deferral::pinTerms() {
  for (unsigned i = entries.size(); i-- > 0;)
    if (entries[i].mustBePartial)
      for (unsigned operand : entries[i].operands)
        if (isPartialSum(entries[operand].value))
          entries[operand].mustBePartial = true;
}

int64_t Deferral::bytesOf(Value value) {
  return getLocalBytes(cast<PlacedTensorType>(value.getType()));
}

/// A value is on the source's side while it is computed Partial. Its replicated
/// form stands beside it, on the sink's side if it exists. An all-reduce moves
/// twice what a reduce-scatter does.
void Deferral::chooseCheapest() {
  MinCut network;
  SmallVector<unsigned> values, replicas;
  for (const Flexible &entry : entries) {
    unsigned value = network.addNode(), replica = network.addNode();
    values.push_back(value);
    replicas.push_back(replica);
    int64_t bytes = bytesOf(entry.value);
    network.addEdge(value, replica, 2 * bytes);
    network.addEdge(replica, value, MinCut::infinity);
    if (entry.kind == Flexible::Created || entry.mustBePartial)
      network.addEdge(MinCut::source, value, MinCut::infinity);
    for (unsigned operand : entry.operands) {
      // Computed replicated only from replicated operands.
      network.addEdge(replicas[operand], value, MinCut::infinity);
      if (entry.kind == Flexible::Linear)
        network.addEdge(value, values[operand], MinCut::infinity);
    }
    if (entry.neededReplicated)
      network.addEdge(replica, MinCut::sink, MinCut::infinity);
    if (entry.numScatters)
      network.addEdge(replica, MinCut::sink, bytes * entry.numScatters);
  }
  (void)network.solve();
  for (auto [entry, value] : llvm::zip_equal(entries, values))
    entry.partial = !network.isOnSinkSide(value);
}

void Deferral::choose(Policy policy) {
  if (policy == Policy::MinCut)
    return chooseCheapest();
  for (Flexible &entry : entries)
    entry.partial = policy == Policy::Boundary ||
                    entry.kind == Flexible::Created || entry.mustBePartial;
}

/// `reason` gives the location, and the site where it names one.
Value Deferral::convert(OpBuilder &builder, Operation *reason, Value value,
                        Placement to) {
  auto type = cast<PlacedTensorType>(value.getType());
  SmallVector<Placement> placements(type.getPlacements());
  placements[axis] = to;
  return RedistributeOp::create(builder, reason->getLoc(),
                                type.withPlacements(placements), value,
                                reason->getAttrOfType<StringAttr>("site"));
}

Value Deferral::takePartial(Operation *user, Flexible &entry) {
  if (!entry.partialForm) {
    OpBuilder builder(user);
    entry.partialForm =
        convert(builder, user, entry.replicatedForm, Placement::partial());
  }
  return entry.partialForm;
}

Value Deferral::takeReplicated(Operation *user, Flexible &entry) {
  if (!entry.replicatedForm) {
    // Where the value is, so that one reduction serves all uses, and what comes
    // after need not wait.
    OpBuilder builder(user);
    builder.setInsertionPointAfterValue(entry.partialForm);
    Operation *reason =
        entry.conversions.empty() ? user : entry.conversions.front();
    entry.replicatedForm =
        convert(builder, reason, entry.partialForm, Placement::replicate());
    entry.reducedBy = entry.replicatedForm.getDefiningOp();
  }
  return entry.replicatedForm;
}

void Deferral::rewrite(Operation *op) {
  std::optional<unsigned> result;
  if (op->getNumResults() == 1)
    result = find(op->getResult(0));
  if (result && llvm::is_contained(entries[*result].conversions, op))
    return;
  bool chosen = result && entries[*result].kind != Flexible::Created;
  for (OpOperand &operand : op->getOpOperands()) {
    auto found = useNumbers.find(&operand);
    if (found == useNumbers.end()) {
      // A term that was replicated all along joins a Partial sum.
      if (chosen && entries[*result].kind == Flexible::Sum &&
          entries[*result].partial) {
        OpBuilder builder(op);
        operand.set(convert(builder, op, operand.get(), Placement::partial()));
      }
      continue;
    }
    Use &use = uses[found->second];
    Flexible &entry = entries[use.entry];
    bool partial = use.kind == Use::Partial;
    if (use.kind == Use::AsResult)
      partial = entries[use.result].partial;
    else if (use.kind == Use::Scatter)
      // Cut from the replicated form if there is one.
      partial = use.reduces = !entry.replicatedForm;
    operand.set(partial ? takePartial(op, entry) : takeReplicated(op, entry));
  }
  for (Value value : op->getResults()) {
    std::optional<unsigned> number = find(value);
    if (!number)
      continue;
    Flexible &entry = entries[*number];
    auto type = cast<PlacedTensorType>(value.getType());
    SmallVector<Placement> placements(type.getPlacements());
    placements[axis] =
        entry.partial ? Placement::partial() : Placement::replicate();
    value.setType(type.withPlacements(placements));
    (entry.partial ? entry.partialForm : entry.replicatedForm) = value;
  }
}

void Deferral::run(Policy policy) {
  for (BlockArgument argument : function.getArguments())
    if (isPartialSum(argument)) {
      add({Flexible::Created, argument});
      entries.back().partialForm = argument;
    }
  SmallVector<Operation *> operations;
  for (Operation &op : function.getBody().front()) {
    operations.push_back(&op);
    collect(&op);
  }
  pinTerms();
  choose(policy);
  for (Operation *op : operations)
    rewrite(op);
  if (function.getContext()->getRemarkEngine())
    emitRemarks(policy);
  for (Flexible &entry : llvm::reverse(entries))
    for (Operation *conversion : llvm::reverse(entry.conversions))
      conversion->erase();
  // What was a reduction's last step may convert nothing now.
  for (auto op : llvm::make_early_inc_range(
           function.getBody().front().getOps<RedistributeOp>()))
    if (op.getInput().getType() == op.getType()) {
      op.replaceAllUsesWith(op.getInput());
      op.erase();
    }
}

namespace {

struct DeferReductionsPass
    : moe::spmd::impl::DeferReductionsBase<DeferReductionsPass> {
  using DeferReductionsBase::DeferReductionsBase;

  LogicalResult initialize(MLIRContext *context) override {
    if (policy == "eager" || policy == "boundary" || policy == "min-cut")
      return success();
    return emitError(UnknownLoc::get(context))
           << "unknown policy '" << policy
           << "'; help: use min-cut, boundary or eager";
  }

  void runOnOperation() override;
};

} // namespace

void DeferReductionsPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isDeclaration() || function->hasAttr(SPMDDialect::kVjpAttr))
    return;
  MeshAttr mesh;
  for (BlockArgument argument : function.getArguments())
    if (auto type = dyn_cast<PlacedTensorType>(argument.getType()))
      mesh = type.getMesh();
  if (!mesh)
    return;
  // What is false before is not ours to move around.
  if (!PlacementAnalysis(function).getFindings().empty()) {
    function.emitError("it makes false claims; help: run "
                       "spmd-verify-gradients and see its errors");
    return signalPassFailure();
  }
  Policy chosen = policy == "eager"      ? Policy::Eager
                  : policy == "boundary" ? Policy::Boundary
                                         : Policy::MinCut;
  for (auto [axis, meshAxis] : llvm::enumerate(mesh.getLeafAxes()))
    if (meshAxis.getSize() > 1)
      Deferral(function, axis).run(chosen);
  // Every requirement is met: types are true, and results are typed as before.
  PlacementAnalysis after(function);
  for (ArrayRef<Finding> error : after.getErrors())
    moe::spmd::emitError(after, function, error);
  if (!after.getFindings().empty())
    signalPassFailure();
}

//===- DeferReductions.cpp - Put each reduction where it costs least ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "mlir/IR/Remarks.h"
#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"
#include "llvm/Support/FormatVariadic.h"

namespace moe::spmd {
#define GEN_PASS_DEF_DEFERREDUCTIONS
#include "moe/Dialect/SPMD/Transforms/Passes.h.inc"
} // namespace moe::spmd

using namespace mlir;
using namespace moe::spmd;

static PlacedTensorType typeOf(Value value) {
  return cast<PlacedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Several axes
//===----------------------------------------------------------------------===//

/// Conversions that sum whole over several axes become one for each, so that
/// each axis may be chosen by itself.
static void splitReductions(func::FuncOp function) {
  for (auto op : llvm::make_early_inc_range(
           function.getBody().front().getOps<RedistributeOp>())) {
    PlacedTensorType to = typeOf(op.getResult());
    SmallVector<Placement> now(typeOf(op.getInput()).getPlacements());
    SmallVector<unsigned> axes;
    for (auto [i, placement] : llvm::enumerate(to.getPlacements()))
      if (now[i] == Placement::partial() && placement.isReplicate())
        axes.push_back(i);
    bool more =
        !llvm::all_of(llvm::seq<unsigned>(0, now.size()), [&](unsigned i) {
          return now[i] == to.getPlacements()[i] || llvm::is_contained(axes, i);
        });
    if (axes.size() + more < 2)
      continue;
    OpBuilder builder(op);
    if (!more)
      axes.pop_back();
    for (unsigned axis : axes) {
      now[axis] = Placement::replicate();
      op.getInputMutable().assign(RedistributeOp::create(
          builder, op.getLoc(), to.withPlacements(now), op.getInput(),
          op->getAttrOfType<StringAttr>("site")));
    }
  }
}

/// The other way round, where one collective costs no more.
static void mergeReductions(func::FuncOp function, const CostModel &model) {
  auto onlySums = [](RedistributeOp op) {
    return llvm::all_of(llvm::zip_equal(typeOf(op.getInput()).getPlacements(),
                                        typeOf(op.getResult()).getPlacements()),
                        [](auto pair) {
                          auto [from, to] = pair;
                          return from == to || (from == Placement::partial() &&
                                                to.isReplicate());
                        });
  };
  for (auto op : llvm::make_early_inc_range(
           function.getBody().front().getOps<RedistributeOp>())) {
    auto before = op.getInput().getDefiningOp<RedistributeOp>();
    if (!before || !before->hasOneUse() || !onlySums(op) || !onlySums(before))
      continue;
    int64_t apart = getCost(op, model) + getCost(before, model);
    Value whole = op.getInput();
    op.getInputMutable().assign(before.getInput());
    if (getCost(op, model) <= apart)
      before.erase();
    else
      op.getInputMutable().assign(whole);
  }
}

static int64_t costOf(func::FuncOp function, const CostModel &model) {
  int64_t cost = 0;
  for (auto op : function.getBody().front().getOps<RedistributeOp>())
    cost += getCost(op, model);
  return cost;
}

std::string moe::spmd::microseconds(int64_t picoseconds) {
  return llvm::formatv("{0:f3}", double(picoseconds) / 1e6).str();
}

static MeshAttr findMesh(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (auto type = dyn_cast<PlacedTensorType>(argument.getType()))
      return type.getMesh();
  return {};
}

/// What each policy is estimated to cost on an axis, where there is something
/// to choose.
static void emitEstimates(func::FuncOp function, unsigned axis,
                          Deferral &deferral) {
  if (deferral.getNumReductions() == 0)
    return;
  int64_t eager = deferral.choose(Policy::Eager);
  int64_t boundary = deferral.choose(Policy::Boundary);
  int64_t cut = deferral.choose(Policy::MinCut);
  auto opts = remark::RemarkOpts::name("estimate")
                  .category("spmd-defer-reductions")
                  .function(function.getName());
  auto remark = remark::analysis(function.getLoc(), opts);
  MeshAxisAttr meshAxis = findMesh(function).getLeafAxes()[axis];
  remark << remark::metric("axis", meshAxis.getName().str())
         << remark::metric("us_eager", microseconds(eager))
         << remark::metric("us_boundary", microseconds(boundary))
         << remark::metric("us_min_cut", microseconds(cut))
         << remark::metric("us_at_least",
                           microseconds(deferral.getLowerBound()));
}

static LogicalResult deferAxis(func::FuncOp function, unsigned axis,
                               const CostModel &model,
                               const DeferralOptions &options) {
  Deferral deferral(function, axis, model);
  deferral.collect();
  if (options.remarks)
    emitEstimates(function, axis, deferral);
  if (options.policy == Policy::MinCut && options.memoryBudget) {
    if (failed(deferral.chooseWithin(*options.memoryBudget))) {
      MeshAxisAttr meshAxis = findMesh(function).getLeafAxes()[axis];
      return function.emitError("partial values over the axis '")
             << meshAxis.getName().getValue() << "' do not fit in "
             << *options.memoryBudget
             << " bytes; help: the smallest memory-budget that they fit in is "
             << deferral.getPeakBytes();
    }
  } else {
    deferral.choose(options.policy);
  }
  deferral.apply(options.policy, options.remarks);
  return success();
}

namespace {

/// A way to go over several axes, one after the other.
struct Course {
  /// Puts reductions of all axes in the same places first.
  std::optional<Policy> first;
  bool backwards = false;
};

} // namespace

static LogicalResult follow(func::FuncOp function, const Course &course,
                            ArrayRef<unsigned> axes, const CostModel &model,
                            DeferralOptions options) {
  SmallVector<unsigned> order(axes);
  if (course.backwards)
    std::reverse(order.begin(), order.end());
  auto round = [&](const DeferralOptions &options) -> LogicalResult {
    splitReductions(function);
    for (unsigned axis : order)
      if (failed(deferAxis(function, axis, model, options)))
        return failure();
    mergeReductions(function, model);
    return success();
  };
  if (course.first) {
    DeferralOptions first = options;
    first.policy = *course.first;
    if (failed(round(first)))
      return failure();
    options.remarks = false;
  }
  if (options.policy != Policy::MinCut)
    return course.first ? success() : round(options);
  // What one axis gains may depend on where another one reduces.
  const unsigned maxRounds = axes.size() > 1 ? 4 : 1;
  int64_t cost = costOf(function, model);
  for (unsigned i = 0; i < maxRounds; ++i) {
    if (failed(round(options)))
      return failure();
    options.remarks = false;
    int64_t now = costOf(function, model);
    if (i > 0 && now >= cost)
      break;
    cost = now;
  }
  return success();
}

LogicalResult moe::spmd::deferReductions(func::FuncOp function,
                                         const CostModel &model,
                                         const DeferralOptions &options) {
  SmallVector<unsigned> axes;
  auto isPartial = [](Value value, unsigned axis) {
    auto type = dyn_cast<PlacedTensorType>(value.getType());
    return type && type.getPlacements()[axis].isPartial();
  };
  for (auto [axis, meshAxis] :
       llvm::enumerate(findMesh(function).getLeafAxes())) {
    if (meshAxis.getSize() == 1)
      continue;
    bool found = llvm::any_of(function.getArguments(), [&](Value value) {
      return isPartial(value, axis);
    });
    for (Operation &op : function.getBody().front())
      found = found || llvm::any_of(op.getResults(), [&](Value value) {
                return isPartial(value, axis);
              });
    if (found)
      axes.push_back(axis);
  }
  // A copy for each course is worth it for layers, not for whole models.
  constexpr size_t maxTried = 2'000;
  if (axes.size() < 2 || options.policy != Policy::MinCut ||
      function.getBody().front().getOperations().size() > maxTried)
    return follow(function, {}, axes, model, options);

  Course best;
  std::optional<int64_t> least;
  for (Course course :
       {Course{}, Course{std::nullopt, true}, Course{Policy::Boundary},
        Course{Policy::Boundary, true}, Course{Policy::Eager},
        Course{Policy::Eager, true}}) {
    OwningOpRef<func::FuncOp> copy(function.clone());
    DeferralOptions quiet = options;
    quiet.remarks = false;
    // A budget that is too small is reported once.
    ScopedDiagnosticHandler handler(function.getContext(),
                                    [](Diagnostic &) { return success(); });
    if (failed(follow(*copy, course, axes, model, quiet)))
      continue;
    int64_t cost = costOf(*copy, model);
    if (!least || cost < *least) {
      least = cost;
      best = course;
    }
  }
  return follow(function, best, axes, model, options);
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

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
  DeferralOptions options;
  options.policy = policy == "eager"      ? Policy::Eager
                   : policy == "boundary" ? Policy::Boundary
                                          : Policy::MinCut;
  if (memoryBudget >= 0)
    options.memoryBudget = memoryBudget;
  options.remarks = function.getContext()->getRemarkEngine() != nullptr;
  if (failed(deferReductions(function, *model, options)))
    return signalPassFailure();
  // Every requirement is met: types are true, and results are typed as before.
  PlacementAnalysis after(function);
  for (ArrayRef<Finding> error : after.getErrors())
    moe::spmd::emitError(after, function, error);
  if (!after.getFindings().empty())
    signalPassFailure();
}

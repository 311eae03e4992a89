//===- DeferralRemarks.cpp - What became of each reduction, and why -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "mlir/IR/Remarks.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace moe::spmd;

static std::string microseconds(int64_t picoseconds) {
  return llvm::formatv("{0:f3}", double(picoseconds) / 1e6).str();
}

DeferralRemarks::DeferralRemarks(func::FuncOp function,
                                 const DeferralGraph &graph,
                                 const DeferralSolution &solution,
                                 const CostModel &model)
    : function(function), graph(graph), solution(solution), model(model),
      usesOf(graph.getValues().size()) {
  for (auto [i, use] : llvm::enumerate(graph.getUses()))
    if (use.value != DeferralGraph::none)
      usesOf[use.value].push_back(i);
  for (const DeferralGraph::Conversion &conversion : graph.getConversions())
    for (unsigned axis = 0; axis < graph.getAxes().size(); ++axis) {
      RedistributeOp op = conversion.op;
      if (conversion.from[axis] == Form::partial &&
          conversion.to[axis] != Form::partial)
        reductionsOf[axis].push_back({conversion.value,
                                      op.getLoc(),
                                      op->getAttrOfType<StringAttr>("site"),
                                      op.getInput().getType(),
                                      conversion.to[axis],
                                      {},
                                      nullptr});
    }
}

void DeferralRemarks::addEstimate(unsigned axis,
                                  const DeferralEstimate &estimate) {
  DeferralEstimate &sum = estimates[axis];
  sum.eager += estimate.eager;
  sum.boundary += estimate.boundary;
  sum.minCut += estimate.minCut;
  sum.atLeast += estimate.atLeast;
}

Placement DeferralRemarks::at(Value value) const {
  return cast<PlacedTensorType>(value.getType())
      .getPlacements()[graph.getAxes().leaves[axis]];
}

StringRef DeferralRemarks::kindOf(Operation *op) const {
  return getCollectiveName(at(op->getOperand(0)), at(op->getResult(0)));
}

bool DeferralRemarks::isPartial(unsigned number) const {
  return at(graph.getValues()[number].root) == Placement::partial();
}

void DeferralRemarks::addMade(unsigned value, Reduction &reduction) const {
  for (RedistributeOp op : (*made)[value])
    if (!kindOf(op).empty())
      reduction.places.insert(op);
}

/// Where the terms of a value that is computed Partial are reduced.
void DeferralRemarks::findLater(unsigned value, Reduction &reduction,
                                llvm::BitVector &visited) const {
  if (visited.test(value))
    return;
  visited.set(value);
  addMade(value, reduction);
  for (unsigned number : usesOf[value]) {
    const DeferralGraph::Use &use = graph.getUses()[number];
    if (use.user != DeferralGraph::none &&
        graph.getValues()[use.user].rules[axis] && isPartial(use.user) &&
        solution.getNeed(graph, use)[axis] == Form::partial)
      findLater(use.user, reduction, visited);
  }
}

/// Where the values that a replicated one is computed from are reduced.
void DeferralRemarks::findEarlier(unsigned number, Reduction &reduction,
                                  llvm::BitVector &visited) const {
  if (visited.test(number))
    return;
  visited.set(number);
  const DeferralGraph::Value &value = graph.getValues()[number];
  for (unsigned i = value.usesBegin; i < value.usesEnd; ++i) {
    unsigned from = graph.getUses()[i].value;
    if (from == DeferralGraph::none || !graph.getValues()[from].open)
      continue;
    addMade(from, reduction);
    if (!isPartial(from))
      findEarlier(from, reduction, visited);
  }
}

/// The collective that does what `reduction` did, for the same value.
Operation *DeferralRemarks::findOwn(const Reduction &reduction) const {
  if (!isPartial(reduction.value))
    return nullptr;
  Operation *cut = nullptr, *whole = nullptr;
  for (RedistributeOp op : (*made)[reduction.value]) {
    if (kindOf(op).empty())
      continue;
    Placement to = at(op.getResult());
    if (to.isReplicate())
      whole = op;
    else if (!cut || Form::cut(to.dim) == reduction.target)
      cut = op;
  }
  return (reduction.target != Form::whole && cut) || !whole ? cut : whole;
}

/// Why a reduction stays where it is.
std::string DeferralRemarks::explainKept(const Reduction &reduction,
                                         Policy policy) {
  for (unsigned number : usesOf[reduction.value]) {
    const DeferralGraph::Use &use = graph.getUses()[number];
    if (solution.getNeed(graph, use)[axis] != Form::whole)
      continue;
    // What could take it partial does not need it whole.
    if (use.user != DeferralGraph::none) {
      const AxisRule *rule = graph.getValues()[use.user].rules[axis];
      if (rule && rule->allow[PartialLevel])
        continue;
    }
    Operation *user = use.operand->getOwner();
    if (!isa<func::ReturnOp>(user))
      return ("'" + user->getName().getStringRef() + "' needs it whole").str();
    unsigned result = use.operand->getOperandNumber();
    auto name = function.getResultAttrOfType<StringAttr>(
        result, SPMDDialect::kNameAttr);
    return name ? ("it leaves as '" + name.getValue() + "'").str()
                : "it leaves as result " + std::to_string(result);
  }
  return policy == Policy::Eager           ? "it becomes partial here"
         : policy == Policy::Boundary      ? "it cannot be later"
         : reduction.target != Form::whole ? "it is cut here"
                                           : "no other place costs less";
}

void DeferralRemarks::emitRemark(const Reduction &reduction, StringRef fate,
                                 const std::string &why) {
  MeshAttr mesh = graph.getAxes().mesh;
  unsigned leaf = graph.getAxes().leaves[axis];
  MeshAxisAttr meshAxis = mesh.getLeafAxes()[leaf];
  bool scatters = reduction.target != Form::whole;
  int64_t bytes = getLocalBytes(reduction.type);
  int64_t before =
      getBytesSent(Placement::partial(),
                   scatters ? Placement::shard(0) : Placement::replicate(),
                   meshAxis.getSize(), bytes);
  auto cost = [&](StringRef kind, int64_t bytes) {
    return model.get(kind == "all_reduce"       ? CollectiveKind::AllReduce
                     : kind == "reduce_scatter" ? CollectiveKind::ReduceScatter
                                                : CollectiveKind::AllGather,
                     mesh, leaf, bytes);
  };
  StringRef kind = scatters ? "reduce_scatter" : "all_reduce";
  int64_t after = 0, costAfter = 0;
  for (Operation *place : reduction.places) {
    Value from = place->getOperand(0);
    int64_t held = getLocalBytes(cast<PlacedTensorType>(from.getType()));
    after += getBytesSent(at(from), at(place->getResult(0)), meshAxis.getSize(),
                          held);
    costAfter += cost(kindOf(place), held);
  }

  auto opts = remark::RemarkOpts::name(fate)
                  .category("spmd-defer-reductions")
                  .function(function.getName());
  auto remark = fate == "kept" ? remark::analysis(reduction.loc, opts)
                               : remark::passed(reduction.loc, opts);
  remark << remark::metric("axis", meshAxis.getName().str())
         << remark::metric("kind", kind.str());
  if (reduction.site)
    remark << remark::metric("site", reduction.site.str());
  if (fate != "kept")
    for (Operation *place : reduction.places)
      remark << remark::metric("to", kindOf(place).str() + " " +
                                         getPlace(place->getLoc()));
  remark << remark::metric("why", why) << remark::metric("bytes_before", before)
         << remark::metric("bytes_after", after)
         << remark::metric("us_before", microseconds(cost(kind, bytes)))
         << remark::metric("us_after", microseconds(costAfter));
}

void DeferralRemarks::emitEstimate() {
  auto opts = remark::RemarkOpts::name("estimate")
                  .category("spmd-defer-reductions")
                  .function(function.getName());
  auto remark = remark::analysis(function.getLoc(), opts);
  const DeferralAxes &axes = graph.getAxes();
  MeshAxisAttr meshAxis = axes.mesh.getLeafAxes()[axes.leaves[axis]];
  const DeferralEstimate &estimate = estimates[axis];
  remark << remark::metric("axis", meshAxis.getName().str())
         << remark::metric("us_eager", microseconds(estimate.eager))
         << remark::metric("us_boundary", microseconds(estimate.boundary))
         << remark::metric("us_min_cut", microseconds(estimate.minCut))
         << remark::metric("us_at_least", microseconds(estimate.atLeast));
}

void DeferralRemarks::emitAxis(std::vector<Reduction> &reductions,
                               Policy policy) {
  DenseMap<Operation *, unsigned> sharers;
  for (Reduction &reduction : reductions) {
    llvm::BitVector visited(graph.getValues().size());
    reduction.own = findOwn(reduction);
    if (reduction.own) {
      reduction.places.insert(reduction.own);
      // Gathered after it was cut.
      if (kindOf(reduction.own) == "all_gather")
        reduction.places.insert(reduction.own->getOperand(0).getDefiningOp());
    } else if (isPartial(reduction.value)) {
      findLater(reduction.value, reduction, visited);
    } else {
      findEarlier(reduction.value, reduction, visited);
    }
    for (Operation *place : reduction.places)
      ++sharers[place];
  }

  DenseSet<Operation *> kept;
  for (const Reduction &reduction : reductions) {
    bool here =
        reduction.own && (reduction.target != Form::whole) ==
                             (kindOf(reduction.own) == "reduce_scatter");
    unsigned inPlaceOf =
        reduction.places.size() == 1 ? sharers[reduction.places.front()] : 1;
    if (reduction.places.empty()) {
      emitRemark(reduction, "removed", "nothing needs the sum");
    } else if (here && kept.insert(reduction.own).second) {
      emitRemark(reduction, "kept", explainKept(reduction, policy));
    } else if (inPlaceOf > 1) {
      emitRemark(reduction, "merged",
                 "one reduction in place of " + std::to_string(inPlaceOf));
    } else {
      emitRemark(reduction, "moved",
                 policy == Policy::MinCut     ? "it costs least there"
                 : policy == Policy::Boundary ? "it cannot be later"
                                              : "it becomes partial there");
    }
  }
}

void DeferralRemarks::emit(const MadeConversions &made, Policy policy) {
  this->made = &made;
  for (axis = 0; axis < graph.getAxes().size(); ++axis) {
    if (reductionsOf[axis].empty())
      continue;
    emitEstimate();
    emitAxis(reductionsOf[axis], policy);
  }
}

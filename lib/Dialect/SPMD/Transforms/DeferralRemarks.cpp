//===- DeferralRemarks.cpp - What became of each reduction, and why -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "mlir/IR/Remarks.h"
#include "moe/Dialect/SPMD/IR/Locations.h"

using namespace mlir;
using namespace moe::spmd;

/// A conversion that reduces: by its kind of collective.
static StringRef kindOf(Operation *op, unsigned axis) {
  auto at = [&](Value value) {
    return cast<PlacedTensorType>(value.getType()).getPlacements()[axis];
  };
  return getCollectiveName(at(op->getOperand(0)), at(op->getResult(0)));
}

/// By ring algorithms, per rank.
int64_t Deferral::bytesSentBy(Operation *op) const {
  auto type = cast<PlacedTensorType>(op->getResult(0).getType());
  return getBytesSent(get(op->getOperand(0)), type.getPlacements()[axis],
                      type.getMesh().getLeafAxes()[axis].getSize(),
                      bytesOf(op->getOperand(0)));
}

/// Where the terms of a value that is computed Partial are reduced.
void Deferral::findLater(unsigned entry, Reduction &reduction,
                         llvm::BitVector &visited) const {
  if (visited.test(entry))
    return;
  visited.set(entry);
  for (Operation *op : entries[entry].madeBy)
    if (op)
      reduction.places.insert(op);
  for (unsigned number : entries[entry].uses) {
    const Use &use = uses[number];
    if (use.kind == Use::Scatter && use.reduces)
      reduction.places.insert(use.operand->getOwner());
    if (use.kind == Use::AsResult && entries[use.result].form == PartialForm)
      findLater(use.result, reduction, visited);
  }
}

/// Where the values that a replicated one is computed from are reduced.
void Deferral::findEarlier(unsigned entry, Reduction &reduction,
                           llvm::BitVector &visited) const {
  if (visited.test(entry))
    return;
  visited.set(entry);
  for (Operation *op : entries[entry].madeBy)
    if (op)
      reduction.places.insert(op);
  for (const CutItem::Operand &operand : items[entry].operands) {
    const Flexible &from = entries[operand.item];
    for (Operation *op : from.madeBy)
      if (op)
        reduction.places.insert(op);
    if (from.form != PartialForm)
      findEarlier(operand.item, reduction, visited);
  }
}

/// Why a reduction stays where it is.
std::string Deferral::explainKept(const Reduction &reduction, Policy policy) {
  for (unsigned number : entries[reduction.entry].uses) {
    const Use &use = uses[number];
    bool nonlinear = use.kind == Use::AsResult &&
                     !items[use.result].allow[PartialForm] &&
                     entries[use.result].form == WholeForm;
    if (use.kind != Use::Replicated && !nonlinear)
      continue;
    Operation *user = use.operand->getOwner();
    if (!isa<func::ReturnOp>(user))
      return ("'" + user->getName().getStringRef() + "' needs it whole").str();
    unsigned result = use.operand->getOperandNumber();
    auto name = function.getResultAttrOfType<StringAttr>(
        result, SPMDDialect::kNameAttr);
    return name ? ("it leaves as '" + name.getValue() + "'").str()
                : "it leaves as result " + std::to_string(result);
  }
  return policy == Policy::Eager      ? "it becomes partial here"
         : policy == Policy::Boundary ? "it cannot be later"
         : reduction.scatter          ? "it is cut here"
                                      : "no other place costs less";
}

void Deferral::emitRemark(const Reduction &reduction, StringRef fate,
                          const std::string &why) {
  // The operand may be the replicated form by now.
  const Flexible &entry = entries[reduction.entry];
  auto type = cast<PlacedTensorType>(entry.value.getType());
  MeshAxisAttr meshAxis = type.getMesh().getLeafAxes()[axis];
  Placement reduced =
      reduction.scatter ? Placement::shard(0) : Placement::replicate();
  int64_t before = getBytesSent(Placement::partial(), reduced,
                                meshAxis.getSize(), bytesOf(entry.value));
  auto cost = [&](StringRef kind, int64_t bytes) {
    return model.get(kind == "all_reduce"       ? CollectiveKind::AllReduce
                     : kind == "reduce_scatter" ? CollectiveKind::ReduceScatter
                                                : CollectiveKind::AllGather,
                     type.getMesh(), axis, bytes);
  };
  int64_t after = 0, costAfter = 0;
  for (Operation *place : reduction.places) {
    after += bytesSentBy(place);
    costAfter += cost(kindOf(place, axis), bytesOf(place->getOperand(0)));
  }
  int64_t costBefore = cost(reduction.scatter ? "reduce_scatter" : "all_reduce",
                            bytesOf(entry.value));

  auto opts = remark::RemarkOpts::name(fate)
                  .category("spmd-defer-reductions")
                  .function(function.getName());
  Location loc = reduction.op->getLoc();
  auto remark =
      fate == "kept" ? remark::analysis(loc, opts) : remark::passed(loc, opts);
  remark << remark::metric("axis", meshAxis.getName().str())
         << remark::metric("kind",
                           std::string(reduction.scatter ? "reduce_scatter"
                                                         : "all_reduce"));
  if (auto site = reduction.op->getAttrOfType<StringAttr>("site"))
    remark << remark::metric("site", site.str());
  if (fate != "kept")
    for (Operation *place : reduction.places)
      remark << remark::metric("to", kindOf(place, axis).str() + " " +
                                         getPlace(place->getLoc()));
  remark << remark::metric("why", why) << remark::metric("bytes_before", before)
         << remark::metric("bytes_after", after)
         << remark::metric("us_before", microseconds(costBefore))
         << remark::metric("us_after", microseconds(costAfter));
}

/// The collective that does what `reduction` did, for the same value.
Operation *Deferral::findOwn(const Reduction &reduction) const {
  if (reduction.scatter && uses[*reduction.scatter].reduces)
    return reduction.op;
  const Flexible &entry = entries[reduction.entry];
  if (entry.form != PartialForm)
    return nullptr;
  Operation *whole = entry.madeBy[WholeForm], *cut = entry.madeBy[CutForm_];
  return reduction.scatter && cut ? cut : whole ? whole : cut;
}

void Deferral::emitRemarks(Policy policy) {
  std::vector<Reduction> reductions;
  for (auto [i, entry] : llvm::enumerate(entries))
    for (Operation *conversion : entry.conversions)
      reductions.push_back({conversion, unsigned(i), std::nullopt, {}});
  for (auto [i, use] : llvm::enumerate(uses))
    if (use.reduced)
      reductions.push_back(
          {use.operand->getOwner(), use.entry, unsigned(i), {}});
  llvm::sort(reductions, [](const Reduction &lhs, const Reduction &rhs) {
    return lhs.op->isBeforeInBlock(rhs.op);
  });

  DenseMap<Operation *, unsigned> sharers;
  for (Reduction &reduction : reductions) {
    const Flexible &entry = entries[reduction.entry];
    llvm::BitVector visited(entries.size());
    if (Operation *own = findOwn(reduction))
      reduction.places.insert(own);
    else if (entry.form == PartialForm)
      findLater(reduction.entry, reduction, visited);
    else
      findEarlier(reduction.entry, reduction, visited);
    for (Operation *place : reduction.places)
      ++sharers[place];
  }

  DenseSet<Operation *> kept;
  for (const Reduction &reduction : reductions) {
    Operation *own = findOwn(reduction);
    bool here = own && reduction.scatter.has_value() ==
                           (kindOf(own, axis) == "reduce_scatter");
    unsigned inPlaceOf =
        reduction.places.size() == 1 ? sharers[reduction.places.front()] : 1;
    if (reduction.places.empty()) {
      emitRemark(reduction, "removed", "nothing needs the sum");
    } else if (here && kept.insert(own).second) {
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

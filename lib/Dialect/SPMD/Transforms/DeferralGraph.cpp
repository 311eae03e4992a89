//===- DeferralGraph.cpp - What of a function deferral may change ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DeferralGraph.h"

using namespace mlir;
using namespace moe::spmd;

/// Even cuts only, of a dimension that no other axis cuts: what is cut here was
/// not before.
static bool canCutType(PlacedTensorType type, unsigned leaf, int dim) {
  if (dim < 0 || dim >= type.getRank() ||
      type.getDimSize(dim) % type.getMesh().getLeafAxes()[leaf].getSize() != 0)
    return false;
  return llvm::none_of(llvm::enumerate(type.getPlacements()), [&](auto other) {
    auto [i, placement] = other;
    return i != leaf && (placement.isRagged() ||
                         (placement.isShard() && placement.dim == dim));
  });
}

DeferralGraph::DeferralGraph(func::FuncOp function, const DeferralAxes &axes)
    : function(function), axes(axes) {
  for (BlockArgument argument : function.getArguments())
    if (auto type = dyn_cast<PlacedTensorType>(argument.getType())) {
      Form form = axes.formOf(type.getPlacements());
      uint8_t open = 0;
      for (unsigned axis = 0; axis < axes.size(); ++axis)
        open |= (form[axis] == Form::partial) << axis;
      uint8_t gathered = findGathered(argument, form);
      if (open | gathered)
        addValue(argument, form, open, gathered, 0);
    }
  size_t size = function.getBody().front().getOperations().size();
  values.reserve(size);
  kinds.reserve(size);
  uses.reserve(2 * size);
  references.reserve(size);
  unsigned position = 0;
  for (Operation &op : function.getBody().front())
    read(&op, ++position);
  references.clear();
  references.shrink_and_clear();
  findCuts();
  for (unsigned i = 0; i < values.size(); ++i)
    classify(i);
  pin();
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// The axes, as bits, on which a value is cut and some conversion makes it
/// whole or partial. Such a conversion stands where it is needed, as a
/// reduction does.
uint8_t DeferralGraph::findGathered(mlir::Value value, Form form) const {
  uint8_t gathered = 0;
  auto isCut = [&](unsigned axis) { return Form::isCut(form[axis]); };
  if (llvm::none_of(llvm::seq(axes.size()), isCut))
    return gathered;
  for (Operation *user : value.getUsers()) {
    auto conversion = dyn_cast<RedistributeOp>(user);
    if (!conversion)
      continue;
    Form to = axes.formOf(conversion.getType().getPlacements());
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      if (isCut(axis) && Form::mayVary(to[axis]) &&
          canCutType(cast<PlacedTensorType>(value.getType()), axes.leaves[axis],
                     Form::dimOf(form[axis])))
        gathered |= 1 << axis;
  }
  return gathered;
}

unsigned DeferralGraph::addValue(mlir::Value root, Form computed, uint8_t open,
                                 uint8_t gathered, unsigned position) {
  Value value;
  value.root = root;
  value.computed = computed;
  value.open = open | gathered;
  value.gathered = gathered;
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    if (gathered >> axis & 1)
      value.cuts[axis] = computed[axis];
  value.position = position;
  references[root] = {unsigned(values.size()), computed};
  values.push_back(value);
  kinds.push_back(nullptr);
  return values.size() - 1;
}

/// The uses that `op` makes of known values; of a `user`, all its operands.
void DeferralGraph::addUses(Operation *op, unsigned user, unsigned position,
                            Form *stated) {
  if (user != none)
    values[user].usesBegin = uses.size();
  for (auto [operand, known] : llvm::zip_equal(op->getOpOperands(), found)) {
    if (known.value == none && user == none)
      continue;
    Form form = stated ? *stated : known.form;
    if (known.value == none)
      form = axes.formOf(
          cast<PlacedTensorType>(operand.get().getType()).getPlacements());
    uses.push_back({&operand, known.value, user, position, form});
  }
  if (user != none)
    values[user].usesEnd = uses.size();
}

/// A conversion that only reduces or cuts makes no value of its own. Of others
/// what they reduce or cut comes first.
void DeferralGraph::readConversion(RedistributeOp op, Reference input,
                                   unsigned position) {
  auto from = op.getInput().getType().getPlacements();
  auto to = op.getType().getPlacements();
  Form target = axes.formOf(to), middle = input.form;
  uint8_t open = 0;
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    int16_t before = input.form[axis], after = target[axis];
    if ((before == Form::partial && after == Form::whole) ||
        (Form::mayVary(before) && Form::isCut(after)))
      middle[axis] = after;
    bool known = values[input.value].open >> axis & 1;
    if (known && Form::isCut(before) && Form::mayVary(after)) {
      middle[axis] = after;
      values[input.value].padded |= (after == Form::partial) << axis;
    }
    if ((known && middle[axis] == after && Form::mayVary(after)) ||
        after == Form::partial)
      open |= 1 << axis;
  }
  bool same = middle == target;
  for (auto [leaf, placement] : llvm::enumerate(from))
    same &= placement == to[leaf] || llvm::is_contained(axes.leaves, leaf);
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    same &= target[axis] != Form::other ||
            from[axes.leaves[axis]] == to[axes.leaves[axis]];
  if (same) {
    conversions.push_back({op, input.value, input.form, target});
    references[op.getResult()] = {input.value, target};
    return;
  }
  if (middle != input.form)
    conversions.push_back({op, input.value, input.form, middle, true});
  unsigned user = open
                      ? addValue(op.getResult(), target, open,
                                 findGathered(op.getResult(), target), position)
                      : none;
  addUses(op, user, position, &middle);
}

void DeferralGraph::read(Operation *op, unsigned position) {
  bool known = false;
  uint8_t varying = 0;
  found.clear();
  for (mlir::Value operand : op->getOperands()) {
    Reference reference = find(operand);
    found.push_back(reference);
    if (reference.value == none)
      continue;
    known = true;
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      varying |= (values[reference.value].open >> axis & 1 &&
                  Form::mayVary(reference.form[axis]))
                 << axis;
  }
  if (auto conversion = dyn_cast<RedistributeOp>(op)) {
    if (known)
      return readConversion(conversion, found.front(), position);
    if (conversion.getInput().getType() == conversion.getType())
      identities.push_back(conversion);
  }
  bool chooses =
      varying && op->getNumResults() == 1 && op->getNumOperands() <= 64 &&
      !isa<SPMDDialect>(op->getDialect()) && isa<PlacementOpInterface>(op) &&
      llvm::all_of(op->getOperandTypes(), llvm::IsaPred<PlacedTensorType>);
  unsigned user = none;
  for (mlir::Value result : op->getResults()) {
    auto type = dyn_cast<PlacedTensorType>(result.getType());
    if (!type)
      continue;
    Form form = axes.formOf(type.getPlacements());
    uint8_t open = 0;
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      open |= (form[axis] == Form::partial ||
               (chooses && varying >> axis & 1 && form[axis] == Form::whole))
              << axis;
    uint8_t gathered = findGathered(result, form);
    if (!(open | gathered))
      continue;
    unsigned value = addValue(result, form, open, gathered, position);
    if (!chooses)
      continue;
    user = value;
    kinds[value] = alike.find(op);
  }
  // An operation with regions is like no other.
  if (user != none && !kinds[user])
    user = none;
  if (known)
    addUses(op, user, position);
  // What stands in a region takes values as they are.
  for (Region &region : op->getRegions())
    region.walk([&](Operation *inner) {
      found.clear();
      for (mlir::Value operand : inner->getOperands())
        found.push_back(find(operand));
      addUses(inner, none, position);
    });
}

//===----------------------------------------------------------------------===//
// Dimensions
//===----------------------------------------------------------------------===//

const PlacementRule &DeferralGraph::getPlacementRule(unsigned value) {
  Kind *kind = kinds[value];
  if (!kind->placementRule)
    kind->placementRule =
        cast<PlacementOpInterface>(values[value].root.getDefiningOp())
            .getPlacementRule();
  return *kind->placementRule;
}

bool DeferralGraph::canCut(const Value &value, unsigned axis, int dim) const {
  return (value.open >> axis & 1) && Form::mayVary(value.computed[axis]) &&
         canCutType(cast<PlacedTensorType>(value.root.getType()),
                    axes.leaves[axis], dim);
}

/// The first dimension that is found stays.
void DeferralGraph::suggest(unsigned value, unsigned axis, int dim) {
  if (value != none && dim >= 0 && values[value].cuts[axis] == Form::partial &&
      canCut(values[value], axis, dim))
    values[value].cuts[axis] = Form::cut(dim);
}

/// The dimension of an operand that is cut where the result is cut along `dim`;
/// -1 if none is. Nothing if the rule forbids the cut.
static std::optional<int> findOperandDim(const PlacementRule &rule,
                                         unsigned operand, int dim) {
  if (rule.results.empty() || operand >= rule.operands.size() ||
      dim >= int(rule.results[0].size()))
    return std::nullopt;
  int factor = rule.results[0][dim].factor;
  if (factor < 0)
    return std::nullopt;
  for (auto [i, of] : llvm::enumerate(rule.operands[operand]))
    if (of.factor == factor)
      return int(i);
  return -1;
}

/// The other way round; -1 if the result is not cut.
static int findResultDim(const PlacementRule &rule, unsigned operand, int dim) {
  if (rule.results.empty() || operand >= rule.operands.size() ||
      dim >= int(rule.operands[operand].size()))
    return -1;
  int factor = rule.operands[operand][dim].factor;
  for (auto [i, of] : llvm::enumerate(rule.results[0]))
    if (factor >= 0 && of.factor == factor)
      return int(i);
  return -1;
}

void DeferralGraph::passCutsForwards(unsigned number) {
  const Value &value = values[number];
  if (!kinds[number])
    return;
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    if (!(value.open >> axis & 1) || value.cuts[axis] != Form::partial)
      continue;
    for (auto [k, use] : llvm::enumerate(operandsOf(value)))
      if (use.value != none && Form::isCut(values[use.value].cuts[axis]))
        suggest(number, axis,
                findResultDim(getPlacementRule(number), k,
                              Form::dimOf(values[use.value].cuts[axis])));
  }
}

void DeferralGraph::passCutsBackwards(unsigned number) {
  const Value &value = values[number];
  if (value.cuts == Form() || !kinds[number])
    return;
  const PlacementRule &rule = getPlacementRule(number);
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    if (!Form::isCut(value.cuts[axis]))
      continue;
    for (auto [k, use] : llvm::enumerate(operandsOf(value)))
      if (auto dim = findOperandDim(rule, k, Form::dimOf(value.cuts[axis])))
        suggest(use.value, axis, *dim);
  }
}

/// From what is cut, and from what is summed, to its neighbours: a value may be
/// cut where those it is computed from and for may be. What the program cuts
/// itself comes first.
void DeferralGraph::findCuts() {
  auto backwards = [&] {
    for (unsigned i = values.size(); i-- > 0;)
      passCutsBackwards(i);
  };
  for (const Conversion &conversion : llvm::reverse(conversions))
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      if (conversion.from[axis] != conversion.to[axis] &&
          Form::isCut(conversion.to[axis]))
        suggest(conversion.value, axis, Form::dimOf(conversion.to[axis]));
  backwards();
  for (const Conversion &conversion : conversions)
    for (unsigned axis = 0; axis < axes.size(); ++axis) {
      const Value &value = values[conversion.value];
      if (conversion.from[axis] != Form::partial ||
          conversion.to[axis] != Form::whole)
        continue;
      auto type = cast<PlacedTensorType>(value.root.getType());
      for (int dim = 0;
           dim < type.getRank() && value.cuts[axis] == Form::partial; ++dim)
        suggest(conversion.value, axis, dim);
    }
  for (unsigned i = 0; i < values.size(); ++i)
    passCutsForwards(i);
  backwards();
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

/// The dimension of each operand that is cut where `op` sums over a cut: of the
/// first factor along which all that vary may be cut. Empty if there is none.
static SmallVector<int16_t, 2> findContraction(PlacementOpInterface op,
                                               const PlacementRule &rule,
                                               const AxisSituation &situation,
                                               ArrayRef<Placement> placements) {
  auto dimOf = [](ArrayRef<DimFactor> dims, int factor) {
    const auto *found =
        llvm::find_if(dims, [&](DimFactor of) { return of.factor == factor; });
    return found == dims.end() ? -1 : int(found - dims.begin());
  };
  if (rule.results.empty() || rule.operands.size() != placements.size())
    return {};
  for (int factor = 0; factor < int(rule.factors.size()); ++factor) {
    if (dimOf(rule.results[0], factor) >= 0)
      continue;
    SmallVector<int16_t, 2> dims;
    SmallVector<Placement> cut(placements);
    bool possible = true, any = false;
    for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
      int dim = dimOf(rule.operands[i], factor);
      dims.push_back(int16_t(dim));
      if (dim < 0)
        continue;
      cut[i] = Placement::shard(dim);
      possible &= placements[i].isReplicate() &&
                  canCutType(cast<PlacedTensorType>(operand.getType()),
                             situation.leaf, dim);
      if (!situation.varies(i))
        continue;
      possible &= situation.cuts[i] == dim;
      any = true;
    }
    if (!possible || !any)
      continue;
    Transfer transfer = op.transferPlacements(situation.leaf, cut);
    if (transfer.ok && transfer.step == TransferStep::Contracted &&
        transfer.results[0] == Placement::partial())
      return dims;
  }
  return {};
}

/// What `op` can do on an axis while the operands that vary may be partial, cut
/// or whole; nothing if it has no choice. Operands without terms are padded to
/// join others, never to be reduced alone.
static std::optional<AxisRule> findRule(PlacementOpInterface op,
                                        const PlacementRule &placementRule,
                                        const AxisSituation &situation) {
  unsigned leaf = situation.leaf;
  uint64_t terms = situation.terms;
  int dim = situation.dim;
  AxisRule rule;
  rule.varying = situation.varying;
  rule.dim = dim;
  SmallVector<Placement> placements;
  SmallVector<unsigned> positions;
  auto typeOf = [&](unsigned i) {
    return cast<PlacedTensorType>(op->getOperand(i).getType());
  };
  unsigned size = op->getNumOperands();
  for (unsigned i = 0; i < size; ++i) {
    placements.push_back(rule.varies(i) ? Placement::replicate()
                                        : typeOf(i).getPlacements()[leaf]);
    if (rule.varies(i))
      positions.push_back(i);
  }
  auto carries = [&](ArrayRef<Placement> with) {
    Transfer transfer = op.transferPlacements(leaf, with);
    return transfer.ok && transfer.step == TransferStep::Carried &&
           transfer.results[0] == Placement::partial();
  };
  // With whole operands the result has to be whole.
  Transfer whole = op.transferPlacements(leaf, placements);
  if (!whole.ok || !whole.results[0].isReplicate())
    return std::nullopt;
  rule.allow[WholeLevel] = true;
  if (placementRule.linearity == Linearity::Additive) {
    rule.kind = AxisRule::Sum;
    SmallVector<Placement> with;
    for (Placement placement : placements)
      with.push_back(placement.isReplicate() ? Placement::partial()
                                             : placement);
    rule.allow[PartialLevel] = terms && carries(with);
    rule.carries = situation.varying & terms;
  } else {
    for (unsigned i : positions) {
      SmallVector<Placement> with = placements;
      with[i] = Placement::partial();
      if (terms >> i & 1)
        rule.carries |= uint64_t(carries(with)) << i;
    }
    // One operand alone had better carry its terms than be cut.
    bool one = positions.size() == 1 && rule.carries;
    if (!one && placementRule.linearity == Linearity::Multilinear)
      rule.contractedDims =
          findContraction(op, placementRule, situation, placements);
    rule.allow[PartialLevel] = rule.carries || !rule.contractedDims.empty();
    if (!one && rule.allow[PartialLevel])
      rule.kind = AxisRule::Product;
  }

  // Cut, of operands that are cut or whole.
  rule.operandDims.assign(size, -1);
  bool canCut = dim >= 0;
  for (unsigned i = 0; i < size && canCut; ++i) {
    std::optional<int> cut = findOperandDim(placementRule, i, dim);
    canCut = cut && placements[i].isReplicate() &&
             (*cut < 0 || canCutType(typeOf(i), leaf, *cut));
    if (!canCut)
      break;
    rule.operandDims[i] = *cut;
    if (*cut >= 0)
      placements[i] = Placement::shard(*cut);
  }
  if (canCut) {
    Transfer cut = op.transferPlacements(leaf, placements);
    rule.allow[CutLevel] = cut.ok && cut.results[0] == Placement::shard(dim);
  }
  if (!rule.allow[PartialLevel] && !rule.allow[CutLevel])
    return std::nullopt;
  return rule;
}

const AxisRule *DeferralGraph::getRule(unsigned value,
                                       AxisSituation situation) {
  static const AxisRule passes{
      {true, false, true}, AxisRule::Passes, 1, 1, -1, {-1}, {}};
  Kind *kind = kinds[value];
  if (!kind)
    return situation.terms ? &passes : nullptr;
  for (const auto &[known, rule] : kind->rules)
    if (known == situation)
      return rule;
  const AxisRule *rule = nullptr;
  if (auto found = findRule(
          cast<PlacementOpInterface>(values[value].root.getDefiningOp()),
          getPlacementRule(value), situation))
    rule = &rules.emplace_back(std::move(*found));
  kind->rules.push_back({std::move(situation), rule});
  return rule;
}

void DeferralGraph::classify(unsigned number) {
  uint8_t open = 0;
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    Value &value = values[number];
    if (!(value.open >> axis & 1))
      continue;
    auto dimOf = [&](const Value &of) {
      return Form::isCut(of.cuts[axis]) ? Form::dimOf(of.cuts[axis]) : -1;
    };
    AxisSituation situation;
    situation.leaf = axes.leaves[axis];
    situation.dim = dimOf(value);
    for (auto [k, use] : llvm::enumerate(operandsOf(value))) {
      situation.cuts.push_back(-1);
      if (use.value == none || !(values[use.value].open >> axis & 1) ||
          !Form::mayVary(use.stated[axis]))
        continue;
      situation.varying |= UINT64_C(1) << k;
      situation.cuts.back() = int16_t(dimOf(values[use.value]));
      // What the program pads itself stays possible.
      bool has = (values[use.value].terms >> axis & 1) ||
                 use.stated[axis] == Form::partial;
      situation.terms |= uint64_t(has) << k;
    }
    // A conversion of this axis makes partial what was not.
    bool passes = kinds[number] ||
                  (situation.varying &&
                   uses[value.usesBegin].stated[axis] == value.computed[axis]);
    if (situation.varying && passes)
      value.rules[axis] = getRule(number, std::move(situation));
    const AxisRule *rule = value.rules[axis];
    bool has = rule ? rule->allow[PartialLevel]
                    : value.computed[axis] == Form::partial;
    value.terms |= has << axis;
    if (value.rules[axis] || value.computed[axis] == Form::partial ||
        (value.gathered >> axis & 1))
      open |= 1 << axis;
  }
  values[number].open = open;
}

/// The terms of a Partial value are not unique: whoever depends on them depends
/// on all that they were computed from.
void DeferralGraph::pin() {
  auto mark = [&](const Use &use) {
    if (use.value == none || !values[use.value].open)
      return;
    for (unsigned axis = 0; axis < axes.size(); ++axis) {
      if (use.stated[axis] != Form::partial)
        continue;
      const AxisRule *rule =
          use.user == none ? nullptr : values[use.user].rules[axis];
      bool depends = !rule || (values[use.user].pinned >> axis & 1);
      values[use.value].pinned |= depends << axis;
    }
  };
  // Users come after what they use.
  for (const Use &use : llvm::reverse(uses))
    mark(use);
}

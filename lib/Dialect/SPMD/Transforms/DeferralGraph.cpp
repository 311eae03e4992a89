//===- DeferralGraph.cpp - What of a function deferral may change ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DeferralGraph.h"
#include "llvm/ADT/IntEqClasses.h"

using namespace mlir;
using namespace moe::spmd;

DeferralGraph::DeferralGraph(func::FuncOp function, const DeferralAxes &axes)
    : function(function), axes(axes) {
  for (BlockArgument argument : function.getArguments())
    if (auto type = dyn_cast<PlacedTensorType>(argument.getType())) {
      Form form = axes.formOf(type.getPlacements());
      uint8_t open = 0;
      for (unsigned axis = 0; axis < axes.size(); ++axis)
        open |= (form[axis] == Form::partial) << axis;
      if (open)
        addValue(argument, form, open, 0);
    }
  unsigned position = 0;
  for (Operation &op : function.getBody().front())
    read(&op, ++position);
  references.clear();
  references.shrink_and_clear();
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    findCuts(axis);
  for (unsigned i = 0; i < values.size(); ++i)
    classify(i);
  pin();
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

unsigned DeferralGraph::addValue(mlir::Value root, Form computed, uint8_t open,
                                 unsigned position) {
  Value value;
  value.root = root;
  value.computed = computed;
  value.open = open;
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
  for (OpOperand &operand : op->getOpOperands()) {
    Reference known = find(operand.get());
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

/// Whether the placement on one axis is that of a value whose form may vary.
static bool mayVary(int16_t code) {
  return code == Form::partial || code == Form::whole;
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
        (mayVary(before) && Form::isCut(after)))
      middle[axis] = after;
    bool known = values[input.value].open >> axis & 1;
    if ((known && middle[axis] == after && mayVary(after)) ||
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
  unsigned user =
      open ? addValue(op.getResult(), target, open, position) : none;
  addUses(op, user, position, &middle);
}

void DeferralGraph::read(Operation *op, unsigned position) {
  bool known = false;
  uint8_t varying = 0;
  for (mlir::Value operand : op->getOperands()) {
    Reference reference = find(operand);
    if (reference.value == none)
      continue;
    known = true;
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      varying |= (values[reference.value].open >> axis & 1 &&
                  mayVary(reference.form[axis]))
                 << axis;
  }
  if (auto conversion = dyn_cast<RedistributeOp>(op)) {
    if (known)
      return readConversion(conversion, find(conversion.getInput()), position);
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
    if (!open)
      continue;
    unsigned value = addValue(result, form, open, position);
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
}

//===----------------------------------------------------------------------===//
// Dimensions
//===----------------------------------------------------------------------===//

const PlacementRule *DeferralGraph::getPlacementRule(unsigned value) {
  Kind *kind = kinds[value];
  if (!kind)
    return nullptr;
  if (!kind->placementRule)
    kind->placementRule =
        cast<PlacementOpInterface>(values[value].root.getDefiningOp())
            .getPlacementRule();
  return &*kind->placementRule;
}

/// Even cuts only, of a dimension that no other axis cuts: what is cut here was
/// not before.
static bool canCutType(PlacedTensorType type, unsigned leaf, int dim) {
  if (dim < 0 || dim >= type.getRank() ||
      type.getDimSize(dim) % type.getMesh().getLeafAxes()[leaf].getSize() != 0)
    return false;
  for (auto [i, placement] : llvm::enumerate(type.getPlacements()))
    if (i != leaf &&
        (placement.isRagged() || (placement.isShard() && placement.dim == dim)))
      return false;
  return true;
}

bool DeferralGraph::canCut(const Value &value, unsigned axis, int dim) const {
  return mayVary(value.computed[axis]) &&
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

void DeferralGraph::passCutsForwards(unsigned value, unsigned axis) {
  if (values[value].cuts[axis] != Form::partial)
    return;
  for (auto [k, use] : llvm::enumerate(operandsOf(values[value]))) {
    if (use.value == none || !Form::isCut(values[use.value].cuts[axis]))
      continue;
    const PlacementRule *rule = getPlacementRule(value);
    if (!rule)
      return;
    suggest(value, axis,
            findResultDim(*rule, k, Form::dimOf(values[use.value].cuts[axis])));
  }
}

void DeferralGraph::passCutsBackwards(unsigned value, unsigned axis) {
  int16_t cut = values[value].cuts[axis];
  if (!Form::isCut(cut))
    return;
  const PlacementRule *rule = getPlacementRule(value);
  if (!rule)
    return;
  for (auto [k, use] : llvm::enumerate(operandsOf(values[value])))
    if (std::optional<int> dim = findOperandDim(*rule, k, Form::dimOf(cut)))
      suggest(use.value, axis, *dim);
}

/// From what is cut, and from what is summed, to its neighbours: a value may be
/// cut where those it is computed from and for may be. What the program cuts
/// itself comes first.
void DeferralGraph::findCuts(unsigned axis) {
  auto backwards = [&] {
    for (unsigned i = values.size(); i-- > 0;)
      passCutsBackwards(i, axis);
  };
  for (const Conversion &conversion : llvm::reverse(conversions))
    if (conversion.from[axis] != conversion.to[axis] &&
        Form::isCut(conversion.to[axis]))
      suggest(conversion.value, axis, Form::dimOf(conversion.to[axis]));
  backwards();
  for (const Conversion &conversion : conversions) {
    const Value &value = values[conversion.value];
    if (conversion.from[axis] != Form::partial ||
        conversion.to[axis] != Form::whole)
      continue;
    auto type = cast<PlacedTensorType>(value.root.getType());
    for (int dim = 0; dim < type.getRank() && value.cuts[axis] == Form::partial;
         ++dim)
      suggest(conversion.value, axis, dim);
  }
  for (unsigned i = 0; i < values.size(); ++i)
    passCutsForwards(i, axis);
  backwards();
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

/// What `op` can do on `leaf` while the operands `varying` may be partial, cut
/// or whole; nothing if it has no choice.
static std::optional<AxisRule> findRule(PlacementOpInterface op,
                                        const PlacementRule &placementRule,
                                        unsigned leaf, uint64_t varying,
                                        int dim) {
  AxisRule rule;
  rule.varying = varying;
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
    SmallVector<Placement> terms;
    for (unsigned i = 0; i < size; ++i)
      terms.push_back(placements[i].isReplicate() ? Placement::partial()
                                                  : placements[i]);
    rule.allow[PartialLevel] = carries(terms);
    rule.carries = varying;
  } else {
    for (unsigned i : positions) {
      SmallVector<Placement> with = placements;
      with[i] = Placement::partial();
      rule.carries |= uint64_t(carries(with)) << i;
    }
    rule.allow[PartialLevel] = rule.carries != 0;
    if (rule.carries && positions.size() > 1)
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

const AxisRule *DeferralGraph::getRule(unsigned value, unsigned axis,
                                       uint64_t varying) {
  static const AxisRule passes{
      {true, false, true}, AxisRule::Passes, 1, 1, -1, {-1}};
  Kind *kind = kinds[value];
  if (!kind)
    return &passes;
  unsigned leaf = axes.leaves[axis];
  int16_t cut = values[value].cuts[axis];
  int dim = Form::isCut(cut) ? Form::dimOf(cut) : -1;
  for (const Kind::Rule &known : kind->rules)
    if (known.leaf == leaf && known.varying == varying && known.dim == dim)
      return known.rule;
  const AxisRule *rule = nullptr;
  if (auto found = findRule(
          cast<PlacementOpInterface>(values[value].root.getDefiningOp()),
          *getPlacementRule(value), leaf, varying, dim))
    rule = &rules.emplace_back(std::move(*found));
  kind->rules.push_back({leaf, varying, dim, rule});
  return rule;
}

void DeferralGraph::classify(unsigned number) {
  uint8_t open = 0;
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    Value &value = values[number];
    if (!(value.open >> axis & 1))
      continue;
    uint64_t varying = 0;
    for (auto [k, use] : llvm::enumerate(operandsOf(value)))
      if (use.value != none && (values[use.value].open >> axis & 1) &&
          mayVary(use.stated[axis]))
        varying |= UINT64_C(1) << k;
    // A conversion of this axis makes partial what was not.
    bool passes =
        kinds[number] ||
        (varying && uses[value.usesBegin].stated[axis] == value.computed[axis]);
    if (varying && passes)
      value.rules[axis] = getRule(number, axis, varying);
    if (value.rules[axis] || value.computed[axis] == Form::partial)
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

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

/// Finds values that are made whole on `axis` in some plan that costs least, by
/// what their users would cost else: each either is whole, or sums what it
/// computes; together with other axes, unless `alone`. Of a sum each operand
/// may count on its share only, for a value may reach it in several ways.
void DeferralGraph::findWhole(unsigned axis, bool alone,
                              ConversionTrees &trees) {
  constexpr int64_t always = INT64_C(1) << 60;
  struct Price {
    /// At most and at least, to make it whole; at least, to cut it.
    int64_t most = 0, least = 0, cut = 0;
  };
  llvm::DenseMap<std::pair<Type, std::pair<uint64_t, uint64_t>>, Price> prices;
  auto priceOf = [&](const Value &value) {
    auto type = cast<PlacedTensorType>(value.root.getType());
    // The map keeps the largest for itself, which is no form.
    auto [entry, isNew] =
        prices.try_emplace({type, {value.computed.pack(), value.cuts.pack()}});
    if (!isNew)
      return entry->second;
    Form partial = value.computed.with(axis, Form::partial), others = partial;
    for (unsigned i = 0; i < axes.size(); ++i)
      if (i != axis && mayVary(others[i])) {
        partial[i] = Form::partial;
        others[i] = Form::whole;
      }
    auto costOf = [&](Form from, Form need) {
      return trees.getCost(type, from, value.cuts, need);
    };
    Form from = value.computed.with(axis, Form::partial);
    Form whole = others.with(axis, Form::whole);
    Price &price = entry->second;
    price.most = costOf(from, value.computed.with(axis, Form::whole));
    price.least = price.most;
    if (!alone)
      price.least = std::min(price.most,
                             costOf(partial, whole) - costOf(partial, others));
    if (int16_t cut = value.cuts[axis]; Form::isCut(cut)) {
      price.cut = std::min(costOf(from, value.computed.with(axis, cut)),
                           costOf(partial, others.with(axis, cut)) -
                               costOf(partial, others));
      price.most =
          std::max(price.most, costOf(value.computed.with(axis, cut),
                                      value.computed.with(axis, Form::whole)));
    }
    return price;
  };

  std::vector<int64_t> fixed(values.size());
  llvm::BitVector cut(values.size());
  for (const Use &use : uses) {
    if (use.value == none || use.user != none)
      continue;
    if (use.stated[axis] == Form::whole)
      fixed[use.value] = always;
    else if (Form::isCut(use.stated[axis]))
      cut.set(use.value);
  }
  auto isWhole = [&](const Use &use) {
    return use.value == none || (values[use.value].whole >> axis & 1);
  };
  // Who is whole anyway leaves its share to others.
  constexpr unsigned numRounds = 3;
  for (unsigned round = 0; round < numRounds; ++round) {
    std::vector<int64_t> others = fixed;
    for (unsigned i = values.size(); i-- > 0;) {
      Value &value = values[i];
      if (!(value.open >> axis & 1))
        continue;
      const Price &price = priceOf(value);
      bool pinned = value.pinned >> axis & 1;
      if (others[i] > price.most && (!alone || value.group == none))
        value.whole |= 1 << axis;
      const AxisRule *rule = value.rules[axis];
      if (!rule || pinned || rule->allow[CutLevel])
        continue;
      int64_t cost = std::min(price.least, others[i]);
      if (cut[i])
        cost = std::max(cost, price.cut);
      unsigned sharers = 0;
      for (auto [k, use] : llvm::enumerate(operandsOf(value)))
        sharers += rule->varies(k) && !isWhole(use);
      for (auto [k, use] : llvm::enumerate(operandsOf(value)))
        if (rule->varies(k) && !isWhole(use))
          others[use.value] =
              std::min(others[use.value] + cost / sharers, always);
    }
  }
}

/// Whether the user has no say in what is made of the value.
void DeferralGraph::setApart(Use &use) const {
  const Value &user = values[use.user], &value = values[use.value];
  unsigned number = &use - &uses[user.usesBegin];
  use.isApart = true;
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    if (const AxisRule *rule = user.rules[axis])
      use.isApart &= !rule->varies(number) || (value.whole >> axis & 1);
}

void DeferralGraph::sortFixedUses() {
  auto isFixed = [&](const Use &use) {
    return use.value != none && values[use.value].open &&
           (use.user == none || use.isApart);
  };
  fixedBegins.assign(values.size() + 1, 0);
  for (const Use &use : uses)
    if (isFixed(use))
      ++fixedBegins[use.value + 1];
  for (unsigned i = 0; i < values.size(); ++i)
    fixedBegins[i + 1] += fixedBegins[i];
  fixedUses.resize(fixedBegins.back());
  std::vector<unsigned> next(fixedBegins.begin(), fixedBegins.end() - 1);
  for (auto [i, use] : llvm::enumerate(uses))
    if (isFixed(use))
      fixedUses[next[use.value]++] = i;
}

unsigned DeferralGraph::formGroups(Parting parting, ConversionTrees &trees) {
  auto varies = [&](unsigned value) {
    return llvm::any_of(values[value].rules,
                        [](const AxisRule *rule) { return rule; });
  };
  for (Use &use : uses)
    if (use.user != none && !varies(use.user))
      use.user = none;
  if (parting == Parting::Settled)
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      findWhole(axis, /*alone=*/false, trees);
  unsigned numGroups = numberGroups(parting);
  // What several axes gain together is looked for in groups that are not much
  // larger than a layer.
  constexpr unsigned most = 2'000;
  bool isLarge = false;
  for (Value &value : values)
    if (value.group != none &&
        memberBegins[value.group + 1] - memberBegins[value.group] > most) {
      value.group = none;
      isLarge = true;
    }
  if (parting == Parting::Settled && axes.size() > 1 && isLarge)
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      findWhole(axis, /*alone=*/true, trees);
  if (isLarge)
    numGroups = numberGroups(parting);
  sortFixedUses();
  return numGroups;
}

unsigned DeferralGraph::numberGroups(Parting parting) {
  llvm::IntEqClasses classes(values.size());
  for (Use &use : uses) {
    use.isApart = false;
    if (use.value == none || !values[use.value].open || use.user == none)
      continue;
    if (parting == Parting::Settled)
      setApart(use);
    if (!use.isApart)
      classes.join(use.value, use.user);
  }
  classes.compress();
  unsigned numGroups = 0;
  std::vector<unsigned> groups(classes.getNumClasses(), none);
  memberBegins.assign(1, 0);
  for (auto [i, value] : llvm::enumerate(values)) {
    value.group = none;
    if (!value.open)
      continue;
    unsigned &group = groups[parting == Parting::None ? 0 : classes[i]];
    if (group == none) {
      group = numGroups++;
      memberBegins.push_back(0);
    }
    value.group = group;
    value.index = memberBegins[group + 1]++;
  }
  for (unsigned group = 0; group < numGroups; ++group)
    memberBegins[group + 1] += memberBegins[group];
  members.resize(memberBegins.back());
  for (auto [i, value] : llvm::enumerate(values))
    if (value.group != none)
      members[memberBegins[value.group] + value.index] = i;
  return numGroups;
}

void DeferralGraph::build(unsigned group, bool placed,
                          DeferralProblem &problem) const {
  problem.items.clear();
  problem.operands.clear();
  problem.needs.clear();
  problem.needPositions.clear();
  for (unsigned k = memberBegins[group]; k < memberBegins[group + 1]; ++k) {
    const Value &value = values[members[k]];
    DeferralProblem::Item item;
    item.type = cast<PlacedTensorType>(value.root.getType());
    item.computed = value.computed;
    item.cuts = value.cuts;
    item.rules = value.rules;
    item.pinned = value.pinned;
    item.position = placed ? value.position : 0;
    item.operandsBegin = problem.operands.size();
    if (llvm::any_of(value.rules, [](const AxisRule *rule) { return rule; }))
      for (const Use &use : operandsOf(value)) {
        bool open = use.value != none && values[use.value].open && !use.isApart;
        problem.operands.push_back(
            {open ? values[use.value].index : none, use.stated});
      }
    item.operandsEnd = problem.operands.size();
    item.needsBegin = problem.needs.size();
    for (unsigned i = fixedBegins[members[k]]; i < fixedBegins[members[k] + 1];
         ++i) {
      const Use &use = uses[fixedUses[i]];
      Form need = use.stated;
      for (unsigned axis = 0; axis < axes.size(); ++axis)
        if (use.isApart && values[use.user].rules[axis])
          need[axis] = Form::whole;
      problem.needs.push_back(need);
      if (placed)
        problem.needPositions.push_back(use.position);
    }
    item.needsEnd = problem.needs.size();
    problem.items.push_back(item);
  }
}

//===- DeferralGroups.cpp - Parts of a function that decide apart ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is made whole in some plan that costs least is settled: those who take
// it do not depend on each other. The groups that are left are small, and most
// of them alike.
//
//===----------------------------------------------------------------------===//

#include "DeferralGraph.h"
#include "llvm/ADT/IntEqClasses.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

constexpr int64_t always = INT64_C(1) << 58;

/// What it costs at least to go on from a value that is not yet cut, or not yet
/// whole.
struct Lack {
  int64_t cut = 0, whole = 0;
};

/// On one axis: to make of a partial value a cut and a whole one, by itself and
/// where other axes are summed too.
struct Price {
  int64_t scatter = 0, reduce = 0;
  int64_t jointScatter = 0, jointReduce = 0;
  /// Of a cut value.
  int64_t gather = 0;
};

} // namespace

/// What it costs that a value is partial, if it costs `lack` to go on from it,
/// or `scatter` and `reduce` to make more of it.
static Lack getLack(Lack lack, int64_t scatter, int64_t reduce) {
  Lack own;
  own.whole = std::min(std::max<int64_t>(reduce - scatter, 0), lack.whole);
  own.cut = own.whole + std::min(scatter, lack.cut - own.whole);
  return own;
}

/// What is known of one axis while values are looked for that are made whole.
struct DeferralGraph::AxisView {
  unsigned axis;
  /// The values that are open, and by value which of these it is.
  std::vector<unsigned> open, numberOf;
  /// Of each of them, its price among the different ones, and what its fixed
  /// uses lack.
  std::vector<unsigned> priceOf;
  std::vector<Price> prices;
  std::vector<Lack> fixed;

  bool isOpen(const Value &value) const { return value.open >> axis & 1; }
  bool isWhole(const Value &value) const { return value.whole >> axis & 1; }
  /// What it costs at most to make a value whole.
  int64_t getMost(const Value &value, const Price &price) const {
    if (isWhole(value))
      return 0;
    if (value.gathered >> axis & 1)
      return price.gather;
    const AxisRule *rule = value.rules[axis];
    // What is cut of a sum of cut values may as well be partial of them.
    bool partial = !rule || rule->allow[PartialLevel];
    bool cut = rule && rule->allow[CutLevel] &&
               (!partial || rule->kind == AxisRule::Product);
    return std::max(partial ? price.reduce : 0, cut ? price.gather : 0);
  }
};

static Price findPrice(PlacedTensorType type, Form computed, Form cuts,
                       unsigned axis, ConversionTrees &trees) {
  Form joint = computed, others = computed.with(axis, Form::partial);
  for (unsigned i = 0; i < Form::maxAxes; ++i)
    if (i != axis && Form::mayVary(joint[i])) {
      joint[i] = Form::partial;
      others[i] = Form::whole;
    }
  Price price;
  const auto &own = trees.getPrices(type, computed, cuts,
                                    computed.with(axis, Form::partial), axis);
  price.reduce = own.reduce;
  price.scatter = own.cuttable ? own.scatter : own.reduce;
  price.gather = own.cuttable ? own.gather : 0;
  const auto &with = trees.getPrices(type, joint, cuts, others, axis);
  price.jointReduce = with.reduce;
  price.jointScatter = with.cuttable ? with.scatter : with.reduce;
  return price;
}

DeferralGraph::AxisView DeferralGraph::getView(unsigned axis,
                                               ConversionTrees &trees) const {
  AxisView view{axis, {}, std::vector<unsigned>(values.size()), {}, {}, {}};
  // The map keeps the largest form for itself, which is no form.
  llvm::DenseMap<std::pair<Type, std::pair<uint64_t, uint64_t>>, unsigned>
      known;
  for (auto [i, value] : llvm::enumerate(values)) {
    if (!view.isOpen(value))
      continue;
    view.numberOf[i] = view.open.size();
    view.open.push_back(i);
    auto type = cast<PlacedTensorType>(value.root.getType());
    auto [entry, isNew] = known.try_emplace(
        {type, {value.computed.pack(), value.cuts.pack()}}, view.prices.size());
    if (isNew)
      view.prices.push_back(
          findPrice(type, value.computed, value.cuts, axis, trees));
    view.priceOf.push_back(entry->second);
  }
  view.fixed.resize(view.open.size());
  for (const Use &use : uses) {
    if (use.value == none || use.user != none ||
        !view.isOpen(values[use.value]))
      continue;
    Lack &lack = view.fixed[view.numberOf[use.value]];
    if (use.stated[axis] == Form::whole)
      lack = {always, always};
    else if (Form::isCut(use.stated[axis]))
      lack.cut = always;
  }
  return view;
}

/// Finds values that are made whole in some plan that costs least: where it
/// would cost more to do without. Each user then is partial itself, or cut, and
/// so on; that is a flow of the network that docs/Deferral.md describes. Prices
/// are the least that they are together with other axes, or those of this axis
/// `alone`. What a user costs counts for one operand as far as it exceeds what
/// makes the others whole.
void DeferralGraph::findWhole(const AxisView &view,
                              std::optional<Alone> alone) {
  unsigned axis = view.axis;
  auto isIn = [&](const Value &value) {
    const AxisRule *rule = value.rules[axis];
    return !alone ||
           (value.group == none &&
            (*alone == Alone::All || (rule && rule->kind == AxisRule::Sum)));
  };
  std::vector<int64_t> most;
  most.reserve(view.open.size());
  for (auto [i, price] : llvm::zip_equal(view.open, view.priceOf))
    most.push_back(view.getMost(values[i], view.prices[price]));
  // Once an operand is whole, others may count on what they do for the user.
  constexpr unsigned maxRounds = 3;
  bool changed = true;
  for (unsigned round = 0; changed && round < maxRounds; ++round) {
    changed = false;
    std::vector<Lack> lacks = view.fixed;
    for (unsigned n = view.open.size(); n-- > 0;) {
      Value &value = values[view.open[n]];
      if (lacks[n].whole > most[n] && !view.isWhole(value) && isIn(value)) {
        value.whole |= 1 << axis;
        most[n] = 0;
        changed = true;
      }
      const AxisRule *rule = value.rules[axis];
      if (!rule || (value.pinned >> axis & 1))
        continue;
      const Price &price = view.prices[view.priceOf[n]];
      Lack lack{always, std::min(price.gather, lacks[n].whole)};
      if (rule->allow[PartialLevel]) {
        lack = getLack(lacks[n], price.scatter, price.reduce);
        if (!alone) {
          Lack joint = getLack(lacks[n], price.jointScatter, price.jointReduce);
          lack.cut = std::min(lack.cut, joint.cut);
          lack.whole = std::min(lack.whole, joint.whole);
        }
      }
      if (lack.cut == 0)
        continue;
      int64_t operandsMost = 0;
      for (auto [k, use] : llvm::enumerate(operandsOf(value)))
        if (rule->varies(k))
          operandsMost += most[view.numberOf[use.value]];
      for (auto [k, use] : llvm::enumerate(operandsOf(value))) {
        if (!rule->varies(k))
          continue;
        unsigned number = view.numberOf[use.value];
        int64_t others = operandsMost - most[number];
        bool wholeIfCut =
            !rule->allow[CutLevel] || rule->operandDims[k] < 0 ||
            values[use.value].cuts[axis] != Form::cut(rule->operandDims[k]);
        auto add = [&](int64_t &to, int64_t cost) {
          to = std::min(to + std::max<int64_t>(cost - others, 0), always);
        };
        add(lacks[number].cut, lack.cut);
        add(lacks[number].whole, wholeIfCut ? lack.cut : lack.whole);
      }
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
  std::vector<AxisView> views;
  if (parting == Parting::Settled)
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      findWhole(views.emplace_back(getView(axis, trees)), std::nullopt);
  unsigned numGroups = numberGroups(parting);
  // What several axes gain together is looked for in groups that are not much
  // larger than a layer.
  constexpr unsigned most = 2'000;
  for (Alone alone : {Alone::Sums, Alone::All}) {
    bool isLarge = false;
    for (Value &value : values)
      if (value.group != none &&
          memberBegins[value.group + 1] - memberBegins[value.group] > most) {
        value.group = none;
        isLarge = true;
      }
    if (!isLarge || parting != Parting::Settled || axes.size() == 1)
      break;
    for (const AxisView &view : views)
      findWhole(view, alone);
    numGroups = numberGroups(parting);
  }
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
    item.gathered = value.gathered;
    item.padded = value.padded;
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

//===- DeferralSearch.cpp - Choose the form of each value -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One axis after the other: for each, with all others as they are, a cut gives
// the forms. What a plan costs is what the trees of conversions cost that it
// needs, over all axes together.
//
//===----------------------------------------------------------------------===//

#include "DeferralProblem.h"
#include <algorithm>

using namespace mlir;
using namespace moe::spmd;

/// The problem on one axis. A value is an item for each form on the other axes
/// that it takes on its way: the first is the computed one.
struct DeferralSearch::Stages {
  std::vector<CutItem> items;
  /// On all axes but this one, where they are partial.
  std::vector<Form> others;
  /// By value, its first item; it has none if nothing is open.
  std::vector<unsigned> begins;

  unsigned sizeOf(unsigned value) const {
    return begins[value + 1] - begins[value];
  }
  unsigned find(unsigned value, Form needed) const {
    for (unsigned i = begins[value]; i < begins[value + 1]; ++i)
      if (others[i].gives(needed))
        return i;
    llvm_unreachable("the tree gives all needs");
  }
};

DeferralSearch::DeferralSearch(const DeferralProblem &problem,
                               ConversionTrees &trees)
    : problem(problem), trees(trees), numAxes(trees.getAxes().size()) {
  userBegins.assign(problem.items.size() + 1, 0);
  auto visit = [&](auto action) {
    for (auto [i, item] : llvm::enumerate(problem.items))
      for (auto [k, operand] : llvm::enumerate(problem.operandsOf(item)))
        if (operand.value != DeferralProblem::none)
          action(operand.value, unsigned(i), unsigned(k));
  };
  visit([&](unsigned value, unsigned, unsigned) { ++userBegins[value + 1]; });
  for (unsigned i = 0; i < problem.items.size(); ++i)
    userBegins[i + 1] += userBegins[i];
  users.resize(userBegins.back());
  std::vector<unsigned> next(userBegins.begin(), userBegins.end() - 1);
  visit([&](unsigned value, unsigned user, unsigned number) {
    users[next[value]++] = {user, number};
  });
}

/// Everything in the form that the program has.
DeferralPlan DeferralSearch::getProgram() const {
  DeferralPlan plan(problem.items.size());
  for (auto [item, choice] : llvm::zip_equal(problem.items, plan))
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      const AxisRule *rule = item.rules[axis];
      if (!rule)
        continue;
      bool partial = item.computed[axis] == Form::partial;
      choice.levels[axis] = partial ? PartialLevel : WholeLevel;
      if (rule->kind != AxisRule::Product || !partial)
        continue;
      for (auto [k, operand] : llvm::enumerate(problem.operandsOf(item)))
        if (rule->varies(k) && operand.stated[axis] == Form::partial)
          choice.carriers[axis] = k;
    }
  return plan;
}

void DeferralSearch::collectNeeds(const DeferralPlan &plan, unsigned number) {
  const DeferralProblem::Item &item = problem.items[number];
  needs.assign(problem.needsOf(item).begin(), problem.needsOf(item).end());
  for (unsigned i = userBegins[number]; i < userBegins[number + 1]; ++i) {
    auto [user, operand] = users[i];
    const DeferralProblem::Item &by = problem.items[user];
    needs.push_back(getNeededForm(by, plan[user], operand,
                                  problem.operandsOf(by)[operand].stated));
  }
}

const ConversionTree &DeferralSearch::getTree(const DeferralPlan &plan,
                                              unsigned number) {
  const DeferralProblem::Item &item = problem.items[number];
  collectNeeds(plan, number);
  return trees.get(item.type, getComputedForm(item, plan[number]), item.cuts,
                   needs);
}

int64_t DeferralSearch::getCost(const DeferralPlan &plan) {
  int64_t cost = 0;
  for (unsigned i = 0; i < plan.size(); ++i)
    cost += problem.items[i].weight * getTree(plan, i).cost;
  return cost;
}

/// Whether the operation may compute its result cut on `axis`: where no other
/// axis cuts the same.
bool DeferralSearch::canCut(const DeferralPlan &plan, unsigned number,
                            unsigned axis) const {
  const DeferralProblem::Item &item = problem.items[number];
  const AxisRule *rule = item.rules[axis];
  if (!rule || !rule->allow[CutLevel] || (item.pinned >> axis & 1) ||
      getComputedForm(item, plan[number]).clashes(axis, rule->dim))
    return false;
  return canCutOperands(plan, number, axis, rule->operandDims);
}

/// Whether it may be partial as the sum over a dimension that `axis` cuts.
bool DeferralSearch::canContract(const DeferralPlan &plan, unsigned number,
                                 unsigned axis) const {
  const DeferralProblem::Item &item = problem.items[number];
  const AxisRule *rule = item.rules[axis];
  return rule && !rule->contractedDims.empty() && !(item.pinned >> axis & 1) &&
         canCutOperands(plan, number, axis, rule->contractedDims);
}

bool DeferralSearch::canCutOperands(const DeferralPlan &plan, unsigned number,
                                    unsigned axis,
                                    ArrayRef<int16_t> dims) const {
  const DeferralProblem::Item &item = problem.items[number];
  return llvm::none_of(
      llvm::enumerate(problem.operandsOf(item)), [&](auto element) {
        auto [k, operand] = element;
        return dims[k] >= 0 &&
               getNeededForm(item, plan[number], k, operand.stated)
                   .clashes(axis, dims[k]);
      });
}

//===----------------------------------------------------------------------===//
// One axis
//===----------------------------------------------------------------------===//

/// The items of one value, by the tree that it has now.
void DeferralSearch::addStages(const DeferralPlan &plan, unsigned number,
                               unsigned axis, Stages &stages) {
  const DeferralProblem::Item &item = problem.items[number];
  if (!DeferralProblem::isOpen(item, axis))
    return;
  auto without = [&](Form form) { return form.with(axis, Form::partial); };
  stages.items.emplace_back();
  stages.others.push_back(without(getComputedForm(item, plan[number])));
  if (numAxes == 1)
    return;
  const ConversionTree &tree = getTree(plan, number);
  SmallVector<unsigned> stageOf{unsigned(stages.items.size() - 1)};
  for (const ConversionTree::Step &step : tree.steps) {
    Form others = without(step.to);
    unsigned begin = stageOf.front(), end = stages.items.size();
    unsigned stage = begin;
    while (stage < end && stages.others[stage] != others)
      ++stage;
    if (stage == end) {
      CutItem next;
      next.follows = true;
      next.operands.push_back({stageOf[step.from]});
      next.allow[CutLevel] = false;
      stages.items.push_back(std::move(next));
      stages.others.push_back(others);
    }
    stageOf.push_back(stage);
  }
}

/// An operand that is had in all forms for nothing.
static unsigned addGiven(std::vector<CutItem> &items) {
  CutItem given;
  given.allow[CutLevel] = given.cuttable = true;
  given.fixedUse = WholeLevel;
  items.push_back(std::move(given));
  return items.size() - 1;
}

/// How the value itself is computed.
void DeferralSearch::addRoot(const DeferralPlan &plan, unsigned number,
                             unsigned axis, Stages &stages) {
  const DeferralProblem::Item &item = problem.items[number];
  unsigned first = stages.begins[number];
  CutItem root;
  const AxisRule *rule = item.rules[axis];
  bool pinned = item.pinned >> axis & 1;
  if (!rule) {
    bool gathered = item.gathered >> axis & 1;
    root.allow[PartialLevel] = !gathered;
    root.allow[CutLevel] = gathered;
    root.padded = item.padded >> axis & 1;
    root.allow[WholeLevel] = false;
    stages.items[first] = std::move(root);
    return;
  }
  root.allow[PartialLevel] = rule->allow[PartialLevel] || pinned;
  root.allow[CutLevel] = canCut(plan, number, axis);
  root.allow[WholeLevel] = rule->allow[WholeLevel] && !pinned;
  root.product = rule->kind == AxisRule::Product;
  root.contracts = canContract(plan, number, axis);
  // One operand that carries, and nothing else that its form depends on.
  root.follows = rule->carries && (rule->kind == AxisRule::Single ||
                                   rule->kind == AxisRule::Passes);
  for (auto [k, operand] : llvm::enumerate(problem.operandsOf(item))) {
    if (!rule->varies(k))
      continue;
    CutItem::Operand use;
    if (operand.value == DeferralProblem::none) {
      use.item = addGiven(stages.items);
    } else {
      Form needed = getNeededForm(item, plan[number], k, operand.stated)
                        .with(axis, Form::partial);
      use.item = stages.find(operand.value, needed);
    }
    use.carries = rule->carries >> k & 1;
    // The terms that are depended on are those of the operand that has them.
    if (pinned && root.product)
      use.carries &= operand.stated[axis] == Form::partial;
    // Cut along another dimension, it is sliced of the whole.
    auto isWhole = [&](int dim) {
      return operand.value != DeferralProblem::none &&
             (dim < 0 ||
              problem.items[operand.value].cuts[axis] != Form::cut(dim));
    };
    if (root.allow[CutLevel])
      use.wholeIfCut = isWhole(rule->operandDims[k]);
    if (root.contracts)
      use.wholeIfContracted = isWhole(rule->contractedDims[k]);
    root.operands.push_back(use);
  }
  stages.items[first] = std::move(root);
}

/// By the cost model, what each item's form costs more than `partial`.
void DeferralSearch::setPrices(const DeferralPlan &plan, unsigned number,
                               unsigned axis, Stages &stages) {
  const DeferralProblem::Item &item = problem.items[number];
  Form computed = getComputedForm(item, plan[number]);
  for (unsigned i = stages.begins[number]; i < stages.begins[number + 1]; ++i) {
    CutItem &stage = stages.items[i];
    const ConversionTrees::Prices &prices =
        trees.getPrices(item.type, computed, item.cuts, stages.others[i], axis);
    stage.cuttable = prices.cuttable;
    stage.scatter = item.weight * prices.scatter;
    stage.reduce = item.weight * prices.reduce;
    stage.gather = item.weight * prices.gather;
  }
}

/// What is needed of it in a form that does not vary on `axis`.
void DeferralSearch::addUses(const DeferralPlan &plan, unsigned number,
                             unsigned axis, Stages &stages) {
  const DeferralProblem::Item &item = problem.items[number];
  Form partial = getComputedForm(item, plan[number]).with(axis, Form::partial);
  auto add = [&](Form need) {
    unsigned i = stages.find(number, need.with(axis, Form::partial));
    CutItem &stage = stages.items[i];
    int16_t code = need[axis];
    if (code == Form::whole) {
      stage.fixedUse = WholeLevel;
    } else if (Form::isCut(code) && stage.cuttable && code == item.cuts[axis]) {
      stage.fixedUse = std::max<uint8_t>(stage.fixedUse, CutLevel);
    } else if (Form::isCut(code)) {
      Form others = stages.others[i];
      stage.otherCuts +=
          item.weight * (trees.getCost(item.type, partial, item.cuts,
                                       others.with(axis, code)) -
                         trees.getCost(item.type, partial, item.cuts, others));
    }
  };
  for (Form need : problem.needsOf(item))
    add(need);
  for (unsigned i = userBegins[number]; i < userBegins[number + 1]; ++i) {
    auto [user, operand] = users[i];
    const DeferralProblem::Item &by = problem.items[user];
    if (const AxisRule *rule = by.rules[axis]; rule && rule->varies(operand))
      continue;
    add(getNeededForm(by, plan[user], operand,
                      problem.operandsOf(by)[operand].stated));
  }
}

DeferralSearch::Stages DeferralSearch::build(const DeferralPlan &plan,
                                             unsigned axis) {
  Stages stages;
  unsigned size = problem.items.size();
  for (unsigned i = 0; i < size; ++i) {
    stages.begins.push_back(stages.items.size());
    addStages(plan, i, axis, stages);
  }
  stages.begins.push_back(stages.items.size());
  for (unsigned i = 0; i < size; ++i) {
    if (stages.sizeOf(i) == 0)
      continue;
    addRoot(plan, i, axis, stages);
    setPrices(plan, i, axis, stages);
    addUses(plan, i, axis, stages);
  }
  return stages;
}

void DeferralSearch::take(const Stages &stages, unsigned axis,
                          DeferralPlan &plan) const {
  for (auto [i, item] : llvm::enumerate(problem.items)) {
    const AxisRule *rule = item.rules[axis];
    if (!rule)
      continue;
    const CutItem &root = stages.items[stages.begins[i]];
    plan[i].levels[axis] = root.form;
    plan[i].carriers[axis] = 0;
    if (!root.product || root.form != PartialLevel)
      continue;
    if (root.isContracted(root.carrier)) {
      plan[i].carriers[axis] = DeferralChoice::contracted;
      continue;
    }
    unsigned number = 0;
    for (unsigned k = 0; k < rule->operandDims.size(); ++k)
      if (rule->varies(k) && number++ == root.carrier)
        plan[i].carriers[axis] = k;
  }
}

void DeferralSearch::choose(Stages &stages, Policy policy) const {
  if (policy == Policy::MinCut) {
    chooseForms(stages.items);
    return;
  }
  // What is cut is gathered where the program does it: at the boundary only
  // what has terms keeps them.
  SmallVector<bool> hasTerms;
  for (CutItem &item : stages.items) {
    bool terms = item.operands.empty();
    for (CutItem::Operand &operand : item.operands)
      if (policy == Policy::Boundary) {
        operand.carries &=
            operand.item < hasTerms.size() && hasTerms[operand.item];
        terms |= operand.carries;
      }
    hasTerms.push_back(item.padded || (terms && item.allow[PartialLevel]));
    terms &= item.allow[PartialLevel];
    item.form = policy == Policy::Boundary && terms ? PartialLevel
                : item.allow[WholeLevel]            ? WholeLevel
                : item.allow[PartialLevel]          ? PartialLevel
                                                    : CutLevel;
  }
  chooseCarriers(stages.items);
}

DeferralEstimate DeferralSearch::estimate(unsigned axis) {
  Stages stages = build(getProgram(), axis);
  DeferralEstimate estimate;
  estimate.atLeast = chooseForms(stages.items).lowerBound;
  estimate.minCut = moe::spmd::getCost(stages.items);
  // These change what may carry.
  choose(stages, Policy::Eager);
  estimate.eager = moe::spmd::getCost(stages.items);
  choose(stages, Policy::Boundary);
  estimate.boundary = moe::spmd::getCost(stages.items);
  return estimate;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// From the operation that makes the terms to the last that takes them.
int64_t DeferralSearch::getPeakBytes(const DeferralPlan &plan, unsigned axis) {
  std::vector<std::pair<unsigned, int64_t>> changes;
  for (auto [i, item] : llvm::enumerate(problem.items)) {
    Form form = getComputedForm(item, plan[i]);
    if (form[axis] != Form::partial)
      continue;
    unsigned last = item.position;
    for (unsigned k = item.needsBegin; k < item.needsEnd; ++k)
      if (problem.needs[k][axis] == Form::partial)
        last = std::max(last, problem.needPositions[k]);
    for (unsigned k = userBegins[i]; k < userBegins[i + 1]; ++k) {
      auto [user, operand] = users[k];
      const DeferralProblem::Item &by = problem.items[user];
      if (getNeededForm(by, plan[user], operand,
                        problem.operandsOf(by)[operand].stated)[axis] ==
          Form::partial)
        last = std::max(last, by.position);
    }
    int64_t bytes = trees.getBytes(item.type, form);
    changes.emplace_back(item.position, bytes);
    changes.emplace_back(last + 1, -bytes);
  }
  // What ends goes first.
  llvm::sort(changes);
  int64_t now = 0, peak = 0;
  for (auto [position, change] : changes)
    peak = std::max(peak, now += change);
  return peak;
}

/// Chooses by min-cut such that the peak is within `budget`. Fails if even
/// `eager` is not.
bool DeferralSearch::chooseWithin(int64_t budget, unsigned axis,
                                  DeferralPlan &plan) {
  Stages stages = build(plan, axis);
  auto fits = [&](Policy policy) {
    choose(stages, policy);
    take(stages, axis, plan);
    return getPeakBytes(plan, axis) <= budget;
  };
  if (fits(Policy::MinCut))
    return true;
  if (!fits(Policy::Eager))
    return false;
  // Partial bytes get a price, the least that keeps the peak down.
  SmallVector<int64_t> bytes(stages.items.size());
  for (auto [i, item] : llvm::enumerate(problem.items))
    for (unsigned k = stages.begins[i]; k < stages.begins[i + 1]; ++k)
      bytes[k] =
          trees.getBytes(item.type, stages.others[k].with(axis, Form::partial));
  auto fitsAt = [&](int64_t price) {
    for (auto [item, size] : llvm::zip_equal(stages.items, bytes))
      item.penalty = price * size;
    bool fit = fits(Policy::MinCut);
    for (CutItem &item : stages.items)
      item.penalty = 0;
    return fit;
  };
  // Picoseconds per byte.
  constexpr int64_t highest = INT64_C(1) << 24;
  int64_t low = 0, high = highest;
  if (!fitsAt(high))
    return fits(Policy::Eager);
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    (fitsAt(middle) ? high : low) = middle;
  }
  return fitsAt(high);
}

//===----------------------------------------------------------------------===//
// Several axes
//===----------------------------------------------------------------------===//

void DeferralSearch::place(unsigned axis, Policy policy, DeferralPlan &plan) {
  Stages stages = build(plan, axis);
  if (stages.items.empty())
    return;
  choose(stages, policy);
  take(stages, axis, plan);
}

/// Other forms of one value at a time, on all axes at once.
void DeferralSearch::improve(DeferralPlan &plan) {
  SmallVector<unsigned> touched;
  auto costAround = [&] {
    int64_t cost = 0;
    for (unsigned i : touched)
      cost += problem.items[i].weight * getTree(plan, i).cost;
    return cost;
  };
  auto tryItem = [&](unsigned number) {
    const DeferralProblem::Item &item = problem.items[number];
    touched.assign(1, number);
    for (const DeferralProblem::Operand &operand : problem.operandsOf(item))
      if (operand.value != DeferralProblem::none &&
          !llvm::is_contained(touched, operand.value))
        touched.push_back(operand.value);
    int64_t least = costAround();
    if (least == 0)
      return false;
    DeferralChoice best = plan[number], before = best;
    auto visit = [&](auto &&self, unsigned axis) -> void {
      if (axis == numAxes) {
        for (unsigned i = 0; i < numAxes; ++i)
          if (item.rules[i] &&
              ((plan[number].levels[i] == CutLevel &&
                !canCut(plan, number, i)) ||
               (plan[number].isContracted(i) && !canContract(plan, number, i))))
            return;
        int64_t cost = costAround();
        if (cost < least) {
          least = cost;
          best = plan[number];
        }
        return;
      }
      const AxisRule *rule = item.rules[axis];
      if (!rule || (item.pinned >> axis & 1))
        return self(self, axis + 1);
      DeferralChoice &choice = plan[number];
      for (uint8_t level : {PartialLevel, CutLevel, WholeLevel}) {
        if (!rule->allow[level])
          continue;
        choice.levels[axis] = level;
        choice.carriers[axis] = 0;
        if (level != PartialLevel || rule->kind != AxisRule::Product) {
          self(self, axis + 1);
          continue;
        }
        for (unsigned k = 0; k < rule->operandDims.size(); ++k)
          if (rule->varies(k) && (rule->carries >> k & 1)) {
            choice.carriers[axis] = k;
            self(self, axis + 1);
          }
        if (!rule->contractedDims.empty()) {
          choice.carriers[axis] = DeferralChoice::contracted;
          self(self, axis + 1);
        }
      }
    };
    visit(visit, 0);
    plan[number] = best;
    return !(best == before);
  };
  constexpr unsigned maxRounds = 4;
  bool changed = true;
  for (unsigned round = 0; changed && round < maxRounds; ++round) {
    changed = false;
    for (unsigned i = 0; i < plan.size(); ++i)
      if (llvm::any_of(problem.items[i].rules,
                       [](const AxisRule *rule) { return rule; }))
        changed |= tryItem(i);
  }
}

/// One course: over the axes in `order`, again and again while that helps. It
/// ends where an earlier one has been.
bool DeferralSearch::follow(ArrayRef<unsigned> order,
                            std::optional<Policy> first,
                            const DeferralOptions &options,
                            DeferralPlan &plan) {
  plan = getProgram();
  if (first)
    for (unsigned axis : order)
      place(axis, *first, plan);
  if (options.policy != Policy::MinCut)
    return true;
  int64_t cost = getCost(plan);
  // What one axis gains may depend on where another one reduces.
  constexpr unsigned maxRounds = 4;
  for (unsigned round = 0; round < maxRounds; ++round) {
    auto here = std::pair(order.front(), plan);
    if (llvm::is_contained(visited, here))
      return true;
    DeferralPlan next = plan;
    for (unsigned axis : order) {
      if (!options.memoryBudget) {
        place(axis, Policy::MinCut, next);
      } else if (!chooseWithin(*options.memoryBudget, axis, next)) {
        this->axis = axis;
        smallest = getPeakBytes(next, axis);
        return false;
      }
    }
    visited.push_back(std::move(here));
    if (isCrossed && !options.memoryBudget)
      improve(next);
    int64_t now = getCost(next);
    bool must = options.memoryBudget && round == 0;
    if (now > cost && !must)
      break;
    bool done = !isCrossed || (round > 0 && now == cost);
    cost = now;
    plan = std::move(next);
    if (done)
      break;
  }
  return true;
}

std::optional<DeferralPlan>
DeferralSearch::run(const DeferralOptions &options) {
  SmallVector<unsigned> axes;
  for (unsigned axis = 0; axis < numAxes; ++axis)
    if (llvm::any_of(problem.items, [&](const DeferralProblem::Item &item) {
          return DeferralProblem::isOpen(item, axis);
        }))
      axes.push_back(axis);
  isCrossed = llvm::any_of(problem.items, [&](const auto &item) {
    return llvm::count_if(axes, [&](unsigned axis) {
             return DeferralProblem::isOpen(item, axis);
           }) > 1;
  });
  DeferralPlan plan;
  if (options.policy != Policy::MinCut) {
    follow(axes, options.policy, options, plan);
    return plan;
  }
  // Several courses, and the cheapest plan; for what is much larger than a
  // layer, one.
  constexpr size_t maxTried = 2'000;
  bool one = !isCrossed || problem.items.size() > maxTried;
  SmallVector<unsigned> backwards(llvm::reverse(axes));
  std::optional<DeferralPlan> best;
  int64_t least = 0;
  for (std::optional<Policy> first :
       {std::optional<Policy>(), std::optional(Policy::Boundary),
        std::optional(Policy::Eager)})
    for (const SmallVector<unsigned> &order : {axes, backwards}) {
      if (!follow(order, first, options, plan)) {
        if (one)
          return std::nullopt;
        continue;
      }
      int64_t cost = getCost(plan);
      if (!best || cost < least) {
        best = plan;
        least = cost;
      }
      if (one)
        return best;
    }
  return best;
}

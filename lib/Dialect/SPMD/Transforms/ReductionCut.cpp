//===- ReductionCut.cpp - Which form each value is computed in ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReductionCut.h"
#include "MinCut.h"
#include "llvm/ADT/STLExtras.h"
#include <algorithm>
#include <optional>

using namespace moe::spmd;
using llvm::ArrayRef;
using llvm::MutableArrayRef;
using llvm::SmallVector;

/// The form that `item` needs of its operand number `i`.
static uint8_t needOf(const CutItem &item, unsigned i) {
  const CutItem::Operand &operand = item.operands[i];
  if (item.form == CutLevel)
    return operand.wholeIfCut ? WholeLevel : CutLevel;
  if (item.form == PartialLevel && item.product)
    return item.getNeed(item.carrier, i);
  return item.form;
}

SmallVector<uint8_t> moe::spmd::getNeeds(ArrayRef<CutItem> items) {
  SmallVector<uint8_t> needs;
  for (const CutItem &item : items)
    needs.push_back(std::max(item.form, item.fixedUse));
  for (const CutItem &item : items)
    for (unsigned i = 0; i < item.operands.size(); ++i) {
      uint8_t &need = needs[item.operands[i].item];
      need = std::max(need, needOf(item, i));
    }
  for (auto [item, need] : llvm::zip_equal(items, needs))
    if (need == CutLevel && !item.cuttable)
      need = WholeLevel;
  return needs;
}

int64_t moe::spmd::getCost(ArrayRef<CutItem> items) {
  int64_t cost = 0;
  for (auto [item, need] : llvm::zip_equal(items, getNeeds(items))) {
    if (item.form == PartialLevel)
      cost += item.penalty;
    if (need != WholeLevel)
      cost += item.otherCuts;
    if (need == item.form)
      continue;
    cost += item.form == CutLevel ? item.gather
            : need == CutLevel    ? item.scatter
                                  : item.reduce;
  }
  return cost;
}

void moe::spmd::chooseCarriers(MutableArrayRef<CutItem> items) {
  // What is whole whatever carries: products do not count yet.
  SmallVector<uint8_t> needs;
  for (const CutItem &item : items)
    needs.push_back(std::max(item.form, item.fixedUse));
  for (const CutItem &item : items)
    if (item.form != PartialLevel)
      for (unsigned i = 0; i < item.operands.size(); ++i) {
        uint8_t &need = needs[item.operands[i].item];
        need = std::max(need, needOf(item, i));
      }
  for (CutItem &item : items) {
    if (!item.product || item.form != PartialLevel)
      continue;
    std::optional<unsigned> best;
    auto costOf = [&](unsigned i) {
      unsigned operand = item.operands[i].item;
      return std::pair(needs[operand] == WholeLevel ? 0 : items[operand].reduce,
                       -int(needs[operand]));
    };
    for (unsigned i = 0; i < item.operands.size(); ++i)
      // The dearest to reduce stays partial.
      if (item.operands[i].carries && (!best || costOf(i) > costOf(*best)))
        best = i;
    unsigned contracted = item.operands.size();
    item.carrier = best.value_or(item.contracts ? contracted : 0);
    // What more it costs to need so much of an operand.
    auto moreOf = [&](unsigned carrier, unsigned i) -> int64_t {
      unsigned number = item.operands[i].item;
      const CutItem &operand = items[number];
      uint8_t now = needs[number], need = item.getNeed(carrier, i);
      if (need == CutLevel && !operand.cuttable)
        need = WholeLevel;
      if (need <= now)
        return 0;
      if (operand.form == CutLevel)
        return operand.gather;
      int64_t before = now == CutLevel ? operand.scatter : 0;
      return (need == CutLevel ? operand.scatter : operand.reduce) - before;
    };
    auto moreOfAll = [&](unsigned carrier) {
      int64_t more = 0;
      for (unsigned i = 0; i < item.operands.size(); ++i)
        more += moreOf(carrier, i);
      return more;
    };
    if (item.contracts && moreOfAll(contracted) < moreOfAll(item.carrier))
      item.carrier = contracted;
    for (unsigned i = 0; i < item.operands.size(); ++i) {
      uint8_t &need = needs[item.operands[i].item];
      need = std::max(need, needOf(item, i));
    }
  }
}

namespace {

/// What a branch of the search has settled about an item.
struct Choice {
  enum Kind : uint8_t {
    /// A product's carrier, or that it sums over cuts; computed cut it would
    /// need what it needs then.
    Carrier,
    /// Not partial.
    NotPartial,
    /// Cut, or not cut.
    Cut,
    NotCut,
  };
  Kind kind;
  unsigned item;
  unsigned operand = 0;
};

/// Two thresholds for the form an item is computed in (at least cut, whole) and
/// two for the furthest form that is needed. True is the sink's side.
struct Nodes {
  unsigned computed[2], needed[2];
};

class Search {
public:
  explicit Search(MutableArrayRef<CutItem> items) : items(items) {}

  CutResult run();

private:
  /// A lower bound of what the choices allow; sets the forms.
  int64_t relax(ArrayRef<Choice> choices);
  /// How to part the plans, where the relaxed one is not one.
  SmallVector<Choice, 3> findBranches(ArrayRef<Choice> choices) const;

  MutableArrayRef<CutItem> items;
  MinCut network;
  SmallVector<Nodes> nodes;
  /// What the relaxed plan needs of each item.
  SmallVector<uint8_t> relaxedNeeds;
};

} // namespace

int64_t Search::relax(ArrayRef<Choice> choices) {
  constexpr unsigned source = MinCut::source, sink = MinCut::sink;
  constexpr int64_t never = MinCut::infinity;
  // What branches have settled, by item.
  SmallVector<std::optional<Choice>> carriers(items.size());
  SmallVector<uint8_t> kinds(items.size(), 0xff);
  for (const Choice &choice : choices)
    if (choice.kind == Choice::Carrier)
      carriers[choice.item] = choice;
    else
      kinds[choice.item] = choice.kind;

  network.clear();
  nodes.clear();
  for (auto [i, item] : llvm::enumerate(items)) {
    bool allow[3] = {item.allow[0], item.allow[1], item.allow[2]};
    if (kinds[i] == Choice::NotPartial || kinds[i] == Choice::Cut)
      allow[0] = false;
    if (kinds[i] == Choice::NotCut)
      allow[1] = false;
    if (kinds[i] == Choice::Cut)
      allow[2] = false;
    Nodes of;
    of.computed[0] = network.addNode();
    of.computed[1] = allow[1] ? network.addNode() : of.computed[0];
    of.needed[0] = network.addNode();
    of.needed[1] = item.cuttable ? network.addNode() : of.needed[0];
    nodes.push_back(of);
    for (unsigned k = 0; k < 2; ++k)
      network.addEdge(of.needed[k], of.computed[k], never);
    if (allow[1])
      network.addEdge(of.computed[0], of.computed[1], never);
    if (item.cuttable)
      network.addEdge(of.needed[0], of.needed[1], never);
    if (!allow[0])
      network.addEdge(of.computed[0], sink, never);
    if (!allow[2])
      network.addEdge(source, of.computed[1], never);
    if (item.fixedUse != PartialLevel)
      network.addEdge(of.needed[item.fixedUse - 1], sink, never);
    if (item.penalty)
      network.addEdge(of.computed[0], sink, item.penalty);
    if (item.otherCuts)
      network.addEdge(of.needed[1], sink, item.otherCuts);
    if (!item.cuttable) {
      network.addEdge(of.computed[0], of.needed[0], item.reduce);
    } else {
      // Exact unless computed cut and needed whole, which costs `gather`.
      network.addEdge(of.computed[0], of.needed[0],
                      allow[0] ? item.scatter : 0);
      network.addEdge(of.computed[1], of.needed[1],
                      allow[0] ? item.reduce - item.scatter : item.gather);
    }
  }
  for (auto [i, item] : llvm::enumerate(items)) {
    const Nodes &of = nodes[i];
    // Who cannot carry where one other at most can, is at least cut, or whole,
    // in any form.
    bool single =
        item.product && llvm::count_if(item.operands, [](auto &operand) {
                          return operand.carries;
                        }) <= 1;
    for (auto [k, operand] : llvm::enumerate(item.operands)) {
      if (single && !operand.carries)
        network.addEdge(
            nodes[operand.item].needed[item.allow[1] || item.contracts ? 0 : 1],
            sink, never);
      const Nodes &from = nodes[operand.item];
      network.addEdge(from.needed[operand.wholeIfCut ? 1 : 0], of.computed[0],
                      never);
      network.addEdge(from.needed[1], of.computed[1], never);
      if (item.follows)
        network.addEdge(of.computed[1], from.computed[1], never);
      if (!carriers[i])
        continue;
      uint8_t need = item.getNeed(carriers[i]->operand, k);
      if (need != PartialLevel)
        network.addEdge(from.needed[need - 1], sink, never);
    }
  }
  int64_t bound = network.solve();
  for (auto [i, item] : llvm::enumerate(items))
    item.form = network.isOnSinkSide(nodes[i].computed[1])   ? WholeLevel
                : network.isOnSinkSide(nodes[i].computed[0]) ? CutLevel
                                                             : PartialLevel;
  relaxedNeeds.clear();
  for (const Nodes &of : nodes)
    relaxedNeeds.push_back(network.isOnSinkSide(of.needed[1])   ? WholeLevel
                           : network.isOnSinkSide(of.needed[0]) ? CutLevel
                                                                : PartialLevel);
  chooseCarriers(items);
  for (auto [i, carrier] : llvm::enumerate(carriers))
    if (carrier && items[i].form == PartialLevel)
      items[i].carrier = carrier->operand;
  return bound;
}

SmallVector<Choice, 3> Search::findBranches(ArrayRef<Choice> choices) const {
  auto isSettled = [&](unsigned item, bool carrier) {
    return llvm::any_of(choices, [&](const Choice &choice) {
      return choice.item == item && (choice.kind == Choice::Carrier) == carrier;
    });
  };
  SmallVector<uint8_t> needs = getNeeds(items);
  for (auto [i, item] : llvm::enumerate(items)) {
    if (!item.product || item.form != PartialLevel || isSettled(i, true))
      continue;
    // The chosen carrier suits the relaxed plan.
    bool suits = true;
    for (unsigned k = 0; k < item.operands.size(); ++k)
      suits &=
          relaxedNeeds[item.operands[k].item] >= item.getNeed(item.carrier, k);
    if (suits)
      continue;
    SmallVector<Choice, 3> branches;
    for (unsigned k = 0; k < item.operands.size(); ++k)
      if (item.operands[k].carries)
        branches.push_back({Choice::Carrier, unsigned(i), k});
    // Rather what nothing else needs.
    auto rank = [&](const Choice &choice) {
      return std::pair(relaxedNeeds[item.operands[choice.operand].item],
                       choice.operand);
    };
    llvm::sort(branches, [&](const Choice &lhs, const Choice &rhs) {
      return rank(lhs) < rank(rhs);
    });
    if (item.contracts)
      branches.push_back(
          {Choice::Carrier, unsigned(i), unsigned(item.operands.size())});
    if ((item.allow[1] || item.allow[2]) && !isSettled(i, false))
      branches.push_back({Choice::NotPartial, unsigned(i)});
    return branches;
  }
  for (auto [i, item] : llvm::enumerate(items))
    if (item.form == CutLevel && needs[i] == WholeLevel && item.allow[0] &&
        item.gather != item.reduce - item.scatter && !isSettled(i, false))
      return {{Choice::Cut, unsigned(i)}, {Choice::NotCut, unsigned(i)}};
  return {};
}

CutResult Search::run() {
  // Enough for a layer; what is left after that is bounded.
  constexpr size_t maxWork = 4'000'000, maxNodes = 8192;
  size_t numNodes =
      std::min(maxNodes, maxWork / std::max<size_t>(items.size(), 1) + 1);
  struct Open {
    SmallVector<Choice> choices;
    int64_t bound;
  };
  std::vector<Open> open{{{}, 0}};
  std::optional<int64_t> best;
  SmallVector<std::pair<uint8_t, unsigned>> chosen(items.size());
  CutResult result;
  for (size_t node = 0; node < numNodes && !open.empty(); ++node) {
    Open now = std::move(open.back());
    open.pop_back();
    if (best && now.bound >= *best)
      continue;
    int64_t bound = std::max(now.bound, relax(now.choices));
    if (bound >= MinCut::infinity)
      continue;
    // Any assignment of forms is a plan: this one is there already.
    int64_t cost = moe::spmd::getCost(items);
    SmallVector<Choice, 3> branches;
    if (cost > bound)
      branches = findBranches(now.choices);
    if (!best || cost < *best) {
      best = cost;
      for (auto [item, choice] : llvm::zip_equal(items, chosen))
        choice = {item.form, item.carrier};
    }
    for (const Choice &branch : llvm::reverse(branches)) {
      open.push_back({now.choices, bound});
      open.back().choices.push_back(branch);
    }
  }
  result.cost = *best;
  result.lowerBound = *best;
  for (const Open &left : open)
    result.lowerBound = std::min(result.lowerBound, left.bound);
  for (auto [item, choice] : llvm::zip_equal(items, chosen))
    std::tie(item.form, item.carrier) = choice;
  return result;
}

CutResult moe::spmd::chooseForms(MutableArrayRef<CutItem> items) {
  return items.empty() ? CutResult() : Search(items).run();
}

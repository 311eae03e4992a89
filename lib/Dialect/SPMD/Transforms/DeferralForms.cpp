//===- DeferralForms.cpp - Forms of a value over several axes -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DeferralForms.h"
#include "moe/Dialect/SPMD/IR/Communication.h"

using namespace mlir;
using namespace moe::spmd;

Form DeferralAxes::formOf(ArrayRef<Placement> placements) const {
  Form form;
  for (unsigned axis = 0; axis < Form::maxAxes; ++axis) {
    form[axis] = Form::other;
    if (axis >= size())
      continue;
    Placement placement = placements[leaves[axis]];
    if (placement == Placement::partial())
      form[axis] = Form::partial;
    else if (placement.isShard())
      form[axis] = Form::cut(placement.dim);
    else if (placement.isReplicate())
      form[axis] = Form::whole;
  }
  return form;
}

static SmallVector<Placement> placementsOf(const DeferralAxes &axes,
                                           PlacedTensorType type, Form form) {
  SmallVector<Placement> placements(type.getPlacements());
  for (auto [axis, leaf] : llvm::enumerate(axes.leaves))
    if (form[axis] != Form::other)
      placements[leaf] = form[axis] == Form::partial ? Placement::partial()
                         : form[axis] == Form::whole
                             ? Placement::replicate()
                             : Placement::shard(Form::dimOf(form[axis]));
  return placements;
}

PlacedTensorType DeferralAxes::typeOf(PlacedTensorType type, Form form) const {
  return type.withPlacements(placementsOf(*this, type, form));
}

int64_t ConversionTrees::getBytes(PlacedTensorType type, Form form) const {
  return getLocalBytes(type, placementsOf(axes, type, form));
}

const ConversionTree &ConversionTrees::get(PlacedTensorType type, Form computed,
                                           Form cuts,
                                           SmallVectorImpl<Form> &needs) {
  llvm::erase_if(needs, [&](Form need) { return computed.gives(need); });
  if (needs.empty())
    return nothing;
  llvm::sort(needs);
  needs.erase(llvm::unique(needs), needs.end());
  // What gives a need gives all that this one does.
  SmallVector<Form> furthest;
  for (Form need : needs)
    if (llvm::none_of(
            needs, [&](Form that) { return that != need && that.gives(need); }))
      furthest.push_back(need);
  // More than a search can take share one that gives them all.
  constexpr unsigned maxNeeds = 5;
  while (furthest.size() > maxNeeds) {
    Form last = furthest.pop_back_val(), &both = furthest.back();
    for (unsigned axis = 0; axis < axes.size(); ++axis)
      if (!Form::gives(both[axis], last[axis]))
        both[axis] =
            Form::gives(last[axis], both[axis]) ? last[axis] : Form::whole;
  }
  Key key{reinterpret_cast<uintptr_t>(type.getAsOpaquePointer()),
          computed.pack(), cuts.pack()};
  for (Form need : furthest)
    key.push_back(need.pack());
  auto [entry, isNew] = known.try_emplace(std::move(key));
  if (isNew)
    entry->second =
        std::make_unique<ConversionTree>(find(type, computed, cuts, furthest));
  return *entry->second;
}

const ConversionTrees::Prices &
ConversionTrees::getPrices(PlacedTensorType type, Form computed, Form cuts,
                           Form others, unsigned axis) {
  Form partial = computed.with(axis, Form::partial);
  auto [entry, isNew] = prices.try_emplace(
      Key{reinterpret_cast<uintptr_t>(type.getAsOpaquePointer()),
          partial.pack(), cuts.pack(), others.pack(), axis});
  Prices &found = entry->second;
  if (!isNew)
    return found;
  auto costOf = [&](Form from, int16_t code) {
    return getCost(type, from, cuts, others.with(axis, code));
  };
  int64_t base = costOf(partial, Form::partial);
  found.reduce = costOf(partial, Form::whole) - base;
  int16_t cut = cuts[axis];
  found.cuttable = Form::isCut(cut) &&
                   !others.clashes(axis, Form::dimOf(cut)) &&
                   !partial.clashes(axis, Form::dimOf(cut));
  if (found.cuttable) {
    Form from = computed.with(axis, cut);
    found.scatter =
        std::clamp<int64_t>(costOf(partial, cut) - base, 0, found.reduce);
    found.gather = std::max(costOf(from, Form::whole) - costOf(from, cut),
                            found.reduce - found.scatter);
    found.reduce = std::min(found.reduce, found.scatter + found.gather);
  }
  return found;
}

namespace {

/// The forms on the way, each with the cheapest way on from there for each set
/// of needs. Every collective leads to a form with a higher number.
class TreeSearch {
public:
  TreeSearch(const DeferralAxes &axes, const CostModel &model,
             PlacedTensorType type, Form computed, ArrayRef<Form> needs)
      : axes(axes), model(model), type(type), computed(computed), needs(needs) {
  }

  ConversionTree run(Form cuts);

private:
  static constexpr int64_t never = INT64_C(1) << 60;

  struct Way {
    int64_t cost = never;
    /// Of equal costs the fewest collectives count.
    unsigned steps = 0;
    /// A set of needs that parts from the others here.
    unsigned part = 0;
    /// The form that is made next, if none part.
    unsigned next = 0;

    bool operator<(const Way &that) const {
      return std::pair(cost, steps) < std::pair(that.cost, that.steps);
    }
  };

  bool exists(Form form) const;
  Form formOf(unsigned number) const;
  void findWay(unsigned number, Form form, unsigned wanted);
  void makeNext(unsigned number, Form form, unsigned wanted, unsigned next,
                CollectiveKind kind, ArrayRef<unsigned> over, int64_t bytes);
  void collect(unsigned number, unsigned wanted, unsigned step,
               ConversionTree &tree) const;
  Way &at(unsigned number, unsigned wanted) {
    return ways[(size_t(number) << needs.size()) + wanted];
  }
  const Way &at(unsigned number, unsigned wanted) const {
    return ways[(size_t(number) << needs.size()) + wanted];
  }

  const DeferralAxes &axes;
  const CostModel &model;
  PlacedTensorType type;
  Form computed;
  ArrayRef<Form> needs;
  /// By axis, from partial to whole.
  SmallVector<SmallVector<int16_t, 4>> codes;
  SmallVector<unsigned> strides;
  std::vector<Way> ways;
};

} // namespace

/// Where two axes cut one dimension, the program itself must say so.
bool TreeSearch::exists(Form form) const {
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    if (Form::isCut(form[axis]) && form.clashes(axis, Form::dimOf(form[axis])))
      return form == computed || llvm::is_contained(needs, form);
  return true;
}

Form TreeSearch::formOf(unsigned number) const {
  Form form = computed;
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    form[axis] = codes[axis][number / strides[axis] % codes[axis].size()];
  return form;
}

void TreeSearch::makeNext(unsigned number, Form form, unsigned wanted,
                          unsigned next, CollectiveKind kind,
                          ArrayRef<unsigned> over, int64_t bytes) {
  const Way &on = at(next, wanted);
  Way &way = at(number, wanted);
  if (on.cost > way.cost)
    return;
  SmallVector<unsigned> leaves;
  for (unsigned axis : over)
    leaves.push_back(axes.leaves[axis]);
  Way found{on.cost + model.get(kind, axes.mesh, leaves, bytes), on.steps + 1,
            0, next};
  if (found < way)
    way = found;
}

void TreeSearch::findWay(unsigned number, Form form, unsigned wanted) {
  Way &way = at(number, wanted);
  bool given = true;
  for (unsigned i = 0; i < needs.size(); ++i)
    given &= !(wanted >> i & 1) || form.gives(needs[i]);
  if (given) {
    way.cost = 0;
    return;
  }
  int64_t bytes = getLocalBytes(type, placementsOf(axes, type, form));
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    unsigned size = codes[axis].size();
    if (Form::isCut(form[axis]) && codes[axis].back() == Form::whole) {
      unsigned place = number / strides[axis] % size;
      makeNext(number, form, wanted,
               number + strides[axis] * (size - 1 - place),
               CollectiveKind::AllGather, axis, bytes);
    }
    if (form[axis] != Form::partial)
      continue;
    for (unsigned i = 1; i < size; ++i)
      if (Form::isCut(codes[axis][i]))
        makeNext(number, form, wanted, number + strides[axis] * i,
                 CollectiveKind::ReduceScatter, axis, bytes);
  }
  SmallVector<unsigned> partial;
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    if (form[axis] == Form::partial && codes[axis].size() > 1)
      partial.push_back(axis);
  for (unsigned set = (1u << partial.size()) - 1; set > 0; --set) {
    SmallVector<unsigned> over;
    unsigned next = number;
    for (auto [i, axis] : llvm::enumerate(partial))
      if (set >> i & 1) {
        over.push_back(axis);
        next += strides[axis] * (codes[axis].size() - 1);
      }
    makeNext(number, form, wanted, next, CollectiveKind::AllReduce, over,
             bytes);
  }
  // Needs that part here.
  for (unsigned part = (wanted - 1) & wanted; part > 0;
       part = (part - 1) & wanted) {
    const Way &one = at(number, part), &rest = at(number, wanted & ~part);
    Way found{one.cost + rest.cost, one.steps + rest.steps, part, 0};
    if (found < way)
      way = found;
  }
}

void TreeSearch::collect(unsigned number, unsigned wanted, unsigned step,
                         ConversionTree &tree) const {
  const Way &way = at(number, wanted);
  if (way.part) {
    collect(number, way.part, step, tree);
    collect(number, wanted & ~way.part, step, tree);
  } else if (way.next) {
    tree.steps.push_back({step, formOf(way.next)});
    collect(way.next, wanted, tree.steps.size(), tree);
  }
}

ConversionTree TreeSearch::run(Form cuts) {
  unsigned number = 1;
  for (unsigned axis = 0; axis < axes.size(); ++axis) {
    SmallVector<int16_t, 4> of{computed[axis]};
    bool more = llvm::any_of(needs, [&](Form need) {
      return !Form::gives(computed[axis], need[axis]);
    });
    if (more) {
      if (computed[axis] == Form::partial) {
        if (Form::isCut(cuts[axis]))
          of.push_back(cuts[axis]);
        for (Form need : needs)
          if (Form::isCut(need[axis]) && !llvm::is_contained(of, need[axis]))
            of.push_back(need[axis]);
      }
      of.push_back(Form::whole);
    }
    strides.push_back(number);
    number *= of.size();
    codes.push_back(std::move(of));
  }
  ways.resize(size_t(number) << needs.size());
  unsigned all = (1u << needs.size()) - 1;
  while (number-- > 0) {
    Form form = formOf(number);
    if (!exists(form))
      continue;
    for (unsigned wanted = 1; wanted <= all; ++wanted)
      findWay(number, form, wanted);
  }
  ConversionTree tree;
  tree.cost = at(0, all).cost;
  collect(0, all, 0, tree);
  return tree;
}

ConversionTree ConversionTrees::find(PlacedTensorType type, Form computed,
                                     Form cuts, ArrayRef<Form> needs) const {
  return TreeSearch(axes, model, type, computed, needs).run(cuts);
}

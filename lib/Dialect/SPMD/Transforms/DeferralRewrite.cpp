//===- DeferralRewrite.cpp - Rewrite a function to what was decided -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Values get the types of the forms they are computed in. Conversions stand
// where their value is, so that what comes after need not wait.
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "moe/Dialect/SPMD/IR/Locations.h"

using namespace mlir;
using namespace moe::spmd;

Form DeferralSolution::getNeed(const DeferralGraph &graph,
                               const DeferralGraph::Use &use) const {
  if (use.user == DeferralGraph::none)
    return use.stated;
  const DeferralGraph::Value &user = graph.getValues()[use.user];
  const DeferralProblem::Item &item = of(user).problem.items[user.index];
  unsigned number = &use - &graph.getUses()[user.usesBegin];
  return getNeededForm(item, choiceOf(user), number, use.stated);
}

namespace {

class Rewriter {
public:
  Rewriter(const DeferralGraph &graph, const DeferralSolution &solution,
           MadeConversions *made)
      : graph(graph), solution(solution), made(made) {}

  void run();

private:
  /// The value that is being rewritten, and what is made of it.
  struct Current {
    unsigned number;
    const DeferralGraph::Value *value;
    const ConversionTree *tree;
    ArrayRef<PlacedTensorType> types;
    /// By node of the tree; null for what is not made yet.
    SmallVector<Value, 4> nodes;
    /// Forms that cost nothing.
    SmallVector<std::pair<Form, Value>, 2> slices;
    /// Of the conversions that were left out.
    unsigned begin, end;
  };

  Form formOf(const Current &current, unsigned node) const {
    return node ? current.tree->steps[node - 1].to : computed;
  }
  void rewrite(unsigned number, ArrayRef<unsigned> uses);
  Value take(Current &current, Operation *user, Form need);
  Value makeNode(Current &current, Operation *user, unsigned node);
  Value convert(Current &current, Operation *user, Value from, Form before,
                Form after, PlacedTensorType type, bool slices);
  Operation *findReason(const Current &current, Operation *user, Form before,
                        Form after, bool slices) const;
  void rewriteOther(const DeferralGraph::Use &use);

  const DeferralGraph &graph;
  const DeferralSolution &solution;
  MadeConversions *made;
  /// The form that the current value is computed in.
  Form computed;
  /// Conversions that were left out, by value; which are used again.
  std::vector<unsigned> conversionBegins, conversions;
  llvm::BitVector kept;
};

/// The numbers of elements by value, for those that have one.
template <typename Range>
void sortByValue(const Range &range, size_t numValues,
                 std::vector<unsigned> &begins,
                 std::vector<unsigned> &numbers) {
  begins.assign(numValues + 1, 0);
  for (const auto &element : range)
    if (element.value != DeferralGraph::none)
      ++begins[element.value + 1];
  for (size_t i = 0; i < numValues; ++i)
    begins[i + 1] += begins[i];
  numbers.resize(begins.back());
  std::vector<unsigned> next(begins.begin(), begins.end() - 1);
  for (auto [i, element] : llvm::enumerate(range))
    if (element.value != DeferralGraph::none)
      numbers[next[element.value]++] = i;
}

} // namespace

/// What gives the conversion its location, and the site where it names one.
Operation *Rewriter::findReason(const Current &current, Operation *user,
                                Form before, Form after, bool slices) const {
  Operation *reduces = nullptr, *states = nullptr;
  for (unsigned i = current.begin; i < current.end; ++i) {
    const DeferralGraph::Conversion &old =
        graph.getConversions()[conversions[i]];
    for (unsigned axis = 0; axis < graph.getAxes().size(); ++axis) {
      if (before[axis] == after[axis])
        continue;
      if (old.from[axis] != old.to[axis] && old.to[axis] == after[axis])
        return old.op;
      if (!reduces && old.from[axis] == Form::partial &&
          old.to[axis] == Form::whole)
        reduces = old.op;
      if (!states && old.to[axis] == after[axis])
        states = old.op;
    }
  }
  if (slices)
    return user;
  if (reduces || states)
    return reduces ? reduces : states;
  // What the backward part is summed for is not forward.
  Operation *source = current.value->root.getDefiningOp();
  if (source && isBackward(source->getLoc()) && !isBackward(user->getLoc()))
    return source;
  return user;
}

Value Rewriter::convert(Current &current, Operation *user, Value from,
                        Form before, Form after, PlacedTensorType type,
                        bool slices) {
  OpBuilder builder(user);
  builder.setInsertionPointAfterValue(from);
  for (unsigned i = current.begin; i < current.end; ++i) {
    unsigned number = conversions[i];
    const DeferralGraph::Conversion &old = graph.getConversions()[number];
    if (old.from != before || old.to != after || old.stays || kept[number])
      continue;
    kept.set(number);
    RedistributeOp op = old.op;
    op->moveBefore(builder.getInsertionBlock(), builder.getInsertionPoint());
    op.getInputMutable().assign(from);
    return op;
  }
  Operation *reason = findReason(current, user, before, after, slices);
  return RedistributeOp::create(builder, reason->getLoc(), type, from,
                                reason->getAttrOfType<StringAttr>("site"));
}

Value Rewriter::makeNode(Current &current, Operation *user, unsigned node) {
  if (current.nodes[node])
    return current.nodes[node];
  unsigned before = current.tree->steps[node - 1].from;
  Value from = makeNode(current, user, before);
  Value value = convert(current, user, from, formOf(current, before),
                        formOf(current, node), current.types[node], false);
  if (made)
    (*made)[current.number].push_back(value.getDefiningOp<RedistributeOp>());
  return current.nodes[node] = value;
}

Value Rewriter::take(Current &current, Operation *user, Form need) {
  std::optional<unsigned> giving;
  for (unsigned node = 0; node < current.nodes.size(); ++node) {
    Form form = formOf(current, node);
    if (form == need)
      return makeNode(current, user, node);
    if (!giving && form.gives(need))
      giving = node;
  }
  for (auto [form, value] : current.slices)
    if (form == need)
      return value;
  Value from = makeNode(current, user, *giving);
  Value slice = convert(current, user, from, formOf(current, *giving), need,
                        graph.getAxes().typeOf(current.types[0], need), true);
  current.slices.push_back({need, slice});
  return slice;
}

void Rewriter::rewrite(unsigned number, ArrayRef<unsigned> uses) {
  const DeferralGraph::Value &value = graph.getValues()[number];
  const SolvedProblem &solved = solution.of(value);
  Current current;
  current.number = number;
  current.value = &value;
  current.tree = &solved.trees[value.index];
  current.types = solved.types[value.index];
  current.nodes.resize(current.types.size());
  current.nodes[0] = value.root;
  current.begin = conversionBegins[number];
  current.end = conversionBegins[number + 1];
  computed = getComputedForm(solved.problem.items[value.index],
                             solution.choiceOf(value));
  if (value.root.getType() != current.types[0])
    current.nodes[0].setType(current.types[0]);
  for (unsigned i : uses) {
    const DeferralGraph::Use &use = graph.getUses()[i];
    Value taken =
        take(current, use.operand->getOwner(), solution.getNeed(graph, use));
    if (use.operand->get() != taken)
      use.operand->set(taken);
  }
}

/// A value that is whole all along joins a sum as a term, and is sliced where
/// the result is cut.
void Rewriter::rewriteOther(const DeferralGraph::Use &use) {
  Form need = solution.getNeed(graph, use);
  if (need == use.stated)
    return;
  Value value = use.operand->get();
  Operation *user = use.operand->getOwner();
  OpBuilder builder(user);
  use.operand->set(RedistributeOp::create(
      builder, user->getLoc(),
      graph.getAxes().typeOf(cast<PlacedTensorType>(value.getType()), need),
      value, user->getAttrOfType<StringAttr>("site")));
}

void Rewriter::run() {
  auto values = graph.getValues();
  std::vector<unsigned> useBegins, uses;
  sortByValue(graph.getUses(), values.size(), useBegins, uses);
  sortByValue(graph.getConversions(), values.size(), conversionBegins,
              conversions);
  kept.resize(graph.getConversions().size());
  if (made)
    made->resize(values.size());
  for (unsigned i = 0; i < values.size(); ++i)
    if (values[i].open)
      rewrite(i, ArrayRef(uses).slice(useBegins[i],
                                      useBegins[i + 1] - useBegins[i]));
  for (const DeferralGraph::Use &use : graph.getUses())
    if (use.user != DeferralGraph::none &&
        (use.value == DeferralGraph::none || !values[use.value].open))
      rewriteOther(use);
  for (unsigned i = graph.getConversions().size(); i-- > 0;) {
    const DeferralGraph::Conversion &old = graph.getConversions()[i];
    if (values[old.value].open && !old.stays && !kept[i])
      RedistributeOp(old.op).erase();
  }
  for (RedistributeOp op : graph.getIdentities()) {
    op.replaceAllUsesWith(op.getInput());
    op.erase();
  }
}

void moe::spmd::applyDeferral(const DeferralGraph &graph,
                              const DeferralSolution &solution,
                              MadeConversions *made) {
  Rewriter(graph, solution, made).run();
}

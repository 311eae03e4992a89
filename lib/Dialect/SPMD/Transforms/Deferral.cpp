//===- Deferral.cpp - Where the reductions of one axis go -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A value that is Partial, or was until a conversion reduced it, may be
// computed Partial, cut or replicated: all mean the same global value. A policy
// picks one form for each; the program is then rewritten, with a collective
// wherever a form is needed that none at hand gives for nothing.
//
//===----------------------------------------------------------------------===//

#include "Deferral.h"
#include "moe/Dialect/SPMD/IR/Locations.h"

using namespace mlir;
using namespace moe::spmd;

/// Whether a conversion changes nothing but this axis.
bool Deferral::changesOnly(RedistributeOp op) const {
  auto from = cast<PlacedTensorType>(op.getInput().getType()).getPlacements();
  auto to = cast<PlacedTensorType>(op.getType()).getPlacements();
  for (unsigned i = 0; i < from.size(); ++i)
    if (i != axis && from[i] != to[i])
      return false;
  return true;
}

bool Deferral::keepsAxis(RedistributeOp op) const {
  return get(op.getInput()) == get(op.getResult());
}

/// Even cuts only, of a dimension that no other axis cuts: what is cut here was
/// not before.
bool Deferral::canCut(Value value, int dim) const {
  auto type = cast<PlacedTensorType>(value.getType());
  if (dim < 0 || dim >= type.getRank() ||
      type.getDimSize(dim) % type.getMesh().getLeafAxes()[axis].getSize() != 0)
    return false;
  for (auto [i, placement] : llvm::enumerate(type.getPlacements()))
    if (i != axis &&
        (placement.isRagged() || (placement.isShard() && placement.dim == dim)))
      return false;
  return true;
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

/// From what is cut, and from what is summed, to its neighbours: a value may be
/// cut where those it is computed from and for may be. The first dimension that
/// is found stays; what the program cuts itself comes first.
void Deferral::findDims() {
  auto suggest = [&](Value value, int dim) {
    Placement placement = get(value);
    if ((placement.isReplicate() || placement.isPartial()) &&
        canCut(value, dim))
      dims.try_emplace(value, dim);
  };
  auto visit = [&](Operation *op, bool forwards) {
    if (auto conversion = dyn_cast<RedistributeOp>(op)) {
      Value from = conversion.getInput(), to = conversion.getResult();
      if (!changesOnly(conversion))
        return;
      if (get(to).isShard())
        suggest(from, get(to).dim);
      if (int dim = findDim(forwards ? from : to); dim >= 0)
        suggest(forwards ? to : from, dim);
      return;
    }
    auto interface = dyn_cast<PlacementOpInterface>(op);
    if (!interface || op->getNumResults() != 1 ||
        isa<SPMDDialect>(op->getDialect()))
      return;
    Value result = op->getResult(0);
    bool known = llvm::any_of(op->getOperands(), [&](Value operand) {
      return findDim(operand) >= 0;
    });
    if (forwards ? !known : findDim(result) < 0)
      return;
    PlacementRule rule = interface.getPlacementRule();
    for (auto [i, operand] : llvm::enumerate(op->getOperands()))
      if (!forwards) {
        auto dim = findOperandDim(rule, i, findDim(result));
        if (dim && *dim >= 0)
          suggest(operand, *dim);
      } else if (int dim = findDim(operand); dim >= 0) {
        suggest(result, findResultDim(rule, i, dim));
      }
  };
  auto backwards = [&] {
    for (Operation *op : llvm::reverse(operations))
      visit(op, false);
  };
  backwards();
  for (Operation *op : operations)
    if (auto conversion = dyn_cast<RedistributeOp>(op);
        conversion && isPartialSum(conversion.getInput()) &&
        get(conversion.getResult()).isReplicate()) {
      Value value = conversion.getResult();
      for (int dim = 0; findDim(value) < 0 &&
                        dim < cast<PlacedTensorType>(value.getType()).getRank();
           ++dim)
        suggest(value, dim);
    }
  if (dims.empty())
    return;
  for (Operation *op : operations)
    visit(op, true);
  backwards();
}

/// Whether the operation can compute its result cut from operands that are cut
/// or whole.
bool Deferral::classifyCut(Operation *op, Flexible &entry,
                           CutItem &item) const {
  SmallVector<Placement> placements;
  PlacementRule rule = cast<PlacementOpInterface>(op).getPlacementRule();
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    Placement placement = get(operand);
    bool movable = find(operand) || placement.isReplicate();
    std::optional<int> dim = findOperandDim(rule, i, entry.dim);
    if (!movable || !dim)
      return false;
    if (*dim >= 0 && !canCut(operand, *dim))
      return false;
    entry.operandDims.push_back(*dim);
    placements.push_back(*dim >= 0 ? Placement::shard(*dim)
                                   : Placement::replicate());
  }
  Transfer transfer =
      cast<PlacementOpInterface>(op).transferPlacements(axis, placements);
  if (!transfer.ok || transfer.results[0] != Placement::shard(entry.dim))
    return false;
  unsigned next = 0;
  for (auto [i, operand] : llvm::enumerate(op->getOperands()))
    if (std::optional<unsigned> number = find(operand)) {
      // Cut along another dimension, it is sliced of the whole.
      item.operands[next++].wholeIfCut =
          entry.operandDims[i] < 0 ||
          entries[*number].dim != entry.operandDims[i];
    }
  return true;
}

/// Adds what `op` computes, if its form can be chosen.
bool Deferral::classify(Operation *op) {
  auto rule = dyn_cast<PlacementOpInterface>(op);
  if (!rule || op->getNumResults() != 1)
    return false;
  Value result = op->getResult(0);
  bool flexible = llvm::any_of(op->getOperands(), [&](Value operand) {
    return find(operand).has_value();
  });
  if (!flexible || (!get(result).isReplicate() && !isPartialSum(result)))
    return false;

  Flexible entry(Flexible::Computed, result);
  CutItem item;
  if (auto conversion = dyn_cast<RedistributeOp>(op)) {
    // On this axis nothing happens.
    if (!keepsAxis(conversion) ||
        conversion.getInput().getType() == conversion.getType())
      return false;
    item.operands.push_back({*find(conversion.getInput())});
    item.follows = true;
    entry.dim = findDim(result);
    add(std::move(entry), std::move(item));
    return true;
  }
  if (isa<SPMDDialect>(op->getDialect()))
    return false;

  bool sum = rule.getPlacementRule().linearity == Linearity::Additive;
  SmallVector<Placement> placements;
  SmallVector<unsigned> positions;
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    placements.push_back(get(operand));
    if (std::optional<unsigned> number = find(operand)) {
      positions.push_back(i);
      item.operands.push_back({*number});
      placements.back() = Placement::replicate();
    }
  }
  auto carries = [&](ArrayRef<Placement> with) {
    Transfer transfer = rule.transferPlacements(axis, with);
    return transfer.ok && transfer.step == TransferStep::Carried &&
           transfer.results[0] == Placement::partial();
  };
  // With whole operands the result has to be whole.
  Transfer whole = rule.transferPlacements(axis, placements);
  if (!whole.ok || !whole.results[0].isReplicate())
    return false;
  if (sum) {
    entry.kind = Flexible::Sum;
    SmallVector<Placement> terms;
    for (Value operand : op->getOperands())
      terms.push_back(find(operand) || get(operand).isReplicate()
                          ? Placement::partial()
                          : get(operand));
    item.allow[PartialForm] = carries(terms);
  } else {
    bool any = false;
    for (auto [k, i] : llvm::enumerate(positions)) {
      SmallVector<Placement> with = placements;
      with[i] = Placement::partial();
      item.operands[k].carries = carries(with);
      any |= item.operands[k].carries;
    }
    item.allow[PartialForm] = any;
    item.product = any && positions.size() > 1;
    item.follows = any && positions.size() == 1;
  }
  entry.dim = findDim(result);
  if (entry.dim >= 0)
    item.allow[CutForm_] = classifyCut(op, entry, item);
  if (!item.allow[PartialForm] && !item.allow[CutForm_])
    return false;
  add(std::move(entry), std::move(item));
  return true;
}

void Deferral::addCreated(Value value) {
  Flexible entry(Flexible::Created, value);
  entry.dim = findDim(value);
  CutItem item;
  item.allow[WholeForm] = false;
  add(std::move(entry), std::move(item));
}

void Deferral::collect(Operation *op) {
  if (auto conversion = dyn_cast<RedistributeOp>(op))
    if (isPartialSum(conversion.getInput()) &&
        get(conversion.getResult()).isReplicate() && changesOnly(conversion)) {
      unsigned entry = *find(conversion.getInput());
      numbers[conversion.getResult()] = entry;
      entries[entry].conversions.push_back(op);
      return;
    }
  if (!classify(op))
    for (Value result : op->getResults())
      if (isPartialSum(result))
        addCreated(result);
  for (OpOperand &operand : op->getOpOperands())
    collectUse(operand);
}

void Deferral::collectUse(OpOperand &operand) {
  std::optional<unsigned> number = find(operand.get());
  if (!number)
    return;
  Operation *user = operand.getOwner();
  Flexible &entry = entries[*number];
  CutItem &item = items[*number];
  Use use{Use::Replicated, &operand, *number};
  std::optional<unsigned> result;
  if (user->getNumResults() == 1)
    result = find(user->getResult(0));
  auto conversion = dyn_cast<RedistributeOp>(user);
  if (result && entries[*result].kind != Flexible::Created) {
    use.kind = Use::AsResult;
    use.result = *result;
  } else if (conversion && get(conversion.getResult()).isShard() &&
             changesOnly(conversion)) {
    use.kind = Use::Scatter;
    use.reduced = isPartialSum(operand.get());
  } else if (isPartialSum(operand.get())) {
    use.kind = Use::Partial;
    entry.mustBePartial = true;
  } else {
    item.fixedUse = WholeForm;
  }
  entry.uses.push_back(uses.size());
  useNumbers[&operand] = uses.size();
  uses.push_back(use);
}

/// The terms of a Partial value are not unique: whoever depends on them depends
/// on all that they were computed from.
void Deferral::pinTerms() {
  for (unsigned i = entries.size(); i-- > 0;) {
    if (!entries[i].mustBePartial)
      continue;
    CutItem &item = items[i];
    item.allow[PartialForm] = true;
    item.allow[CutForm_] = item.allow[WholeForm] = false;
    if (entries[i].kind == Flexible::Created)
      continue;
    // A product keeps the operand that carries its terms.
    unsigned position = 0;
    for (Value operand : entries[i].value.getDefiningOp()->getOperands()) {
      std::optional<unsigned> number = find(operand);
      if (!number)
        continue;
      bool partial = isPartialSum(operand);
      if (partial)
        entries[*number].mustBePartial = true;
      if (item.product)
        item.operands[position].carries &= partial;
      ++position;
    }
  }
}

int64_t Deferral::bytesOf(Value value) {
  return getLocalBytes(cast<PlacedTensorType>(value.getType()));
}

void Deferral::price(unsigned number) {
  Flexible &entry = entries[number];
  CutItem &item = items[number];
  auto type = cast<PlacedTensorType>(entry.value.getType());
  MeshAttr mesh = type.getMesh();
  int64_t bytes = bytesOf(entry.value);
  int64_t cutBytes = bytes / mesh.getLeafAxes()[axis].getSize();
  item.reduce = model.get(CollectiveKind::AllReduce, mesh, axis, bytes);
  item.scatter = model.get(CollectiveKind::ReduceScatter, mesh, axis, bytes);
  item.gather = model.get(CollectiveKind::AllGather, mesh, axis, cutBytes);
  item.cuttable = entry.dim >= 0;
  for (unsigned use : entry.uses) {
    if (uses[use].kind != Use::Scatter)
      continue;
    Placement to = get(uses[use].operand->getOwner()->getResult(0));
    if (entry.dim == to.dim)
      item.fixedUse = std::max<uint8_t>(item.fixedUse, CutForm_);
    else
      item.otherCuts += item.scatter;
  }
  // Reduced over another axis just before, both are one collective.
  if (auto conversion = entry.value.getDefiningOp<RedistributeOp>();
      conversion && entry.kind != Flexible::Created) {
    SmallVector<unsigned> axes;
    for (auto [i, from, to] :
         llvm::enumerate(cast<PlacedTensorType>(conversion.getInput().getType())
                             .getPlacements(),
                         type.getPlacements()))
      if (getCollectiveName(from, to) == "all_reduce")
        axes.push_back(i);
    if (!axes.empty()) {
      int64_t alone = model.get(CollectiveKind::AllReduce, mesh, axes, bytes);
      axes.push_back(axis);
      llvm::sort(axes);
      int64_t both = model.get(CollectiveKind::AllReduce, mesh, axes, bytes);
      item.reduce = std::min(item.reduce, std::max<int64_t>(both - alone, 0));
    }
  }
  entry.wholeFirst = item.reduce < item.scatter;
  item.scatter = std::min(item.scatter, item.reduce);
  if (item.cuttable) {
    entry.cutFirst = item.scatter + item.gather < item.reduce;
    item.reduce = std::min(item.reduce, item.scatter + item.gather);
    item.gather = std::max(item.gather, item.reduce - item.scatter);
  }
}

void Deferral::collect() {
  for (Operation &op : function.getBody().front())
    operations.push_back(&op);
  findDims();
  for (BlockArgument argument : function.getArguments())
    if (isPartialSum(argument)) {
      addCreated(argument);
      entries.back().forms[PartialForm] = argument;
    }
  for (Operation *op : operations)
    collect(op);
  pinTerms();
  for (unsigned i = 0; i < entries.size(); ++i)
    price(i);
}

unsigned Deferral::getNumReductions() const {
  unsigned number = 0;
  for (const Flexible &entry : entries)
    number += entry.conversions.size();
  for (const Use &use : uses)
    number += use.reduced;
  return number;
}

void Deferral::takeChoice() {
  SmallVector<uint8_t> needs = getNeeds(items);
  for (auto [entry, item, need] : llvm::zip_equal(entries, items, needs)) {
    entry.form = Form(item.form);
    entry.need = Form(need);
  }
}

int64_t Deferral::choose(Policy policy) {
  if (policy == Policy::MinCut) {
    lowerBound = chooseForms(items).lowerBound;
    takeChoice();
    return getCost(items);
  }
  for (CutItem &item : items) {
    item.form = policy == Policy::Boundary && item.allow[PartialForm]
                    ? PartialForm
                : item.allow[WholeForm] ? WholeForm
                                        : PartialForm;
  }
  chooseCarriers(items);
  takeChoice();
  return getCost(items);
}

int64_t Deferral::getPeakBytes() const {
  // From the operation that makes the terms to the last that takes them.
  DenseMap<Operation *, unsigned> places;
  for (auto [i, op] : llvm::enumerate(operations))
    places[op] = i + 1;
  std::vector<int64_t> changes(operations.size() + 2);
  for (const Flexible &entry : entries) {
    if (entry.form != PartialForm)
      continue;
    Operation *op = entry.value.getDefiningOp();
    unsigned from = op ? places.lookup(op) : 0, last = from;
    for (unsigned number : entry.uses)
      if (formOf(uses[number]) == PartialForm)
        last = std::max(last, places.lookup(uses[number].operand->getOwner()));
    changes[from] += bytesOf(entry.value);
    changes[last + 1] -= bytesOf(entry.value);
  }
  int64_t now = 0, peak = 0;
  for (int64_t change : changes)
    peak = std::max(peak, now += change);
  return peak;
}

LogicalResult Deferral::chooseWithin(int64_t budget) {
  choose(Policy::MinCut);
  if (getPeakBytes() <= budget)
    return success();
  choose(Policy::Eager);
  if (getPeakBytes() > budget)
    return failure();
  // Partial bytes get a price, the least that keeps the peak down.
  auto chooseAt = [&](int64_t price) {
    for (auto [entry, item] : llvm::zip_equal(entries, items))
      item.penalty = price * bytesOf(entry.value);
    chooseForms(items);
    for (CutItem &item : items)
      item.penalty = 0;
    takeChoice();
    return getPeakBytes() <= budget;
  };
  // Picoseconds per byte.
  constexpr int64_t highest = INT64_C(1) << 24;
  int64_t low = 0, high = highest;
  if (!chooseAt(high)) {
    choose(Policy::Eager);
    return success();
  }
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    (chooseAt(middle) ? high : low) = middle;
  }
  chooseAt(high);
  return success();
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// `reason` gives the location, and the site where it names one.
Value Deferral::convert(OpBuilder &builder, Operation *reason, Value value,
                        Placement to) {
  auto type = cast<PlacedTensorType>(value.getType());
  SmallVector<Placement> placements(type.getPlacements());
  placements[axis] = to;
  return RedistributeOp::create(builder, reason->getLoc(),
                                type.withPlacements(placements), value,
                                reason->getAttrOfType<StringAttr>("site"));
}

Value Deferral::take(Operation *user, Flexible &entry, Form form) {
  if (entry.forms[form])
    return entry.forms[form];
  // A later form gives an earlier one for nothing.
  for (unsigned later = form + 1; later <= entry.need; ++later)
    if (entry.forms[later] && entry.form != PartialForm) {
      OpBuilder builder(user);
      builder.setInsertionPointAfterValue(entry.forms[later]);
      return entry.forms[form] =
                 convert(builder, user, entry.forms[later],
                         form == PartialForm ? Placement::partial()
                                             : Placement::shard(entry.dim));
    }
  // One reduction serves all uses, where the value is: what comes after need
  // not wait.
  Form made = form == CutForm_ && (entry.need == WholeForm || entry.wholeFirst)
                  ? WholeForm
                  : form;
  if (!entry.forms[made]) {
    OpBuilder builder(user);
    Value from = entry.forms[entry.form];
    builder.setInsertionPointAfterValue(from);
    Operation *reason = user, *source = entry.value.getDefiningOp();
    if (!entry.conversions.empty() &&
        (made != CutForm_ || !isa<RedistributeOp>(user)))
      reason = entry.conversions.front();
    else if (source && isBackward(source->getLoc()) &&
             !isBackward(user->getLoc()))
      // What the backward part is summed for is not forward.
      reason = source;
    if (made == WholeForm && entry.form == PartialForm && entry.cutFirst) {
      from = entry.forms[CutForm_] =
          convert(builder, reason, from, Placement::shard(entry.dim));
      entry.madeBy[CutForm_] = from.getDefiningOp();
    }
    entry.forms[made] =
        convert(builder, reason, from,
                made == WholeForm ? Placement::replicate()
                                  : Placement::shard(entry.dim));
    entry.madeBy[made] = entry.forms[made].getDefiningOp();
  }
  if (made != form) {
    OpBuilder builder(user);
    builder.setInsertionPointAfterValue(entry.forms[made]);
    entry.forms[form] =
        convert(builder, user, entry.forms[made], Placement::shard(entry.dim));
  }
  return entry.forms[form];
}

/// The form of its value that a use takes, as chosen.
Form Deferral::formOf(const Use &use) const {
  if (use.kind == Use::Partial)
    return PartialForm;
  if (use.kind == Use::Replicated)
    return WholeForm;
  const Flexible &entry = entries[use.entry];
  if (use.kind == Use::Scatter) {
    Operation *user = use.operand->getOwner();
    if (get(user->getResult(0)).dim == entry.dim)
      return CutForm_;
    return entry.need == WholeForm ? WholeForm : entry.form;
  }
  const CutItem &item = items[use.result];
  unsigned position = 0;
  for (OpOperand &operand : use.operand->getOwner()->getOpOperands()) {
    if (&operand == use.operand)
      break;
    position += find(operand.get()).has_value();
  }
  if (item.form == CutForm_)
    return item.operands[position].wholeIfCut ? WholeForm : CutForm_;
  if (item.form == PartialForm && item.product)
    return position == item.carrier ? PartialForm : WholeForm;
  return Form(item.form);
}

void Deferral::rewrite(Operation *op) {
  std::optional<unsigned> result;
  if (op->getNumResults() == 1)
    result = find(op->getResult(0));
  if (result && llvm::is_contained(entries[*result].conversions, op))
    return;
  bool chosen = result && entries[*result].kind != Flexible::Created;
  // Operands are found by their value, so they are set when all are known.
  SmallVector<Value> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    OpBuilder builder(op);
    auto found = useNumbers.find(&operand);
    Value value = operand.get();
    if (found != useNumbers.end()) {
      Use &use = uses[found->second];
      Flexible &entry = entries[use.entry];
      Form form = formOf(use);
      value = take(op, entry, form);
      if (use.kind == Use::Scatter)
        use.reduces = isPartialSum(value);
    }
    if (chosen) {
      const Flexible &entry = entries[*result];
      // A term that was replicated all along joins a Partial sum, and is sliced
      // where the result is cut.
      Placement to = get(value);
      if (entry.form == PartialForm && entry.kind == Flexible::Sum)
        to = Placement::partial();
      else if (entry.form == CutForm_ &&
               entry.operandDims[operand.getOperandNumber()] >= 0)
        to = Placement::shard(entry.operandDims[operand.getOperandNumber()]);
      if (to != get(value))
        value = convert(builder, op, value, to);
    }
    operands.push_back(value);
  }
  op->setOperands(operands);
  for (Value value : op->getResults()) {
    std::optional<unsigned> number = find(value);
    if (!number)
      continue;
    Flexible &entry = entries[*number];
    auto type = cast<PlacedTensorType>(value.getType());
    SmallVector<Placement> placements(type.getPlacements());
    placements[axis] = entry.form == PartialForm ? Placement::partial()
                       : entry.form == CutForm_  ? Placement::shard(entry.dim)
                                                 : Placement::replicate();
    value.setType(type.withPlacements(placements));
    entry.forms[entry.form] = value;
  }
}

void Deferral::apply(Policy policy, bool remarks) {
  for (Operation *op : operations)
    rewrite(op);
  if (remarks)
    emitRemarks(policy);
  for (Flexible &entry : llvm::reverse(entries))
    for (Operation *conversion : llvm::reverse(entry.conversions))
      conversion->erase();
  // What was a reduction's last step may convert nothing now.
  for (auto op : llvm::make_early_inc_range(
           function.getBody().front().getOps<RedistributeOp>()))
    if (op.getInput().getType() == op.getType()) {
      op.replaceAllUsesWith(op.getInput());
      op.erase();
    }
}

//===- Repairs.cpp - Ways out of a false label, tried ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/Repairs.h"
#include "Witness.h"
#include "mlir/IR/Verifier.h"
#include "moe/Analysis/PlacementInference.h"
#include "moe/AutoDiff/Differentiate.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "moe/Reference/ExactCheck.h"
#include "moe/Reference/ReducedSizes.h"
#include <functional>

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

/// Candidates for one finding, pairs included.
static constexpr unsigned kMostTrials = 64;
/// Operations that are copied and checked for all findings of a function.
static constexpr int64_t kMostOperations = 2'000'000;
/// Multiplications of one execution on all ranks.
static constexpr int64_t kMostWork = int64_t(1) << 23;

//===----------------------------------------------------------------------===//
// Trials
//===----------------------------------------------------------------------===//

namespace {

/// What a fault is called in every copy of the program.
struct FaultKey {
  unsigned op;
  bool isBackward;
  StringRef name;
  unsigned axis;

  bool operator==(const FaultKey &other) const {
    return op == other.op && isBackward == other.isBackward &&
           name == other.name && axis == other.axis;
  }
};

} // namespace

/// Locations of a copy hold numbers of operations; differentiation keeps them.
static constexpr StringLiteral kNumberFile = "number of operation";

static Location numberLoc(MLIRContext *context, unsigned number) {
  return FileLineColLoc::get(context, kNumberFile, number, 0);
}

static unsigned getNumber(Location loc) {
  unsigned number = 0;
  loc->walk([&](Location part) {
    auto file = dyn_cast<FileLineColLoc>(part);
    if (!file || file.getFilename() != kNumberFile)
      return WalkResult::advance();
    number = file.getLine();
    return WalkResult::interrupt();
  });
  return number;
}

/// A copy of the program, inferred, differentiated and analyzed.
struct RepairSearch::Trial {
  EditableProgram program;
  func::FuncOp checked;
  std::unique_ptr<PlacementAnalysis> analysis;
  SmallVector<FaultKey> faults, consequences;
  Communication cost;

  explicit Trial(EditableProgram copy) : program(std::move(copy)) {}
  LogicalResult run(bool differentiated);
  /// Arguments and results are placed as in another trial.
  bool hasTypesOf(const Trial &other) const {
    func::FuncOp mine = checked, others = other.checked;
    return mine.getFunctionType() == others.getFunctionType();
  }
  bool has(const FaultKey &fault) const {
    return llvm::is_contained(faults, fault);
  }
  /// Also what is not reported as long as another fault is.
  bool knows(const FaultKey &fault) const {
    return has(fault) || llvm::is_contained(consequences, fault);
  }
};

LogicalResult RepairSearch::Trial::run(bool differentiated) {
  func::FuncOp function = program.getFunction();
  MLIRContext *context = function.getContext();
  ScopedDiagnosticHandler silence(context,
                                  [](Diagnostic &) { return success(); });
  for (unsigned i = 0; i < program.getNumOperations(); ++i)
    if (Operation *op = program.getOperation(i))
      op->setLoc(numberLoc(context, i));
  for (BlockArgument argument : function.getArguments())
    argument.setLoc(numberLoc(context, program.getNumOperations() +
                                           argument.getArgNumber()));
  if (failed(inferPlacements(function)))
    return failure();
  checked = function;
  if (differentiated) {
    SymbolTable symbols(program.getModule());
    if (failed(differentiate(function, symbols)))
      return failure();
    checked = symbols.lookup<func::FuncOp>(getJointName(function));
    if (failed(inferPlacements(checked)))
      return failure();
  }
  if (failed(verify(program.getModule())))
    return failure();
  analysis = std::make_unique<PlacementAnalysis>(checked);
  auto keyOf = [](Operation *op, unsigned axis) {
    return FaultKey{getNumber(op->getLoc()), isBackward(op->getLoc()),
                    op->getName().getStringRef(), axis};
  };
  for (const Finding &finding : analysis->getFindings())
    faults.push_back(keyOf(finding.op, finding.axis));
  for (auto [op, axis] : analysis->getConsequences())
    consequences.push_back(keyOf(op, axis));
  for (Operation &op : checked.getBody().front())
    cost += getCommunication(&op);
  return success();
}

std::unique_ptr<RepairSearch::Trial>
RepairSearch::check(const EditableProgram &edited) const {
  auto trial = std::make_unique<Trial>(edited.clone());
  return succeeded(trial->run(differentiated)) ? std::move(trial) : nullptr;
}

/// Why a trial is not known to compute what one device does: empty if it does,
/// nothing if it computes something else.
static std::optional<std::string> execute(func::FuncOp function,
                                          const PlacementAnalysis &analysis) {
  // Faults that are not this repair's affair; execution puts them right.
  DenseSet<unsigned> others;
  SmallVector<Operation *> operations;
  for (Operation &op : function.getBody().front())
    operations.push_back(&op);
  for (const Finding &finding : analysis.getFindings())
    others.insert(llvm::find(operations, finding.op) - operations.begin());

  std::string reason;
  ScopedDiagnosticHandler listen(function.getContext(),
                                 [&](Diagnostic &diagnostic) {
                                   if (reason.empty())
                                     reason = diagnostic.str();
                                   return success();
                                 });
  auto reduced = reference::reduceSizes(function);
  if (succeeded(reduced)) {
    auto small = *(*reduced)->getOps<func::FuncOp>().begin();
    // The same claims have to be false.
    if (PlacementAnalysis(small).getFindings().size() ==
        analysis.getFindings().size())
      function = small;
  }
  auto attr = reference::getMesh(function);
  if (failed(attr))
    return reason;
  auto mesh = reference::RankMesh::get(*attr, reason);
  if (failed(mesh))
    return reason;
  if (reference::estimateWork(function) > kMostWork / (mesh->numRanks() + 1))
    return "it is too large for the reference";
  reference::Random random(1);
  auto execution = reference::checkExactly(function, *mesh, random);
  if (failed(execution))
    return reason.empty() ? "the reference can't run it" : reason;
  for (auto [i, op] : llvm::enumerate(function.getBody().front())) {
    if (!execution->faults.contains(&op) || others.contains(i))
      continue;
    // What only follows from another fault is not reported a second time.
    if (others.empty() || isa<ClaimOp, BoundaryOp>(op))
      return std::nullopt;
  }
  return "";
}

//===----------------------------------------------------------------------===//
// Candidates
//===----------------------------------------------------------------------===//

/// Whether spmd.redistribute takes the one to the other.
static bool canConvert(Placement from, Placement to) {
  if (from.isMixed() || from == to || to.isRagged() || to.isUnknown())
    return false;
  if (to.isPartial())
    return !from.isRagged() && !from.isPartial() && to == Placement::partial();
  return to.isReplicate() || !from.isRagged();
}

/// The edits that may help with one finding of a trial.
struct RepairSearch::Candidates {
  const Trial &trial;
  /// Edits that are tried together.
  SmallVector<SmallVector<Edit>> lists;

  void add(Edit edit) { addAll({edit}); }
  void addAll(SmallVector<Edit> edits) {
    if (!edits.empty() && !llvm::is_contained(lists, edits))
      lists.push_back(std::move(edits));
  }
  /// The operation of the program that `op` belongs to; null for what none
  /// wrote.
  Operation *getWritten(Operation *op) const {
    unsigned number = getNumber(op->getLoc());
    return number < trial.program.getNumOperations()
               ? trial.program.getOperation(number)
               : nullptr;
  }
  void addFor(const Finding &finding);
  std::optional<Edit> getLabel(Operation *op, unsigned axis, Placement from,
                               Placement to, bool converts) const;
  void addLabel(Operation *op, unsigned axis, Placement from, Placement to,
                bool converts) {
    if (auto edit = getLabel(op, axis, from, to, converts))
      add(*edit);
  }
  void addSum(Operation *op, unsigned axis, Placement truth);
  void addTerms(Operation *mix, unsigned axis);
  void addAllTerms(const Finding &finding);
  std::optional<Edit> getTerm(OpOperand &term, unsigned axis, Placement to,
                              bool leave) const;
  void addOrigins(const Finding &finding);
  void addOperands(Operation *op, unsigned axis);
};

/// What `op` takes its operand for, or turns it into, becomes `to`.
std::optional<Edit>
RepairSearch::Candidates::getLabel(Operation *op, unsigned axis, Placement from,
                                   Placement to, bool converts) const {
  Operation *written = getWritten(op);
  if (!written)
    return std::nullopt;
  Edit edit{};
  edit.op = getNumber(op->getLoc());
  edit.axis = axis;
  edit.from = from;
  edit.placement = to;
  if (isBackward(op->getLoc())) {
    if (!isa<BoundaryOp>(written))
      return std::nullopt;
    edit.kind = Edit::SetGradient;
    edit.converts = converts;
    return edit;
  }
  if (!isa<ClaimOp, BoundaryOp, RedistributeOp>(op))
    return std::nullopt;
  edit.kind = converts ? Edit::InsertConversion : Edit::SetResult;
  return edit;
}

/// `op` sums what is not partial<sum>.
void RepairSearch::Candidates::addSum(Operation *op, unsigned axis,
                                      Placement truth) {
  Operation *written = getWritten(op);
  if (!written || !isa<AllReduceOp, ReduceScatterOp, GradAllReduceOp>(written))
    return;
  Edit edit{};
  edit.kind = truth.isReplicate() ? Edit::RemoveSum : Edit::ConvertInstead;
  edit.op = getNumber(op->getLoc());
  edit.axis = axis;
  edit.from = truth;
  add(edit);
}

/// The terms of a sum become all Partial, or all replicated, before it.
void RepairSearch::Candidates::addTerms(Operation *mix, unsigned axis) {
  Operation *written = getWritten(mix);
  for (Placement to : {Placement::partial(), Placement::replicate()}) {
    Edit edit{};
    edit.axis = axis;
    edit.placement = to;
    if (!isBackward(mix->getLoc())) {
      edit.kind = Edit::InsertConversion;
      edit.op = getNumber(mix->getLoc());
      for (auto [i, term] : llvm::enumerate(mix->getOperands())) {
        edit.operand = i;
        edit.from = trial.analysis->get(term, axis).placement;
        if (written && canConvert(edit.from, to))
          add(edit);
      }
      continue;
    }
    // The sum is that of a value's cotangents: one for each use.
    if (!written)
      continue;
    edit.kind = Edit::InsertBoundary;
    edit.from = to.isPartial() ? Placement::replicate() : Placement::partial();
    for (Value value : written->getOperands())
      for (OpOperand &use : value.getUses()) {
        edit.op = getNumber(use.getOwner()->getLoc());
        edit.operand = use.getOperandNumber();
        if (!isa<func::ReturnOp>(use.getOwner()))
          add(edit);
      }
  }
}

/// The edit that makes one term of a sum lie as `to`: with `leave` where it was
/// reduced, else by a conversion.
std::optional<Edit> RepairSearch::Candidates::getTerm(OpOperand &term,
                                                      unsigned axis,
                                                      Placement to,
                                                      bool leave) const {
  const PlacementAnalysis &analysis = *trial.analysis;
  Placement from = analysis.get(term.get(), axis).placement;
  Operation *sum = term.getOwner();
  Edit edit{};
  edit.axis = axis;
  edit.placement = to;
  edit.from = from;
  if (!isBackward(sum->getLoc())) {
    edit.kind = Edit::InsertConversion;
    edit.op = getNumber(sum->getLoc());
    edit.operand = term.getOperandNumber();
    return getWritten(sum) ? std::optional(edit) : std::nullopt;
  }
  SmallVector<Operation *> path;
  Operation *reducer = leave && to.isPartial()
                           ? findReduction(analysis, term.get(), axis, path)
                           : nullptr;
  if (reducer && analysis.get(reducer->getOperand(0), axis).placement == to)
    if (auto label = getLabel(reducer, axis, to, to, /*converts=*/false))
      return label;
  // Where the label on its use is, or by a new one.
  Operation *op = term.get().getDefiningOp();
  Operation *user = op ? getWritten(op) : nullptr;
  if (!user || !isBackward(op->getLoc()))
    return std::nullopt;
  bool wasSo = isa<RedistributeOp, ClaimOp>(op) &&
               analysis.get(op->getOperand(0), axis).placement == to;
  if (auto label = getLabel(op, axis, wasSo ? to : from, to, !wasSo))
    return label;
  edit.kind = Edit::InsertBoundary;
  edit.op = getNumber(op->getLoc());
  auto shape = cast<PlacedTensorType>(term.get().getType()).getShape();
  for (OpOperand &use : user->getOpOperands()) {
    auto type = dyn_cast<PlacedTensorType>(use.get().getType());
    if (!type || type.getShape() != shape)
      continue;
    edit.operand = use.getOperandNumber();
    return edit;
  }
  return std::nullopt;
}

/// All terms of a sum without meaning become Partial, or all replicated, and
/// with them what is claimed of the sum.
void RepairSearch::Candidates::addAllTerms(const Finding &finding) {
  const PlacementAnalysis &analysis = *trial.analysis;
  unsigned axis = finding.axis;
  SmallVector<OpOperand *> terms;
  SmallVector<Value> sums{finding.value};
  DenseSet<Value> seen;
  while (!sums.empty()) {
    Operation *op = sums.pop_back_val().getDefiningOp();
    if (!op)
      continue;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<PlacedTensorType>(operand.get().getType()))
        continue;
      Placement placement = analysis.get(operand.get(), axis).placement;
      if (!placement.isMixed())
        terms.push_back(&operand);
      else if (seen.insert(operand.get()).second)
        sums.push_back(operand.get());
    }
  }
  auto addFor = [&](Placement to, bool leave) {
    SmallVector<Edit> edits;
    for (OpOperand *term : terms) {
      Placement from = analysis.get(term->get(), axis).placement;
      if (from == to || from.isCut())
        continue;
      std::optional<Edit> edit = getTerm(*term, axis, to, leave);
      if (!edit)
        return;
      if (!llvm::is_contained(edits, *edit))
        edits.push_back(*edit);
    }
    addAll(edits);
    if (!isa<ClaimOp, BoundaryOp>(finding.op) || finding.believed == to)
      return;
    for (bool converts : {false, true})
      if (auto label = getLabel(finding.op, axis, to,
                                converts ? finding.believed : to, converts)) {
        SmallVector<Edit> both = edits;
        both.push_back(*label);
        addAll(both);
      }
  };
  addFor(Placement::partial(), /*leave=*/true);
  addFor(Placement::partial(), /*leave=*/false);
  addFor(Placement::replicate(), /*leave=*/false);
}

/// Where the value became what it is.
void RepairSearch::Candidates::addOrigins(const Finding &finding) {
  const PlacementAnalysis &analysis = *trial.analysis;
  unsigned axis = finding.axis;
  auto leavePartial = [&](Value value) {
    SmallVector<Operation *> path;
    Operation *reducer = findReduction(analysis, value, axis, path);
    if (!reducer)
      return;
    Placement before = analysis.get(reducer->getOperand(0), axis).placement;
    if (!before.isPartial())
      return;
    addLabel(reducer, axis, before, before, /*converts=*/false);
    addSum(reducer, axis, Placement::replicate());
  };
  if (finding.truth.isReplicate())
    return leavePartial(finding.value);
  SmallVector<Operation *> path;
  if (finding.truth.isPartial()) {
    // A label on the way may reduce it before.
    Value value = finding.value;
    findPartialOrigin(analysis, value, axis, path);
    for (Operation *op : path)
      if (isa<ClaimOp>(op) && canConvert(finding.truth, finding.believed))
        addLabel(op, axis, finding.truth, finding.believed, /*converts=*/true);
    return;
  }
  if (!finding.truth.isMixed())
    return;
  Operation *mix = findMix(analysis, finding.value, axis, path);
  if (!mix)
    return;
  for (Value term : mix->getOperands())
    if (analysis.get(term, axis).placement.isReplicate())
      leavePartial(term);
  addTerms(mix, axis);
  addAllTerms(finding);
}

/// An operand becomes whole, as another one is, or as opaque code needs it.
void RepairSearch::Candidates::addOperands(Operation *op, unsigned axis) {
  if (!getWritten(op) || isBackward(op->getLoc()))
    return;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<PlacedTensorType>(operand.get().getType());
    if (!type)
      continue;
    SmallVector<Placement> targets{Placement::replicate()};
    for (Value other : op->getOperands())
      if (isa<PlacedTensorType>(other.getType()))
        targets.push_back(trial.analysis->get(other, axis).placement);
    if (auto opaque = dyn_cast<OpaqueOp>(op)) {
      // Verified to resolve; the callback never runs.
      auto needed =
          cast<PlacementsAttr>(opaque.getNeeds()[operand.getOperandNumber()])
              .resolve(type.getMesh(), [&] { return op->emitError(); });
      targets = {(*needed)[axis]};
    }
    Edit edit{};
    edit.kind = Edit::InsertConversion;
    edit.op = getNumber(op->getLoc());
    edit.operand = operand.getOperandNumber();
    edit.axis = axis;
    edit.from = trial.analysis->get(operand.get(), axis).placement;
    for (Placement to : targets) {
      edit.placement = to;
      if (canConvert(edit.from, to))
        add(edit);
    }
  }
}

void RepairSearch::Candidates::addFor(const Finding &finding) {
  bool isClaim = isa<ClaimOp, BoundaryOp>(finding.op);
  unsigned axis = finding.axis;
  if (isClaim) {
    if (!finding.truth.isMixed())
      addLabel(finding.op, axis, finding.truth, finding.truth,
               /*converts=*/false);
    if (canConvert(finding.truth, finding.believed))
      addLabel(finding.op, axis, finding.truth, finding.believed,
               /*converts=*/true);
  } else if (finding.label == "G6") {
    addSum(finding.op, axis, finding.truth);
  } else if (finding.label == "T1") {
    Operation *written = getWritten(finding.op);
    if (written && !isBackward(finding.op->getLoc())) {
      Edit edit{};
      edit.kind = Edit::SetResult;
      edit.op = getNumber(finding.op->getLoc());
      edit.axis = axis;
      add(edit);
    }
  } else if (finding.label.starts_with("R")) {
    addOperands(finding.op, axis);
  }
  if (finding.label != "T1")
    addOrigins(finding);
}

//===----------------------------------------------------------------------===//
// The search
//===----------------------------------------------------------------------===//

RepairSearch::RepairSearch(func::FuncOp written, bool differentiated,
                           const PlacementAnalysis &checked)
    : program(EditableProgram(written).clone()), differentiated(differentiated),
      findings(checked.getFindings()), budget(kMostOperations) {
  program.forgetInferred(EditableProgram::getFaults(checked));
  base = check(program);
  // What is tried has to be what was checked.
  auto isSame = [](const Finding &a, const Finding &b) {
    return a.label == b.label && a.axis == b.axis && a.truth == b.truth &&
           a.op->getName() == b.op->getName();
  };
  if (base && !llvm::equal(base->analysis->getFindings(), checked.getFindings(),
                           isSame))
    base.reset();
}

RepairSearch::~RepairSearch() = default;

/// The faults are gone, no other appeared, and the outside gets what it got.
bool RepairSearch::isHeld(const Trial &trial, ArrayRef<Finding> error) const {
  size_t first = error.begin() - findings.begin();
  ArrayRef<FaultKey> before(base->faults);
  return trial.hasTypesOf(*base) &&
         llvm::none_of(before.slice(first, error.size()),
                       [&](const FaultKey &f) { return trial.has(f); }) &&
         llvm::all_of(trial.faults,
                      [&](const FaultKey &f) { return base->knows(f); });
}

bool RepairSearch::isAcceptable(const Trial &trial, ArrayRef<Finding> error,
                                Repair &repair) const {
  if (!isHeld(trial, error))
    return false;
  std::optional<std::string> outcome = execute(trial.checked, *trial.analysis);
  if (!outcome)
    return false;
  repair.notExecuted = *outcome;
  repair.numLeft = trial.faults.size();
  repair.numRevealed = llvm::count_if(
      trial.faults, [&](const FaultKey &f) { return !base->has(f); });
  repair.cost = {trial.cost.collectives - base->cost.collectives,
                 trial.cost.bytes - base->cost.bytes};
  return true;
}

/// Keeps those that reveal the least, and of one edit per axis if there are
/// any.
static void keepBest(SmallVectorImpl<Repair> &repairs, size_t numAxes) {
  if (repairs.empty())
    return;
  unsigned leastRevealed = repairs.front().numRevealed;
  llvm::erase_if(repairs, [&](const Repair &repair) {
    return repair.numRevealed > leastRevealed;
  });
  auto isSmall = [&](const Repair &repair) {
    return repair.edits.size() <= numAxes;
  };
  if (llvm::any_of(repairs, isSmall))
    llvm::erase_if(repairs, std::not_fn(isSmall));
}

static bool isCheaper(const Repair &a, const Repair &b) {
  auto key = [](const Repair &repair) {
    return std::tuple(repair.numRevealed, repair.cost.bytes,
                      repair.cost.collectives, repair.edits.size());
  };
  return key(a) < key(b);
}

SmallVector<Repair> RepairSearch::find(ArrayRef<Finding> error) {
  SmallVector<Repair> repairs;
  numTried = 0;
  if (!base)
    return repairs;

  /// A trial after which other faults are left.
  struct Open {
    Repair repair;
    EditableProgram program;
    std::unique_ptr<Trial> trial;
  };
  std::vector<Open> open;
  auto tryEdits = [&](const EditableProgram &from, ArrayRef<Edit> before,
                      ArrayRef<Edit> edits, bool mayGoOn) {
    int64_t size = base->checked.getBody().front().getOperations().size();
    Repair repair;
    llvm::append_range(repair.edits, before);
    llvm::append_range(repair.edits, edits);
    // Two edits come in both orders.
    bool isKnown = llvm::any_of(repairs, [&](const Repair &other) {
      return other.edits.size() == repair.edits.size() &&
             std::is_permutation(other.edits.begin(), other.edits.end(),
                                 repair.edits.begin());
    });
    if (isKnown || numTried >= kMostTrials || budget < size)
      return;
    ++numTried;
    budget -= size;
    EditableProgram edited = from.clone();
    for (const Edit &edit : edits)
      if (failed(edited.apply(edit)))
        return;
    std::unique_ptr<Trial> trial = check(edited);
    if (!trial)
      return;
    if (isAcceptable(*trial, error, repair))
      repairs.insert(llvm::upper_bound(repairs, repair, isCheaper),
                     std::move(repair));
    else if (mayGoOn)
      open.push_back({std::move(repair), std::move(edited), std::move(trial)});
  };

  // A fault on several axes needs an edit for each: the first ones of all axes
  // together, then the second ones..
  SmallVector<SmallVector<SmallVector<Edit>>> perAxis;
  size_t first = error.begin() - findings.begin(), mostLists = 0;
  for (const Finding &finding :
       base->analysis->getFindings().slice(first, error.size())) {
    Candidates candidates{*base, {}};
    candidates.addFor(finding);
    mostLists = std::max(mostLists, candidates.lists.size());
    perAxis.push_back(std::move(candidates.lists));
  }
  for (size_t i = 0; i < mostLists; ++i) {
    SmallVector<Edit> edits;
    for (const auto &lists : perAxis)
      if (i < lists.size())
        llvm::append_range(edits, lists[i]);
    tryEdits(program, {}, edits, /*mayGoOn=*/true);
  }
  keepBest(repairs, error.size());
  if (!repairs.empty() && repairs.front().numRevealed == 0)
    return repairs;
  std::vector<Open> singles = std::move(open);
  for (Open &single : singles) {
    // What the first edit brought up, or left, is for the second one.
    Candidates second{*single.trial, {}};
    ArrayRef<FaultKey> before(base->faults);
    for (auto [fault, finding] : llvm::zip_equal(
             single.trial->faults, single.trial->analysis->getFindings()))
      if (!base->knows(fault) ||
          llvm::is_contained(before.slice(first, error.size()), fault))
        second.addFor(finding);
    for (ArrayRef<Edit> edits : second.lists)
      tryEdits(single.program, single.repair.edits, edits, /*mayGoOn=*/false);
  }
  keepBest(repairs, error.size());
  return repairs;
}

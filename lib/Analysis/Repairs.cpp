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
  SmallVector<FaultKey> faults;
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
  for (const Finding &finding : analysis->getFindings())
    faults.push_back({getNumber(finding.op->getLoc()),
                      isBackward(finding.op->getLoc()),
                      finding.op->getName().getStringRef(), finding.axis});
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
  for (auto [i, op] : llvm::enumerate(function.getBody().front()))
    if (execution->faults.contains(&op) && !others.contains(i))
      return std::nullopt;
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
  SmallVector<Edit> edits;

  void add(Edit edit) {
    if (!llvm::is_contained(edits, edit))
      edits.push_back(edit);
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
  void addLabel(Operation *op, unsigned axis, Placement from, Placement to,
                bool converts);
  void addSum(Operation *op, unsigned axis, Placement truth);
  void addTerms(Operation *mix, unsigned axis);
  void addOrigins(const Finding &finding);
};

/// What `op` takes its operand for, or turns it into, becomes `to`.
void RepairSearch::Candidates::addLabel(Operation *op, unsigned axis,
                                        Placement from, Placement to,
                                        bool converts) {
  Operation *written = getWritten(op);
  if (!written)
    return;
  Edit edit{};
  edit.op = getNumber(op->getLoc());
  edit.axis = axis;
  edit.from = from;
  edit.placement = to;
  edit.converts = converts;
  if (isBackward(op->getLoc())) {
    if (!isa<BoundaryOp>(written))
      return;
    edit.kind = Edit::SetGradient;
  } else if (isa<ClaimOp, BoundaryOp, RedistributeOp>(op)) {
    edit.kind = converts ? Edit::InsertConversion : Edit::SetResult;
    edit.converts = false;
  } else {
    return;
  }
  add(edit);
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
  } else if (finding.label.starts_with("R") || finding.label == "G3") {
    Operation *written = getWritten(finding.op);
    Placement to = Placement::replicate();
    if (auto gather = dyn_cast<AllGatherOp>(finding.op))
      to = Placement::shard(gather.getDim());
    if (auto exchange = dyn_cast<AllToAllOp>(finding.op))
      to = Placement::shard(exchange.getFrom());
    for (auto [i, value] : llvm::enumerate(finding.op->getOperands())) {
      if (!written || isBackward(finding.op->getLoc()) ||
          !isa<PlacedTensorType>(value.getType()))
        continue;
      Edit edit{};
      edit.kind = Edit::InsertConversion;
      edit.op = getNumber(finding.op->getLoc());
      edit.operand = i;
      edit.axis = axis;
      edit.from = trial.analysis->get(value, axis).placement;
      edit.placement = to;
      if (canConvert(edit.from, to))
        add(edit);
    }
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
  program.forgetInferred(checked);
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
                      [&](const FaultKey &f) { return base->has(f); });
}

bool RepairSearch::isAcceptable(const Trial &trial, ArrayRef<Finding> error,
                                Repair &repair) const {
  if (!isHeld(trial, error))
    return false;
  std::optional<std::string> outcome = execute(trial.checked, *trial.analysis);
  if (!outcome)
    return false;
  repair.notExecuted = *outcome;
  repair.cost = {trial.cost.collectives - base->cost.collectives,
                 trial.cost.bytes - base->cost.bytes};
  return true;
}

static bool isCheaper(const Repair &a, const Repair &b) {
  auto key = [](const Repair &repair) {
    return std::tuple(repair.cost.bytes, repair.cost.collectives,
                      repair.edits.size());
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
  SmallVector<SmallVector<Edit>> perAxis;
  size_t first = error.begin() - findings.begin(), mostEdits = 0;
  for (const Finding &finding :
       base->analysis->getFindings().slice(first, error.size())) {
    Candidates candidates{*base, {}};
    candidates.addFor(finding);
    mostEdits = std::max(mostEdits, candidates.edits.size());
    perAxis.push_back(std::move(candidates.edits));
  }
  for (size_t i = 0; i < mostEdits; ++i) {
    SmallVector<Edit> edits;
    for (const SmallVector<Edit> &axis : perAxis)
      if (i < axis.size())
        edits.push_back(axis[i]);
    tryEdits(program, {}, edits, /*mayGoOn=*/true);
  }
  if (!repairs.empty())
    return repairs;
  std::vector<Open> singles = std::move(open);
  for (Open &single : singles) {
    // What the first edit brought up, or left, is for the second one.
    Candidates second{*single.trial, {}};
    ArrayRef<FaultKey> before(base->faults);
    for (auto [fault, finding] : llvm::zip_equal(
             single.trial->faults, single.trial->analysis->getFindings()))
      if (!base->has(fault) ||
          llvm::is_contained(before.slice(first, error.size()), fault))
        second.addFor(finding);
    for (const Edit &edit : second.edits)
      tryEdits(single.program, single.repair.edits, edit, /*mayGoOn=*/false);
  }
  return repairs;
}

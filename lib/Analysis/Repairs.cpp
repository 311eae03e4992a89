//===- Repairs.cpp - Ways out of a false label, tried ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RepairTrial.h"
#include <functional>

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

/// Candidates for one error, pairs included.
static constexpr unsigned kMostTrials = 64;

std::unique_ptr<RepairTrial>
RepairSearch::check(const EditableProgram &edited) const {
  auto trial = std::make_unique<RepairTrial>(edited.clone());
  return succeeded(trial->run(differentiated)) ? std::move(trial) : nullptr;
}

RepairSearch::RepairSearch(func::FuncOp written, bool differentiated,
                           const PlacementAnalysis &checked)
    : program(EditableProgram(written).clone()), differentiated(differentiated),
      findings(checked.getFindings()) {
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
bool RepairSearch::isHeld(const RepairTrial &trial,
                          ArrayRef<Finding> error) const {
  size_t first = error.begin() - findings.begin();
  ArrayRef<FaultKey> before(base->faults);
  return trial.hasTypesOf(*base) &&
         llvm::none_of(before.slice(first, error.size()),
                       [&](const FaultKey &f) { return trial.has(f); }) &&
         llvm::all_of(trial.faults,
                      [&](const FaultKey &f) { return base->knows(f); });
}

bool RepairSearch::isAcceptable(const RepairTrial &trial,
                                ArrayRef<Finding> error, Repair &repair) const {
  if (!isHeld(trial, error))
    return false;
  std::optional<std::string> outcome = trial.execute();
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
  const Repair *small = llvm::find_if(repairs, isSmall);
  if (small == repairs.end())
    return;
  Communication cost = small->cost;
  llvm::erase_if(repairs, [&](const Repair &repair) {
    return !isSmall(repair) && repair.cost.bytes >= cost.bytes;
  });
}

static bool isCheaper(const Repair &a, const Repair &b) {
  auto key = [](const Repair &repair) {
    return std::tuple(repair.numRevealed, repair.cost.bytes,
                      repair.cost.collectives, repair.edits.size());
  };
  return key(a) < key(b);
}

/// Reduces as late as the labels after this one allow: what is claimed becomes
/// what is true, and so does what that contradicts.
void RepairSearch::tryLeftPartial(ArrayRef<Finding> error,
                                  SmallVectorImpl<Repair> &repairs) {
  constexpr unsigned mostRounds = 8;
  int64_t size = getOperations(base->checked).size();
  EditableProgram edited = program.clone();
  std::unique_ptr<RepairTrial> trial = check(edited);
  Repair repair;
  size_t first = error.begin() - findings.begin();
  for (unsigned round = 0; trial && round < mostRounds && budget >= size;
       ++round) {
    // What this error is about, then what the edits have made false.
    SmallVector<Edit> edits;
    for (auto [i, finding] : llvm::enumerate(trial->analysis->getFindings()))
      if (round ? !base->knows(trial->faults[i])
                : i >= first && i < first + error.size())
        for (const Edit &edit : getLeftPartial(*trial, finding))
          if (!llvm::is_contained(edits, edit))
            edits.push_back(edit);
    if (edits.empty())
      return;
    for (const Edit &edit : edits)
      if (failed(edited.apply(edit)))
        return;
    llvm::append_range(repair.edits, edits);
    ++numTried;
    budget -= size;
    trial = check(edited);
    if (!trial || !isAcceptable(*trial, error, repair))
      continue;
    if (llvm::none_of(repairs, [&](const Repair &other) {
          return llvm::equal(other.edits, repair.edits);
        }))
      repairs.insert(llvm::upper_bound(repairs, repair, isCheaper),
                     std::move(repair));
    return;
  }
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
    std::unique_ptr<RepairTrial> trial;
  };
  std::vector<Open> open;
  auto tryEdits = [&](const EditableProgram &from, ArrayRef<Edit> before,
                      ArrayRef<Edit> edits, bool mayGoOn) {
    int64_t size = getOperations(base->checked).size();
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
    std::unique_ptr<RepairTrial> trial = check(edited);
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
    perAxis.push_back(getRepairCandidates(*base, finding));
    mostLists = std::max(mostLists, perAxis.back().size());
  }
  for (size_t i = 0; i < mostLists; ++i) {
    SmallVector<Edit> edits;
    for (const auto &lists : perAxis)
      if (i < lists.size())
        llvm::append_range(edits, lists[i]);
    tryEdits(program, {}, edits, /*mayGoOn=*/true);
  }
  tryLeftPartial(error, repairs);
  keepBest(repairs, error.size());
  if (!repairs.empty() && repairs.front().numRevealed == 0)
    return repairs;
  std::vector<Open> singles = std::move(open);
  for (Open &single : singles) {
    // What the first edit brought up, or left, is for the second one.
    SmallVector<SmallVector<Edit>> second;
    ArrayRef<FaultKey> before(base->faults);
    for (auto [fault, finding] : llvm::zip_equal(
             single.trial->faults, single.trial->analysis->getFindings()))
      if (!base->knows(fault) ||
          llvm::is_contained(before.slice(first, error.size()), fault))
        llvm::append_range(second, getRepairCandidates(*single.trial, finding));
    for (ArrayRef<Edit> edits : second)
      tryEdits(single.program, single.repair.edits, edits, /*mayGoOn=*/false);
  }
  keepBest(repairs, error.size());
  return repairs;
}

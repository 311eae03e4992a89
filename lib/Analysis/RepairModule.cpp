//===- RepairModule.cpp - Repair a program where it is false --------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RepairTrial.h"
#include "mlir/IR/SymbolTable.h"
#include "moe/Analysis/PlacementInference.h"
#include "moe/Analysis/Repairs.h"
#include "moe/AutoDiff/Differentiate.h"
#include "moe/Dialect/SPMD/IR/Locations.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

namespace {

/// A function of the program as it was written, checked in a copy.
class FunctionRepairer {
public:
  FunctionRepairer(func::FuncOp written, func::FuncOp joint)
      : written(written), joint(joint),
        differentiated(isDifferentiated(written)) {}

  /// Repairs one error; false if there is none that can be repaired.
  bool repairOne();
  /// Lets labels reduce no gradient before it leaves the function, if that is
  /// right and sends less.
  void leaveUnreduced();

private:
  func::FuncOp copyAndInfer(OwningOpRef<ModuleOp> &module);
  void apply(const Repair &repair, const PlacementAnalysis &analysis);
  /// What was made of the function before is out of date.
  void forgetJoint();
  void restateTypes(const EditableProgram::AxisSet &except);

  func::FuncOp written;
  /// Differentiated from it before; null if it is not there.
  func::FuncOp joint;
  bool differentiated;
};

} // namespace

/// The function that is checked: the joint one, made anew, or a copy.
func::FuncOp FunctionRepairer::copyAndInfer(OwningOpRef<ModuleOp> &module) {
  EditableProgram copy = EditableProgram(written).clone();
  module = copy.takeModule();
  func::FuncOp function = copy.getFunction();
  if (failed(inferPlacements(function)))
    return nullptr;
  if (!differentiated)
    return function;
  SymbolTable symbols(*module);
  if (failed(differentiate(function, symbols)))
    return nullptr;
  auto made = symbols.lookup<func::FuncOp>(getJointName(function));
  return succeeded(inferPlacements(made)) ? made : nullptr;
}

bool FunctionRepairer::repairOne() {
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<PlacementAnalysis> analysis;
  std::optional<Repair> cheapest;
  ArrayRef<Finding> repaired;
  {
    ScopedDiagnosticHandler silence(written.getContext(),
                                    [](Diagnostic &) { return success(); });
    func::FuncOp checked = copyAndInfer(module);
    if (!checked || failed(checkSingleBlock(checked)) ||
        failed(checkRecursion(checked)))
      return false;
    analysis = std::make_unique<PlacementAnalysis>(checked);
    if (analysis->getFindings().empty())
      return false;
    RepairSearch search(written, differentiated, *analysis);
    for (ArrayRef<Finding> error : analysis->getErrors()) {
      SmallVector<Repair> repairs = search.find(error);
      if (repairs.empty())
        continue;
      cheapest = std::move(repairs.front());
      repaired = error;
      break;
    }
  }
  if (!cheapest)
    return false;
  auto [loc, text] = describeRepair(written, repaired.front(), *cheapest);
  emitRemark(loc) << "repaired [" << repaired.front().label << "]: " << text;
  apply(*cheapest, *analysis);
  return true;
}

void FunctionRepairer::apply(const Repair &repair,
                             const PlacementAnalysis &analysis) {
  EditableProgram program(written);
  DenseMap<Operation *, SmallVector<unsigned>> faults;
  for (auto [number, axis] : EditableProgram::getFaults(analysis))
    if (number < program.getNumOperations())
      faults[program.getOperation(number)].push_back(axis);
  for (const Edit &edit : repair.edits)
    (void)program.apply(edit);
  EditableProgram::AxisSet except;
  for (auto [number, op] : llvm::enumerate(getOperations(written)))
    for (unsigned axis : faults.lookup(op))
      except.insert({number, axis});
  restateTypes(except);
  forgetJoint();
}

void FunctionRepairer::forgetJoint() {
  if (joint)
    joint.erase();
  joint = nullptr;
  written->removeAttr(SPMDDialect::kVjpAttr);
}

/// Labels of gradients that claim nothing and reduce nothing.
static SmallVector<Edit> silenceLabels(const EditableProgram &program) {
  SmallVector<Edit> edits;
  for (unsigned i = 0; i < program.getNumOperations(); ++i) {
    Operation *op = program.getOperation(i);
    auto sum = dyn_cast<GradAllReduceOp>(op);
    if (!sum && !isa<BoundaryOp>(op))
      continue;
    MeshAttr mesh = getMeshOf(op->getResult(0));
    for (unsigned axis = 0; axis < mesh.getNumLeafAxes(); ++axis) {
      Edit edit{};
      edit.kind = sum ? Edit::RemoveSum : Edit::SetGradient;
      edit.op = i;
      edit.axis = axis;
      bool isNamed =
          !sum || llvm::any_of(sum.getAxes().getAsRange<StringAttr>(),
                               [&](StringAttr name) {
                                 return llvm::is_contained(
                                     mesh.getLeavesOf(name.getValue()), axis);
                               });
      if (isNamed)
        edits.push_back(edit);
    }
  }
  return edits;
}

/// Adds labels that say what the gradients of `trial` are; false if one of them
/// has no meaning.
static bool stateTruth(const RepairTrial &trial, SmallVectorImpl<Edit> &edits) {
  func::FuncOp checked = trial.checked;
  for (auto claim : checked.getOps<ClaimOp>()) {
    if (!isBackward(claim.getLoc()))
      continue;
    MeshAttr mesh = getMeshOf(claim.getInput());
    for (unsigned axis = 0; axis < mesh.getNumLeafAxes(); ++axis) {
      Edit edit{};
      edit.kind = Edit::SetGradient;
      edit.op = getNumber(claim.getLoc());
      edit.axis = axis;
      edit.placement = trial.analysis->get(claim.getInput(), axis).placement;
      if (edit.placement.isMixed())
        return false;
      edits.push_back(edit);
    }
  }
  return true;
}

static LogicalResult applyAll(EditableProgram &program, ArrayRef<Edit> edits) {
  for (const Edit &edit : edits)
    if (failed(program.apply(edit)))
      return failure();
  return success();
}

void FunctionRepairer::leaveUnreduced() {
  if (!differentiated)
    return;
  SmallVector<Edit> edits;
  Communication saved;
  {
    ScopedDiagnosticHandler silence(written.getContext(),
                                    [](Diagnostic &) { return success(); });
    EditableProgram program = EditableProgram(written).clone();
    program.forgetInferred({});
    RepairTrial base(program.clone());
    if (failed(base.run(differentiated)) || !base.faults.empty())
      return;
    edits = silenceLabels(program);
    EditableProgram silent = program.clone();
    if (edits.empty() || failed(applyAll(silent, edits)))
      return;
    RepairTrial unlabelled(std::move(silent));
    if (failed(unlabelled.run(differentiated)) ||
        !stateTruth(unlabelled, edits) || failed(applyAll(program, edits)))
      return;
    RepairTrial left(std::move(program));
    if (failed(left.run(differentiated)) || !left.faults.empty() ||
        !left.hasTypesOf(base) || left.cost.bytes >= base.cost.bytes ||
        left.execute() != "")
      return;
    saved = {left.cost.collectives - base.cost.collectives,
             left.cost.bytes - base.cost.bytes};
  }
  EditableProgram program(written);
  (void)applyAll(program, edits);
  restateTypes({});
  forgetJoint();
  emitRemark(written.getLoc())
      << "labels let gradients stay as they are up to the edge of the "
         "function; "
      << describeCost(saved) << "; tried: gradients equal those of one device";
}

/// Placements that are given become those that are known.
static void restate(ValueRange given, ValueRange known) {
  for (auto [value, other] : llvm::zip_equal(given, known)) {
    auto type = dyn_cast<PlacedTensorType>(value.getType());
    if (!type)
      continue;
    SmallVector<Placement> placements(type.getPlacements());
    for (auto [placement, after] : llvm::zip_equal(
             placements,
             cast<PlacedTensorType>(other.getType()).getPlacements()))
      if (!placement.isUnknown())
        placement = after;
    value.setType(type.withPlacements(placements));
  }
}

/// Placements that were given, and follow by a rule, become what follows now.
void FunctionRepairer::restateTypes(const EditableProgram::AxisSet &except) {
  EditableProgram copy = EditableProgram(written).clone();
  copy.forgetInferred(except);
  ScopedDiagnosticHandler silence(written.getContext(),
                                  [](Diagnostic &) { return success(); });
  func::FuncOp inferred = copy.getFunction();
  if (failed(inferPlacements(inferred)))
    return;
  for (auto [op, other] :
       llvm::zip_equal(getOperations(written), getOperations(inferred))) {
    restate(op->getResults(), other->getResults());
    if (auto loop = dyn_cast<scf::ForOp>(op))
      restate(loop.getRegionIterArgs(),
              cast<scf::ForOp>(other).getRegionIterArgs());
  }
  Operation *ret = written.getBody().front().getTerminator();
  written.setFunctionType(FunctionType::get(written.getContext(),
                                            written.getArgumentTypes(),
                                            ret->getOperandTypes()));
}

void moe::spmd::repairModule(ModuleOp module) {
  constexpr unsigned mostRepairs = 1000;
  SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
  DenseSet<Operation *> joints;
  for (func::FuncOp function : functions) {
    // One that was taken away is known by its address alone.
    if (joints.contains(function) || function.isDeclaration() ||
        !llvm::hasSingleElement(function.getBody()))
      continue;
    func::FuncOp joint;
    if (isDifferentiated(function))
      joint = module.lookupSymbol<func::FuncOp>(getJointName(function));
    // One that something else made of it is checked as it is.
    if (joint && !function->hasAttr(SPMDDialect::kVjpAttr))
      continue;
    if (joint)
      joints.insert(joint);
    FunctionRepairer repairer(function, joint);
    unsigned numRepairs = 0;
    while (numRepairs < mostRepairs && repairer.repairOne())
      ++numRepairs;
    if (numRepairs)
      repairer.leaveUnreduced();
  }
}

//===- MutationSweep.cpp - Edits of correct programs, verified and executed
//===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes correct joint functions: imported layers whose labels execution has
// shown right, examples of the documentation, and drawn graphs to which true
// claims were added. Changes one thing in each, at several sizes, has
// placements inferred and the program verified, and executes it in the prime
// field on several data.
//
// What execution shows to be false: the value at a claim, a conversion, a
// collective or an operation whose type is stated, and a gradient that leaves
// otherwise than required, if its local values do not have the meaning there
// that they are taken to have; and the demand of a rule that inference stopped
// at, if no placement at all gives the operation's local results their meaning.
// Execution goes on with what is believed. A program has to be refused if and
// only if something is false, with at most as many errors as there is false.
//
//===----------------------------------------------------------------------===//

#include "Edits.h"
#include "RandomGraphs.h"
#include "Samples.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Import/LayerImporter.h"
#include "moe/Pipelines/Pipelines.h"
#include "moe/Reference/ExactCheck.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <optional>

using namespace moe;
using namespace moe::evidence;
using namespace moe::reference;
using llvm::StringRef;
using mlir::failed;
using mlir::Operation;
using mlir::func::FuncOp;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;

namespace cl = llvm::cl;

static cl::list<std::string> examples(cl::Positional,
                                      cl::desc("[EXAMPLE.mlir..]"));
static cl::opt<uint64_t> seed("seed", cl::init(1), cl::desc("Random seed"));
static cl::opt<int64_t> edits("edits", cl::init(25),
                              cl::desc("Edits of each class"));
static cl::opt<std::string>
    wrong("wrong",
          cl::desc("Plant a defect: overlook findings of a label, or "
                   "report each finding twice"),
          cl::value_desc("G1|G2|G6|R1|twice"));
static cl::opt<bool> print("print", cl::desc("Print programs that differ"));

namespace {

using Module = mlir::OwningOpRef<mlir::ModuleOp>;
using Primes = std::map<int64_t, int64_t>;

/// The sizes that each program is tried at.
const std::vector<Primes> kSizes = {{}, {{2, 3}, {3, 2}}, {{3, 5}}};

struct Counts {
  int64_t edits = 0, programs = 0, harmless = 0, refused = 0, differing = 0;
};

/// What the compiler says of a program.
struct Verdict {
  bool accepted = false;
  /// The program is none: an operation whose own constraints do not hold.
  bool malformed = false;
  int64_t errors = 0;
  std::string message;
};

/// What execution says of it.
struct Judgement {
  int64_t falsehoods = 0;
  /// What inference made wrong out of what was right, or refused though it has
  /// a meaning.
  std::string defect;
};

class Sweep {
public:
  explicit Sweep(mlir::MLIRContext &context) : context(context), random(seed) {}

  bool run();

private:
  unsigned below(unsigned bound) { return random() % bound; }
  Verdict check(mlir::ModuleOp module);
  mlir::FailureOr<Judgement> judge(FuncOp function, bool accepted,
                                   const llvm::DenseSet<Operation *> &stated);
  mlir::FailureOr<bool> hasMeaning(FuncOp function, Operation *op);
  void claimRequirements(FuncOp function);
  FuncOp getJoint(mlir::ModuleOp module);
  bool isUsable(mlir::ModuleOp module);

  Module importOne();
  Module drawOne();
  Module parseOne();
  Module draw();
  bool compare(const std::string &editClass, Counts &counts);

  mlir::MLIRContext &context;
  Random random;
  int64_t refused = 0, errors = 0, falsehoods = 0, crowded = 0, skipped = 0;
  int64_t shown = 0;
};

} // namespace

//===----------------------------------------------------------------------===//
// The two verdicts
//===----------------------------------------------------------------------===//

Verdict Sweep::check(mlir::ModuleOp module) {
  Verdict verdict;
  bool own = false;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    if (d.getSeverity() != mlir::DiagnosticSeverity::Error)
      return mlir::success();
    std::string text = d.str();
    if (!wrong.empty() && StringRef(text).starts_with("[" + wrong + "]"))
      return mlir::success();
    // L1 to L4 say what a collective needs, when inference has placed it.
    own |=
        !StringRef(text).starts_with("[") && !StringRef(text).contains("op (L");
    verdict.errors += wrong == "twice" ? 2 : 1;
    verdict.message += text + "\n";
    return mlir::success();
  });
  mlir::PassManager pm(&context);
  buildMoECheckPipeline(pm, {/*verify=*/true, /*tryRepairs=*/false});
  (void)pm.run(module);
  verdict.accepted = verdict.errors == 0;
  verdict.malformed = own;
  return verdict;
}

FuncOp Sweep::getJoint(mlir::ModuleOp module) {
  for (auto function : module.getOps<FuncOp>())
    if (function.getName().ends_with(".vjp"))
      return function;
  return {};
}

/// A gradient that leaves is claimed to lie as it has to.
void Sweep::claimRequirements(FuncOp function) {
  Operation *ret = function.getBody().front().getTerminator();
  mlir::OpBuilder builder(ret);
  auto nameOf = [&](unsigned i) {
    auto name = function.getArgAttrOfType<mlir::StringAttr>(
        i, spmd::SPMDDialect::kNameAttr);
    return name ? name.str() : "arg" + std::to_string(i);
  };
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto name = function.getResultAttrOfType<mlir::StringAttr>(
        i, spmd::SPMDDialect::kNameAttr);
    for (unsigned k = 0; name && k < function.getNumArguments(); ++k) {
      if (name.getValue() != "grad." + nameOf(k))
        continue;
      PlacedTensorType type = typeOf(function.getArgument(k));
      llvm::SmallVector<Placement> required(type.getPlacements());
      if (auto stated = function.getArgAttrOfType<spmd::PlacementsAttr>(
              k, spmd::SPMDDialect::kGradPlacementAttr))
        required = *stated.resolve(type.getMesh(),
                                   [&] { return function.emitError(); });
      mlir::Value value = ret->getOperand(i);
      ret->setOperand(
          i, spmd::ClaimOp::create(builder, ret->getLoc(),
                                   typeOf(value).withPlacements(required),
                                   value, mlir::StringAttr()));
    }
  }
}

/// Whether there is a placement that the local results of `op`, the last
/// operation of `function`, have their meaning under.
mlir::FailureOr<bool> Sweep::hasMeaning(FuncOp function, Operation *op) {
  std::string error;
  mlir::Value result = op->getResult(0);
  PlacedTensorType type = typeOf(result);
  auto mesh = RankMesh::get(type.getMesh(), error);
  auto isRagged = [](mlir::Value v) {
    return llvm::any_of(typeOf(v).getPlacements(),
                        [](Placement p) { return p.isRagged(); });
  };
  bool routed = llvm::any_of(op->getOperands(), isRagged) ||
                llvm::isa<DispatchOp, PermuteOp>(op);
  std::vector<std::vector<Placement>> meant = allPlacements(type, routed);
  auto drop = [&]() -> mlir::LogicalResult {
    bool failure = false;
    llvm::erase_if(meant, [&](const std::vector<Placement> &placements) {
      result.setType(type.withPlacements(placements));
      auto execution = checkExactly(function, *mesh, random);
      failure |= failed(execution);
      return failure || execution->meaningless.contains(result) ||
             execution->unsound.contains(op) || execution->faults.contains(op);
    });
    return mlir::failure(failure);
  };
  if (failed(drop()) || failed(drop()))
    return mlir::failure();
  if (meant.empty())
    return false;
  // A rule is about any data that lies so, not about what is computed here:
  // ones have a meaning more than other numbers.
  for (mlir::OpOperand &operand : op->getOpOperands()) {
    mlir::Value value = operand.get();
    if (isInteger(typeOf(value)) || isRagged(value))
      continue;
    if (failed(function.insertArgument(function.getNumArguments(),
                                       value.getType(), {}, op->getLoc())))
      return mlir::failure();
    operand.set(function.getArguments().back());
  }
  if (failed(drop()) || failed(drop()))
    return mlir::failure();
  return !meant.empty();
}

mlir::FailureOr<Judgement>
Sweep::judge(FuncOp function, bool accepted,
             const llvm::DenseSet<Operation *> &stated) {
  Judgement judgement;
  std::string error;
  mlir::Block &body = function.getBody().front();
  auto mesh = RankMesh::get(typeOf(function.getArgument(0)).getMesh(), error);
  if (failed(mesh))
    return function.emitError(error);

  // Inference stops at the first rule that refuses.
  Operation *stopped = nullptr;
  for (Operation &op : body.without_terminator())
    if (typeOf(op.getResult(0)).hasUnknownPlacement()) {
      stopped = &op;
      break;
    }
  Operation *ret = body.getTerminator();
  if (stopped) {
    ret->setOperands({});
    while (stopped->getNextNode() != ret)
      ret->getPrevNode()->erase();
    auto known = hasMeaning(function, stopped);
    if (failed(known))
      return mlir::failure();
    if (*known)
      judgement.defect = "a rule refuses what has a meaning: " +
                         stopped->getName().getStringRef().str();
    ++judgement.falsehoods;
    stopped->erase();
  } else {
    claimRequirements(function);
  }

  llvm::SmallSetVector<Operation *, 8> faults, unsound;
  int64_t results = 0;
  // Random data may hide a fault: terms of which one is zero have a maximum
  // that is their sum half of the time.
  auto isHidden = [&] {
    return !accepted && !stopped && faults.empty() && unsound.empty();
  };
  for (unsigned draw = 0; draw < (isHidden() ? 64 : 2); ++draw) {
    auto execution = checkExactly(function, *mesh, random);
    if (failed(execution))
      return mlir::failure();
    faults.insert_range(execution->faults);
    unsound.insert_range(execution->unsound);
    results = std::max(results, execution->meaninglessResults);
  }
  if (faults.remove(ret))
    judgement.falsehoods += results;
  judgement.falsehoods += faults.size();
  for (Operation *op : unsound)
    if (stated.contains(op))
      ++judgement.falsehoods;
  // What follows from something false is typed at random.
  if (judgement.falsehoods == 0 && !unsound.empty())
    judgement.defect = "a rule accepts what has no meaning: " +
                       unsound.front()->getName().getStringRef().str();
  return judgement;
}

//===----------------------------------------------------------------------===//
// Correct programs
//===----------------------------------------------------------------------===//

/// Makes constants arguments: pieces of a constant are equal, and the rows of
/// ones vanish in the derivative of softmax, which is nothing that a placement
/// says.
static void freeConstants(FuncOp function) {
  for (Operation &op : llvm::make_early_inc_range(function.getBody().front())) {
    if (!llvm::isa<FillLikeOp>(op))
      continue;
    (void)function.insertArgument(function.getNumArguments(),
                                  op.getResult(0).getType(), {}, op.getLoc());
    op.getResult(0).replaceAllUsesWith(function.getArguments().back());
    op.erase();
  }
}

/// Correct by both verdicts, and nowhere zero.
bool Sweep::isUsable(mlir::ModuleOp module) {
  FuncOp joint = getJoint(module);
  std::string error;
  auto mesh = RankMesh::get(typeOf(joint.getArgument(0)).getMesh(), error);
  auto arguments = drawArguments<Field>(
      joint, random, [&] { return Numerics<Field>::sample(random); });
  auto truth = runUnsharded<Field>(joint, *mesh, arguments->globals);
  if (failed(truth))
    return false;
  for (auto &[value, tensor] : *truth)
    if (!tensor.isIndex() && llvm::all_of(tensor.floats().data,
                                          [](Field x) { return x == Field(); }))
      return false;
  auto execution = checkExactly(joint, *mesh, random);
  return mlir::succeeded(execution) && execution->faults.empty() &&
         execution->unsound.empty();
}

/// A layer whose labels are drawn, and those that are false drawn again.
Module Sweep::importOne() {
  using namespace importer;
  LayerConfig config;
  LayerOptions options;
  options.plan = static_cast<Plan>(below(3));
  if (options.plan == Plan::ETP)
    options.mesh.emplace_back("ep", 1);
  options.mesh.emplace_back("tp", 2);
  options.scorePosition = static_cast<ScorePosition>(below(3));
  options.batch = 1 + below(2);
  options.seq = 4;
  options.sequenceParallel = below(2);
  config.dModel = 3;
  config.dExpert = 8;
  config.dShared = below(3) ? 4 : 0;
  config.numExperts = 4;
  config.topK = 2;
  config.scoreFunction =
      below(2) ? ScoreFunction::Sigmoid : ScoreFunction::Softmax;
  config.normalize = below(2);
  config.scale = 2.5;
  constexpr StringRef labels[] = {"replicate", "partial", "reduced"};
  std::map<std::string, StringRef> drawn;
  for (const LabelSite &site : labelSites(config, options))
    drawn[site.name] = labels[below(3)];
  for (unsigned attempt = 0; attempt < 12; ++attempt) {
    LabelMap map;
    for (auto &[site, label] : drawn)
      (void)parseLabel(label, map[site]);
    ImportError error;
    auto module = importLayer(&context, config, options, map, error);
    if (failed(module))
      return {};
    (void)check(**module);
    FuncOp joint = getJoint(**module);
    std::string why;
    auto mesh = RankMesh::get(typeOf(joint.getArgument(0)).getMesh(), why);
    auto execution = checkExactly(joint, *mesh, random);
    if (failed(execution))
      return {};
    if (execution->faults.empty())
      return std::move(*module);
    for (Operation *fault : execution->faults)
      if (auto site = fault->getAttrOfType<mlir::StringAttr>("site"))
        drawn[site.str()] = labels[below(3)];
  }
  return {};
}

Module Sweep::drawOne() {
  constexpr StringRef meshes[] = {"tp=2", "tp=3", "a=2, b=2"};
  Module module = drawGraph(parseMesh(&context, meshes[below(3)]), random);
  if (!module || !check(*module).accepted)
    return {};
  Editor(getJoint(*module), random).addTrueClaims(2 + below(3));
  return module;
}

Module Sweep::parseOne() {
  if (examples.empty())
    return {};
  Module module = mlir::parseSourceFile<mlir::ModuleOp>(
      examples[below(examples.size())], &context);
  if (!module || !check(*module).accepted)
    return {};
  return module;
}

/// A joint function alone, inferred and correct.
Module Sweep::draw() {
  for (unsigned attempt = 0; attempt < 200; ++attempt) {
    unsigned form = below(10);
    Module module = form < 2 ? importOne() : form < 3 ? parseOne() : drawOne();
    if (!module || !getJoint(*module))
      continue;
    FuncOp joint = getJoint(*module);
    for (auto function : llvm::make_early_inc_range(module->getOps<FuncOp>()))
      if (function != joint)
        function.erase();
    freeConstants(joint);
    if (isUsable(*module) && check(*module).accepted)
      return module;
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Editing
//===----------------------------------------------------------------------===//

/// Makes one edit and compares; false if there was nothing to edit.
bool Sweep::compare(const std::string &editClass, Counts &counts) {
  Module base = draw();
  if (!base)
    return false;
  uint64_t choice = random();
  bool compared = false, harmless = true, anyRefused = false, differs = false;
  std::string what;
  for (const Primes &primes : kSizes) {
    Module module = base->clone();
    resize(*module, primes);
    FuncOp joint = getJoint(*module);
    // Labels that are right at one size are right at all, but for a batch that
    // becomes 1 or stops being divisible.
    if (!primes.empty() && (!check(*module).accepted || !isUsable(*module)))
      continue;
    Random choices(choice);
    Editor editor(joint, choices);
    if (!editor.apply(editClass))
      return false;
    llvm::DenseSet<Operation *> stated;
    stated.insert_range(editor.getStated());
    for (Operation &op : joint.getBody().front())
      if (llvm::isa<MoEDialect>(op.getDialect()) && !stated.contains(&op))
        op.getResult(0).setType(
            typeOf(op.getResult(0)).withUnknownPlacements());
    std::string text;
    llvm::raw_string_ostream(text) << *module;

    Verdict verdict = check(*module);
    if (verdict.malformed)
      return false;
    std::string why;
    mlir::ScopedDiagnosticHandler quiet(&context, [&](mlir::Diagnostic &d) {
      why += d.str() + "\n";
      return mlir::success();
    });
    auto judgement = judge(joint, verdict.accepted, stated);
    if (failed(judgement)) {
      ++skipped;
      if (print)
        llvm::outs() << "SKIPPED: " << editClass << ": " << why << text << '\n';
      return false;
    }
    compared = true;
    ++counts.programs;
    harmless &= judgement->falsehoods == 0;
    anyRefused |= !verdict.accepted;
    if (!verdict.accepted) {
      ++refused;
      errors += verdict.errors;
      falsehoods += judgement->falsehoods;
      crowded += verdict.errors > judgement->falsehoods;
    }
    if (!judgement->defect.empty())
      what = judgement->defect;
    else if (verdict.accepted != (judgement->falsehoods == 0))
      what = llvm::formatv("{0}, but execution shows {1} false",
                           verdict.accepted ? "accepted" : "refused",
                           judgement->falsehoods);
    else if (verdict.errors > judgement->falsehoods)
      what = llvm::formatv("{0} errors, but execution shows {1} false",
                           verdict.errors, judgement->falsehoods);
    else
      continue;
    differs |= !judgement->defect.empty() ||
               verdict.accepted != (judgement->falsehoods == 0);
    if (shown++ < 5 || print)
      llvm::outs() << "DIFFERS: " << editClass << ": " << what << '\n'
                   << verdict.message << (print ? text : "") << '\n';
  }
  if (!compared)
    return false;
  ++counts.edits;
  counts.harmless += harmless;
  counts.refused += anyRefused;
  counts.differing += differs;
  return true;
}

bool Sweep::run() {
  Counts total;
  int64_t classes = 0, fewest = edits;
  for (StringRef name : Editor::classes()) {
    Counts counts;
    for (int64_t attempt = 0; attempt < 60 * edits && counts.edits < edits;
         ++attempt)
      (void)compare(name.str(), counts);
    llvm::outs() << llvm::formatv("class {0}: edits {1} harmless {2} refused "
                                  "{3} differing {4}\n",
                                  name, counts.edits, counts.harmless,
                                  counts.refused, counts.differing);
    ++classes;
    fewest = std::min(fewest, counts.edits);
    total.edits += counts.edits;
    total.programs += counts.programs;
    total.harmless += counts.harmless;
    total.refused += counts.refused;
    total.differing += counts.differing;
  }
  llvm::outs() << "classes " << classes << "\nfewest " << fewest << "\nedits "
               << total.edits << "\nprograms " << total.programs
               << "\nharmless " << total.harmless << "\nrefused "
               << total.refused << "\ndiffering " << total.differing
               << "\nskipped " << skipped << "\nrefused_programs " << refused
               << "\nerrors " << errors << "\nfalse " << falsehoods
               << "\ncrowded " << crowded << '\n';
  return total.differing == 0 && crowded == 0 && fewest == edits;
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv,
                              "edits of correct programs, executed\n");
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<mlir::func::FuncDialect, spmd::SPMDDialect, MoEDialect>();
  context.printOpOnDiagnostic(false);
  return Sweep(context).run() ? 0 : 1;
}

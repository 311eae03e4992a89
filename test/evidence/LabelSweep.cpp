//===- LabelSweep.cpp - The verifier's verdicts beside exact execution ----===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Draws assignments of labels to the label sites of small layers, asks the
// verifier which claims are false, and runs the same program on simulated ranks
// in the prime field. There a claim is false if the local values at it do not
// have the claimed meaning, the meaning being the value of the unsharded run.
// Like the verifier, the execution goes on with what is claimed.
//
// Random labels are nearly all wrong somewhere. So assignments come from
// chains: the next one draws some of the labels anew that execution has shown
// false; one that is right is disturbed at random. The verifier has no part in
// the drawing.
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Analysis/Repairs.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Import/LayerImporter.h"
#include "moe/Pipelines/Pipelines.h"
#include "moe/Reference/ExactCheck.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"
#include <set>

using namespace moe;
using namespace moe::importer;
using namespace moe::reference;
using mlir::failed;
using mlir::succeeded;

namespace cl = llvm::cl;

static cl::opt<uint64_t> seed("seed", cl::init(1), cl::desc("Random seed"));
static cl::opt<int64_t> cases("cases", cl::init(1000),
                              cl::desc("Different programs to compare"));
static cl::opt<unsigned> part("part", cl::init(0),
                              cl::desc("Which share of the layers to take"));
static cl::opt<unsigned> parts("parts", cl::init(1),
                               cl::desc("Number of shares"));
static cl::opt<std::string>
    blind("blind-to", cl::desc("Plant a defect: overlook findings of a label"),
          cl::value_desc("G1|G2|G3|G5"));

static cl::opt<bool>
    repair("repair",
           cl::desc("Also repair each refused program, and execute it"));

namespace {

constexpr llvm::StringLiteral kLabels[] = {"replicate", "partial", "reduced"};

/// What is compared: a layer, and a label for each of its sites.
struct Case {
  LayerConfig config;
  LayerOptions options;
  std::vector<LabelSite> sites;
  std::vector<unsigned> labels;

  LabelMap getLabelMap() const {
    LabelMap map;
    for (auto [site, label] : llvm::zip_equal(sites, labels))
      (void)parseLabel(kLabels[label], map[site.name]);
    return map;
  }

  /// What `str` leaves out.
  std::string describeLayer() const {
    return llvm::formatv("{0} {1} {2} {3} {4} ", options.batch, config.dShared,
                         int(config.scoreFunction), config.normalize,
                         config.scale);
  }

  std::string str() const {
    static constexpr const char *plans[] = {"tp", "etp", "tp2ep"};
    static constexpr const char *scores[] = {"before", "after", "pre-down"};
    std::string text =
        llvm::formatv("--plan {0} --mesh tp={1} --score {2}{3} --labels {{",
                      plans[int(options.plan)], options.mesh.back().second,
                      scores[int(*options.scorePosition)],
                      options.sequenceParallel ? " --sequence-parallel" : "")
            .str();
    for (auto [site, label] : llvm::zip_equal(sites, labels))
      text += llvm::formatv("\"{0}\": \"{1}\", ", site.name, kLabels[label]);
    return text.substr(0, text.size() - 2) + "}";
  }
};

} // namespace

static spmd::PlacedTensorType typeOf(mlir::Value value) {
  return llvm::cast<spmd::PlacedTensorType>(value.getType());
}

namespace {

/// Totals over all cases.
struct Counts {
  int64_t cases = 0, refused = 0, claims = 0, falseClaims = 0, wrong = 0;
  /// Refused programs that repairs made right.
  int64_t repaired = 0;
  /// Errors, and programs that have more of them than is false.
  int64_t errors = 0, crowded = 0;
};

class Sweep {
public:
  Sweep() : random(seed + part) { context.disableMultithreading(); }

  /// False if something could not be run at all.
  bool run();
  Counts counts;
  size_t numAssignments() const { return assignments.size(); }

private:
  Case drawCase(unsigned form);
  /// What decides nothing about labels: score function, batch and the like.
  void drawVariant(Case &test);
  void redraw(Case &test);
  /// Compares one case; fails if it can't be run.
  mlir::LogicalResult compare(const Case &test);
  /// Repairs a program that was refused: what comes out is accepted and right.
  mlir::LogicalResult compareRepaired(const Case &test);
  void complain(const Case &test, const std::string &what);
  unsigned draw(unsigned bound) { return random() % bound; }

  Random random;
  mlir::MLIRContext context;
  /// Programs, and their forms and labels alone.
  std::set<std::string> seen;
  std::set<std::string> assignments;
  /// The sites of the faults of the last case.
  std::vector<std::string> faultySites;
};

} // namespace

void Sweep::complain(const Case &test, const std::string &what) {
  ++counts.wrong;
  if (counts.wrong <= 5)
    llvm::outs() << "DIFFERS: " << what << "\n  " << test.str() << "\n";
}

/// Three plans, three score positions, two sizes of tp; the rest at random.
Case Sweep::drawCase(unsigned form) {
  Case test;
  test.options.plan = static_cast<Plan>(form % 3);
  test.options.scorePosition = static_cast<ScorePosition>(form / 3 % 3);
  int64_t ranks = form / 9 ? 4 : 2;
  if (test.options.plan == Plan::ETP)
    test.options.mesh.emplace_back("ep", 1);
  test.options.mesh.emplace_back("tp", ranks);
  test.options.seq = 4;
  test.config.dModel = 3;
  test.config.dExpert = 8;
  test.config.dShared = draw(3) ? 4 : 0;
  test.config.numExperts = 4;
  test.config.topK = 2;
  drawVariant(test);
  test.sites = labelSites(test.config, test.options);
  for (size_t i = 0; i < test.sites.size(); ++i)
    test.labels.push_back(draw(3));
  return test;
}

void Sweep::drawVariant(Case &test) {
  test.options.batch = 1 + draw(2);
  test.options.sequenceParallel = draw(2);
  LayerConfig &config = test.config;
  config.scoreFunction =
      draw(2) ? ScoreFunction::Sigmoid : ScoreFunction::Softmax;
  config.normalize = draw(2);
  config.scale = draw(2) ? 2.5 : 1.0;
}

void Sweep::redraw(Case &test) {
  if (faultySites.empty() && draw(2)) {
    drawVariant(test);
    return;
  }
  unsigned disturbed = draw(test.sites.size());
  for (auto [i, site] : llvm::enumerate(test.sites)) {
    bool again = faultySites.empty()
                     ? i == disturbed
                     : llvm::is_contained(faultySites, site.name);
    if (again)
      test.labels[i] = (test.labels[i] + 1 + draw(2)) % 3;
  }
}

mlir::LogicalResult Sweep::compare(const Case &test) {
  ImportError error;
  auto module = importLayer(&context, test.config, test.options,
                            test.getLabelMap(), error);
  if (failed(module)) {
    llvm::errs() << "error: " << error.message << "\n  " << test.str() << "\n";
    return mlir::failure();
  }
  int64_t errors = 0;
  bool accepted;
  {
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
      errors += d.getSeverity() == mlir::DiagnosticSeverity::Error;
      return mlir::success();
    });
    mlir::PassManager pm(&context);
    buildMoECheckPipeline(pm, {/*verify=*/true, /*tryRepairs=*/false});
    accepted = succeeded(pm.run(**module));
  }
  auto function = (*module)->lookupSymbol<mlir::func::FuncOp>("moe_layer.vjp");
  if (!function) {
    complain(test, "the pipeline gave no joint function");
    return mlir::success();
  }
  spmd::PlacementAnalysis analysis(function);
  llvm::SmallSetVector<mlir::Operation *, 8> findings;
  for (const spmd::Finding &finding : analysis.getFindings())
    if (finding.label != blind)
      findings.insert(finding.op);
    else
      --errors, accepted |= errors == 0;

  std::string why;
  auto mesh = RankMesh::get(typeOf(function.getArgument(0)).getMesh(), why);
  if (failed(mesh))
    return function.emitError(why);
  auto execution = checkExactly(function, *mesh, random);
  if (failed(execution))
    return mlir::failure();

  ++counts.cases;
  counts.refused += !execution->faults.empty();
  counts.claims += execution->claims;
  // One error at most for each thing that is false.
  int64_t falsehoods = execution->faults.size();
  if (execution->meaninglessResults)
    falsehoods += execution->meaninglessResults - 1;
  counts.errors += errors;
  counts.crowded += errors > falsehoods;
  faultySites.clear();
  for (mlir::Operation *fault : execution->faults)
    if (auto site = fault->getAttrOfType<mlir::StringAttr>("site"))
      faultySites.push_back(site.str());

  if (!execution->unsound.empty())
    complain(test, execution->unsound.front()->getName().getStringRef().str() +
                       " breaks its placement rule");
  else if (accepted != execution->faults.empty())
    complain(test, llvm::formatv("moe-check {0}, execution shows {1} faults",
                                 accepted ? "accepts" : "refuses",
                                 execution->faults.size()));
  function.walk([&](mlir::Operation *op) {
    bool found = findings.contains(op);
    bool fault = execution->faults.contains(op);
    bool isClaim = llvm::isa<spmd::ClaimOp, spmd::BoundaryOp>(op);
    counts.falseClaims += isClaim && fault;
    // What only follows from a false claim is not reported a second time.
    if (found == fault || (fault && !isClaim && !findings.empty()))
      return;
    std::string text =
        llvm::formatv("the verifier takes {0} for {1}",
                      op->getName().getStringRef(), found ? "false" : "true");
    if (auto site = op->getAttrOfType<mlir::StringAttr>("site"))
      text += " at " + site.str();
    complain(test, text);
  });
  return mlir::success();
}

mlir::LogicalResult Sweep::compareRepaired(const Case &test) {
  ImportError error;
  auto module = importLayer(&context, test.config, test.options,
                            test.getLabelMap(), error);
  if (failed(module))
    return mlir::failure();
  mlir::ScopedDiagnosticHandler silence(
      &context, [](mlir::Diagnostic &) { return mlir::success(); });
  spmd::repairModule(**module);
  mlir::PassManager pm(&context);
  buildMoECheckPipeline(pm, {/*verify=*/true, /*tryRepairs=*/false});
  if (failed(pm.run(**module))) {
    complain(test, "repairs leave something false");
    return mlir::success();
  }
  auto function = (*module)->lookupSymbol<mlir::func::FuncOp>("moe_layer.vjp");
  std::string why;
  auto mesh = RankMesh::get(typeOf(function.getArgument(0)).getMesh(), why);
  if (failed(mesh))
    return mlir::failure();
  auto execution = checkExactly(function, *mesh, random);
  if (failed(execution))
    return mlir::failure();
  if (execution->faults.empty())
    ++counts.repaired;
  else
    complain(test, "the repaired program is wrong");
  return mlir::success();
}

bool Sweep::run() {
  constexpr unsigned numForms = 18, chainLength = 48;
  for (unsigned form = part; counts.cases < cases;
       form = (form + parts) % numForms) {
    Case test = drawCase(form);
    for (unsigned i = 0; i < chainLength && counts.cases < cases; ++i) {
      std::string key = test.str();
      if (!seen.insert(test.describeLayer() + key).second) {
        redraw(test);
        continue;
      }
      assignments.insert(key);
      int64_t refused = counts.refused;
      if (failed(compare(test)) ||
          (repair && counts.refused > refused && failed(compareRepaired(test))))
        return false;
      redraw(test);
    }
  }
  return true;
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(
      argc, argv,
      "Compares the verifier with exact execution of the program\n");
  Sweep sweep;
  bool ran = sweep.run();
  const Counts &counts = sweep.counts;
  llvm::outs() << llvm::formatv(
      "programs {0} assignments {1} refused {2} claims {3} false {4} "
      "differ {5} repaired {6} errors {7} crowded {8}\n",
      counts.cases, sweep.numAssignments(), counts.refused, counts.claims,
      counts.falseClaims, counts.wrong, counts.repaired, counts.errors,
      counts.crowded);
  return ran && counts.wrong == 0 ? 0 : 1;
}

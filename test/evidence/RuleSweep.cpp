//===- RuleSweep.cpp - Every placement rule beside exact execution --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For every function of a file, each of one operation: places the operands in
// every way there is, asks the operation's rule for the placement of the
// result, and executes the operation on the local values. What a rule accepts
// has to mean the result of the unsharded run, on every draw of the data; for
// what it rejects, every placement of the result is tried, and one that holds
// on all draws is a sound rule that is missing. Of opaque code, which is
// executed as what its instance says it is, only the declared placement is
// tried.
//
// Local values are elements of the prime field, where nothing is rounded. Max
// and min need an order that addition keeps, so tuples with them are executed
// in float64: none of what the rules accept of them rounds differently.
//
//===----------------------------------------------------------------------===//

#include "RuleNumbers.h"
#include "Samples.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <map>
#include <set>

using namespace moe;
using namespace moe::evidence;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::failed;
using mlir::succeeded;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;
using moe::spmd::ReductionKind;
using moe::spmd::Transfer;

namespace cl = llvm::cl;

static cl::opt<std::string> file(cl::Positional, cl::Required,
                                 cl::desc("FILE.mlir"));
static cl::opt<uint64_t> seed("seed", cl::init(1), cl::desc("Random seed"));
static cl::opt<unsigned> draws("draws", cl::init(8),
                               cl::desc("Draws of the data for each tuple"));
static cl::opt<int64_t>
    limit("limit", cl::init(4096),
          cl::desc("Tuples of an operation on a mesh; more are drawn"));
static cl::opt<std::string> only("only", cl::desc("Only this function"));
static cl::opt<std::string>
    wrong("wrong", cl::desc("Plant a defect: a rule that is wrong"),
          cl::value_desc("carries-all|forgets-sum|refuses-terms"));
static cl::opt<bool>
    specification("spec", cl::desc("Print the rules as a page of docs/"));

namespace {

struct Counts {
  int64_t tuples = 0, accepted = 0, unsound = 0, sound = 0, missing = 0,
          zero = 0;
};

std::string str(ArrayRef<Placement> placements) {
  return "[" +
         llvm::join(
             llvm::map_range(placements, [](Placement p) { return p.str(); }),
             ", ") +
         "]";
}

/// Both number types of one tuple's execution.
template <typename T>
struct Data : Arguments<T> {
  Value<T> truth;
};

class Sweep {
public:
  Sweep(mlir::MLIRContext &context, StringRef text)
      : context(context), text(text), random(seed) {}

  bool runMesh(StringRef mesh);
  /// Prints what each operation's rule allows on one axis of two ranks.
  bool specify();
  Counts total;
  std::map<std::string, Counts> byName;
  /// Tuples in which a rule has a part, and what cites it.
  std::map<RuleNumber, Counts> byRule;
  std::map<RuleNumber, std::string> citations;
  /// What is missing, in groups: an operation and the kinds of placements.
  std::map<std::string, std::pair<int64_t, std::string>> missing;

private:
  bool runFunction(mlir::func::FuncOp function, StringRef mesh);
  mlir::OwningOpRef<mlir::ModuleOp> parse(StringRef mesh);
  std::vector<Tuple> tuplesOf(mlir::func::FuncOp function);
  bool compare(mlir::func::FuncOp function, const Tuple &tuple);
  std::set<RuleNumber> collectRules(mlir::func::FuncOp function,
                                    const Tuple &tuple);
  std::optional<std::vector<Placement>> ask(mlir::Operation *op,
                                            const Tuple &tuple);
  template <typename T>
  bool execute(mlir::func::FuncOp function, const Tuple &tuple,
               const std::optional<std::vector<Placement>> &answer);
  template <typename T>
  mlir::FailureOr<Data<T>> draw(mlir::func::FuncOp function,
                                const Tuple &tuple);
  void complain(mlir::func::FuncOp function, const Tuple &tuple,
                const std::string &what);
  unsigned drawBelow(unsigned bound) { return random() % bound; }

  mlir::MLIRContext &context;
  StringRef text;
  Random random;
  std::optional<RankMesh> ranks;
  std::string meshName;
};

} // namespace

//===----------------------------------------------------------------------===//
// Tuples
//===----------------------------------------------------------------------===//

std::vector<Tuple> Sweep::tuplesOf(mlir::func::FuncOp function) {
  bool routed = false;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    routed |= function.getArgAttr(i, "rule.experts") ||
              function.getArgAttr(i, "rule.rows");
  std::vector<std::vector<std::vector<Placement>>> choices;
  int64_t count = 1;
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    bool ragged = routed && !isInteger(typeOf(argument));
    choices.push_back(allPlacements(typeOf(argument), ragged));
    count *= static_cast<int64_t>(choices.back().size());
  }
  std::vector<Tuple> tuples;
  for (int64_t i = 0; i < std::min<int64_t>(count, limit); ++i) {
    uint64_t number = count <= limit ? i : random() % count;
    Tuple tuple;
    for (const auto &choice : choices) {
      tuple.push_back(choice[number % choice.size()]);
      number /= choice.size();
    }
    tuples.push_back(std::move(tuple));
  }
  return tuples;
}

//===----------------------------------------------------------------------===//
// The rule's answer
//===----------------------------------------------------------------------===//

/// The defects that --wrong plants.
static void spoil(Transfer &transfer, ArrayRef<Placement> operands) {
  bool hasTerms =
      llvm::any_of(operands, [](Placement p) { return p.isPartial(); });
  if (wrong == "carries-all" && !transfer.ok && operands.front().isPartial()) {
    transfer.ok = true;
    transfer.results = {operands.front()};
  } else if (wrong == "forgets-sum" && transfer.ok &&
             transfer.step == spmd::TransferStep::Contracted) {
    transfer.results.front() = Placement::replicate();
  } else if (wrong == "refuses-terms" && hasTerms) {
    transfer.ok = false;
  }
}

std::optional<std::vector<Placement>> Sweep::ask(mlir::Operation *op,
                                                 const Tuple &tuple) {
  std::vector<Placement> answer;
  for (size_t axis = 0; axis < ranks->sizes.size(); ++axis) {
    SmallVector<Placement> operands;
    for (const auto &placements : tuple)
      operands.push_back(placements[axis]);
    Transfer transfer =
        llvm::cast<spmd::PlacementOpInterface>(op).transferPlacements(axis,
                                                                      operands);
    spoil(transfer, operands);
    if (!transfer.ok || transfer.results.front().isMixed())
      return std::nullopt;
    answer.push_back(transfer.results.front());
  }
  mlir::ScopedDiagnosticHandler quiet(
      &context, [](mlir::Diagnostic &) { return mlir::success(); });
  PlacedTensorType type = typeOf(op->getResult(0));
  if (failed(PlacedTensorType::verify(
          [&] { return mlir::emitError(op->getLoc()); }, type.getShape(),
          type.getElementType(), type.getMesh(), answer)))
    return std::nullopt;
  return answer;
}

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

template <typename T>
mlir::FailureOr<Data<T>> Sweep::draw(mlir::func::FuncOp function,
                                     const Tuple &) {
  // Wide enough for a function that turns around somewhere.
  auto sample = [&]() -> T {
    return Numerics<T>::fromDouble(8) * Numerics<T>::sample(random);
  };
  auto arguments = drawArguments<T>(function, random, sample);
  if (failed(arguments))
    return mlir::failure();
  auto truth = runUnsharded<T>(function, *ranks, arguments->globals);
  if (failed(truth))
    return mlir::failure();
  Data<T> data{std::move(*arguments), {}};
  data.truth = truth->lookup(function.getBody().front().front().getResult(0));
  return data;
}

/// Moves large amounts between two terms of each sum, alike on all replicas:
/// those of integers and of float64 are drawn near to equal.
template <typename T>
static void disturb(LocalValues<T> &locals, const RankMesh &mesh,
                    ArrayRef<Placement> placements) {
  for (auto [axis, placement] : llvm::enumerate(placements)) {
    if (!placement.isPartial() || placement.reduction == ReductionKind::Max ||
        placement.reduction == ReductionKind::Min)
      continue;
    for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
      int64_t place = mesh.coordinates(rank)[axis];
      if (place > 1)
        continue;
      auto amount = [&](size_t i) {
        return (place ? -16 : 16) * (int64_t(i * 7 % 5) - 2);
      };
      if (locals[rank].isIndex()) {
        for (auto [i, x] : llvm::enumerate(locals[rank].indices().data))
          x += amount(i);
      } else {
        for (auto [i, x] : llvm::enumerate(locals[rank].floats().data))
          x += T(amount(i));
      }
    }
  }
}

void Sweep::complain(mlir::func::FuncOp function, const Tuple &tuple,
                     const std::string &what) {
  llvm::outs() << what << ": " << function.getName() << " on " << meshName
               << " with";
  for (const auto &placements : tuple)
    llvm::outs() << ' ' << str(placements);
  llvm::outs() << '\n';
}

/// The rules that answer on some axis, up to the first that refuses.
std::set<RuleNumber> Sweep::collectRules(mlir::func::FuncOp function,
                                         const Tuple &tuple) {
  mlir::Operation *op = &function.getBody().front().front();
  std::set<RuleNumber> rules;
  for (size_t axis = 0; axis < ranks->sizes.size(); ++axis) {
    SmallVector<Placement> operands;
    for (const auto &placements : tuple)
      operands.push_back(placements[axis]);
    std::vector<RuleNumber> found = rulesOf(op, axis, operands);
    rules.insert(found.begin(), found.end());
    if (!llvm::cast<spmd::PlacementOpInterface>(op)
             .transferPlacements(axis, operands)
             .ok)
      break;
  }
  for (RuleNumber rule : rules)
    if (std::string &citation = citations[rule]; citation.empty())
      citation = diagnose(function, tuple, rule);
  return rules;
}

/// A copy in which opaque code, which nothing executes, is the einsum that
/// `rule.code` says it is; null if there is none.
static mlir::OwningOpRef<mlir::func::FuncOp>
replaceOpaque(mlir::func::FuncOp function) {
  auto code = function->getAttrOfType<mlir::StringAttr>("rule.code");
  if (!code)
    return {};
  mlir::OwningOpRef<mlir::func::FuncOp> copy = function.clone();
  mlir::Operation *op = &copy->getBody().front().front();
  mlir::OpBuilder builder(op);
  auto einsum =
      EinsumOp::create(builder, op->getLoc(), op->getResult(0).getType(), code,
                       op->getOperands());
  op->replaceAllUsesWith(einsum);
  op->erase();
  return copy;
}

template <typename T>
bool Sweep::execute(mlir::func::FuncOp function, const Tuple &tuple,
                    const std::optional<std::vector<Placement>> &answer) {
  Counts &counts = byName[function.getName().str()];
  mlir::OwningOpRef<mlir::func::FuncOp> copy = replaceOpaque(function);
  const bool isOpaque = !!copy;
  if (isOpaque)
    function = *copy;
  mlir::Operation *op = &function.getBody().front().front();
  PlacedTensorType type = typeOf(op->getResult(0));
  std::vector<std::vector<Placement>> candidates;
  if (answer) {
    candidates = {*answer};
  } else if (isOpaque) {
    // Its result lies as it declares, or it has no meaning.
    candidates = {std::vector<Placement>(type.getPlacements())};
  } else {
    bool routed = llvm::any_of(function.getArguments(), [&](auto argument) {
      return isInteger(typeOf(argument));
    });
    candidates = allPlacements(type, routed);
  }
  // What the operation did may depend on the types that it is given.
  for (auto [argument, placements] :
       llvm::zip_equal(function.getArguments(), tuple))
    argument.setType(typeOf(argument).withPlacements(placements));
  mlir::ScopedDiagnosticHandler quiet(
      &context, [](mlir::Diagnostic &) { return mlir::success(); });
  for (unsigned i = 0; i < draws && !candidates.empty(); ++i) {
    auto data = draw<T>(function, tuple);
    if (failed(data))
      return false;
    bool isZero =
        !data->truth.isIndex() &&
        llvm::all_of(data->truth.floats().data, [](T x) { return x == T(); });
    if (isZero && !data->truth.floats().data.empty())
      ++counts.zero;
    std::vector<LocalValues<T>> locals;
    std::string error;
    for (auto [global, placements] : llvm::zip_equal(data->globals, tuple)) {
      auto placed =
          place(global, *ranks, placements, random, data->counts, error);
      // Nothing can lie so: rows that are cut by expert, but as many as differ.
      if (failed(placed))
        return true;
      disturb(*placed, *ranks, placements);
      locals.push_back(std::move(*placed));
    }
    if (i == 0)
      ++counts.tuples;
    LocalValues<T> results;
    Interpreter<T> interpreter(*ranks);
    interpreter.setAfterOp(
        [&](mlir::Operation *, llvm::MutableArrayRef<LocalValues<T>> all) {
          results = all.front();
          return mlir::success();
        });
    if (answer)
      op->getResult(0).setType(type.withPlacements(*answer));
    else
      op->getResult(0).setType(type.withPlacements(
          SmallVector<Placement>(ranks->sizes.size(), Placement::replicate())));
    bool ran = succeeded(interpreter.run(function, locals));
    op->getResult(0).setType(type);
    llvm::erase_if(candidates, [&](const std::vector<Placement> &candidate) {
      if (!ran)
        return true;
      Denotation<T> denoted =
          denote(results, *ranks, type.getShape(), candidate, data->counts);
      return !denoted.global || !denoted.global->hasSameBits(data->truth);
    });
  }
  if (answer) {
    ++counts.accepted;
    ++counts.sound;
    if (candidates.empty()) {
      ++counts.unsound;
      if (total.unsound + counts.unsound <= 20)
        complain(function, tuple, "UNSOUND " + str(*answer));
    }
    return true;
  }
  if (candidates.empty())
    return true;
  ++counts.sound;
  ++counts.missing;
  // Groups: what operands and result are, whatever dimensions.
  auto kindOf = [](Placement p) {
    return p.isShard()    ? std::string("shard")
           : p.isRagged() ? std::string("ragged")
                          : p.str();
  };
  std::string group = function.getName().str() + ":";
  for (const auto &placements : tuple) {
    group += " [";
    for (Placement placement : placements)
      group += (group.back() == '[' ? "" : ", ") + kindOf(placement);
    group += "]";
  }
  auto &entry = missing[group];
  ++entry.first;
  entry.second = str(candidates.front());
  return true;
}

bool Sweep::compare(mlir::func::FuncOp function, const Tuple &tuple) {
  mlir::Operation *op = &function.getBody().front().front();
  for (auto [argument, placements] :
       llvm::zip_equal(function.getArguments(), tuple))
    argument.setType(typeOf(argument).withPlacements(placements));
  auto answer = ask(op, tuple);
  std::set<RuleNumber> rules = collectRules(function, tuple);
  Counts before = byName[function.getName().str()];
  auto isExtreme = [](Placement p) {
    return p.isPartial() && (p.reduction == ReductionKind::Max ||
                             p.reduction == ReductionKind::Min);
  };
  bool ordered = llvm::any_of(tuple, [&](const auto &placements) {
    return llvm::any_of(placements, isExtreme);
  });
  // A cut of what is reduced by max or min gives one.
  ordered |= answer && llvm::any_of(*answer, isExtreme);
  bool ran = ordered ? execute<double>(function, tuple, answer)
                     : execute<Field>(function, tuple, answer);
  const Counts &after = byName[function.getName().str()];
  for (RuleNumber rule : rules) {
    byRule[rule].tuples += after.tuples - before.tuples;
    byRule[rule].unsound += after.unsound - before.unsound;
  }
  return ran;
}

bool Sweep::runFunction(mlir::func::FuncOp function, StringRef mesh) {
  // A claim that states nothing is no belief but a rule.
  mlir::Value result = function.getBody().front().front().getResult(0);
  if (llvm::isa<spmd::ClaimOp, spmd::BoundaryOp>(result.getDefiningOp()))
    result.setType(typeOf(result).withPlacements(
        SmallVector<Placement>(ranks->sizes.size(), Placement::unknown())));
  for (const Tuple &tuple : tuplesOf(function))
    if (!compare(function, tuple)) {
      llvm::outs() << "FAILED: " << function.getName() << " on " << mesh
                   << " can't be executed\n";
      return false;
    }
  return true;
}

mlir::OwningOpRef<mlir::ModuleOp> Sweep::parse(StringRef mesh) {
  auto [before, after] = text.split("#spmd.mesh<a=2>");
  std::string replaced = (before + "#spmd.mesh<" + mesh + ">" + after).str();
  meshName = mesh.str();
  return mlir::parseSourceString<mlir::ModuleOp>(replaced, &context, file);
}

bool Sweep::specify() {
  auto module = parse("a=2");
  return module &&
         succeeded(printSpecification(
             *module, [&](auto f) { return tuplesOf(f); }, llvm::outs()));
}

bool Sweep::runMesh(StringRef mesh) {
  auto module = parse(mesh);
  if (!module)
    return false;
  bool good = true;
  for (auto function : module->getOps<mlir::func::FuncOp>()) {
    if (!only.empty() && function.getName() != only)
      continue;
    auto attr = typeOf(function.getArgument(0)).getMesh();
    std::string error;
    auto known = RankMesh::get(attr, error);
    if (failed(known))
      return false;
    ranks = *known;
    good &= runFunction(function, mesh);
  }
  return good;
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "placement rules, executed\n");
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/true);
  if (!buffer) {
    llvm::errs() << "cannot read " << file << '\n';
    return 1;
  }
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.allowUnregisteredDialects();
  context.printOpOnDiagnostic(false);
  Sweep sweep(context, (*buffer)->getBuffer());
  if (specification)
    return sweep.specify() ? 0 : 1;
  bool good = true;
  for (StringRef mesh : {"a=2", "a=3", "a=2, b=2"})
    good &= sweep.runMesh(mesh);
  Counts &total = sweep.total;
  for (auto &[name, counts] : sweep.byName) {
    total.tuples += counts.tuples;
    total.accepted += counts.accepted;
    total.unsound += counts.unsound;
    total.sound += counts.sound;
    total.missing += counts.missing;
    total.zero += counts.zero;
    if (counts.accepted == 0) {
      llvm::outs() << "NOTHING: no tuple of " << name << " is accepted\n";
      good = false;
    }
  }
  for (auto &[rule, counts] : sweep.byRule) {
    const std::string &citation = sweep.citations[rule];
    llvm::outs() << "rule " << rule.str() << ": " << counts.tuples
                 << " tuples, " << counts.unsound << " unsound; "
                 << (citation.empty() ? "cited nowhere" : citation) << '\n';
  }
  for (auto &[group, entry] : sweep.missing)
    llvm::outs() << "missing: " << group << " -> " << entry.second << ", "
                 << entry.first << " tuples\n";
  llvm::outs() << "rules " << sweep.byRule.size() << "\noperations "
               << sweep.byName.size() << "\ntuples " << total.tuples
               << "\naccepted " << total.accepted << "\nunsound "
               << total.unsound << "\nsound " << total.sound << "\nmissing "
               << total.missing << "\nzero " << total.zero << '\n';
  return good && total.unsound == 0 ? 0 : 1;
}

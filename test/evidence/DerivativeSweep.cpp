//===- DerivativeSweep.cpp - Every derivative beside differences ----------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For every function of the files, each of one operation that has a derivative:
// differentiates it as a program is differentiated, executes both on one rank
// in float64, at several shapes, and compares
//
// - each element of each operand's gradient of <dy, f(x)> with a central
//   difference of f. The error is relative to the element, or to a hundredth of
//   the largest one of that gradient if that is more;
// - <dy, J dx> with <J^T dy, dx>, where J^T is the derivative. J dx is f(dx)
// for
//   an operand that f is linear in; else a central difference along dx,
//   extrapolated (Richardson) from six steps to the step 0. The error is
//   relative to the sum of the magnitudes of the terms.
//
// Operations of the two dialects that have a derivative and are in no file are
// counted as uncovered.
//
//===----------------------------------------------------------------------===//

#include "Samples.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <cmath>
#include <map>
#include <set>

using namespace moe;
using namespace moe::evidence;
using namespace moe::reference;
using llvm::StringRef;
using mlir::failed;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;

namespace cl = llvm::cl;

static cl::list<std::string> files(cl::Positional, cl::OneOrMore,
                                   cl::desc("FILE.mlir.."));
static cl::opt<uint64_t> seed("seed", cl::init(1), cl::desc("Random seed"));
static cl::opt<unsigned> draws("draws", cl::init(4),
                               cl::desc("Draws of the data for each shape"));
static cl::opt<std::string>
    wrong("wrong", cl::desc("Plant a defect: a derivative that is wrong"),
          cl::value_desc("factor|sign|saved"));

namespace {

using Numbers = Tensor<double>;
using Values = std::vector<Value<double>>;

constexpr double kDifferenceBar = 1e-6, kIdentityBar = 1e-12;

struct Totals {
  std::set<std::string> operations;
  int64_t functions = 0, gradients = 0, elements = 0, exact = 0,
          extrapolated = 0, differing = 0;
  double difference = 0, identity = 0;
};

/// One operation as a function, and its derivative as another.
class Subject {
public:
  Subject(mlir::func::FuncOp function, mlir::func::FuncOp joint, Random &random)
      : function(function), joint(joint), random(random),
        op(&function.getBody().front().front()) {}

  mlir::LogicalResult compare(Totals &totals);

private:
  mlir::FailureOr<Values> run(mlir::func::FuncOp function,
                              const Values &arguments);
  mlir::FailureOr<Numbers> evaluate(const Values &arguments);
  mlir::FailureOr<Numbers> central(const Values &arguments, unsigned i,
                                   const Numbers &direction, double step);
  bool isLinearIn(unsigned i);
  mlir::FailureOr<Numbers> push(const Values &arguments, unsigned i,
                                const Numbers &direction);
  Numbers drawLike(llvm::ArrayRef<int64_t> shape);
  mlir::LogicalResult compareOperand(const Values &arguments, unsigned i,
                                     const Numbers &dy, const Numbers &gradient,
                                     Totals &totals);
  void complain(unsigned i, const char *what, double error);

  mlir::func::FuncOp function, joint;
  Random &random;
  mlir::Operation *op;
};

} // namespace

mlir::FailureOr<Values> Subject::run(mlir::func::FuncOp function,
                                     const Values &arguments) {
  std::string error;
  auto mesh = RankMesh::get(typeOf(function.getArgument(0)).getMesh(), error);
  if (failed(mesh))
    return function.emitError(error);
  std::vector<LocalValues<double>> locals;
  for (const Value<double> &argument : arguments)
    locals.push_back({argument});
  auto results = Interpreter<double>(*mesh).run(function, locals);
  if (failed(results))
    return mlir::failure();
  Values values;
  for (LocalValues<double> &result : *results)
    values.push_back(std::move(result.front()));
  return values;
}

mlir::FailureOr<Numbers> Subject::evaluate(const Values &arguments) {
  auto results = run(function, arguments);
  if (failed(results))
    return mlir::failure();
  return std::move(results->front().floats());
}

static Values moved(const Values &arguments, unsigned i,
                    const Numbers &direction, double step) {
  Values result = arguments;
  Numbers &tensor = result[i].floats();
  for (auto [x, d] : llvm::zip_equal(tensor.data, direction.data))
    x += step * d;
  return result;
}

/// (f(x + h d) - f(x - h d)) / 2h.
mlir::FailureOr<Numbers> Subject::central(const Values &arguments, unsigned i,
                                          const Numbers &direction,
                                          double step) {
  auto after = evaluate(moved(arguments, i, direction, step));
  auto before = evaluate(moved(arguments, i, direction, -step));
  if (failed(after) || failed(before))
    return mlir::failure();
  for (auto [x, y] : llvm::zip_equal(after->data, before->data))
    x = (x - y) / (2 * step);
  return after;
}

bool Subject::isLinearIn(unsigned i) {
  if (llvm::isa<spmd::SPMDDialect>(op->getDialect()))
    return true;
  spmd::PlacementRule rule =
      llvm::cast<spmd::PlacementOpInterface>(op).getPlacementRule();
  return rule.linearity == spmd::Linearity::Additive ||
         (rule.linearity == spmd::Linearity::Multilinear && rule.linearIn[i]);
}

/// J dx, without the derivative.
mlir::FailureOr<Numbers> Subject::push(const Values &arguments, unsigned i,
                                       const Numbers &direction) {
  if (isLinearIn(i)) {
    Values linear = arguments;
    bool adds = llvm::isa<AddOp, SubOp>(op);
    for (unsigned k = 0; adds && k < linear.size(); ++k)
      llvm::fill(linear[k].floats().data, 0.0);
    linear[i] = Value<double>(direction);
    return evaluate(linear);
  }
  constexpr unsigned levels = 6;
  std::vector<Numbers> row;
  for (unsigned level = 0; level < levels; ++level) {
    auto next = central(arguments, i, direction, 0.5 / (1 << level));
    if (failed(next))
      return mlir::failure();
    double power = 4;
    for (Numbers &coarser : row) {
      Numbers finer = *next;
      for (auto [x, y] : llvm::zip_equal(next->data, coarser.data))
        x += (x - y) / (power - 1);
      coarser = std::move(finer);
      power *= 4;
    }
    row.push_back(std::move(*next));
  }
  return row.back();
}

Numbers Subject::drawLike(llvm::ArrayRef<int64_t> shape) {
  Numbers tensor(shape);
  for (double &x : tensor.data)
    x = Numerics<double>::sample(random);
  return tensor;
}

void Subject::complain(unsigned i, const char *what, double error) {
  llvm::outs() << llvm::formatv(
      "DIFFERS: {0}, operand {1} of type {2}: {3} {4:e}\n", function.getName(),
      i, function.getArgumentTypes()[i], what, error);
}

mlir::LogicalResult Subject::compareOperand(const Values &arguments, unsigned i,
                                            const Numbers &dy,
                                            const Numbers &gradient,
                                            Totals &totals) {
  double largest = 0;
  for (double x : gradient.data)
    largest = std::max(largest, std::abs(x));
  double worst = 0;
  for (int64_t k = 0; k < gradient.size(); ++k) {
    Numbers unit(gradient.shape);
    unit.data[k] = 1;
    auto difference = central(arguments, i, unit, 0x1p-14);
    if (failed(difference))
      return mlir::failure();
    double expected = 0;
    for (auto [x, y] : llvm::zip_equal(dy.data, difference->data))
      expected += x * y;
    double scale = std::max(
        {std::abs(expected), std::abs(gradient.data[k]), largest / 100});
    if (expected != gradient.data[k])
      worst = std::max(worst, std::abs(expected - gradient.data[k]) / scale);
    ++totals.elements;
  }

  Numbers dx = drawLike(gradient.shape);
  auto pushed = push(arguments, i, dx);
  if (failed(pushed))
    return mlir::failure();
  double forward = 0, backward = 0, terms = 0;
  for (auto [x, y] : llvm::zip_equal(dy.data, pushed->data)) {
    forward += x * y;
    terms += std::abs(x * y);
  }
  for (auto [x, y] : llvm::zip_equal(gradient.data, dx.data)) {
    backward += x * y;
    terms += std::abs(x * y);
  }
  double identity = terms == 0 ? 0 : std::abs(forward - backward) / terms;

  ++totals.gradients;
  ++(isLinearIn(i) ? totals.exact : totals.extrapolated);
  totals.difference = std::max(totals.difference, worst);
  totals.identity = std::max(totals.identity, identity);
  // An error that is no number is an error.
  if (!(worst <= kDifferenceBar))
    complain(i, "difference", worst);
  if (!(identity <= kIdentityBar))
    complain(i, "dot product", identity);
  totals.differing += !(worst <= kDifferenceBar && identity <= kIdentityBar);
  return mlir::success();
}

mlir::LogicalResult Subject::compare(Totals &totals) {
  // Quotients and sums that divide stay away from zero.
  bool divides = llvm::isa<DivOp, NormalizeOp>(op);
  auto sample = [&]() -> double {
    double x = Numerics<double>::sample(random);
    return divides ? 1.5 + x / 2 : 2 * x;
  };
  auto arguments = drawArguments<double>(function, random, sample);
  if (failed(arguments))
    return mlir::failure();
  Values inputs = std::move(arguments->globals);
  Numbers dy = drawLike(typeOf(op->getResult(0)).getShape());
  Values all = inputs;
  all.emplace_back(dy);
  auto results = run(joint, all);
  if (failed(results))
    return mlir::failure();
  unsigned next = 1;
  for (unsigned i = 0; i < inputs.size(); ++i)
    if (!inputs[i].isIndex())
      if (failed(compareOperand(inputs, i, dy, (*results)[next++].floats(),
                                totals)))
        return mlir::failure();
  return mlir::success();
}

/// The defects that --wrong plants.
static void spoil(mlir::func::FuncOp joint) {
  mlir::Operation *ret = joint.getBody().front().getTerminator();
  mlir::OpBuilder builder(ret);
  if (wrong == "factor" || wrong == "sign") {
    unsigned last = ret->getNumOperands() - 1;
    mlir::Value gradient = ret->getOperand(last);
    ret->setOperand(
        last, ScaleOp::create(
                  builder, ret->getLoc(), gradient.getType(), gradient,
                  builder.getF64FloatAttr(wrong == "sign" ? -1 : 1.00001)));
  } else if (wrong == "saved") {
    // The operand where the result is meant, and the other way round.
    mlir::Operation *op = &joint.getBody().front().front();
    joint.walk([&](mlir::Operation *vjp) {
      if (!llvm::isa<SigmoidVjpOp, SiluVjpOp, SoftmaxVjpOp, NormalizeVjpOp>(
              vjp))
        return;
      mlir::Value saved = vjp->getOperand(0);
      vjp->setOperand(0, saved == op->getResult(0) ? op->getOperand(0)
                                                   : op->getResult(0));
    });
  }
}

/// Gives the functions of one operation their result, and erases those whose
/// operation has no derivative.
static void prepare(mlir::ModuleOp module) {
  for (auto function :
       llvm::make_early_inc_range(module.getOps<mlir::func::FuncOp>())) {
    mlir::Block &body = function.getBody().front();
    mlir::Operation &op = body.front();
    auto differentiable = llvm::dyn_cast<DifferentiableOpInterface>(op);
    if (!differentiable || !differentiable.hasDerivative() ||
        isInteger(typeOf(op.getResult(0)))) {
      function.erase();
      continue;
    }
    PlacedTensorType type = typeOf(op.getResult(0));
    op.getResult(0).setType(type.withPlacements(
        llvm::map_to_vector(type.getPlacements(), [](Placement p) {
          return p.isUnknown() ? Placement::replicate() : p;
        })));
    body.getTerminator()->setOperands(op.getResult(0));
    function.setFunctionType(
        mlir::FunctionType::get(function.getContext(), body.getArgumentTypes(),
                                op.getResult(0).getType()));
  }
}

static mlir::LogicalResult runShape(mlir::MLIRContext &context, StringRef text,
                                    StringRef file,
                                    const std::map<int64_t, int64_t> &primes,
                                    Random &random, Totals &totals) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context, file);
  if (!module)
    return mlir::failure();
  prepare(*module);
  resize(*module, primes);
  mlir::PassManager pm(&context);
  pm.addPass(createDifferentiate());
  if (failed(pm.run(*module)))
    return mlir::failure();
  for (auto function : module->getOps<mlir::func::FuncOp>()) {
    auto joint = module->lookupSymbol<mlir::func::FuncOp>(
        (function.getName() + ".vjp").str());
    if (!joint)
      continue;
    mlir::Operation &op = function.getBody().front().front();
    totals.operations.insert(op.getName().getStringRef().str());
    ++totals.functions;
    spoil(joint);
    for (unsigned i = 0; i < draws; ++i)
      if (failed(Subject(function, joint, random).compare(totals)))
        return mlir::failure();
  }
  return mlir::success();
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "derivatives beside differences\n");
  mlir::DialectRegistry registry;
  registerCompilerDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  context.allowUnregisteredDialects();
  Random random(seed);
  Totals totals;
  bool good = true;
  for (const std::string &file : files) {
    auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/true);
    if (!buffer) {
      llvm::errs() << "cannot read " << file << '\n';
      return 1;
    }
    auto [before, after] = (*buffer)->getBuffer().split("#spmd.mesh<a=2>");
    std::string text = (before + "#spmd.mesh<a=1>" + after).str();
    std::map<int64_t, int64_t> shapes[] = {
        {}, {{3, 5}, {5, 2}}, {{2, 3}, {3, 2}}};
    for (const auto &primes : shapes)
      good &= mlir::succeeded(
          runShape(context, text, file, primes, random, totals));
  }

  // top_k and count give integers, which have no gradient; an opaque operation
  // cannot be executed.
  int64_t uncovered = 0;
  for (mlir::RegisteredOperationName name : context.getRegisteredOperations())
    if (name.hasInterface<DifferentiableOpInterface>() &&
        !llvm::is_contained({"moe.top_k", "moe.count", "spmd.opaque"},
                            name.getStringRef()) &&
        !totals.operations.count(name.getStringRef().str())) {
      llvm::outs() << "UNCOVERED: " << name.getStringRef() << '\n';
      ++uncovered;
    }
  llvm::outs() << "operations " << totals.operations.size() << "\nuncovered "
               << uncovered << "\nfunctions " << totals.functions
               << "\ngradients " << totals.gradients << "\nelements "
               << totals.elements << "\nexact " << totals.exact
               << "\nextrapolated " << totals.extrapolated << "\ndiffering "
               << totals.differing
               << llvm::formatv("\ndifference {0:e}\nidentity {1:e}\n",
                                totals.difference, totals.identity);
  return good && totals.differing == 0 && uncovered == 0 ? 0 : 1;
}

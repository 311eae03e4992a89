//===- Counterexample.cpp - Data on which a claim is wrong ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Analysis/Counterexample.h"
#include "Witness.h"
#include "moe/Reference/ExactCheck.h"
#include "moe/Reference/ReducedSizes.h"
#include "llvm/Support/Format.h"
#include <cmath>

using namespace mlir;
using namespace moe::spmd;
using namespace moe::reference;

namespace {

using Locals = LocalValues<double>;
using Number = moe::reference::Value<double>;

/// One run with data that shows the fault.
struct Counterexample {
  std::vector<Number> arguments;
  Number truth;
  Locals locals;
  /// What the ranks would have to hold, or for a Partial, what the terms give.
  Locals required;
  Number reduced;
};

class CounterexampleSearch {
public:
  CounterexampleSearch(func::FuncOp original, const PlacementAnalysis &analysis,
                       const Finding &finding);

  /// Whether there is a small program to run.
  bool isUsable() const { return !!small; }
  std::optional<Counterexample> find();
  func::FuncOp getFunction() { return function; }
  /// What is believed of the value along the axis.
  Placement getBelieved() const { return believed; }
  unsigned getNumTried() const { return numTried; }

private:
  std::optional<Counterexample> run(std::vector<Number> arguments);
  void shrink(Counterexample &example);
  Number drawArgument(BlockArgument argument, bool isSparse);
  FailureOr<Locals> hold(const Number &global, PlacedTensorType type);
  bool isWrong(Counterexample &example) const;

  OwningOpRef<ModuleOp> small;
  func::FuncOp function;
  RankMesh mesh;
  /// Where the fault is, in the small program, and what else is false there.
  Operation *op = nullptr;
  ::mlir::Value value;
  DenseSet<Operation *> others;
  PlacedTensorType type;
  Placement believed;
  Random random{1};
  unsigned numTried = 0;
};

} // namespace

static Operation *getOperation(func::FuncOp function, unsigned index) {
  return getOperations(function)[index];
}

static unsigned getIndex(Operation *op) {
  auto operations = getOperations(op->getParentOfType<func::FuncOp>());
  return llvm::find(operations, op) - operations.begin();
}

CounterexampleSearch::CounterexampleSearch(func::FuncOp original,
                                           const PlacementAnalysis &analysis,
                                           const Finding &finding) {
  auto reduced = reduceSizes(original, finding.axis);
  if (failed(reduced))
    return;
  function = *(*reduced)->getOps<func::FuncOp>().begin();
  // The same has to be false in it.
  PlacementAnalysis again(function);
  if (!llvm::any_of(again.getFindings(), [&](const Finding &other) {
        return other.axis == finding.axis && other.truth == finding.truth &&
               getIndex(other.op) == getIndex(finding.op);
      }))
    return;
  std::string error;
  auto attr = getMesh(function);
  auto ranks = succeeded(attr) ? RankMesh::get(*attr, error)
                               : FailureOr<RankMesh>(failure());
  if (failed(ranks))
    return;
  mesh = std::move(*ranks);
  op = getOperation(function, getIndex(finding.op));
  auto operands = finding.op->getOperands();
  auto operand = llvm::find(operands, finding.value);
  value = operand == operands.end()
              ? op->getResult(0)
              : op->getOperand(operand - operands.begin());
  for (const Finding &other : analysis.getFindings())
    if (other.op != finding.op)
      others.insert(getOperation(function, getIndex(other.op)));
  // What a sum takes its operand for.
  believed = finding.label == "G5" || finding.label == "G6"
                 ? Placement::partial()
                 : finding.believed;
  type = cast<PlacedTensorType>(value.getType());
  SmallVector<Placement> placements(type.getPlacements());
  placements[finding.axis] = believed;
  type = type.withPlacements(placements);
  small = std::move(*reduced);
}

/// The first rank holds a whole Partial value: simple to read.
FailureOr<Locals> CounterexampleSearch::hold(const Number &global,
                                             PlacedTensorType type) {
  std::string error;
  SmallVector<Placement> whole(type.getPlacements().size(),
                               Placement::replicate());
  Locals replicas(mesh.numRanks(), global);
  auto locals = redistribute<double>(replicas, mesh, type.getShape(), whole,
                                     type.getPlacements(), error);
  if (succeeded(locals))
    return locals;
  return place<double>(global, mesh, type.getPlacements(), random, {}, error);
}

Number CounterexampleSearch::drawArgument(BlockArgument argument,
                                          bool isSparse) {
  auto type = cast<PlacedTensorType>(argument.getType());
  if (isa<IntegerType>(type.getElementType()))
    return drawIndices(argument, random);
  Tensor<double> tensor(type.getShape());
  if (tensor.data.empty())
    return tensor;
  if (isSparse) {
    tensor.data[random() % tensor.size()] = 1 + double(random() % 3);
    return tensor;
  }
  for (double &element : tensor.data)
    element = double(random() % 6) - 2;
  return tensor;
}

static bool isClose(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max(1.0, std::abs(b));
}

static bool isClose(const Number &a, const Number &b) {
  if (a.isIndex() || b.isIndex())
    return a.hasSameBits(b);
  return a.floats().shape == b.floats().shape &&
         std::equal(a.floats().data.begin(), a.floats().data.end(),
                    b.floats().data.begin(),
                    [](double x, double y) { return isClose(x, y); });
}

bool CounterexampleSearch::isWrong(Counterexample &example) const {
  if (believed.isPartial()) {
    Denotation<double> global = denote<double>(
        example.locals, mesh, type.getShape(), type.getPlacements());
    if (global.global)
      example.reduced = *global.global;
    return global.global && !isClose(example.reduced, example.truth);
  }
  return !llvm::equal(
      example.locals, example.required,
      [](const Number &a, const Number &b) { return isClose(a, b); });
}

std::optional<Counterexample>
CounterexampleSearch::run(std::vector<Number> arguments) {
  Counterexample example;
  example.arguments = std::move(arguments);
  std::vector<Locals> single, sharded;
  DenseMap<::mlir::Value, Number> truth;
  for (auto [argument, global] :
       llvm::zip_equal(function.getArguments(), example.arguments)) {
    truth[argument] = global;
    single.push_back({global});
    auto locals = hold(global, cast<PlacedTensorType>(argument.getType()));
    if (failed(locals))
      return std::nullopt;
    sharded.push_back(std::move(*locals));
  }
  Interpreter<double> one(mesh.unsharded());
  one.setAfterOp([&](Operation *op, MutableArrayRef<Locals> results) {
    for (auto [result, locals] : llvm::zip_equal(op->getResults(), results))
      truth[result] = locals.front();
    return success();
  });
  one.setOnPass([&](OpOperand &, ::mlir::Value to, const Locals &locals) {
    truth[to] = locals.front();
    return success();
  });
  if (failed(one.run(function, single)))
    return std::nullopt;
  example.truth = truth.lookup(value);

  Interpreter<double> ranks(mesh);
  for (auto [argument, locals] :
       llvm::zip_equal(function.getArguments(), sharded))
    if (argument == value)
      example.locals = locals;
  ranks.setAfterOp([&](Operation *done, MutableArrayRef<Locals> results) {
    for (auto [result, locals] : llvm::zip_equal(done->getResults(), results)) {
      if (others.contains(done)) {
        auto held = hold(truth.lookup(result),
                         cast<PlacedTensorType>(result.getType()));
        if (failed(held))
          return failure();
        locals = std::move(*held);
      }
      if (result == value)
        example.locals = locals;
    }
    return success();
  });
  if (failed(ranks.run(function, sharded)) || example.locals.empty())
    return std::nullopt;
  auto required = hold(example.truth, type);
  if (failed(required))
    return std::nullopt;
  example.required = std::move(*required);
  if (!isWrong(example))
    return std::nullopt;
  return example;
}

static bool isZero(const Number &value) {
  return !value.isIndex() &&
         llvm::all_of(value.floats().data, [](double x) { return x == 0; });
}

/// Zeros where the fault shows all the same.
void CounterexampleSearch::shrink(Counterexample &example) {
  constexpr size_t mostRuns = 2000;
  size_t runs = 0;
  for (size_t i = 0; i < example.arguments.size(); ++i) {
    if (example.arguments[i].isIndex())
      continue;
    for (size_t k = 0; k < example.arguments[i].floats().data.size(); ++k) {
      if (example.arguments[i].floats().data[k] == 0 || ++runs > mostRuns)
        continue;
      std::vector<Number> arguments = example.arguments;
      arguments[i].floats().data[k] = 0;
      // Pieces of another shape show the fault even if all is zero.
      auto smaller = run(std::move(arguments));
      if (smaller && !llvm::all_of(smaller->locals, isZero))
        example = std::move(*smaller);
    }
  }
}

std::optional<Counterexample> CounterexampleSearch::find() {
  constexpr unsigned mostTrials = 64;
  ScopedDiagnosticHandler silence(function.getContext(),
                                  [](Diagnostic &) { return success(); });
  for (; numTried < mostTrials; ++numTried) {
    std::vector<Number> arguments;
    for (BlockArgument argument : function.getArguments())
      arguments.push_back(
          drawArgument(argument, /*isSparse=*/numTried < mostTrials / 2));
    if (auto example = run(std::move(arguments))) {
      shrink(*example);
      return example;
    }
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

/// As nested lists; of a large tensor what is not zero.
template <typename T>
static std::string describeTensor(const Tensor<T> &tensor) {
  constexpr int64_t mostWhole = 4, mostShown = 8;
  std::string text;
  llvm::raw_string_ostream os(text);
  auto show = [&](T x) { os << llvm::format("%g", double(x) + 0.0); };
  if (tensor.size() > mostWhole) {
    unsigned shown = 0, others = 0;
    for (auto [i, x] : llvm::enumerate(tensor.data)) {
      if (x == T(0))
        continue;
      if (shown == mostShown) {
        ++others;
        continue;
      }
      os << (shown++ ? ", [" : "[");
      for (size_t dim = 0; dim < tensor.shape.size(); ++dim)
        os << (dim ? ", " : "")
           << int64_t(i) / tensor.inner(dim) % tensor.shape[dim];
      os << "]: ";
      show(x);
    }
    if (others)
      os << " and " << others << " more";
    return shown ? "{" + text + "}" : "0";
  }
  size_t rank = tensor.shape.size();
  auto isBoundary = [&](int64_t i, size_t dim) {
    return i % (tensor.inner(dim) * tensor.shape[dim]) == 0;
  };
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (i)
      os << ", ";
    for (size_t dim = 0; dim < rank; ++dim)
      if (isBoundary(i, dim))
        os << "[";
    show(tensor.data[i]);
    for (size_t dim = 0; dim < rank; ++dim)
      if (isBoundary(i + 1, dim))
        os << "]";
  }
  return tensor.size() ? text : "nothing";
}

static std::string describeNumber(const Number &value) {
  return value.isIndex() ? describeTensor(value.indices())
                         : describeTensor(value.floats());
}

static void describe(Diagnostic &note, func::FuncOp function,
                     const Counterexample &example, Placement believed) {
  bool isFirst = true;
  unsigned numZero = 0;
  for (auto [i, argument] : llvm::enumerate(example.arguments)) {
    if (isZero(argument)) {
      ++numZero;
      continue;
    }
    auto name =
        function.getArgAttrOfType<StringAttr>(i, SPMDDialect::kNameAttr);
    note << (isFirst ? "" : ", ")
         << (name ? name.str() : "arg" + std::to_string(i)) << " = "
         << describeNumber(argument);
    isFirst = false;
  }
  note << (isFirst ? "all arguments 0" : numZero ? ", other arguments 0" : "");
  for (auto [rank, local] : llvm::enumerate(example.locals))
    note << (rank ? ", rank " : ": rank ") << rank << " has "
         << describeNumber(local);
  note << "; as " << believed.str();
  if (believed.isPartial()) {
    note << " they mean " << describeNumber(example.reduced)
         << ", but one device has " << describeNumber(example.truth);
    return;
  }
  if (believed.isReplicate()) {
    note << " each would have " << describeNumber(example.truth);
    return;
  }
  for (auto [rank, local] : llvm::enumerate(example.required))
    note << (rank ? ", rank " : " rank ") << rank << " would have "
         << describeNumber(local);
}

void moe::spmd::noteCounterexample(InFlightDiagnostic &diag,
                                   func::FuncOp function,
                                   const PlacementAnalysis &analysis,
                                   const Finding &finding) {
  if (finding.label.starts_with("R") || !finding.value)
    return;
  Diagnostic &note = diag.attachNote(finding.op->getLoc());
  note << "counterexample on 2 ranks of "
       << axisName(finding.value, finding.axis) << ": ";
  CounterexampleSearch search(function, analysis, finding);
  if (!search.isUsable()) {
    note << "not executed: its sizes can't be reduced";
    return;
  }
  std::optional<Counterexample> example = search.find();
  if (!example)
    note << "none in " << search.getNumTried() << " runs";
  else
    describe(note, search.getFunction(), *example, search.getBelieved());
}

//===- ReducedSizes.cpp - The same program with small sizes ---------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/ReducedSizes.h"
#include "mlir/IR/Verifier.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

static PlacedTensorType typeOf(Value value) {
  return dyn_cast<PlacedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Meshes
//===----------------------------------------------------------------------===//

/// `axis` with the sizes of its leaves taken from the front of `sizes`.
static MeshAxisAttr resizeAxis(MeshAxisAttr axis, ArrayRef<int64_t> &sizes) {
  if (axis.getSubAxes().empty()) {
    int64_t size = sizes.front();
    sizes = sizes.drop_front();
    return MeshAxisAttr::get(axis.getContext(), axis.getName(), size, {});
  }
  SmallVector<MeshAxisAttr> subAxes;
  int64_t product = 1;
  for (MeshAxisAttr subAxis : axis.getSubAxes()) {
    subAxes.push_back(resizeAxis(subAxis, sizes));
    product *= subAxes.back().getSize();
  }
  return MeshAxisAttr::get(axis.getContext(), axis.getName(), product, subAxes);
}

static MeshAttr reduceMesh(MeshAttr mesh, std::optional<unsigned> onlyAxis) {
  constexpr int64_t mostRanks = 16;
  SmallVector<int64_t> sizes;
  int64_t ranks = 1;
  for (auto [i, axis] : llvm::enumerate(mesh.getLeafAxes())) {
    sizes.push_back(onlyAxis ? (i == *onlyAxis ? 2 : 1) : axis.getSize());
    ranks *= sizes.back();
  }
  while (ranks > mostRanks) {
    int64_t &largest = *llvm::max_element(sizes);
    if (largest == 2)
      break;
    ranks = ranks / largest * 2;
    largest = 2;
  }
  SmallVector<MeshAxisAttr> axes;
  ArrayRef<int64_t> rest = sizes;
  for (MeshAxisAttr axis : mesh.getAxes())
    axes.push_back(resizeAxis(axis, rest));
  return MeshAttr::get(mesh.getContext(), axes);
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

namespace {

/// What is known of dimensions that have one size.
struct SizeClass {
  int64_t size = 0;
  /// Ranks that cut it, before and after the mesh shrinks.
  int64_t cutBefore = 1, cutAfter = 1;
  /// Its size means something else too: a number of experts.
  bool fixed = false;
  /// A batch of one is folded by another rule than a batch of two.
  bool batch = false;
  /// Equal parts that it has to come in.
  int64_t parts = 1;
  int64_t reduced = 0;
};

class SizeReducer {
public:
  SizeReducer(func::FuncOp function, std::optional<unsigned> onlyAxis)
      : function(function), minimal(onlyAxis.has_value()), onlyAxis(onlyAxis) {}

  LogicalResult run();

private:
  struct Product {
    unsigned product, outer, inner;
    /// Whether a cut of the product cuts the outer factor.
    bool folds;
  };

  unsigned dim(Value value, unsigned i) { return firstDim.at(value) + i; }
  void join(Value a, unsigned i, Value b, unsigned j) {
    classes.unionSets(dim(a, i), dim(b, j));
  }
  SizeClass &classOf(unsigned dim) {
    return known[classes.getLeaderValue(dim)];
  }
  void fix(Value value, unsigned i) { fixed.push_back(dim(value, i)); }

  LogicalResult addValue(Value value);
  LogicalResult addOperation(Operation *op);
  void addLetters(Operation *op, StringRef equation);
  void addRows(Value tokens, Value experts, Value rows, int64_t parts);
  void addFold(Value apart, Value folded);
  void addByRule(Operation *op);
  void collectClasses();
  LogicalResult choose();
  int64_t chooseSize(const SizeClass &entry) const;
  void setTypes();

  func::FuncOp function;
  bool minimal;
  std::optional<unsigned> onlyAxis;
  MeshAttr mesh, reducedMesh;
  SmallVector<Value> values;
  DenseMap<Value, unsigned> firstDim;
  unsigned numDims = 0;
  llvm::EquivalenceClasses<unsigned> classes;
  SmallVector<unsigned> fixed, batches;
  /// Dimensions of tokens, and their equal parts.
  SmallVector<std::pair<unsigned, int64_t>> parted;
  SmallVector<Product> products;
  DenseMap<unsigned, SizeClass> known;
};

} // namespace

LogicalResult SizeReducer::addValue(Value value) {
  PlacedTensorType type = typeOf(value);
  if (!type || (mesh && type.getMesh() != mesh))
    return failure();
  mesh = type.getMesh();
  values.push_back(value);
  firstDim[value] = numDims;
  for (int64_t i = 0; i < type.getRank(); ++i)
    classes.insert(numDims++);
  return success();
}

void SizeReducer::addLetters(Operation *op, StringRef equation) {
  auto [operands, result] = equation.split("->");
  auto [lhs, rhs] = operands.split(',');
  llvm::SmallDenseMap<char, unsigned> letters;
  auto add = [&](StringRef term, Value value) {
    for (auto [i, letter] : llvm::enumerate(term)) {
      auto [entry, isNew] = letters.try_emplace(letter, dim(value, i));
      if (!isNew)
        classes.unionSets(entry->second, dim(value, i));
    }
  };
  add(lhs, op->getOperand(0));
  if (!rhs.empty())
    add(rhs, op->getOperand(1));
  add(result, op->getResult(0));
  if (isa<GroupedEinsumOp>(op)) {
    for (int64_t i = 0; i < typeOf(op->getOperand(2)).getRank(); ++i)
      fix(op->getOperand(2), i);
    if (auto experts = letters.find('e'); experts != letters.end())
      fixed.push_back(experts->second);
  }
}

void SizeReducer::addRows(Value tokens, Value experts, Value rows,
                          int64_t parts) {
  join(tokens, 0, experts, 0);
  parted.push_back({dim(experts, 0), parts});
  fix(experts, 1);
  // [T, D] and [N, D], or [T, K] and [N].
  if (typeOf(rows).getRank() == typeOf(tokens).getRank())
    for (int64_t i = 1; i < typeOf(rows).getRank(); ++i)
      join(tokens, i, rows, i);
  else
    join(tokens, 1, experts, 1);
  products.push_back(
      {dim(rows, 0), dim(experts, 0), dim(experts, 1), /*folds=*/false});
}

void SizeReducer::addFold(Value apart, Value folded) {
  for (int64_t i = 1; i < typeOf(folded).getRank(); ++i)
    join(apart, i + 1, folded, i);
  batches.push_back(dim(apart, 0));
  products.push_back(
      {dim(folded, 0), dim(apart, 0), dim(apart, 1), /*folds=*/true});
}

void SizeReducer::addByRule(Operation *op) {
  PlacementRule rule = cast<PlacementOpInterface>(op).getPlacementRule();
  llvm::SmallDenseMap<int, unsigned> factors;
  auto add = [&](Value value, ArrayRef<DimFactor> dims) {
    for (auto [i, entry] : llvm::enumerate(dims)) {
      if (entry.factor < 0) {
        fix(value, i);
        continue;
      }
      auto [first, isNew] = factors.try_emplace(entry.factor, dim(value, i));
      if (!isNew)
        classes.unionSets(first->second, dim(value, i));
    }
  };
  for (auto [value, dims] : llvm::zip_equal(op->getOperands(), rule.operands))
    add(value, dims);
  for (auto [value, dims] : llvm::zip_equal(op->getResults(), rule.results))
    add(value, dims);
}

LogicalResult SizeReducer::addOperation(Operation *op) {
  if (isa<ClaimOp, RedistributeOp, BoundaryOp, GradAllReduceOp, AllReduceOp,
          AllGatherOp, ReduceScatterOp, AllToAllOp>(op)) {
    for (int64_t i = 0; i < typeOf(op->getOperand(0)).getRank(); ++i)
      join(op->getOperand(0), i, op->getResult(0), i);
    return success();
  }
  // Sizes in bodies, and what opaque code does with them, are not known here.
  if (op->getName().getDialectNamespace() != MoEDialect::getDialectNamespace())
    return failure();
  llvm::TypeSwitch<Operation *>(op)
      .Case<EinsumOp, GroupedEinsumOp>(
          [&](auto op) { addLetters(op, op.getEquation()); })
      .Case<DispatchOp, PermuteOp>([&](auto op) {
        addRows(op.getInput(), op.getExperts(), op.getResult(), op.getParts());
      })
      .Case<CombineOp, UnpermuteOp>([&](auto op) {
        addRows(op.getResult(), op.getExperts(), op.getInput(), op.getParts());
      })
      .Case([&](CountOp op) {
        parted.push_back({dim(op.getExperts(), 0), op.getParts()});
        fix(op.getExperts(), 1);
        for (int64_t i = 0; i < op.getType().getRank(); ++i)
          fix(op.getResult(), i);
      })
      .Case([&](FoldOp op) { addFold(op.getInput(), op.getResult()); })
      .Case([&](UnfoldOp op) { addFold(op.getResult(), op.getInput()); })
      .Case<TopKOp, GatherOp, ScatterOp>([&](Operation *op) {
        // Tokens first, and numbers of experts last.
        Value tokens = op->getOperand(0);
        auto add = [&](Value value) {
          unsigned last = typeOf(value).getRank() - 1;
          fix(value, last);
          if (last > 0)
            join(tokens, 0, value, 0);
        };
        llvm::for_each(op->getOperands(), add);
        llvm::for_each(op->getResults(), add);
      })
      .Default([&](Operation *op) { addByRule(op); });
  return success();
}

void SizeReducer::collectClasses() {
  auto before = mesh.getLeafAxes(), after = reducedMesh.getLeafAxes();
  for (Value value : values) {
    PlacedTensorType type = typeOf(value);
    for (auto [i, size] : llvm::enumerate(type.getShape())) {
      int64_t cutBefore = 1, cutAfter = 1;
      for (auto [axis, placement] : llvm::enumerate(type.getPlacements()))
        if (placement.isShard() && placement.dim == int64_t(i)) {
          cutBefore *= before[axis].getSize();
          cutAfter *= after[axis].getSize();
        }
      SizeClass &entry = classOf(dim(value, i));
      entry.size = size;
      entry.cutBefore = std::max(entry.cutBefore, cutBefore);
      entry.cutAfter = std::max(entry.cutAfter, cutAfter);
    }
  }
  for (unsigned i : fixed)
    classOf(i).fixed = true;
  for (unsigned i : batches)
    classOf(i).batch = true;
  for (auto [i, parts] : parted)
    classOf(i).parts = std::lcm(classOf(i).parts, parts);
  // Where the tokens can be cut, so can what they are folded of.
  for (const Product &product : products) {
    const SizeClass whole = classOf(product.product);
    if (!product.folds)
      continue;
    for (unsigned factor : {product.outer, product.inner}) {
      SizeClass &entry = classOf(factor);
      entry.cutBefore = std::max(entry.cutBefore, whole.cutBefore);
      entry.cutAfter = std::max(entry.cutAfter, whole.cutAfter);
      entry.parts = std::lcm(entry.parts, whole.parts);
    }
  }
}

int64_t SizeReducer::chooseSize(const SizeClass &entry) const {
  if (entry.fixed)
    return entry.size;
  // What comes in parts is cut between them.
  if (entry.parts > 1)
    return std::min(entry.size, std::lcm(entry.parts, entry.cutAfter));
  bool isEven = entry.size % entry.cutBefore == 0;
  int64_t size = 0;
  if (!isEven)
    size = entry.cutAfter + 1;
  else if (minimal)
    size = entry.batch ? std::max<int64_t>(2, entry.cutAfter) : entry.cutAfter;
  else
    size = entry.cutAfter == 1 ? 3 : 2 * entry.cutAfter;
  return std::min(size, entry.size);
}

LogicalResult SizeReducer::choose() {
  DenseSet<unsigned> computed;
  for (const Product &product : products)
    computed.insert(classes.getLeaderValue(product.product));
  for (auto &[leader, entry] : known)
    if (!computed.contains(leader))
      entry.reduced = chooseSize(entry);
  // Tokens are folded first and dispatched then.
  for (bool folds : {true, false})
    for (const Product &product : products) {
      if (product.folds != folds)
        continue;
      int64_t outer = classOf(product.outer).reduced;
      int64_t inner = classOf(product.inner).reduced;
      SizeClass &entry = classOf(product.product);
      bool isOther = entry.reduced && entry.reduced != outer * inner;
      if (!outer || !inner || isOther || entry.fixed)
        return failure();
      entry.reduced = outer * inner;
    }
  // Even cuts stay even, and uneven ones uneven.
  for (auto &[leader, entry] : known)
    if (entry.cutBefore > 1 && entry.cutAfter > 1 &&
        (entry.size % entry.cutBefore == 0) !=
            (entry.reduced % entry.cutAfter == 0))
      return failure();
  return success();
}

void SizeReducer::setTypes() {
  for (Value value : values) {
    PlacedTensorType type = typeOf(value);
    SmallVector<int64_t> shape;
    for (int64_t i = 0; i < type.getRank(); ++i)
      shape.push_back(classOf(dim(value, i)).reduced);
    value.setType(PlacedTensorType::get(type.getContext(), shape,
                                        type.getElementType(), reducedMesh,
                                        type.getPlacements()));
  }
  Operation *ret = function.getBody().front().getTerminator();
  function.setFunctionType(FunctionType::get(
      function.getContext(), function.getBody().getArgumentTypes(),
      ret->getOperandTypes()));
}

LogicalResult SizeReducer::run() {
  if (!llvm::hasSingleElement(function.getBody()))
    return failure();
  Block &body = function.getBody().front();
  for (Value argument : body.getArguments())
    if (failed(addValue(argument)))
      return failure();
  for (Operation &op : body.without_terminator())
    for (Value result : op.getResults())
      if (failed(addValue(result)))
        return failure();
  if (!mesh || !isa<func::ReturnOp>(body.getTerminator()))
    return failure();
  for (Operation &op : body.without_terminator())
    if (failed(addOperation(&op)))
      return failure();
  reducedMesh = reduceMesh(mesh, onlyAxis);
  collectClasses();
  if (failed(choose()))
    return failure();
  setTypes();
  return success();
}

FailureOr<OwningOpRef<ModuleOp>>
reference::reduceSizes(func::FuncOp function,
                       std::optional<unsigned> onlyAxis) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(function.getLoc());
  func::FuncOp copy = function.clone();
  module->push_back(copy);
  ScopedDiagnosticHandler silence(function.getContext(),
                                  [](Diagnostic &) { return success(); });
  if (failed(SizeReducer(copy, onlyAxis).run()) || failed(verify(*module)))
    return failure();
  return module;
}

int64_t reference::estimateWork(func::FuncOp function) {
  int64_t work = 0;
  auto add = [&](ArrayRef<int64_t> sizes) {
    int64_t product = 1;
    for (int64_t size : sizes)
      if (llvm::MulOverflow(product, size, product))
        product = std::numeric_limits<int64_t>::max();
    if (llvm::AddOverflow(work, product, work))
      work = std::numeric_limits<int64_t>::max();
  };
  for (Operation *op : getOperations(function)) {
    auto text = op->getAttrOfType<StringAttr>("equation");
    for (Value result : op->getResults()) {
      PlacedTensorType type = typeOf(result);
      if (!type)
        continue;
      SmallVector<int64_t> sizes(type.getShape());
      if (text) {
        auto [operands, letters] = text.getValue().split("->");
        auto [lhs, rhs] = operands.split(',');
        StringRef terms[] = {lhs, rhs};
        std::string done = letters.str();
        for (auto [i, term] : llvm::enumerate(terms))
          for (auto [j, letter] : llvm::enumerate(term))
            // A row determines its expert.
            if (letter != 'e' && done.find(letter) == std::string::npos) {
              done += letter;
              sizes.push_back(typeOf(op->getOperand(i)).getShape()[j]);
            }
      }
      // A body may sum over any dimension of what it is given.
      int64_t longest = 1;
      for (Value operand : op->getOperands())
        if (PlacedTensorType input =
                op->getNumRegions() ? typeOf(operand) : nullptr)
          for (int64_t size : input.getShape())
            longest = std::max(longest, size);
      sizes.push_back(longest);
      add(sizes);
    }
  }
  return work;
}

//===- Interpreter.cpp - Runs a function on simulated ranks ---------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/Interpreter.h"
#include "Bodies.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Reference/Kernels.h"
#include "llvm/ADT/TypeSwitch.h"
#include <numeric>

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::failure;
using mlir::FailureOr;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;

static PlacedTensorType typeOf(mlir::Value value) {
  return llvm::cast<PlacedTensorType>(value.getType());
}

static int64_t elementBytes(PlacedTensorType type) {
  mlir::Type element = type.getElementType();
  return element.isIntOrFloat() ? (element.getIntOrFloatBitWidth() + 7) / 8 : 8;
}

FailureOr<spmd::MeshAttr> reference::getMesh(mlir::func::FuncOp function) {
  SmallVector<mlir::func::FuncOp> functions = {function};
  llvm::append_range(functions, spmd::getCallees(function));
  for (mlir::func::FuncOp one : functions)
    if (!llvm::hasSingleElement(one.getBody()))
      return one.emitError(one.isDeclaration()
                               ? "the reference can't run a function without "
                                 "a body"
                               : "the reference runs functions of one block "
                                 "only");
  if (mlir::func::CallOp call = spmd::findRecursion(function))
    return call.emitError("the reference runs no function that calls itself");
  spmd::MeshAttr mesh;
  RankMesh ranks;
  int64_t elements = 0;
  auto visit = [&](mlir::Value value) -> mlir::LogicalResult {
    // Values of another type have an operation that the interpreter refuses.
    auto type = llvm::dyn_cast<PlacedTensorType>(value.getType());
    if (!type)
      return mlir::success();
    if (mesh && type.getMesh() != mesh)
      return mlir::emitError(value.getLoc())
             << "this value lies on another mesh than those before: "
             << type.getMesh() << " and " << mesh;
    if (!mesh) {
      std::string error;
      mesh = type.getMesh();
      FailureOr<RankMesh> known = RankMesh::get(mesh, error);
      if (mlir::failed(known))
        return mlir::emitError(value.getLoc()) << error;
      ranks = std::move(*known);
    }
    constexpr int64_t limit = int64_t(1) << 30;
    int64_t size = 1;
    for (int64_t dim : type.getShape()) {
      if (dim < 0 || (dim && size > limit / dim))
        return mlir::emitError(value.getLoc())
               << "this value is too large for the reference: " << type;
      size *= dim;
    }
    // Roughly what all ranks hold: a cut divides, whatever else copies.
    for (auto [axis, placement] : llvm::enumerate(type.getPlacements()))
      size *= placement.isCut() ? 1 : ranks.sizes[axis];
    elements += size;
    if (elements > limit)
      return mlir::emitError(value.getLoc())
             << "the values up to here are too large for the reference: "
             << elements << " elements on all ranks, " << limit
             << " are possible";
    return mlir::success();
  };
  for (mlir::BlockArgument argument : function.getArguments()) {
    if (!llvm::isa<PlacedTensorType>(argument.getType()) &&
        !argument.getType().isIntOrIndex())
      return mlir::emitError(argument.getLoc())
             << "argument #" << argument.getArgNumber()
             << " is no placed tensor";
    if (mlir::failed(visit(argument)))
      return failure();
  }
  for (mlir::func::FuncOp one : functions)
    for (mlir::Operation *op : spmd::getOperations(one))
      for (mlir::Value result : op->getResults())
        if (mlir::failed(visit(result)))
          return failure();
  if (!mesh)
    return function.emitError("there is no placed tensor to take a mesh from");
  return mesh;
}

template <typename T>
FailureOr<std::vector<LocalValues<T>>>
Interpreter<T>::run(mlir::func::FuncOp function,
                    ArrayRef<LocalValues<T>> args) {
  if (mlir::failed(getMesh(function)))
    return failure();
  if (args.size() != function.getNumArguments())
    return function.emitError("got ") << args.size() << " arguments, expected "
                                      << function.getNumArguments();
  values.clear();
  scalars.clear();
  numExecuted = 0;
  for (auto [argument, locals] :
       llvm::zip_equal(function.getArguments(), args)) {
    if (!llvm::isa<PlacedTensorType>(argument.getType())) {
      auto given = integers.find(argument.getArgNumber());
      if (given == integers.end())
        return mlir::emitError(argument.getLoc())
               << "argument #" << argument.getArgNumber()
               << " is no placed tensor";
      scalars[argument] =
          mlir::IntegerAttr::get(argument.getType(), given->second);
      continue;
    }
    if (int64_t(locals.size()) != mesh.numRanks())
      return function.emitError("argument #")
             << argument.getArgNumber() << " has " << locals.size()
             << " local values for " << mesh.numRanks() << " ranks";
    bool isIndex =
        llvm::isa<mlir::IntegerType>(typeOf(argument).getElementType());
    for (const Value<T> &local : locals)
      if (local.isIndex() != isIndex)
        return function.emitError("argument #")
               << argument.getArgNumber() << " has the wrong element type";
    values[argument] = locals;
  }

  mlir::Block &body = function.getBody().front();
  if (mlir::failed(execute(body)))
    return failure();
  if (!llvm::isa<mlir::func::ReturnOp>(body.getTerminator()))
    return function.emitError("the reference found no func.return");
  std::vector<LocalValues<T>> results;
  for (mlir::Value operand : body.getTerminator()->getOperands()) {
    if (!values.contains(operand))
      return function.emitError("result ")
             << results.size() << " is no placed tensor";
    results.push_back(values.at(operand));
  }
  return results;
}

template <typename T>
mlir::LogicalResult Interpreter<T>::execute(mlir::Operation *op) {
  if (++numExecuted > maxOperations)
    return op->emitError("the reference executes ")
           << maxOperations << " operations at most";
  if (auto loop = llvm::dyn_cast<mlir::scf::ForOp>(op))
    return executeLoop(loop);
  if (auto branch = llvm::dyn_cast<mlir::scf::IfOp>(op))
    return executeBranch(branch);
  if (auto call = llvm::dyn_cast<mlir::func::CallOp>(op))
    return executeCall(call);
  auto isPlaced = [](mlir::Type type) {
    return llvm::isa<PlacedTensorType>(type);
  };
  if (llvm::none_of(op->getOperandTypes(), isPlaced) &&
      llvm::none_of(op->getResultTypes(), isPlaced))
    return executeScalars(op);
  std::string error;
  Outcome outcome = evaluate(op, error);
  if (mlir::failed(outcome) && onFailure) {
    outcome = onFailure(op, error);
    if (mlir::failed(outcome))
      return failure();
    values[op->getResult(0)] = std::move(*outcome);
    return mlir::success();
  }
  if (mlir::failed(outcome))
    return op->emitError(error);
  SmallVector<LocalValues<T>, 1> results = {std::move(*outcome)};
  if (afterOp && mlir::failed(afterOp(op, results)))
    return failure();
  values[op->getResult(0)] = std::move(results.front());
  return mlir::success();
}

template <typename T>
auto Interpreter<T>::evaluate(mlir::Operation *op, std::string &error)
    -> Outcome {
  StringRef dialect = op->getName().getDialectNamespace();
  bool known = (dialect == "spmd" || dialect == "moe") && op->isRegistered() &&
               op->getNumResults() == 1;
  if (!known) {
    error = "the reference can't execute '" +
            op->getName().getStringRef().str() + "'";
    return failure();
  }
  for (mlir::Value operand : op->getOperands())
    if (!values.contains(operand)) {
      error = "an operand of '" + op->getName().getStringRef().str() +
              "' has no value in the reference";
      return failure();
    }
  if (dialect == "spmd" && !llvm::isa<spmd::ComputeOp>(op))
    return evaluatePlacing(op, error);
  if (llvm::isa<DispatchOp, CombineOp, PermuteOp, UnpermuteOp>(op))
    return evaluateRows(op, error);
  LocalValues<T> results;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    FailureOr<Value<T>> result = evaluateOnRank(op, rank, error);
    if (mlir::failed(result)) {
      error += " (rank " + std::to_string(rank) + ")";
      return failure();
    }
    results.push_back(std::move(*result));
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Conversions, claims and collectives
//===----------------------------------------------------------------------===//

/// The leaf axes called `name` get `placement`.
static void setPlacement(spmd::MeshAttr mesh, StringRef name,
                         Placement placement,
                         llvm::SmallVectorImpl<Placement> &placements) {
  for (unsigned leaf : mesh.getLeavesOf(name))
    placements[leaf] = placement;
}

template <typename T>
auto Interpreter<T>::evaluatePlacing(mlir::Operation *op, std::string &error)
    -> Outcome {
  const LocalValues<T> &input = values.at(op->getOperand(0));
  if (llvm::isa<spmd::ClaimOp, spmd::BoundaryOp, spmd::GradAllReduceOp>(op))
    return input;

  // A collective is the conversion of what it takes its operand for, whatever
  // the operand's type says.
  PlacedTensorType type = typeOf(op->getOperand(0));
  spmd::MeshAttr attr = type.getMesh();
  SmallVector<Placement> from(type.getPlacements()), to = from;
  bool known =
      llvm::TypeSwitch<mlir::Operation *, bool>(op)
          .Case([&](spmd::RedistributeOp op) {
            to.assign(typeOf(op.getResult()).getPlacements().begin(),
                      typeOf(op.getResult()).getPlacements().end());
            return true;
          })
          .Case([&](spmd::AllReduceOp op) {
            for (mlir::Attribute axis : op.getAxes()) {
              StringRef name = llvm::cast<mlir::StringAttr>(axis).getValue();
              setPlacement(attr, name, Placement::partial(), from);
              setPlacement(attr, name, Placement::replicate(), to);
            }
            return true;
          })
          .Case([&](spmd::AllGatherOp op) {
            setPlacement(attr, op.getAxis(), Placement::shard(op.getDim()),
                         from);
            setPlacement(attr, op.getAxis(), Placement::replicate(), to);
            return true;
          })
          .Case([&](spmd::ReduceScatterOp op) {
            setPlacement(attr, op.getAxis(), Placement::partial(), from);
            setPlacement(attr, op.getAxis(), Placement::shard(op.getDim()), to);
            return true;
          })
          .Case([&](spmd::AllToAllOp op) {
            setPlacement(attr, op.getAxis(), Placement::shard(op.getFrom()),
                         from);
            setPlacement(attr, op.getAxis(), Placement::shard(op.getTo()), to);
            return true;
          })
          .Default([](mlir::Operation *) { return false; });
  if (!known) {
    error = "the reference can't execute '" +
            op->getName().getStringRef().str() + "'";
    return failure();
  }
  return redistribute(input, mesh, type.getShape(), from, to, error,
                      &statistics, elementBytes(type));
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

template <typename T>
static FailureOr<Tensor<T>>
evaluateRowKernel(mlir::Operation *op, const Tensor<T> &input,
                  const IndexTensor &experts, RowSorting sorting,
                  std::string &error) {
  if (llvm::isa<DispatchOp>(op))
    return dispatch(input, experts, sorting, error);
  if (llvm::isa<CombineOp>(op))
    return combine(input, experts, sorting, error);
  if (llvm::isa<PermuteOp>(op))
    return permute(input, experts, sorting, error);
  return unpermute(input, experts, sorting, error);
}

namespace {
/// What a local program knows of its tokens: how many of their parts it has,
/// and the ranks of which axes share one.
struct LocalParts {
  int64_t number = 1;
  SmallVector<unsigned> shared;
};
} // namespace

/// Outer axes cut `parts` apart until one is left.
static FailureOr<LocalParts> findParts(const RankMesh &mesh,
                                       PlacedTensorType experts, int64_t parts,
                                       std::string &error) {
  LocalParts local;
  local.number = parts;
  for (unsigned axis : mesh.cuttingAxes(experts.getPlacements(), 0)) {
    if (local.number == 1) {
      local.shared.push_back(axis);
    } else if (local.number % mesh.sizes[axis] == 0) {
      local.number /= mesh.sizes[axis];
    } else {
      error = "axis '" + mesh.names[axis] + "' cuts across the " +
              std::to_string(parts) + " parts of the tokens";
      return failure();
    }
  }
  return local;
}

/// The member of a group that has index `index`, given where each member's
/// indices begin and, last, where all end.
static int64_t ownerOf(int64_t index, ArrayRef<int64_t> begins) {
  return llvm::upper_bound(begins, index) - begins.begin() - 1;
}

template <typename T>
auto Interpreter<T>::evaluateRows(mlir::Operation *op, std::string &error)
    -> Outcome {
  const LocalValues<T> &input = values.at(op->getOperand(0));
  const LocalValues<T> &experts = values.at(op->getOperand(1));
  PlacedTensorType inputType = typeOf(op->getOperand(0));
  int64_t numExperts = op->getAttrOfType<mlir::IntegerAttr>("num_experts")
                           .getValue()
                           .getSExtValue();
  if (numExperts < 0 || numExperts > (1 << 24)) {
    error = std::to_string(numExperts) + " experts are too many";
    return failure();
  }
  FailureOr<LocalParts> parts = findParts(
      mesh, typeOf(op->getOperand(1)),
      op->getAttrOfType<mlir::IntegerAttr>("parts").getValue().getSExtValue(),
      error);
  if (mlir::failed(parts))
    return failure();
  RowSorting sorting{numExperts, parts->number};
  ArrayRef<unsigned> axes = parts->shared;
  bool byToken = llvm::isa<DispatchOp, PermuteOp>(op);

  // Ranks that exchange tokens work as one; each keeps its part of the result.
  // Without an exchange every rank is a group of its own.
  LocalValues<T> results(input.size());
  int64_t bytes = 0;
  for (int64_t rank = 0; rank < mesh.numRanks(); ++rank) {
    SmallVector<int64_t> group = mesh.group(rank, axes);
    if (group.front() != rank)
      continue;
    SmallVector<const Tensor<T> *> inputs;
    SmallVector<const IndexTensor *> numbers;
    SmallVector<int64_t> tokenBegins = {0};
    for (int64_t member : group) {
      inputs.push_back(&input[member].floats());
      numbers.push_back(&experts[member].indices());
      tokenBegins.push_back(
          tokenBegins.back() +
          (numbers.back()->shape.empty() ? 0 : numbers.back()->shape.front()));
    }
    FailureOr<Tensor<T>> whole = concatenate<T>(inputs, 0, error);
    FailureOr<IndexTensor> allNumbers = failure();
    if (mlir::succeeded(whole))
      allNumbers = concatenate<int64_t>(numbers, 0, error);
    FailureOr<std::vector<int64_t>> order = failure();
    if (mlir::succeeded(allNumbers))
      order = rowOrder(*allNumbers, sorting, error);
    FailureOr<Tensor<T>> result = failure();
    if (mlir::succeeded(order))
      result = evaluateRowKernel<T>(op, *whole, *allNumbers, sorting, error);
    if (mlir::failed(result)) {
      error += " (rank " + std::to_string(rank) + ")";
      return failure();
    }

    // Of one part, where ranks share it.
    FailureOr<IndexTensor> counts = count(*allNumbers, sorting, error);
    SmallVector<int64_t> rowBegins = {0};
    for (int64_t member : group) {
      Range own = mesh.cut({0, counts->size()}, axes, member);
      rowBegins.push_back(std::accumulate(counts->data.begin() + own.begin,
                                          counts->data.begin() + own.end,
                                          rowBegins.back()));
    }
    ArrayRef<int64_t> begins = byToken ? rowBegins : tokenBegins;
    for (auto [i, member] : llvm::enumerate(group))
      results[member] = slice(*result, 0, {begins[i], begins[i + 1]});

    int64_t rowsMoved = 0;
    for (auto [row, pair] : llvm::enumerate(*order))
      rowsMoved += ownerOf(row, rowBegins) !=
                   ownerOf(pair / allNumbers->shape[1], tokenBegins);
    // A row of scores is one number, though permute's operand is [T, K].
    int64_t width = llvm::isa<PermuteOp>(op) ? 1 : whole->inner(0);
    bytes += rowsMoved * width * elementBytes(inputType);
  }
  if (!axes.empty()) {
    std::string names;
    for (unsigned axis : axes)
      names += (names.empty() ? "" : "+") + mesh.names[axis];
    statistics.add(op->getName().stripDialect(), names, bytes);
  }
  return results;
}

//===----------------------------------------------------------------------===//
// Local operations
//===----------------------------------------------------------------------===//

/// Which experts `rank` has of each part of a grouped einsum: a local program
/// knows that from its types.
static FailureOr<GroupedExperts> findExperts(GroupedEinsumOp op,
                                             const RankMesh &mesh, int64_t rank,
                                             std::string &error) {
  auto [operands, resultTerm] = op.getEquation().split("->");
  auto [lhsTerm, rhsTerm] = operands.split(',');
  Range all = {0, typeOf(op.getCounts()).getShape().back()};
  auto expertsOf = [&](StringRef term, PlacedTensorType type) {
    size_t dim = term.find('e');
    if (dim == StringRef::npos)
      return all;
    return mesh.cut(all, mesh.cuttingAxes(type.getPlacements(), dim), rank);
  };
  GroupedExperts experts;
  experts.lhs = expertsOf(lhsTerm, typeOf(op.getLhs()));
  experts.rhs = expertsOf(rhsTerm, typeOf(op.getRhs()));
  experts.result = expertsOf(resultTerm, typeOf(op.getResult()));

  bool inLhs = lhsTerm.contains('n');
  PlacedTensorType type = typeOf(inLhs ? op.getLhs() : op.getRhs());
  SmallVector<unsigned> axes;
  for (unsigned axis : mesh.cuttingAxes(
           type.getPlacements(), (inLhs ? lhsTerm : rhsTerm).find('n'))) {
    bool byPart = op.getCounts().getType().getRank() == 2 &&
                  op.getCounts().getType().getPlacements()[axis].isShard();
    if (type.getPlacements()[axis].isRagged()) {
      axes.push_back(axis);
    } else if (!byPart || !axes.empty()) {
      error = "rows are cut over '" + mesh.names[axis] +
              "' but not where the experts are";
      return failure();
    }
  }
  experts.rows = mesh.cut(all, axes, rank);
  return experts;
}

template <typename T>
FailureOr<Value<T>> Interpreter<T>::evaluateOnRank(mlir::Operation *op,
                                                   int64_t rank,
                                                   std::string &error) {
  using N = Numerics<T>;
  using Result = FailureOr<Value<T>>;
  auto floats = [&](mlir::Value value) -> const Tensor<T> & {
    return values.at(value)[rank].floats();
  };
  auto indices = [&](mlir::Value value) -> const IndexTensor & {
    return values.at(value)[rank].indices();
  };
  auto wrap = [](auto result) -> Result {
    if (mlir::failed(result))
      return failure();
    return Value<T>(std::move(*result));
  };
  auto unary = [&](auto op, auto function) {
    return wrap(mapUnary<T>(floats(op.getInput()), function));
  };
  auto binary = [&](auto op, auto function) {
    return wrap(mapBinary<T>(floats(op.getLhs()), floats(op.getRhs()), function,
                             error));
  };
  auto vjp = [&](auto op, auto function) {
    return wrap(mapBinary<T>(floats(op.getSaved()), floats(op.getDy()),
                             function, error));
  };
  auto reshape = [&](mlir::Value input, SmallVector<int64_t> shape) -> Result {
    Tensor<T> result = floats(input);
    if (Tensor<T>::product(shape) != result.size()) {
      error = "a local value of shape " + describeShape(result.shape) +
              " doesn't become " + describeShape(shape);
      return failure();
    }
    result.shape = std::move(shape);
    return Value<T>(std::move(result));
  };

  return llvm::TypeSwitch<mlir::Operation *, Result>(op)
      .Case([&](spmd::ComputeOp op) {
        SmallVector<const Value<T> *> arguments;
        for (mlir::Value input : op.getInputs())
          arguments.push_back(&values.at(input)[rank]);
        return evaluateBody<T>(op, arguments, error);
      })
      .Case([&](EinsumOp op) {
        mlir::ValueRange inputs = op.getInputs();
        return wrap(einsum(op.getEquation(), floats(inputs[0]),
                           inputs.size() > 1 ? &floats(inputs[1]) : nullptr,
                           error));
      })
      .Case([&](GroupedEinsumOp op) -> Result {
        FailureOr<GroupedExperts> experts = findExperts(op, mesh, rank, error);
        if (mlir::failed(experts))
          return failure();
        return wrap(groupedEinsum(op.getEquation(), floats(op.getLhs()),
                                  floats(op.getRhs()), indices(op.getCounts()),
                                  *experts, error));
      })
      .Case(
          [&](AddOp op) { return binary(op, [](T x, T y) { return x + y; }); })
      .Case(
          [&](SubOp op) { return binary(op, [](T x, T y) { return x - y; }); })
      .Case(
          [&](MulOp op) { return binary(op, [](T x, T y) { return x * y; }); })
      .Case(
          [&](DivOp op) { return binary(op, [](T x, T y) { return x / y; }); })
      .Case([&](ScaleOp op) {
        T factor = N::fromDouble(op.getFactor().convertToDouble());
        return unary(op, [=](T x) { return factor * x; });
      })
      .Case([&](FillLikeOp op) {
        T value = N::fromDouble(op.getValue().convertToDouble());
        return unary(op, [=](T) { return value; });
      })
      .Case([&](SigmoidOp op) { return unary(op, N::sigmoid); })
      .Case([&](SiluOp op) { return unary(op, N::silu); })
      .Case([&](SigmoidVjpOp op) {
        return vjp(op, [](T y, T dy) { return N::sigmoidVjp(y) * dy; });
      })
      .Case([&](SiluVjpOp op) {
        return vjp(op, [](T x, T dy) { return N::siluVjp(x) * dy; });
      })
      .Case([&](SoftmaxOp op) -> Result {
        return Value<T>(softmax(floats(op.getInput())));
      })
      .Case([&](NormalizeOp op) -> Result {
        return Value<T>(normalize(floats(op.getInput())));
      })
      .Case([&](SoftmaxVjpOp op) {
        return wrap(
            softmaxVjp(floats(op.getSaved()), floats(op.getDy()), error));
      })
      .Case([&](NormalizeVjpOp op) {
        return wrap(
            normalizeVjp(floats(op.getSaved()), floats(op.getDy()), error));
      })
      .Case([&](FoldOp op) -> Result {
        ArrayRef<int64_t> shape = floats(op.getInput()).shape;
        if (shape.size() < 2) {
          error = "there is nothing to fold in " + describeShape(shape);
          return failure();
        }
        SmallVector<int64_t> folded(shape.drop_front());
        folded[0] *= shape[0];
        return reshape(op.getInput(), folded);
      })
      .Case([&](UnfoldOp op) {
        PlacedTensorType type = typeOf(op.getResult());
        return reshape(op.getInput(), localShape(mesh, type.getShape(),
                                                 type.getPlacements(), rank));
      })
      .Case([&](TopKOp op) {
        return wrap(topK(floats(op.getScores()),
                         op.getBias() ? &floats(op.getBias()) : nullptr,
                         op.getGroups(), op.getLimitedGroups(),
                         typeOf(op.getExperts()).getShape().back(), error));
      })
      .Case([&](GatherOp op) {
        return wrap(
            gather(floats(op.getScores()), indices(op.getExperts()), error));
      })
      .Case([&](ScatterOp op) {
        return wrap(scatter(floats(op.getChosen()), indices(op.getExperts()),
                            typeOf(op.getResult()).getShape().back(), error));
      })
      .Case([&](CountOp op) -> Result {
        FailureOr<LocalParts> parts =
            findParts(mesh, typeOf(op.getExperts()), op.getParts(), error);
        if (mlir::failed(parts))
          return failure();
        PlacedTensorType type = op.getType();
        FailureOr<IndexTensor> counts =
            count(indices(op.getExperts()),
                  {type.getShape().back(), parts->number}, error);
        if (mlir::succeeded(counts) && type.getRank() == 1)
          counts->shape.erase(counts->shape.begin());
        return wrap(std::move(counts));
      })
      .Default([&](mlir::Operation *op) -> Result {
        error = "the reference can't execute '" +
                op->getName().getStringRef().str() + "'";
        return failure();
      });
}

template <typename T>
FailureOr<std::vector<LocalValues<T>>>
reference::runFunction(mlir::func::FuncOp function,
                       ArrayRef<LocalValues<T>> args) {
  FailureOr<spmd::MeshAttr> attr = getMesh(function);
  if (mlir::failed(attr))
    return failure();
  std::string error;
  FailureOr<RankMesh> mesh = RankMesh::get(*attr, error);
  if (mlir::failed(mesh))
    return function.emitError(error);
  return Interpreter<T>(*mesh).run(function, args);
}

template class reference::Interpreter<double>;
template class reference::Interpreter<Field>;
template FailureOr<std::vector<LocalValues<double>>>
    reference::runFunction(mlir::func::FuncOp, ArrayRef<LocalValues<double>>);
template FailureOr<std::vector<LocalValues<Field>>>
    reference::runFunction(mlir::func::FuncOp, ArrayRef<LocalValues<Field>>);

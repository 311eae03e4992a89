//===- ExactCheck.cpp - What execution says of a program's beliefs --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/ExactCheck.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Reference/Kernels.h"

using namespace moe;
using namespace moe::reference;
using mlir::failed;

static spmd::PlacedTensorType typeOf(mlir::Value value) {
  return llvm::cast<spmd::PlacedTensorType>(value.getType());
}

namespace {

class Executor {
public:
  Executor(mlir::func::FuncOp function, const RankMesh &mesh, Random &random)
      : function(function), mesh(mesh), random(random),
        single(mesh.unsharded()), ranks(mesh) {}

  mlir::FailureOr<Execution> run();

private:
  using Locals = LocalValues<Field>;

  Value<Field> drawArgument(mlir::BlockArgument argument);
  mlir::LogicalResult placeArguments();
  mlir::LogicalResult runUnsharded();
  const Value<Field> &truthOf(mlir::Value value) const;
  bool means(const Locals &locals, mlir::Value value) const;
  mlir::FailureOr<Locals> believed(mlir::Value value);
  bool areOperandsMeant(mlir::Operation *op) const;
  mlir::LogicalResult visit(mlir::Operation *op,
                            llvm::MutableArrayRef<Locals> results);
  mlir::FailureOr<Locals> visitFailure(mlir::Operation *op,
                                       llvm::StringRef why);
  mlir::LogicalResult visitPassed(mlir::OpOperand &from, mlir::Value to,
                                  Locals &locals);

  mlir::func::FuncOp function;
  const RankMesh &mesh;
  Random &random;
  Interpreter<Field> single, ranks;
  std::vector<Value<Field>> globals;
  std::vector<Locals> arguments;
  /// What a value is on one device, each time that it is computed.
  llvm::DenseMap<mlir::Value, std::vector<Value<Field>>> truth;
  /// How often the ranks have computed it so far.
  llvm::DenseMap<mlir::Value, size_t> numComputed;
  /// Values that mean something else now.
  llvm::DenseSet<mlir::Value> meaningless;
  Execution execution;
};

} // namespace

/// The rows that an argument counts by expert; -1 if it counts none.
static int64_t countedRows(mlir::BlockArgument argument) {
  for (mlir::Operation *user : argument.getUsers()) {
    auto product = llvm::dyn_cast<GroupedEinsumOp>(user);
    if (!product || product.getCounts() != argument)
      continue;
    auto [lhs, rhs] = product.getEquation().split("->").first.split(',');
    if (size_t dim = lhs.find('n'); dim != llvm::StringRef::npos)
      return typeOf(product.getLhs()).getShape()[dim];
    return typeOf(product.getRhs()).getShape()[rhs.find('n')];
  }
  return -1;
}

IndexTensor reference::drawIndices(mlir::BlockArgument argument,
                                   Random &random) {
  spmd::PlacedTensorType type = typeOf(argument);
  IndexTensor tensor(type.getShape());
  int64_t last = type.getRank() ? type.getShape().back() : 1;
  int64_t rows = countedRows(argument);
  if (rows < 0) {
    for (int64_t i = 0; i < tensor.size(); ++i)
      tensor.data[i] = i % last;
    return tensor;
  }
  // Each part of the tokens has as many rows as another.
  int64_t parts = tensor.size() / last;
  for (int64_t i = 0; i < rows; ++i)
    ++tensor.data[i * parts / rows * last + random() % last];
  return tensor;
}

Value<Field> Executor::drawArgument(mlir::BlockArgument argument) {
  spmd::PlacedTensorType type = typeOf(argument);
  if (llvm::isa<mlir::IntegerType>(type.getElementType()))
    return drawIndices(argument, random);
  Tensor<Field> tensor(type.getShape());
  for (Field &element : tensor.data)
    element = Numerics<Field>::sample(random);
  return tensor;
}

mlir::LogicalResult Executor::placeArguments() {
  for (mlir::BlockArgument argument : function.getArguments()) {
    // How often something is done, or whether.
    if (argument.getType().isIntOrIndex()) {
      bool isBoolean = argument.getType().isInteger(1);
      int64_t value = isBoolean ? random() % 2 : 1 + random() % 3;
      single.setInteger(argument.getArgNumber(), value);
      ranks.setInteger(argument.getArgNumber(), value);
      globals.emplace_back();
      arguments.emplace_back();
      continue;
    }
    globals.push_back(drawArgument(argument));
    truth[argument] = {globals.back()};
    numComputed[argument] = 1;
    std::string error;
    auto locals = place(globals.back(), mesh, typeOf(argument).getPlacements(),
                        random, {}, error);
    if (failed(locals))
      return function.emitError(error);
    arguments.push_back(std::move(*locals));
  }
  return mlir::success();
}

mlir::LogicalResult Executor::runUnsharded() {
  single.setAfterOp(
      [&](mlir::Operation *op, llvm::MutableArrayRef<Locals> results) {
        truth[op->getResult(0)].push_back(results.front().front());
        return mlir::success();
      });
  single.setOnPass(
      [&](mlir::OpOperand &, mlir::Value to, const Locals &locals) {
        truth[to].push_back(locals.front());
        return mlir::success();
      });
  std::vector<Locals> locals;
  locals.reserve(globals.size());
  for (const Value<Field> &global : globals)
    locals.push_back({global});
  return single.run(function, locals);
}

/// All ranks go the way that one device goes.
const Value<Field> &Executor::truthOf(mlir::Value value) const {
  return truth.find(value)->second[numComputed.lookup(value) - 1];
}

bool Executor::means(const Locals &locals, mlir::Value value) const {
  auto type = typeOf(value);
  Denotation<Field> denoted =
      denote(locals, mesh, type.getShape(), type.getPlacements());
  return denoted.global && denoted.global->hasSameBits(truthOf(value));
}

/// What the type of `value` says of it, placed.
mlir::FailureOr<Executor::Locals> Executor::believed(mlir::Value value) {
  // Rows are cut where the choice of experts that they follow cuts them.
  IndexTensor counts;
  for (mlir::Operation *op : spmd::getOperations(function)) {
    auto number = op->getAttrOfType<mlir::IntegerAttr>("num_experts");
    if (!number || counts.size() != 0 ||
        !numComputed.contains(op->getOperand(1)))
      continue;
    std::string error;
    int64_t parts = op->getAttrOfType<mlir::IntegerAttr>("parts").getInt();
    auto counted = count(truthOf(op->getOperand(1)).indices(),
                         {number.getInt(), parts}, error);
    if (failed(counted))
      return op->emitError(error);
    counts = std::move(*counted);
  }
  std::string error;
  auto locals = place(truthOf(value), mesh, typeOf(value).getPlacements(),
                      random, counts, error);
  if (failed(locals))
    return mlir::emitError(value.getLoc()) << error;
  return locals;
}

/// Whether the values of `op` rest on a statement, which may be false.
static bool isStatement(mlir::Operation *op) {
  return llvm::isa<spmd::ClaimOp, spmd::BoundaryOp, spmd::RedistributeOp,
                   spmd::AllReduceOp, spmd::AllGatherOp, spmd::ReduceScatterOp,
                   spmd::AllToAllOp>(op);
}

/// Whether on some axis a replicated and a partial value become a partial one.
static bool mayMixTerms(mlir::Operation *op) {
  if (!llvm::isa<AddOp, SubOp, spmd::ComputeOp>(op))
    return false;
  auto placements = typeOf(op->getResult(0)).getPlacements();
  for (unsigned axis = 0; axis < placements.size(); ++axis) {
    auto has = [&](spmd::Placement placement) {
      return llvm::any_of(op->getOperands(), [&](mlir::Value v) {
        return typeOf(v).getPlacements()[axis] == placement;
      });
    };
    if (placements[axis] == spmd::Placement::partial() &&
        has(spmd::Placement::replicate()) && has(placements[axis]))
      return true;
  }
  return false;
}

bool Executor::areOperandsMeant(mlir::Operation *op) const {
  return llvm::none_of(op->getOperands(),
                       [&](mlir::Value v) { return meaningless.contains(v); });
}

mlir::LogicalResult Executor::visit(mlir::Operation *op,
                                    llvm::MutableArrayRef<Locals> results) {
  mlir::Value value = op->getResult(0);
  ++numComputed[value];
  meaningless.erase(value);
  execution.claims += llvm::isa<spmd::ClaimOp, spmd::BoundaryOp>(op);
  bool operandsMeant = areOperandsMeant(op);
  bool right = means(results.front(), value);
  // One that moves nothing relies on nothing.
  bool relies = isStatement(op);
  if (llvm::isa<spmd::RedistributeOp>(op)) {
    right = operandsMeant;
    relies = value.getType() != op->getOperand(0).getType();
  }
  // What is claimed is all that is known from there on.
  bool isBarrier = llvm::isa<spmd::ClaimOp, spmd::BoundaryOp>(op) &&
                   value.getType() != op->getOperand(0).getType();
  if (right) {
    if (!isBarrier)
      return mlir::success();
  } else if (relies) {
    execution.faults.insert(op);
  } else if (operandsMeant && !mayMixTerms(op)) {
    execution.unsound.insert(op);
  } else {
    meaningless.insert(value);
    execution.meaningless.insert(value);
    return mlir::success();
  }
  auto locals = believed(value);
  if (failed(locals))
    return mlir::failure();
  results.front() = std::move(*locals);
  return mlir::success();
}

/// Local values of shapes that don't fit each other. A conversion is given what
/// it expects; one that fails is none that the reference knows.
mlir::FailureOr<Executor::Locals> Executor::visitFailure(mlir::Operation *op,
                                                         llvm::StringRef why) {
  if (llvm::isa<spmd::RedistributeOp>(op))
    return op->emitError(why);
  (isStatement(op) ? execution.faults : execution.unsound).insert(op);
  ++numComputed[op->getResult(0)];
  return believed(op->getResult(0));
}

/// Whoever takes a value on the other side relies on its type.
mlir::LogicalResult Executor::visitPassed(mlir::OpOperand &from, mlir::Value to,
                                          Locals &locals) {
  ++numComputed[to];
  if (!meaningless.contains(from.get()))
    return mlir::success();
  execution.faults.insert(from.getOwner());
  auto believedLocals = believed(to);
  if (failed(believedLocals))
    return mlir::failure();
  locals = std::move(*believedLocals);
  return mlir::success();
}

mlir::FailureOr<Execution> Executor::run() {
  if (failed(placeArguments()) || failed(runUnsharded()))
    return mlir::failure();
  ranks.setAfterOp(
      [&](mlir::Operation *op, llvm::MutableArrayRef<Locals> results) {
        return visit(op, results);
      });
  ranks.setOnFailure([&](mlir::Operation *op, llvm::StringRef why) {
    return visitFailure(op, why);
  });
  ranks.setOnPass([&](mlir::OpOperand &from, mlir::Value to, Locals &locals) {
    return visitPassed(from, to, locals);
  });
  if (failed(ranks.run(function, arguments)))
    return mlir::failure();
  mlir::Operation *ret = function.getBody().front().getTerminator();
  execution.meaninglessResults =
      llvm::count_if(ret->getOperands(),
                     [&](mlir::Value v) { return meaningless.contains(v); });
  if (execution.meaninglessResults)
    execution.faults.insert(ret);
  return std::move(execution);
}

mlir::FailureOr<Execution> reference::checkExactly(mlir::func::FuncOp function,
                                                   const RankMesh &mesh,
                                                   Random &random) {
  return Executor(function, mesh, random).run();
}

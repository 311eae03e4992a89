//===- ExactCheck.cpp - What execution says of a program's beliefs --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/ExactCheck.h"
#include "moe/Dialect/MoE/IR/MoE.h"

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
      : function(function), mesh(mesh), random(random) {}

  mlir::FailureOr<Execution> run();

private:
  using Locals = LocalValues<Field>;

  Value<Field> drawArgument(mlir::BlockArgument argument);
  mlir::LogicalResult placeArguments();
  mlir::LogicalResult runUnsharded();
  bool means(const Locals &locals, mlir::Value value) const;
  mlir::LogicalResult visit(mlir::Operation *op,
                            llvm::MutableArrayRef<Locals> results);

  mlir::func::FuncOp function;
  const RankMesh &mesh;
  Random &random;
  std::vector<Value<Field>> globals;
  std::vector<Locals> arguments;
  llvm::DenseMap<mlir::Value, Value<Field>> truth;
  /// Values whose local values mean the global one, by their type.
  llvm::DenseMap<mlir::Value, bool> meaningful;
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
  for (int64_t i = 0; i < std::max(rows, tensor.size()); ++i)
    if (rows < 0)
      tensor.data[i] = i % last;
    else if (i < rows)
      ++tensor.data[random() % tensor.size()];
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
    globals.push_back(drawArgument(argument));
    std::string error;
    auto locals = place(globals.back(), mesh, typeOf(argument).getPlacements(),
                        random, {}, error);
    if (failed(locals))
      return function.emitError(error);
    arguments.push_back(std::move(*locals));
    meaningful[argument] = true;
  }
  return mlir::success();
}

mlir::LogicalResult Executor::runUnsharded() {
  Interpreter<Field> single(mesh.unsharded());
  single.setAfterOp(
      [&](mlir::Operation *op, llvm::MutableArrayRef<Locals> results) {
        for (auto [value, locals] : llvm::zip_equal(op->getResults(), results))
          truth[value] = locals.front();
        return mlir::success();
      });
  std::vector<Locals> locals;
  locals.reserve(globals.size());
  for (const Value<Field> &global : globals)
    locals.push_back({global});
  return single.run(function, locals);
}

bool Executor::means(const Locals &locals, mlir::Value value) const {
  auto type = typeOf(value);
  Denotation<Field> denoted =
      denote(locals, mesh, type.getShape(), type.getPlacements());
  return denoted.global && denoted.global->hasSameBits(truth.lookup(value));
}

mlir::LogicalResult Executor::visit(mlir::Operation *op,
                                    llvm::MutableArrayRef<Locals> results) {
  bool isClaim = llvm::isa<spmd::ClaimOp, spmd::BoundaryOp>(op);
  bool operandsMean = llvm::all_of(
      op->getOperands(), [&](mlir::Value v) { return meaningful.lookup(v); });
  execution.claims += isClaim;
  for (auto [value, locals] : llvm::zip_equal(op->getResults(), results)) {
    bool right = means(locals, value);
    bool isCollective = llvm::isa<spmd::AllReduceOp, spmd::AllGatherOp,
                                  spmd::ReduceScatterOp, spmd::AllToAllOp>(op);
    bool trusts =
        isClaim || isCollective || llvm::isa<spmd::RedistributeOp>(op);
    if (trusts && !(isClaim || isCollective ? right : operandsMean)) {
      execution.faults.insert(op);
      std::string error;
      auto believed = place(truth.lookup(value), mesh,
                            typeOf(value).getPlacements(), random, {}, error);
      if (failed(believed))
        return op->emitError(error);
      locals = std::move(*believed);
      right = true;
    }
    if (!right && operandsMean && !llvm::isa<AddOp>(op))
      execution.unsound = op->getName().getStringRef().str();
    meaningful[value] = right;
  }
  return mlir::success();
}

mlir::FailureOr<Execution> Executor::run() {
  if (failed(placeArguments()) || failed(runUnsharded()))
    return mlir::failure();
  Interpreter<Field> ranks(mesh);
  ranks.setAfterOp(
      [&](mlir::Operation *op, llvm::MutableArrayRef<Locals> results) {
        return visit(op, results);
      });
  if (failed(ranks.run(function, arguments)))
    return mlir::failure();
  mlir::Operation *ret = function.getBody().front().getTerminator();
  if (!llvm::all_of(ret->getOperands(),
                    [&](mlir::Value v) { return meaningful.lookup(v); }))
    execution.faults.insert(ret);
  return std::move(execution);
}

mlir::FailureOr<Execution> reference::checkExactly(mlir::func::FuncOp function,
                                                   const RankMesh &mesh,
                                                   Random &random) {
  return Executor(function, mesh, random).run();
}

//===- GraphSweep.cpp - Differentiate then infer, infer then derive -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Draws small programs that type-check and computes their gradients in the
// prime field in three ways:
//
// - on one rank, which is the truth;
// - globally: the function is differentiated, the placements of the backward
// part
//   are inferred and verified, and the joint function runs on simulated ranks;
// - locally: every rank applies the derivative of each operation to its own
//   values. Cotangents lie as the dual of their value says, replicate and
//   partial<sum> for each other and a cut as it is. A conversion has the
//   conversion between the duals as its adjoint, and nothing else communicates.
//
// The global gradients that the local ones mean must be the same elements.
//
//===----------------------------------------------------------------------===//

#include "RandomGraphs.h"
#include "Samples.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"
#include <set>

using namespace moe;
using namespace moe::evidence;
using namespace moe::reference;
using mlir::failed;
using mlir::func::FuncOp;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;

namespace cl = llvm::cl;

static GraphFlags flags;
static cl::opt<std::string>
    wrong("wrong",
          cl::desc("Plant a defect: of the dual placements, or of the "
                   "inferred ones"),
          cl::value_desc("no-duals|forgets-sum"));

namespace {

struct Counts {
  int64_t graphs = 0, operations = 0, arguments = 0, compared = 0, zero = 0,
          differing = 0, refused = 0;
  std::set<std::string> kinds;
};

using Locals = LocalValues<Field>;

} // namespace

//===----------------------------------------------------------------------===//
// Deriving rank by rank
//===----------------------------------------------------------------------===//

static PlacedTensorType dualType(PlacedTensorType type) {
  llvm::SmallVector<Placement> placements(type.getPlacements());
  if (wrong != "no-duals")
    for (Placement &placement : placements)
      placement = placement.dual();
  return type.withPlacements(placements);
}

static bool hasGradient(mlir::Value value) { return !isInteger(typeOf(value)); }

namespace {

/// Appends the local backward part to a placed function: arguments are those of
/// the function and a cotangent per result, results are the gradients.
class LocalDerivation {
public:
  explicit LocalDerivation(FuncOp function)
      : function(function), builder(function.getContext()) {}

  void run();

private:
  void accumulate(mlir::Value value, mlir::Value cotangent);
  void derive(mlir::Operation *op);

  FuncOp function;
  mlir::OpBuilder builder;
  llvm::DenseMap<mlir::Value, mlir::Value> cotangents;
};

} // namespace

void LocalDerivation::accumulate(mlir::Value value, mlir::Value cotangent) {
  mlir::Value &sum = cotangents[value];
  sum = sum ? AddOp::create(builder, value.getLoc(), dualType(typeOf(value)),
                            sum, cotangent)
            : cotangent;
}

void LocalDerivation::derive(mlir::Operation *op) {
  mlir::Value cotangent = cotangents.lookup(op->getResult(0));
  if (!cotangent)
    return;
  if (llvm::isa<spmd::SPMDDialect>(op->getDialect())) {
    mlir::Value operand = op->getOperand(0);
    if (hasGradient(operand))
      accumulate(operand, spmd::RedistributeOp::create(
                              builder, op->getLoc(), dualType(typeOf(operand)),
                              cotangent));
    return;
  }
  llvm::SmallVector<mlir::Value> operands;
  llvm::cast<DifferentiableOpInterface>(op).buildVjp(builder, {cotangent},
                                                     operands);
  for (auto [operand, derived] : llvm::zip_equal(op->getOperands(), operands)) {
    if (!derived)
      continue;
    // A rank knows by its own program which experts it holds and what shapes
    // its results have.
    if (derived != cotangent)
      derived.setType(dualType(typeOf(operand)));
    accumulate(operand, derived);
  }
}

void LocalDerivation::run() {
  mlir::Block &body = function.getBody().front();
  mlir::Operation *ret = body.getTerminator();
  builder.setInsertionPoint(ret);
  llvm::SmallVector<mlir::Operation *> forward;
  for (mlir::Operation &op : body.without_terminator())
    forward.push_back(&op);
  unsigned numArguments = body.getNumArguments();
  for (mlir::Value result : ret->getOperands())
    accumulate(result,
               body.addArgument(dualType(typeOf(result)), ret->getLoc()));
  for (mlir::Operation *op : llvm::reverse(forward))
    derive(op);
  llvm::SmallVector<mlir::Value> gradients;
  for (mlir::BlockArgument argument :
       body.getArguments().take_front(numArguments))
    // One that reaches no result has the gradient zero.
    if (mlir::Value &gradient = cotangents[argument]; !gradient)
      gradient =
          FillLikeOp::create(builder, ret->getLoc(), dualType(typeOf(argument)),
                             argument, builder.getF64FloatAttr(0.0));
  for (mlir::BlockArgument argument :
       body.getArguments().take_front(numArguments))
    gradients.push_back(cotangents.lookup(argument));
  ret->setOperands(gradients);
  function.setFunctionType(
      builder.getFunctionType(body.getArgumentTypes(), ret->getOperandTypes()));
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

/// Local values of the arguments are drawn, so each program gets its own.
static mlir::FailureOr<std::vector<std::optional<Value<Field>>>>
placeAndRun(FuncOp function, const RankMesh &mesh,
            llvm::ArrayRef<Value<Field>> globals, Random &random) {
  auto arguments = placeArguments<Field>(function, mesh, globals, random);
  if (failed(arguments))
    return mlir::failure();
  return runOnRanks<Field>(function, mesh, *arguments);
}

/// The defect of inference that --wrong plants: a cut that is summed over
/// leaves its result whole.
static void forgetSums(FuncOp joint) {
  for (mlir::Operation &op : joint.getBody().front()) {
    if (!llvm::isa<EinsumOp, GroupedEinsumOp>(op))
      continue;
    PlacedTensorType type = typeOf(op.getResult(0));
    llvm::SmallVector<Placement> placements(type.getPlacements());
    for (auto [axis, placement] : llvm::enumerate(placements))
      if (placement.isPartial() &&
          llvm::none_of(op.getOperands(), [&](mlir::Value operand) {
            return typeOf(operand).getPlacements()[axis].isPartial();
          }))
        placement = Placement::replicate();
    op.getResult(0).setType(type.withPlacements(placements));
  }
}

static mlir::LogicalResult compare(mlir::ModuleOp module, Random &random,
                                   Counts &counts) {
  auto local = llvm::cast<FuncOp>((*module.getOps<FuncOp>().begin())->clone());
  mlir::OwningOpRef<FuncOp> owned(local);
  LocalDerivation(local).run();

  mlir::PassManager pm(module.getContext());
  buildMoECheckPipeline(pm);
  if (failed(pm.run(module))) {
    ++counts.refused;
    if (flags.print)
      llvm::outs() << "REFUSED:\n" << module << '\n';
    return mlir::success();
  }
  auto primal = module.lookupSymbol<FuncOp>("graph");
  auto joint = module.lookupSymbol<FuncOp>("graph.vjp");
  if (wrong == "forgets-sum")
    forgetSums(joint);

  std::string error;
  auto mesh = RankMesh::get(typeOf(joint.getArgument(0)).getMesh(), error);
  if (failed(mesh))
    return module.emitError(error);
  auto arguments = drawArguments<Field>(
      joint, random, [&] { return Numerics<Field>::sample(random); });
  if (failed(arguments))
    return mlir::failure();
  auto truth = runUnsharded<Field>(joint, *mesh, arguments->globals);
  auto globally = placeAndRun(joint, *mesh, arguments->globals, random);
  auto locally = placeAndRun(local, *mesh, arguments->globals, random);
  if (failed(truth) || failed(globally) || failed(locally))
    return mlir::failure();

  ++counts.graphs;
  for (mlir::Operation &op : primal.getBody().front().without_terminator()) {
    ++counts.operations;
    counts.kinds.insert(op.getName().getStringRef().str());
  }
  counts.arguments += primal.getNumArguments();
  bool differs = false;
  mlir::Operation *ret = joint.getBody().front().getTerminator();
  unsigned first = primal.getNumResults();
  for (unsigned i = 0; i < primal.getNumArguments(); ++i) {
    const Value<Field> &expected =
        truth->find(ret->getOperand(first + i))->second;
    counts.zero += llvm::all_of(expected.floats().data,
                                [](Field x) { return x == Field(); });
    ++counts.compared;
    auto agrees = [&](const std::optional<Value<Field>> &value) {
      return value && value->hasSameBits(expected);
    };
    differs |= !agrees((*globally)[first + i]) || !agrees((*locally)[i]);
  }
  counts.differing += differs;
  if (differs && flags.print)
    llvm::outs() << "DIFFERS:\n" << module << "\n" << *local << "\n";
  return mlir::success();
}

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv,
                              "global and local differentiation compared\n");
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<mlir::func::FuncDialect, spmd::SPMDDialect, MoEDialect>();
  Random random(flags.seed);
  Counts counts;
  constexpr llvm::StringLiteral meshes[] = {"tp=2", "tp=3", "a=2, b=2"};
  for (int64_t i = 0; counts.graphs + counts.refused < flags.graphs; ++i) {
    auto module = drawGraph(parseMesh(&context, meshes[i % 3]), random);
    if (!module)
      continue;
    if (failed(compare(*module, random, counts))) {
      llvm::outs() << "FAILED:\n" << *module << '\n';
      return 1;
    }
  }
  llvm::outs() << "graphs " << counts.graphs << "\noperations "
               << counts.operations << "\nkinds " << counts.kinds.size()
               << "\ngradients " << counts.compared << "\nzero " << counts.zero
               << "\nrefused " << counts.refused << "\ndiffering "
               << counts.differing << '\n';
  return counts.differing == 0 && counts.refused == 0 ? 0 : 1;
}

//===- FormKernels.cpp - Operations on buffers become kernels -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "moe/Conversion/Passes.h"

namespace moe {
#define GEN_PASS_DEF_FORMKERNELS
#include "moe/Conversion/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

/// A value that is computed and then copied to a result is computed there.
static void placeResult(memref::CopyOp copy) {
  Value result = copy.getTarget();
  if (!isa<BlockArgument>(result) || !result.hasOneUse())
    return;
  auto type = cast<MemRefType>(result.getType());
  Value source = copy.getSource();
  auto reshape = source.getDefiningOp<memref::ExpandShapeOp>();
  if (reshape)
    source = reshape.getSrc();
  auto alloc = source.getDefiningOp<memref::AllocOp>();
  if (!alloc || !type.getLayout().isIdentity() ||
      copy.getSource().getType() != type)
    return;
  OpBuilder b(alloc);
  Value place = result;
  if (reshape)
    place = memref::CollapseShapeOp::create(b, copy.getLoc(), alloc.getType(),
                                            result,
                                            reshape.getReassociationIndices());
  copy.erase();
  alloc.replaceAllUsesWith(place);
  alloc.erase();
}

namespace {

/// Device programs know the counts of an exchange on the host too.
class HostCounts {
public:
  explicit HostCounts(Value rank) : rank(rank) {}

  /// The host's copy of a buffer of counts, fetched before `op`.
  Value get(Operation *op, Value counts) {
    Value &copy = copies[counts];
    if (!copy) {
      OpBuilder b(op);
      auto type = cast<MemRefType>(counts.getType());
      copy = memref::AllocaOp::create(
          b, op->getLoc(),
          MemRefType::get(type.getShape(), type.getElementType()));
      rt::FetchOp::create(b, op->getLoc(), TypeRange{}, rank,
                          ValueRange{counts}, ValueRange{copy});
    }
    return copy;
  }

private:
  Value rank;
  llvm::DenseMap<Value, Value> copies;
};

struct FormKernelsPass : ::moe::impl::FormKernelsBase<FormKernelsPass> {
  void runOnOperation() override;

private:
  LogicalResult form(func::FuncOp function);
  LogicalResult form(KernelBuilder &kernels, HostCounts &hostCounts,
                     Operation *op);
};

} // namespace

/// The plan of an exchange: which rows go to which rank is the host's, the
/// permutation of the rows the device's.
static LogicalResult formPlan(KernelBuilder &kernels, HostCounts &hostCounts,
                              rt::PlanExchangeOp op) {
  if (failed(formExchangeKernel(kernels, op)))
    return failure();
  OpBuilder b(op);
  Value counts = hostCounts.get(op, op.getInputs()[0]);
  SmallVector<Value> tables;
  for (Value table : op.getOutputs().take_front(2)) {
    auto alloc = table.getDefiningOp<memref::AllocOp>();
    if (!alloc)
      return op->emitError("its tables of ranks are not buffers of their own");
    OpBuilder atAlloc(alloc);
    Value onHost =
        memref::AllocaOp::create(atAlloc, alloc.getLoc(), alloc.getType());
    alloc.replaceAllUsesWith(onHost);
    alloc.erase();
    tables.push_back(onHost);
  }
  rt::PlanExchangeOp::create(b, op.getLoc(), TypeRange{}, op.getRank(),
                             ValueRange{counts}, tables, op.getAxisAttr());
  op->erase();
  return success();
}

LogicalResult FormKernelsPass::form(KernelBuilder &kernels,
                                    HostCounts &hostCounts, Operation *op) {
  if (auto copy = dyn_cast<memref::CopyOp>(op)) {
    OpBuilder b(op);
    auto generic = cast<linalg::LinalgOp>(
        linalg::makeMemRefCopyOp(b, op->getLoc(), copy.getSource(),
                                 copy.getTarget())
            .getOperation());
    op->erase();
    return formLoopKernel(kernels, generic);
  }
  if (auto loop = dyn_cast<linalg::LinalgOp>(op))
    return formLoopKernel(kernels, loop);
  if (auto product = dyn_cast<rt::EinsumOp>(op))
    return formProductKernel(kernels, product);
  if (auto product = dyn_cast<rt::GroupedEinsumOp>(op))
    return formProductKernel(kernels, product);
  if (auto topK = dyn_cast<rt::TopKOp>(op))
    return formTopKKernel(kernels, topK);
  if (auto count = dyn_cast<rt::CountRowsOp>(op))
    return formCountKernel(kernels, count);
  if (auto sort = dyn_cast<rt::SortRowsOp>(op))
    return formSortKernels(kernels, sort);
  if (auto received = dyn_cast<rt::CountReceivedOp>(op)) {
    received.getCountsMutable().set(hostCounts.get(op, received.getCounts()));
    return success();
  }
  if (auto plan = dyn_cast<rt::PlanExchangeOp>(op))
    return formPlan(kernels, hostCounts, plan);
  // Collectives are calls, views and sizes the host's.
  bool buffers = llvm::any_of(op->getOperandTypes(),
                              [](Type type) { return isa<MemRefType>(type); });
  if (!buffers || isa<ViewLikeOpInterface, memref::DimOp>(op) ||
      isa<rt::CollectiveOpInterface, rt::FetchOp, rt::LaunchOp>(op))
    return success();
  if (auto dealloc = dyn_cast<memref::DeallocOp>(op)) {
    dealloc.erase();
    return success();
  }
  return op->emitError("'")
         << op->getName()
         << "' has no kernel; help: compile with --target cpu, or report it";
}

/// Functions that the device has no instruction for, as polynomials.
static LogicalResult expandMath(gpu::GPUModuleOp module) {
  RewritePatternSet patterns(module.getContext());
  populateMathPolynomialApproximationPatterns(
      patterns, [](StringRef name) { return name == "math.exp"; });
  if (failed(applyPatternsGreedily(module, std::move(patterns))))
    return failure();
  // Instructions, where the math dialect would call a library.
  WalkResult result = module.walk([](Operation *op) {
    if (!isa<math::MathDialect>(op->getDialect()))
      return WalkResult::advance();
    OpBuilder b(op);
    StringRef intrinsic = isa<math::FmaOp>(op)     ? "llvm.fma"
                          : isa<math::FloorOp>(op) ? "llvm.floor"
                                                   : "";
    if (intrinsic.empty()) {
      op->emitError("'") << op->getName() << "' of "
                         << op->getResult(0).getType()
                         << " has no device code; help: use f32 or bf16";
      return WalkResult::interrupt();
    }
    Operation *instruction = LLVM::CallIntrinsicOp::create(
        b, op->getLoc(), op->getResult(0).getType(), b.getStringAttr(intrinsic),
        op->getOperands());
    op->replaceAllUsesWith(instruction);
    op->erase();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}

LogicalResult FormKernelsPass::form(func::FuncOp function) {
  if (!llvm::hasSingleElement(function.getBody()))
    return function.emitError("a device program is a single block");
  Block &body = function.getBody().front();
  for (auto copy : llvm::make_early_inc_range(body.getOps<memref::CopyOp>()))
    placeResult(copy);
  OpBuilder b = OpBuilder::atBlockEnd(getOperation().getBody());
  auto module = gpu::GPUModuleOp::create(b, function.getLoc(), "kernels");
  getOperation()->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                          b.getUnitAttr());
  KernelBuilder kernels(module, function.getArgument(0));
  HostCounts hostCounts(function.getArgument(0));
  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator())
    ops.push_back(&op);
  // A fill that its reader takes over is gone when its turn would come, so
  // fills come last.
  llvm::SmallPtrSet<Operation *, 16> fills;
  for (Operation *op : ops)
    if (isa<linalg::FillOp>(op))
      fills.insert(op);
  for (Operation *op : ops)
    if (!fills.contains(op) && failed(form(kernels, hostCounts, op)))
      return failure();
  for (auto fill : llvm::make_early_inc_range(body.getOps<linalg::FillOp>()))
    if (failed(formLoopKernel(kernels, fill)))
      return failure();
  return expandMath(module);
}

void FormKernelsPass::runOnOperation() {
  SmallVector<func::FuncOp> functions;
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function->hasAttr("moert.values"))
      functions.push_back(function);
  if (functions.size() > 1) {
    functions[1].emitError("a device program has one function; help: keep one "
                           "function over placed tensors in the file");
    return signalPassFailure();
  }
  for (func::FuncOp function : functions)
    if (failed(form(function)))
      return signalPassFailure();
}

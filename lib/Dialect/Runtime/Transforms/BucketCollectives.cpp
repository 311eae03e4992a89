//===- BucketCollectives.cpp - One all-reduce of several small ones -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Buckets are filled one member at a time, each time in the program itself: an
// all-reduce with several operands stands for a bucket until all are known. So
// whether a next one depends on a bucket is a question about the program as it
// is, and buckets cannot wait for each other.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Remarks.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

namespace moe::rt {
#define GEN_PASS_DEF_BUCKETCOLLECTIVES
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;
using namespace moe::rt;

namespace {

struct BucketCollectivesPass
    : moe::rt::impl::BucketCollectivesBase<BucketCollectivesPass> {
  using BucketCollectivesBase::BucketCollectivesBase;

  void runOnOperation() override {
    getOperation().walk([&](Block *block) { runOnBlock(*block); });
  }

  LogicalResult initialize(MLIRContext *context) override;

private:
  void runOnBlock(Block &block);

  std::shared_ptr<const moe::spmd::CostModel> model;
};

} // namespace

static RankedTensorType typeOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType());
}

static int64_t bytesOf(AllReduceOp op) {
  int64_t bytes = 0;
  for (Value input : op.getInputs())
    bytes += typeOf(input).getNumElements() *
             ((typeOf(input).getElementTypeBitWidth() + 7) / 8);
  return bytes;
}

static bool isCandidate(AllReduceOp op) {
  auto type = dyn_cast<RankedTensorType>(op.getInputs()[0].getType());
  return type && type.hasStaticShape();
}

/// Whether two all-reduces differ in nothing but their values.
static bool agree(AllReduceOp lhs, AllReduceOp rhs) {
  return lhs.getAxes() == rhs.getAxes() &&
         lhs.getReduction() == rhs.getReduction() &&
         typeOf(lhs.getInputs()[0]).getElementType() ==
             typeOf(rhs.getInputs()[0]).getElementType() &&
         lhs.getGlobalTypesAttr() != nullptr &&
         rhs.getGlobalTypesAttr() != nullptr &&
         moe::spmd::isBackward(lhs.getLoc()) ==
             moe::spmd::isBackward(rhs.getLoc());
}

/// Operations between `from` and `to` that need a result of `from`, in order;
/// nothing if `to` is among them, or one of them may not move.
static std::optional<SmallVector<Operation *>> usersBetween(Operation *from,
                                                            Operation *to) {
  SmallVector<Operation *> users;
  DenseSet<Operation *> dependent{from};
  for (Operation *op = from->getNextNode();; op = op->getNextNode()) {
    bool depends = false;
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (Operation *producer = operand.getDefiningOp())
          depends |= dependent.contains(producer);
    });
    if (op == to)
      return depends ? std::nullopt : std::optional(std::move(users));
    if (!depends)
      continue;
    if (!isMemoryEffectFree(op))
      return std::nullopt;
    dependent.insert(op);
    users.push_back(op);
  }
}

static StringAttr joinSites(AllReduceOp lhs, AllReduceOp rhs) {
  StringAttr left = lhs.getSiteAttr(), right = rhs.getSiteAttr();
  if (!left || !right)
    return left ? left : right;
  return StringAttr::get(lhs.getContext(),
                         left.getValue() + ", " + right.getValue());
}

/// `bucket` and, after it, `next` in one operation, where `next` is.
static AllReduceOp join(AllReduceOp bucket, AllReduceOp next,
                        ArrayRef<Operation *> users) {
  OpBuilder b(next);
  auto both = [](OperandRange lhs, OperandRange rhs) {
    SmallVector<Value> values(lhs);
    llvm::append_range(values, rhs);
    return values;
  };
  SmallVector<Attribute> types(bucket.getGlobalTypesAttr().getValue());
  llvm::append_range(types, next.getGlobalTypesAttr().getValue());
  SmallVector<Value> outputs = both(bucket.getOutputs(), next.getOutputs());
  auto joined = AllReduceOp::create(
      b, b.getFusedLoc({bucket.getLoc(), next.getLoc()}),
      ValueRange(outputs).getTypes(), next.getRank(),
      both(bucket.getInputs(), next.getInputs()), outputs, next.getAxesAttr(),
      joinSites(bucket, next), IntegerAttr(), b.getArrayAttr(types),
      next.getReductionAttr());
  unsigned numBefore = bucket.getNumResults();
  Operation *last = joined;
  for (Operation *user : users) {
    user->moveAfter(last);
    last = user;
  }
  bucket.replaceAllUsesWith(joined.getResults().take_front(numBefore));
  next.replaceAllUsesWith(joined.getResults().drop_front(numBefore));
  bucket.erase();
  next.erase();
  return joined;
}

/// The reassociation that makes one dimension of all.
static SmallVector<ReassociationIndices> flatten(RankedTensorType type) {
  if (type.getRank() == 0)
    return {};
  return {llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()))};
}

/// A bucket becomes one all-reduce of a flat buffer.
static void expand(AllReduceOp bucket) {
  OpBuilder b(bucket);
  Location loc = bucket.getLoc();
  Type element = typeOf(bucket.getInputs()[0]).getElementType();
  int64_t total = 0;
  for (Value input : bucket.getInputs())
    total += typeOf(input).getNumElements();
  OpFoldResult one = b.getIndexAttr(1);
  Value flat = tensor::EmptyOp::create(b, loc, {total}, element);
  Value out = tensor::EmptyOp::create(b, loc, {total}, element);
  int64_t offset = 0;
  for (Value input : bucket.getInputs()) {
    RankedTensorType type = typeOf(input);
    int64_t size = type.getNumElements();
    auto flatType = RankedTensorType::get({size}, element);
    Value part = input;
    if (type.getRank() == 0)
      part =
          tensor::ExpandShapeOp::create(b, loc, flatType, input, flatten(type));
    else if (type.getRank() > 1)
      part = tensor::CollapseShapeOp::create(b, loc, flatType, input,
                                             flatten(type));
    flat = tensor::InsertSliceOp::create(
        b, loc, part, flat, OpFoldResult(b.getIndexAttr(offset)),
        OpFoldResult(b.getIndexAttr(size)), one);
    offset += size;
  }
  auto reduced = AllReduceOp::create(
      b, loc, out.getType(), bucket.getRank(), flat, out, bucket.getAxesAttr(),
      bucket.getSiteAttr(), IntegerAttr(), bucket.getGlobalTypesAttr(),
      bucket.getReductionAttr());
  offset = 0;
  for (auto [input, result] :
       llvm::zip_equal(bucket.getInputs(), bucket.getResults())) {
    RankedTensorType type = typeOf(input);
    int64_t size = type.getNumElements();
    Value part = tensor::ExtractSliceOp::create(
        b, loc, reduced.getResult(0), OpFoldResult(b.getIndexAttr(offset)),
        OpFoldResult(b.getIndexAttr(size)), one);
    if (type.getRank() == 0)
      part = tensor::CollapseShapeOp::create(b, loc, type, part, flatten(type));
    else if (type.getRank() > 1)
      part = tensor::ExpandShapeOp::create(b, loc, type, part, flatten(type));
    result.replaceAllUsesWith(part);
    offset += size;
  }
  llvm::SetVector<Value> outputs(llvm::from_range, bucket.getOutputs());
  bucket.erase();
  for (Value output : outputs)
    if (Operation *empty = output.getDefiningOp();
        empty && isOpTriviallyDead(empty))
      empty->erase();
}

/// Of a bucket that is not yet one operation.
static void emitRemark(AllReduceOp bucket, const moe::spmd::CostModel &model) {
  auto function = bucket->getParentOfType<func::FuncOp>();
  std::optional<int64_t> together = moe::rt::getCost(bucket, model);
  if (!bucket.getContext()->getRemarkEngine() || !function || !together)
    return;
  // A member is what the bucket is with one type alone.
  int64_t alone = 0;
  ArrayAttr types = bucket.getGlobalTypesAttr();
  for (Attribute type : types) {
    bucket.setGlobalTypesAttr(ArrayAttr::get(bucket.getContext(), type));
    alone += *moe::rt::getCost(bucket, model);
  }
  bucket.setGlobalTypesAttr(types);
  auto microseconds = [](int64_t picoseconds) {
    return llvm::formatv("{0:f3}", double(picoseconds) / 1e6).str();
  };
  auto opts = remark::RemarkOpts::name("bucketed")
                  .category("moert-bucket-collectives")
                  .function(function.getName());
  remark::passed(bucket.getLoc(), opts)
      << remark::metric("members", int64_t(types.size()))
      << remark::metric("bytes", bytesOf(bucket))
      << remark::metric("us_before", microseconds(alone))
      << remark::metric("us_after", microseconds(*together));
}

LogicalResult BucketCollectivesPass::initialize(MLIRContext *context) {
  auto loaded = moe::spmd::CostModel::load(costFile);
  if (!loaded)
    return emitError(UnknownLoc::get(context))
           << llvm::toString(loaded.takeError());
  model = std::make_shared<moe::spmd::CostModel>(std::move(*loaded));
  return success();
}

void BucketCollectivesPass::runOnBlock(Block &block) {
  SmallVector<AllReduceOp> candidates, buckets;
  for (auto op : block.getOps<AllReduceOp>())
    if (isCandidate(op) && bytesOf(op) < maxBytes)
      candidates.push_back(op);
  for (AllReduceOp op : candidates) {
    bool joined = false;
    for (AllReduceOp &bucket : buckets) {
      if (!agree(bucket, op) || bytesOf(bucket) + bytesOf(op) > maxBytes)
        continue;
      if (auto users = usersBetween(bucket, op)) {
        bucket = join(bucket, op, *users);
        joined = true;
        break;
      }
    }
    if (!joined)
      buckets.push_back(op);
  }
  for (AllReduceOp bucket : buckets)
    if (bucket.getInputs().size() > 1) {
      emitRemark(bucket, *model);
      expand(bucket);
    }
}

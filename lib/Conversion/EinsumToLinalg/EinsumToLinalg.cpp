//===- EinsumToLinalg.cpp - Products of local values as loops -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "moe/Conversion/Passes.h"
#include "moe/Dialect/Runtime/IR/EinsumTerms.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"

namespace moe {
#define GEN_PASS_DEF_EINSUMTOLINALG
#include "moe/Conversion/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;

static Type elementOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType()).getElementType();
}

/// The type that sums are taken in: the widest of all, f32 at least.
static Type getSumType(ValueRange inputs, Value result) {
  Type sum = Float32Type::get(result.getContext());
  for (Type type :
       {elementOf(inputs[0]), elementOf(inputs.back()), elementOf(result)})
    if (type.getIntOrFloatBitWidth() > sum.getIntOrFloatBitWidth())
      sum = type;
  return sum;
}

static Value widen(OpBuilder &b, Location loc, Value number, Type type) {
  return number.getType() == type
             ? number
             : arith::ExtFOp::create(b, loc, type, number).getResult();
}

/// Storage like `tensor`, of another element type.
static Value emptyLike(OpBuilder &b, Location loc, Value tensor, Type element) {
  return tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, tensor),
                                 element);
}

/// Storage for sums: zeros, where there is something to add to.
static Value zerosLike(OpBuilder &b, Location loc, Value tensor, Type element) {
  Value zero =
      arith::ConstantOp::create(b, loc, b.getZeroAttr(element)).getResult();
  return linalg::FillOp::create(b, loc, zero,
                                emptyLike(b, loc, tensor, element))
      .getResult(0);
}

/// The sum of products, added to `init` where a letter is summed over.
static Value contract(OpBuilder &b, Location loc, ArrayRef<Value> inputs,
                      ArrayRef<StringRef> terms, StringRef result, Value init) {
  std::string letters = result.str();
  for (StringRef term : terms)
    for (char letter : term)
      if (letters.find(letter) == std::string::npos)
        letters += letter;
  SmallVector<StringRef> all(terms);
  all.push_back(result);
  SmallVector<AffineMap> maps;
  for (StringRef term : all) {
    SmallVector<AffineExpr> exprs;
    for (char letter : term)
      exprs.push_back(b.getAffineDimExpr(letters.find(letter)));
    maps.push_back(AffineMap::get(letters.size(), 0, exprs, b.getContext()));
  }
  SmallVector<utils::IteratorType> iterators(letters.size(),
                                             utils::IteratorType::reduction);
  std::fill_n(iterators.begin(), result.size(), utils::IteratorType::parallel);
  bool sums = letters.size() > result.size();
  Type type = elementOf(init);
  return linalg::GenericOp::create(
             b, loc, init.getType(), inputs, init, maps, iterators,
             [&](OpBuilder &inner, Location l, ValueRange args) {
               Value product = widen(inner, l, args[0], type);
               for (Value factor : args.drop_front().drop_back())
                 product = arith::MulFOp::create(inner, l, product,
                                                 widen(inner, l, factor, type));
               if (sums)
                 product =
                     arith::AddFOp::create(inner, l, args.back(), product);
               linalg::YieldOp::create(inner, l, product);
             })
      .getResult(0);
}

/// Sums rounded to the result's type.
static Value narrow(OpBuilder &b, Location loc, Value sums, Value init) {
  Type element = elementOf(init);
  if (elementOf(sums) == element)
    return sums;
  int64_t rank = cast<RankedTensorType>(sums.getType()).getRank();
  AffineMap identity = b.getMultiDimIdentityMap(rank);
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, init.getType(), sums, init, ArrayRef{identity, identity},
             iterators,
             [&](OpBuilder &inner, Location l, ValueRange args) {
               Value number =
                   arith::TruncFOp::create(inner, l, element, args[0]);
               linalg::YieldOp::create(inner, l, number);
             })
      .getResult(0);
}

/// Tensor cores multiply numbers of one type. Where an operand is bf16, and so
/// is the result, another operand that is wider is rounded to bf16 too.
static void narrowOperands(Operation *op) {
  auto product = dyn_cast<rt::EinsumOp>(op);
  if (!product || !elementOf(product.getOutputs()[0]).isBF16())
    return;
  OpBuilder b(op);
  Type bf16 = b.getBF16Type();
  OperandRange inputs = product.getInputs();
  if (!llvm::is_contained(llvm::map_range(inputs, elementOf), bf16))
    return;
  for (OpOperand &input : product.getInputsMutable())
    if (elementOf(input.get()) != bf16)
      input.set(narrow(b, op->getLoc(), input.get(),
                       emptyLike(b, op->getLoc(), input.get(), bf16)));
}

static Value expand(OpBuilder &b, rt::EinsumOp op) {
  Location loc = op.getLoc();
  rt::EinsumTerms terms(op.getEquation());
  Value init = op.getOutputs()[0];
  Value zeros = zerosLike(b, loc, init, getSumType(op.getInputs(), init));
  Value sums = contract(b, loc, SmallVector<Value>(op.getInputs()),
                        terms.operands, terms.result, zeros);
  return narrow(b, loc, sums, init);
}

namespace {

/// An operand or the result of a grouped product: rows, or one matrix per
/// expert.
struct Grouped {
  Value tensor;
  StringRef term;

  bool isWeight() const { return term.starts_with("e"); }
  /// The term of one expert's part.
  StringRef part() const { return isWeight() ? term.drop_front() : term; }
};

struct Slice {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  RankedTensorType type;
};

} // namespace

/// Expert `expert`'s part: its matrix, or `count` rows from `row` on.
static Slice sliceOf(OpBuilder &b, Location loc, const Grouped &operand,
                     Value expert, Value row, Value count) {
  Slice slice;
  slice.sizes = tensor::getMixedSizes(b, loc, operand.tensor);
  slice.offsets.assign(slice.sizes.size(), b.getIndexAttr(0));
  slice.strides.assign(slice.sizes.size(), b.getIndexAttr(1));
  auto type = cast<RankedTensorType>(operand.tensor.getType());
  SmallVector<int64_t> shape(type.getShape());
  if (operand.isWeight()) {
    slice.offsets[0] = expert;
    slice.sizes[0] = b.getIndexAttr(1);
    shape.erase(shape.begin());
  } else {
    slice.offsets[0] = row;
    slice.sizes[0] = count;
    shape[0] = ShapedType::kDynamic;
  }
  slice.type = RankedTensorType::get(shape, type.getElementType());
  return slice;
}

static Value extract(OpBuilder &b, Location loc, const Grouped &operand,
                     const Slice &slice) {
  return tensor::ExtractSliceOp::create(b, loc, slice.type, operand.tensor,
                                        slice.offsets, slice.sizes,
                                        slice.strides);
}

/// One product per local expert, over the rows that are its own.
static Value expand(OpBuilder &b, rt::GroupedEinsumOp op) {
  Location loc = op.getLoc();
  rt::EinsumTerms terms(op.getEquation());
  Grouped lhs{op.getInputs()[0], terms.operands[0]};
  Grouped rhs{op.getInputs()[1], terms.operands[1]};
  Value offsets = op.getInputs()[2];
  Value init = op.getOutputs()[0];
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value zero = index(0), one = index(1);
  Value numOffsets = tensor::DimOp::create(b, loc, offsets, 0);
  Value numExperts = arith::SubIOp::create(b, loc, numOffsets, one);
  auto offsetOf = [&](OpBuilder &inner, Value expert) -> Value {
    Value row = tensor::ExtractOp::create(inner, loc, offsets, expert);
    return arith::IndexCastOp::create(inner, loc, inner.getIndexType(), row);
  };
  // Counts may be wrong: of a program with false claims, or from a file.
  Value rows = tensor::DimOp::create(
      b, loc, lhs.isWeight() ? rhs.tensor : lhs.tensor, 0);
  Value tooMany = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt,
                                        offsetOf(b, numExperts), rows);
  rt::FailIfOp::create(b, loc, op.getRank(), tooMany,
                       "the counts of experts are of more rows than there are");
  Value zeros =
      zerosLike(b, loc, init, getSumType({lhs.tensor, rhs.tensor}, init));
  auto loop = scf::ForOp::create(
      b, loc, zero, numExperts, one, zeros,
      [&](OpBuilder &inner, Location l, Value expert, ValueRange state) {
        Value next = arith::AddIOp::create(inner, l, expert, one);
        Value row = offsetOf(inner, expert);
        Value count =
            arith::SubIOp::create(inner, l, offsetOf(inner, next), row);
        auto part = [&](const Grouped &operand) {
          return extract(inner, l, operand,
                         sliceOf(inner, l, operand, expert, row, count));
        };
        Grouped result{state[0], terms.result};
        Slice to = sliceOf(inner, l, result, expert, row, count);
        Value sums =
            contract(inner, l, {part(lhs), part(rhs)}, {lhs.part(), rhs.part()},
                     result.part(), extract(inner, l, result, to));
        Value whole = tensor::InsertSliceOp::create(
            inner, l, sums, state[0], to.offsets, to.sizes, to.strides);
        scf::YieldOp::create(inner, l, whole);
      });
  return narrow(b, loc, loop.getResult(0), init);
}

namespace {

struct EinsumToLinalgPass
    : ::moe::impl::EinsumToLinalgBase<EinsumToLinalgPass> {
  using EinsumToLinalgBase::EinsumToLinalgBase;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<rt::EinsumOp, rt::GroupedEinsumOp>(op) &&
          op->getNumResults() == 1)
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      auto grouped = dyn_cast<rt::GroupedEinsumOp>(op);
      rt::EinsumTerms terms(op->getAttrOfType<StringAttr>("equation"));
      if (keepProducts && (grouped || terms.isMatrixProduct())) {
        narrowOperands(op);
        continue;
      }
      OpBuilder builder(op);
      Value value = grouped ? expand(builder, grouped)
                            : expand(builder, cast<rt::EinsumOp>(op));
      op->getResult(0).replaceAllUsesWith(value);
      op->erase();
    }
  }
};

} // namespace

//===- Contractions.cpp - einsum and grouped einsum -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Localizing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe;

namespace {

/// `"td,ed->te"`, which the operation's verifier has checked.
struct Terms {
  explicit Terms(StringRef equation) {
    auto [left, right] = equation.split("->");
    left.split(operands, ',');
    result = right;
  }
  SmallVector<StringRef> operands;
  StringRef result;
};

struct EinsumPattern : OpConversionPattern<EinsumOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(EinsumOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    Terms terms(op.getEquation());
    SmallVector<Value> inputs(adaptor.getInputs());
    SmallVector<OpFoldResult> shape;
    for (char letter : terms.result)
      for (auto [input, term] : llvm::zip_equal(inputs, terms.operands))
        if (size_t dim = term.find(letter); dim != StringRef::npos) {
          shape.push_back(local.dim(input, dim));
          break;
        }
    Type element = op.getType().getElementType();
    rewriter.replaceOp(op, local.contract(inputs, terms.operands, terms.result,
                                          local.zeros(shape, element)));
    return success();
  }
};

/// One product per local expert, over the rows that are its own.
struct GroupedEinsumPattern : OpConversionPattern<GroupedEinsumOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(GroupedEinsumOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override;
};

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
static Slice sliceOf(LocalBuilder &local, const Grouped &operand, Value expert,
                     Value row, Value count) {
  OpBuilder &b = local.builder;
  Slice slice;
  slice.sizes = local.shape(operand.tensor);
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

static Value extract(LocalBuilder &local, const Grouped &operand,
                     const Slice &slice) {
  return tensor::ExtractSliceOp::create(local.builder, local.loc, slice.type,
                                        operand.tensor, slice.offsets,
                                        slice.sizes, slice.strides);
}

LogicalResult GroupedEinsumPattern::matchAndRewrite(
    GroupedEinsumOp op, OpAdaptor adaptor,
    ConversionPatternRewriter &rewriter) const {
  LocalBuilder local(rewriter, op);
  Location loc = op.getLoc();
  Terms terms(op.getEquation());
  Grouped lhs{adaptor.getLhs(), terms.operands[0]};
  Grouped rhs{adaptor.getRhs(), terms.operands[1]};

  // Which experts this rank has, and whether rows begin with theirs.
  SmallVector<int32_t> axes;
  bool ragged = false;
  auto look = [&](Value value, StringRef term) {
    auto type = cast<spmd::PlacedTensorType>(value.getType());
    SmallVector<int32_t> cut = getCuttingAxes(type, 0);
    if (cut.empty() || (!term.starts_with("e") && !term.starts_with("n")))
      return;
    axes = cut;
    ragged |= term.starts_with("n");
  };
  look(op.getLhs(), terms.operands[0]);
  look(op.getRhs(), terms.operands[1]);
  if (axes.size() > 1)
    return op.emitError("experts that several axes cut are not compiled yet; "
                        "help: spread them over one axis");
  int64_t numExperts =
      cast<spmd::PlacedTensorType>(op.getCounts().getType()).getDimSize(0);
  LocalRange experts{local.constant(0), local.constant(numExperts)};
  if (!axes.empty()) {
    auto mesh = op.getType().getMesh().getLeafAxes();
    experts = local.chunk(local.constant(numExperts), axes[0],
                          mesh[axes[0]].getSize());
  }

  auto countOf = [&](OpBuilder &b, Value expert) -> Value {
    Value count =
        tensor::ExtractOp::create(b, loc, adaptor.getCounts(), expert);
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), count);
  };
  Value zero = local.constant(0), one = local.constant(1);
  Value firstRow = zero;
  if (!axes.empty() && !ragged)
    firstRow = scf::ForOp::create(
                   rewriter, loc, zero, experts.offset, one, zero,
                   [&](OpBuilder &b, Location l, Value expert, ValueRange sum) {
                     scf::YieldOp::create(
                         b, l,
                         arith::AddIOp::create(b, l, sum[0], countOf(b, expert))
                             .getResult());
                   })
                   .getResult(0);

  SmallVector<OpFoldResult> shape;
  for (char letter : terms.result) {
    if (letter == 'e') {
      shape.push_back(experts.size);
      continue;
    }
    const Grouped &from = lhs.term.contains(letter) ? lhs : rhs;
    shape.push_back(local.dim(from.tensor, from.term.find(letter)));
  }
  auto localType =
      cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
  for (auto [dim, size] : llvm::enumerate(localType.getShape()))
    if (!ShapedType::isDynamic(size))
      shape[dim] = rewriter.getIndexAttr(size);
  Value init = local.zeros(shape, op.getType().getElementType());

  auto loop = scf::ForOp::create(
      rewriter, loc, zero, experts.size, one, ValueRange{init, firstRow},
      [&](OpBuilder &b, Location l, Value expert, ValueRange state) {
        LocalBuilder inner(b, op);
        Value global = arith::AddIOp::create(b, l, expert, experts.offset);
        Value count = countOf(b, global);
        Grouped result{state[0], terms.result};
        Slice to = sliceOf(inner, result, expert, state[1], count);
        Value left =
            extract(inner, lhs, sliceOf(inner, lhs, expert, state[1], count));
        Value right =
            extract(inner, rhs, sliceOf(inner, rhs, expert, state[1], count));
        Value part = inner.contract({left, right}, {lhs.part(), rhs.part()},
                                    result.part(), extract(inner, result, to));
        Value whole = tensor::InsertSliceOp::create(
            b, l, part, state[0], to.offsets, to.sizes, to.strides);
        Value next = arith::AddIOp::create(b, l, state[1], count);
        scf::YieldOp::create(b, l, ValueRange{whole, next});
      });
  rewriter.replaceOp(op, loop.getResult(0));
  return success();
}

void moe::populateContractionLocalizePatterns(
    const LocalTypeConverter &converter, RewritePatternSet &patterns) {
  patterns.add<EinsumPattern, GroupedEinsumPattern>(converter,
                                                    patterns.getContext());
}

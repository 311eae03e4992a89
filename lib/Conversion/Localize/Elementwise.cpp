//===- Elementwise.cpp - Operations on elements and rows ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Localizing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <limits>

using namespace mlir;
using namespace moe;

static Type elementOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType()).getElementType();
}

static Value constantLike(OpBuilder &b, Value value, double number) {
  return arith::ConstantOp::create(b, value.getLoc(),
                                   b.getFloatAttr(value.getType(), number));
}

/// 1 / (1 + exp(-x))
static Value sigmoid(OpBuilder &b, Value x) {
  Location loc = x.getLoc();
  Value one = constantLike(b, x, 1.0);
  Value exp = math::ExpOp::create(b, loc, arith::NegFOp::create(b, loc, x));
  return arith::DivFOp::create(b, loc, one,
                               arith::AddFOp::create(b, loc, one, exp));
}

/// An operation that works on each element alone.
template <typename OpT>
static Value emitElement(OpT op, OpBuilder &b, ValueRange args);

template <>
Value emitElement(AddOp, OpBuilder &b, ValueRange args) {
  return arith::AddFOp::create(b, args[0].getLoc(), args[0], args[1]);
}
template <>
Value emitElement(SubOp, OpBuilder &b, ValueRange args) {
  return arith::SubFOp::create(b, args[0].getLoc(), args[0], args[1]);
}
template <>
Value emitElement(MulOp, OpBuilder &b, ValueRange args) {
  return arith::MulFOp::create(b, args[0].getLoc(), args[0], args[1]);
}
template <>
Value emitElement(DivOp, OpBuilder &b, ValueRange args) {
  return arith::DivFOp::create(b, args[0].getLoc(), args[0], args[1]);
}
template <>
Value emitElement(ScaleOp op, OpBuilder &b, ValueRange args) {
  Value factor = constantLike(b, args[0], op.getFactor().convertToDouble());
  return arith::MulFOp::create(b, args[0].getLoc(), args[0], factor);
}
template <>
Value emitElement(FillLikeOp op, OpBuilder &b, ValueRange args) {
  return constantLike(b, args[0], op.getValue().convertToDouble());
}
template <>
Value emitElement(SigmoidOp, OpBuilder &b, ValueRange args) {
  return sigmoid(b, args[0]);
}
template <>
Value emitElement(SigmoidVjpOp, OpBuilder &b, ValueRange args) {
  Location loc = args[0].getLoc();
  Value y = args[0];
  Value rest = arith::SubFOp::create(b, loc, constantLike(b, y, 1.0), y);
  Value slope = arith::MulFOp::create(b, loc, y, rest);
  return arith::MulFOp::create(b, loc, slope, args[1]);
}
template <>
Value emitElement(SiluOp, OpBuilder &b, ValueRange args) {
  return arith::MulFOp::create(b, args[0].getLoc(), args[0],
                               sigmoid(b, args[0]));
}
template <>
Value emitElement(SiluVjpOp, OpBuilder &b, ValueRange args) {
  Location loc = args[0].getLoc();
  Value x = args[0], s = sigmoid(b, x), one = constantLike(b, x, 1.0);
  Value rest = arith::SubFOp::create(b, loc, one, s);
  Value inner = arith::AddFOp::create(b, loc, one,
                                      arith::MulFOp::create(b, loc, x, rest));
  Value slope = arith::MulFOp::create(b, loc, s, inner);
  return arith::MulFOp::create(b, loc, slope, args[1]);
}

namespace {

template <typename OpT>
struct ElementPattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    SmallVector<Value> inputs(adaptor.getOperands());
    rewriter.replaceOp(op, local.map(inputs, elementOf(inputs[0]),
                                     [&](OpBuilder &b, ValueRange args) {
                                       return emitElement<OpT>(op, b, args);
                                     }));
    return success();
  }
};

/// Rows over the last dimension.
struct Rows {
  explicit Rows(LocalBuilder &local, Value like)
      : local(local), shape(local.shape(like)), element(elementOf(like)),
        compute(getComputeType(element)) {
    for (unsigned i = 0; i < shape.size(); ++i)
      all.push_back(i);
    row.assign(all.begin(), all.end() - 1);
  }

  Value sum(Value input) {
    return local.fold(input, 0, [](OpBuilder &b, ValueRange args) -> Value {
      return arith::AddFOp::create(b, args[0].getLoc(), args[1], args[0]);
    });
  }
  Value max(Value input) {
    constexpr double least = -std::numeric_limits<double>::infinity();
    return local.fold(input, least, [](OpBuilder &b, ValueRange args) -> Value {
      return arith::MaximumFOp::create(b, args[0].getLoc(), args[1], args[0]);
    });
  }
  /// `body` on whole inputs and, after them, on numbers of each row; to numbers
  /// of type `type`.
  Value map(Type type, ArrayRef<Value> whole, ArrayRef<Value> perRow,
            LocalBuilder::Body body) {
    SmallVector<Value> inputs(whole);
    llvm::append_range(inputs, perRow);
    SmallVector<SmallVector<unsigned>> dims(whole.size(), all);
    dims.append(perRow.size(), row);
    return local.broadcast(inputs, dims, shape, type, body);
  }
  Value product(Value lhs, Value rhs) {
    return map(
        compute, {lhs, rhs}, {}, [](OpBuilder &b, ValueRange args) -> Value {
          return arith::MulFOp::create(b, args[0].getLoc(), args[0], args[1]);
        });
  }

  LocalBuilder &local;
  SmallVector<OpFoldResult> shape;
  /// Of the result, and of what is computed on the way.
  Type element, compute;
  SmallVector<unsigned> all, row;
};

} // namespace

static Value divide(OpBuilder &b, ValueRange args) {
  return arith::DivFOp::create(b, args[0].getLoc(), args[0], args[1]);
}

static Value emitRows(SoftmaxOp, Rows &rows, ValueRange args) {
  Value exp = rows.map(rows.compute, {args[0]}, {rows.max(args[0])},
                       [](OpBuilder &b, ValueRange a) -> Value {
                         Location loc = a[0].getLoc();
                         return math::ExpOp::create(
                             b, loc, arith::SubFOp::create(b, loc, a[0], a[1]));
                       });
  return rows.map(rows.element, {exp}, {rows.sum(exp)}, divide);
}

static Value emitRows(SoftmaxVjpOp, Rows &rows, ValueRange args) {
  Value dot = rows.sum(rows.product(args[0], args[1]));
  return rows.map(rows.element, {args[0], args[1]}, {dot},
                  [](OpBuilder &b, ValueRange a) -> Value {
                    Location loc = a[0].getLoc();
                    Value rest = arith::SubFOp::create(b, loc, a[1], a[2]);
                    return arith::MulFOp::create(b, loc, a[0], rest);
                  });
}

/// The sum of each row and torchtitan's 1e-20.
static Value denominator(Rows &rows, Value input) {
  Value sum = rows.sum(input);
  return rows.local.map(
      {sum}, rows.compute, [](OpBuilder &b, ValueRange a) -> Value {
        return arith::AddFOp::create(b, a[0].getLoc(), a[0],
                                     constantLike(b, a[0], 1e-20));
      });
}

static Value emitRows(NormalizeOp, Rows &rows, ValueRange args) {
  return rows.map(rows.element, {args[0]}, {denominator(rows, args[0])},
                  divide);
}

static Value emitRows(NormalizeVjpOp, Rows &rows, ValueRange args) {
  Value dot = rows.sum(rows.product(args[0], args[1]));
  return rows.map(rows.element, {args[1]}, {dot, denominator(rows, args[0])},
                  [](OpBuilder &b, ValueRange a) -> Value {
                    Location loc = a[0].getLoc();
                    Value mean = arith::DivFOp::create(b, loc, a[1], a[2]);
                    Value rest = arith::SubFOp::create(b, loc, a[0], mean);
                    return arith::DivFOp::create(b, loc, rest, a[2]);
                  });
}

namespace {

template <typename OpT>
struct RowsPattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    Rows rows(local, adaptor.getOperands()[0]);
    rewriter.replaceOp(op, emitRows(op, rows, adaptor.getOperands()));
    return success();
  }
};

/// fold and unfold: the data stays where it is.
template <typename OpT>
struct FoldingPattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Value input = adaptor.getInput();
    auto type = cast<RankedTensorType>(
        this->getTypeConverter()->convertType(op.getType()));
    int64_t inputRank = cast<RankedTensorType>(input.getType()).getRank();
    SmallVector<ReassociationIndices> groups{{0, 1}};
    for (int64_t i = 2; i < std::max(inputRank, type.getRank()); ++i)
      groups.push_back({i});
    if (type.getRank() < inputRank) {
      rewriter.replaceOpWithNewOp<tensor::CollapseShapeOp>(op, type, input,
                                                           groups);
      return success();
    }
    LocalBuilder local(rewriter, op);
    // One of batch and sequence is whole; the other is what is left.
    SmallVector<OpFoldResult> sizes;
    for (int64_t size : type.getShape())
      sizes.push_back(rewriter.getIndexAttr(size));
    OpFoldResult tokens = local.dim(input, 0);
    for (int64_t i = 0; i < 2; ++i)
      if (type.isDynamicDim(i))
        sizes[i] =
            arith::DivUIOp::create(rewriter, op.getLoc(), local.toValue(tokens),
                                   local.constant(type.getDimSize(1 - i)))
                .getResult();
    for (int64_t i = 2; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        sizes[i] = local.dim(input, i - 1);
    rewriter.replaceOpWithNewOp<tensor::ExpandShapeOp>(op, type, input, groups,
                                                       sizes);
    return success();
  }
};

} // namespace

void moe::populateElementwiseLocalizePatterns(
    const LocalTypeConverter &converter, RewritePatternSet &patterns) {
  patterns.add<ElementPattern<AddOp>, ElementPattern<SubOp>,
               ElementPattern<MulOp>, ElementPattern<DivOp>,
               ElementPattern<ScaleOp>, ElementPattern<FillLikeOp>,
               ElementPattern<SigmoidOp>, ElementPattern<SigmoidVjpOp>,
               ElementPattern<SiluOp>, ElementPattern<SiluVjpOp>,
               RowsPattern<SoftmaxOp>, RowsPattern<SoftmaxVjpOp>,
               RowsPattern<NormalizeOp>, RowsPattern<NormalizeVjpOp>,
               FoldingPattern<FoldOp>, FoldingPattern<UnfoldOp>>(
      converter, patterns.getContext());
}

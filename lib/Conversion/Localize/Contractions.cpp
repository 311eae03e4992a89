//===- Contractions.cpp - einsum and grouped einsum -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Localizing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "moe/Dialect/Runtime/IR/EinsumTerms.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"

using namespace mlir;
using namespace moe;

namespace {

struct EinsumPattern : OpConversionPattern<EinsumOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(EinsumOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    rt::EinsumTerms terms(op.getEquation());
    SmallVector<OpFoldResult> shape;
    for (char letter : terms.result)
      for (auto [input, term] :
           llvm::zip_equal(adaptor.getInputs(), terms.operands))
        if (size_t dim = term.find(letter); dim != StringRef::npos) {
          shape.push_back(local.dim(input, dim));
          break;
        }
    Value init = local.empty(shape, op.getType().getElementType());
    rewriter.replaceOpWithNewOp<rt::EinsumOp>(
        op, TypeRange{init.getType()}, local.rank, adaptor.getInputs(),
        ValueRange{init}, op.getEquationAttr());
    return success();
  }
};

struct GroupedEinsumPattern : OpConversionPattern<GroupedEinsumOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(GroupedEinsumOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override;
};

/// Which experts a rank has, and whether its rows begin with theirs.
struct LocalExperts {
  LocalRange range;
  bool ragged = false;
};

} // namespace

static FailureOr<LocalExperts> findExperts(LocalBuilder &local,
                                           GroupedEinsumOp op,
                                           const rt::EinsumTerms &terms) {
  SmallVector<int32_t> axes;
  LocalExperts experts;
  auto look = [&](Value value, StringRef term) {
    auto type = cast<spmd::PlacedTensorType>(value.getType());
    SmallVector<int32_t> cut = getCuttingAxes(type, 0);
    // Rows that are cut by part are a part's.
    if (term.starts_with("n"))
      llvm::erase_if(cut, [&](int32_t axis) {
        return !type.getPlacements()[axis].isRagged();
      });
    if (cut.empty() || (!term.starts_with("e") && !term.starts_with("n")))
      return;
    axes = cut;
    experts.ragged |= term.starts_with("n");
  };
  look(op.getLhs(), terms.operands[0]);
  look(op.getRhs(), terms.operands[1]);
  if (axes.size() > 1)
    return op.emitError("experts that several axes cut are not compiled yet; "
                        "help: spread them over one axis");
  int64_t numExperts = op.getCounts().getType().getShape().back();
  experts.range = {local.constant(0), local.constant(numExperts)};
  if (!axes.empty()) {
    auto mesh = op.getType().getMesh().getLeafAxes();
    experts.range = local.chunk(local.constant(numExperts), axes[0],
                                mesh[axes[0]].getSize());
  }
  return experts;
}

/// Where the rows of each local expert begin, and where the last ones end:
/// offsets[i] is the sum of the counts before expert i. Ragged rows begin with
/// those of the first local expert.
static Value buildOffsets(LocalBuilder &local, const LocalExperts &experts,
                          OpFoldResult numOffsets, Value counts) {
  OpBuilder &b = local.builder;
  Location loc = local.loc;
  Type i64 = b.getI64Type();
  Value first = experts.range.offset;
  MLIRContext *context = b.getContext();
  AffineMap perOffset = AffineMap::get(2, 0, b.getAffineDimExpr(0), context);
  AffineMap perExpert = AffineMap::get(2, 0, b.getAffineDimExpr(1), context);
  Value init = local.zeros(numOffsets, i64);
  return linalg::GenericOp::create(
             b, loc, init.getType(), counts, init,
             ArrayRef{perExpert, perOffset},
             ArrayRef{utils::IteratorType::parallel,
                      utils::IteratorType::reduction},
             [&](OpBuilder &inner, Location l, ValueRange args) {
               Value expert = linalg::IndexOp::create(inner, l, 1);
               Value end = arith::AddIOp::create(
                   inner, l, linalg::IndexOp::create(inner, l, 0), first);
               Value counted = arith::CmpIOp::create(
                   inner, l, arith::CmpIPredicate::ult, expert, end);
               if (experts.ragged)
                 counted = arith::AndIOp::create(
                     inner, l, counted,
                     arith::CmpIOp::create(inner, l, arith::CmpIPredicate::uge,
                                           expert, first));
               Value count = arith::ExtUIOp::create(inner, l, i64, args[0]);
               Value sum = arith::AddIOp::create(inner, l, args[1], count);
               Value next =
                   arith::SelectOp::create(inner, l, counted, sum, args[1]);
               linalg::YieldOp::create(inner, l, next);
             })
      .getResult(0);
}

LogicalResult GroupedEinsumPattern::matchAndRewrite(
    GroupedEinsumOp op, OpAdaptor adaptor,
    ConversionPatternRewriter &rewriter) const {
  LocalBuilder local(rewriter, op);
  rt::EinsumTerms terms(op.getEquation());
  FailureOr<LocalExperts> experts = findExperts(local, op, terms);
  if (failed(experts))
    return failure();

  // Sizes of the result, static where its local type says so.
  auto localType =
      cast<RankedTensorType>(getTypeConverter()->convertType(op.getType()));
  SmallVector<OpFoldResult> shape;
  for (auto [letter, size] :
       llvm::zip_equal(terms.result, localType.getShape())) {
    if (!ShapedType::isDynamic(size))
      shape.push_back(rewriter.getIndexAttr(size));
    else if (letter == 'e')
      shape.push_back(experts->range.size);
    else if (size_t dim = terms.operands[0].find(letter);
             dim != StringRef::npos)
      shape.push_back(local.dim(adaptor.getLhs(), dim));
    else
      shape.push_back(
          local.dim(adaptor.getRhs(), terms.operands[1].find(letter)));
  }
  Value init = local.empty(shape, op.getType().getElementType());

  Value last = rewriter.createOrFold<arith::AddIOp>(
      op.getLoc(), experts->range.size, local.constant(1));
  OpFoldResult numOffsets = getAsOpFoldResult(last);
  Value counts = adaptor.getCounts();
  auto countsType = cast<RankedTensorType>(counts.getType());
  if (countsType.getRank() == 2) {
    if (countsType.getDimSize(0) != 1)
      return op.emitError("ranks that have several parts of the tokens are not "
                          "compiled yet; help: cut the rows and counts over as "
                          "many ranks as there are parts");
    counts = tensor::CollapseShapeOp::create(
        rewriter, op.getLoc(),
        RankedTensorType::get(countsType.getDimSize(1),
                              countsType.getElementType()),
        counts, ArrayRef<ReassociationIndices>{{0, 1}});
  }
  Value offsets = buildOffsets(local, *experts, numOffsets, counts);
  rewriter.replaceOpWithNewOp<rt::GroupedEinsumOp>(
      op, TypeRange{init.getType()}, local.rank,
      ValueRange{adaptor.getLhs(), adaptor.getRhs(), offsets}, ValueRange{init},
      op.getEquationAttr());
  return success();
}

void moe::populateContractionLocalizePatterns(
    const LocalTypeConverter &converter, RewritePatternSet &patterns) {
  patterns.add<EinsumPattern, GroupedEinsumPattern>(converter,
                                                    patterns.getContext());
}

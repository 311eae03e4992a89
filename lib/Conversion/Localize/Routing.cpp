//===- Routing.cpp - Experts of tokens, and their rows --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Rows of tokens that are whole on each rank are gathered where they are. Those
// of tokens that are cut go to the ranks of their experts: each rank sorts its
// rows by expert, all learn everybody's counts, rows travel, and what arrives
// sorted by (rank, expert) is sorted by (expert, rank), which is (expert,
// token).
//
//===----------------------------------------------------------------------===//

#include "Localizing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"

using namespace mlir;
using namespace moe;

static Type elementOf(Value tensor) {
  return cast<RankedTensorType>(tensor.getType()).getElementType();
}

/// The number at `indices`, in the type that is computed in.
static Value extractAt(OpBuilder &b, Location loc, Value tensor,
                       ValueRange indices) {
  Value number = tensor::ExtractOp::create(b, loc, tensor, indices);
  return convertNumber(b, number, getComputeType(number.getType()));
}

static Value toIndex(OpBuilder &b, Value number) {
  return arith::IndexCastOp::create(b, number.getLoc(), b.getIndexType(),
                                    number);
}

static Value iterate(OpBuilder &b, Location loc, unsigned dim) {
  return linalg::IndexOp::create(b, loc, dim);
}

/// Fills a tensor by index; `body` may use `linalg.index`.
static Value generate(LocalBuilder &local, ArrayRef<OpFoldResult> shape,
                      Type element, function_ref<Value(OpBuilder &)> body) {
  return local.broadcast({}, {}, shape, element,
                         [&](OpBuilder &b, ValueRange) { return body(b); });
}

/// Sums over one more dimension of `extent`: `body` gets the sum so far.
static Value accumulate(LocalBuilder &local, ArrayRef<OpFoldResult> shape,
                        OpFoldResult extent, Type element,
                        function_ref<Value(OpBuilder &, Value)> body) {
  OpBuilder &b = local.builder;
  unsigned rank = shape.size();
  SmallVector<AffineExpr> exprs;
  for (unsigned i = 0; i < rank; ++i)
    exprs.push_back(b.getAffineDimExpr(i));
  // The extent has to come from an operand.
  Value counter = local.empty(extent, b.getI1Type());
  AffineMap last =
      AffineMap::get(rank + 1, 0, b.getAffineDimExpr(rank), b.getContext());
  AffineMap result = AffineMap::get(rank + 1, 0, exprs, b.getContext());
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  Value init = local.zeros(shape, getComputeType(element));
  Value sum = linalg::GenericOp::create(
                  b, local.loc, init.getType(), counter, init,
                  ArrayRef{last, result}, iterators,
                  [&](OpBuilder &inner, Location l, ValueRange args) {
                    linalg::YieldOp::create(inner, l, body(inner, args.back()));
                  })
                  .getResult(0);
  if (elementOf(sum) == element)
    return sum;
  return local.map({sum}, element,
                   [](OpBuilder &, ValueRange args) { return args[0]; });
}

namespace {

struct TopKPattern : OpConversionPattern<TopKOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(TopKOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    SmallVector<Value> inputs{adaptor.getScores()};
    if (adaptor.getBias())
      inputs.push_back(adaptor.getBias());
    SmallVector<OpFoldResult> shape{
        local.dim(adaptor.getScores(), 0),
        rewriter.getIndexAttr(op.getType().getDimSize(1))};
    Value init = local.empty(shape, op.getType().getElementType());
    rewriter.replaceOpWithNewOp<rt::TopKOp>(
        op, TypeRange{init.getType()}, local.rank, inputs, ValueRange{init},
        op.getGroupsAttr(), op.getLimitedGroupsAttr());
    return success();
  }
};

struct GatherPattern : OpConversionPattern<GatherOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(GatherOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    Value scores = adaptor.getScores();
    rewriter.replaceOp(op,
                       local.map({adaptor.getExperts()}, elementOf(scores),
                                 [&](OpBuilder &b, ValueRange args) {
                                   return extractAt(b, local.loc, scores,
                                                    {iterate(b, local.loc, 0),
                                                     toIndex(b, args[0])});
                                 }));
    return success();
  }
};

struct ScatterPattern : OpConversionPattern<ScatterOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(ScatterOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    Location loc = op.getLoc();
    Value chosen = adaptor.getChosen(), experts = adaptor.getExperts();
    SmallVector<OpFoldResult> shape{
        local.dim(experts, 0),
        rewriter.getIndexAttr(op.getType().getDimSize(1))};
    rewriter.replaceOp(
        op,
        accumulate(local, shape, local.dim(experts, 1), elementOf(chosen),
                   [&](OpBuilder &b, Value sum) -> Value {
                     Value at[] = {iterate(b, loc, 0), iterate(b, loc, 2)};
                     Value expert = toIndex(b, extractAt(b, loc, experts, at));
                     Value mine =
                         arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                               expert, iterate(b, loc, 1));
                     Value more = arith::AddFOp::create(
                         b, loc, sum, extractAt(b, loc, chosen, at));
                     return arith::SelectOp::create(b, loc, mine, more, sum);
                   }));
    return success();
  }
};

} // namespace

/// Rows of each expert among `experts` [T, K].
static Value countRows(LocalBuilder &local, Value experts, int64_t numExperts) {
  OpBuilder &b = local.builder;
  Value init =
      local.empty(OpFoldResult(b.getIndexAttr(numExperts)), b.getI32Type());
  return rt::CountRowsOp::create(b, local.loc, TypeRange{init.getType()},
                                 local.rank, ValueRange{experts},
                                 ValueRange{init})
      .getResult(0);
}

/// Counts [E] of a rank's one part, as [1, E] where the type has parts.
static Value withParts(LocalBuilder &local, Value counts,
                       spmd::PlacedTensorType type) {
  if (type.getRank() == 1)
    return counts;
  auto shape = RankedTensorType::get({1, type.getDimSize(1)},
                                     local.builder.getI32Type());
  return tensor::ExpandShapeOp::create(local.builder, local.loc, shape, counts,
                                       ArrayRef<ReassociationIndices>{{0, 1}});
}

/// The axes whose ranks share one part of the tokens that `type` numbers the
/// experts of. Reports ranks with several parts: their rows would have runs of
/// their own.
static FailureOr<SmallVector<int32_t>>
getSharedAxes(Operation *op, spmd::PlacedTensorType type, int64_t parts) {
  SmallVector<int32_t> axes;
  int64_t left = parts;
  for (int32_t axis : getCuttingAxes(type, 0)) {
    PartsCut cut = getPartsCut(type, parts, axis);
    if (cut == PartsCut::Within)
      axes.push_back(axis);
    else if (cut == PartsCut::Apart)
      left /= type.getMesh().getLeafAxes()[axis].getSize();
  }
  if (left == 1)
    return axes;
  return op->emitError("ranks that have ")
         << left
         << " parts of the tokens are not compiled yet; help: cut the tokens "
            "over "
         << left << " times as many ranks, or into fewer parts";
}

namespace {

struct CountPattern : OpConversionPattern<CountOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(CountOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    if (failed(getSharedAxes(op, op.getExperts().getType(), op.getParts())))
      return failure();
    Value counts =
        countRows(local, adaptor.getExperts(), op.getType().getShape().back());
    rewriter.replaceOp(op, withParts(local, counts, op.getType()));
    return success();
  }
};

/// How the rows of some expert numbers are ordered, here and over the ranks.
struct RowTables {
  /// For each local row its entry t * K + k, and the reverse.
  Value order, rows;
  /// The axis that cuts the tokens; -1 where they are whole.
  int32_t axis = -1;
  /// With an axis: rows to and from each rank, and for each row of this rank's
  /// experts where it arrived, and the reverse.
  Value send, receive, arrival, departure;
};

} // namespace

/// Dimension 0 is cut over `axis`.
static SmallVector<spmd::Placement> cutOver(spmd::MeshAttr mesh, int32_t axis) {
  SmallVector<spmd::Placement> placements(mesh.getLeafAxes().size(),
                                          spmd::Placement::replicate());
  placements[axis] = spmd::Placement::shard(0);
  return placements;
}

/// Everybody's counts [ranks, E] over `axis`, from this rank's [E] or [1, E].
static Value gatherCounts(LocalBuilder &local, Value counts,
                          spmd::MeshAttr mesh, int32_t axis) {
  OpBuilder &b = local.builder;
  int64_t ranks = mesh.getLeafAxes()[axis].getSize();
  auto localType = cast<RankedTensorType>(counts.getType());
  int64_t numExperts = localType.getShape().back();
  Value mine = counts;
  if (localType.getRank() == 1)
    mine = tensor::ExpandShapeOp::create(
        b, local.loc, RankedTensorType::get({1, numExperts}, b.getI32Type()),
        counts, ArrayRef<ReassociationIndices>{{0, 1}});
  Value everybody = local.empty(
      {b.getIndexAttr(ranks), b.getIndexAttr(numExperts)}, b.getI32Type());
  auto type = spmd::PlacedTensorType::get({ranks, numExperts}, b.getI32Type(),
                                          mesh, cutOver(mesh, axis));
  return rt::AllGatherOp::create(
             b, local.loc, TypeRange{everybody.getType()}, local.rank,
             ValueRange{mine}, ValueRange{everybody},
             b.getDenseI32ArrayAttr(axis), StringAttr(), IntegerAttr(),
             b.getTypeArrayAttr(Type(type)), b.getI64IntegerAttr(0))
      .getResult(0);
}

static FailureOr<RowTables> buildTables(LocalBuilder &local, Operation *op,
                                        spmd::PlacedTensorType type,
                                        Value experts, int64_t numExperts,
                                        int64_t parts) {
  OpBuilder &b = local.builder;
  Location loc = local.loc;
  Type i64 = b.getI64Type();
  RowTables tables;
  Value k = local.toValue(local.dim(experts, 1));
  Value entries =
      arith::MulIOp::create(b, loc, local.toValue(local.dim(experts, 0)), k);
  auto localType = cast<RankedTensorType>(experts.getType());
  SmallVector<OpFoldResult> numRows{entries};
  if (localType.hasStaticShape())
    numRows[0] = b.getIndexAttr(localType.getNumElements());
  Value init = local.empty(numRows, i64);
  auto sorted = rt::SortRowsOp::create(
      b, loc, TypeRange{init.getType(), init.getType()}, local.rank,
      ValueRange{experts}, ValueRange{init, init},
      b.getI64IntegerAttr(numExperts));
  tables.order = sorted.getResult(0);
  tables.rows = sorted.getResult(1);

  FailureOr<SmallVector<int32_t>> shared = getSharedAxes(op, type, parts);
  if (failed(shared))
    return failure();
  ArrayRef<int32_t> axes = *shared;
  if (axes.empty())
    return tables;
  if (axes.size() > 1)
    return op->emitError("rows that several axes exchange are not compiled "
                         "yet; help: cut one part of the tokens over one axis");
  tables.axis = axes[0];
  int64_t ranks = type.getMesh().getLeafAxes()[axes[0]].getSize();
  Value everybody = gatherCounts(local, countRows(local, experts, numExperts),
                                 type.getMesh(), tables.axis);
  auto axis = b.getI32IntegerAttr(tables.axis);
  // All rows of the group may come here.
  int64_t maxRows = type.getDimSize(0) / parts * type.getDimSize(1);
  Value received = rt::CountReceivedOp::create(b, loc, b.getIndexType(),
                                               local.rank, everybody, axis,
                                               b.getI64IntegerAttr(maxRows));
  Value perRank = local.empty({b.getIndexAttr(ranks)}, i64);
  Value perRow = local.empty({OpFoldResult(received)}, i64);
  auto plan = rt::PlanExchangeOp::create(
      b, loc,
      TypeRange{perRank.getType(), perRank.getType(), perRow.getType(),
                perRow.getType()},
      local.rank, ValueRange{everybody},
      ValueRange{perRank, perRank, perRow, perRow}, axis);
  tables.send = plan.getResult(0);
  tables.receive = plan.getResult(1);
  tables.arrival = plan.getResult(2);
  tables.departure = plan.getResult(3);
  return tables;
}

namespace {

/// The sum of counts over the ranks that have the tokens. The exchange of rows
/// gathers everybody's counts anyway: their sum costs nothing more.
struct CountSumPattern : OpConversionPattern<spmd::RedistributeOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(spmd::RedistributeOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto count = op.getInput().getDefiningOp<CountOp>();
    if (!count)
      return failure();
    auto experts = cast<spmd::PlacedTensorType>(count.getExperts().getType());
    FailureOr<SmallVector<int32_t>> axes =
        getSharedAxes(op, experts, count.getParts());
    auto from = cast<spmd::PlacedTensorType>(op.getInput().getType());
    SmallVector<spmd::Placement> placements(from.getPlacements());
    if (failed(axes) || axes->size() != 1 ||
        placements[axes->front()] != spmd::Placement::partial())
      return failure();
    placements[axes->front()] = spmd::Placement::replicate();
    if (op.getType() != from.withPlacements(placements))
      return failure();
    LocalBuilder local(rewriter, op);
    Value everybody = gatherCounts(local, adaptor.getInput(), experts.getMesh(),
                                   axes->front());
    MLIRContext *context = getContext();
    AffineMap perCount =
        AffineMap::getPermutationMap(ArrayRef<unsigned>{1, 0}, context);
    AffineMap perExpert =
        AffineMap::get(2, 0, rewriter.getAffineDimExpr(0), context);
    Value zeros =
        local.zeros(OpFoldResult(rewriter.getIndexAttr(from.getShape().back())),
                    rewriter.getI32Type());
    auto counts = linalg::GenericOp::create(
        rewriter, op.getLoc(), zeros.getType(), everybody, zeros,
        ArrayRef{perCount, perExpert},
        ArrayRef{utils::IteratorType::parallel, utils::IteratorType::reduction},
        [](OpBuilder &b, Location loc, ValueRange args) {
          Value sum = arith::AddIOp::create(b, loc, args[1], args[0]);
          linalg::YieldOp::create(b, loc, sum);
        });
    rewriter.replaceOp(op, withParts(local, counts.getResult(0), from));
    return success();
  }
};

} // namespace

/// out[i, ...] = rows[table[i], ...]
static Value reorder(LocalBuilder &local, Value rows, Value table) {
  Location loc = local.loc;
  SmallVector<OpFoldResult> shape = local.shape(rows);
  shape[0] = local.dim(table, 0);
  return generate(local, shape, elementOf(rows), [&](OpBuilder &b) {
    SmallVector<Value> at;
    for (unsigned i = 0; i < shape.size(); ++i)
      at.push_back(iterate(b, loc, i));
    at[0] = toIndex(b, extractAt(b, loc, table, at[0]));
    return extractAt(b, loc, rows, at);
  });
}

/// Sends rows to where they belong; they are parts of `type`.
static Value exchange(LocalBuilder &local, Value rows, Value send,
                      Value receive, OpFoldResult numRows, int32_t axis,
                      Type type) {
  OpBuilder &b = local.builder;
  SmallVector<OpFoldResult> shape = local.shape(rows);
  shape[0] = numRows;
  Value init = local.empty(shape, elementOf(rows));
  return rt::AllToAllOp::create(b, local.loc, TypeRange{init.getType()},
                                local.rank, ValueRange{rows, send, receive},
                                ValueRange{init}, b.getDenseI32ArrayAttr(axis),
                                StringAttr(), IntegerAttr(),
                                b.getTypeArrayAttr(type))
      .getResult(0);
}

namespace {

/// Entries of tokens to rows: dispatch and permute.
template <typename OpT>
struct ToRowsPattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    Location loc = op.getLoc();
    auto tables = buildTables(
        local, op, cast<spmd::PlacedTensorType>(op.getExperts().getType()),
        adaptor.getExperts(), op.getNumExperts(), op.getParts());
    if (failed(tables))
      return failure();
    Value input = adaptor.getInput();
    constexpr bool perEntry = std::is_same_v<OpT, PermuteOp>;
    SmallVector<OpFoldResult> shape{local.dim(tables->order, 0)};
    if (!perEntry)
      shape.push_back(local.dim(input, 1));
    Value k = local.toValue(local.dim(adaptor.getExperts(), 1));
    Value rows =
        generate(local, shape, elementOf(input), [&](OpBuilder &b) -> Value {
          Value entry =
              toIndex(b, extractAt(b, loc, tables->order, iterate(b, loc, 0)));
          Value token = arith::DivUIOp::create(b, loc, entry, k);
          Value column =
              perEntry ? arith::RemUIOp::create(b, loc, entry, k).getResult()
                       : iterate(b, loc, 1);
          return extractAt(b, loc, input, {token, column});
        });
    if (tables->axis >= 0) {
      // Not yet with the experts, but still with the tokens.
      auto type = cast<spmd::PlacedTensorType>(op.getType());
      rows =
          exchange(local, rows, tables->send, tables->receive,
                   local.dim(tables->arrival, 0), tables->axis,
                   type.withPlacements(cutOver(type.getMesh(), tables->axis)));
      rows = reorder(local, rows, tables->arrival);
    }
    rewriter.replaceOp(op, rows);
    return success();
  }
};

/// Rows back to tokens: combine and unpermute.
template <typename OpT>
struct FromRowsPattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    Location loc = op.getLoc();
    auto tables = buildTables(
        local, op, cast<spmd::PlacedTensorType>(op.getExperts().getType()),
        adaptor.getExperts(), op.getNumExperts(), op.getParts());
    if (failed(tables))
      return failure();
    Value rows = adaptor.getInput();
    if (tables->axis >= 0) {
      rows = reorder(local, rows, tables->departure);
      rows = exchange(local, rows, tables->receive, tables->send,
                      local.dim(tables->order, 0), tables->axis,
                      op.getInput().getType());
    }
    Value experts = adaptor.getExperts();
    OpFoldResult numTokens = local.dim(experts, 0), k = local.dim(experts, 1);
    Value kValue = local.toValue(k);
    auto rowOf = [&](OpBuilder &b, Value token, Value slot) -> Value {
      Value entry = arith::MulIOp::create(b, loc, token, kValue);
      entry = arith::AddIOp::create(b, loc, entry, slot);
      return toIndex(b, extractAt(b, loc, tables->rows, entry));
    };
    Type element = elementOf(rows);
    if constexpr (std::is_same_v<OpT, UnpermuteOp>) {
      rewriter.replaceOp(
          op, generate(local, {numTokens, k}, element, [&](OpBuilder &b) {
            Value row = rowOf(b, iterate(b, loc, 0), iterate(b, loc, 1));
            return extractAt(b, loc, rows, row);
          }));
    } else {
      rewriter.replaceOp(
          op, accumulate(local, {numTokens, local.dim(rows, 1)}, k, element,
                         [&](OpBuilder &b, Value sum) -> Value {
                           Value row =
                               rowOf(b, iterate(b, loc, 0), iterate(b, loc, 2));
                           Value term = extractAt(b, loc, rows,
                                                  {row, iterate(b, loc, 1)});
                           return arith::AddFOp::create(b, loc, sum, term);
                         }));
    }
    return success();
  }
};

} // namespace

void moe::populateRoutingLocalizePatterns(const LocalTypeConverter &converter,
                                          RewritePatternSet &patterns) {
  patterns.add<TopKPattern, GatherPattern, ScatterPattern, CountPattern,
               ToRowsPattern<DispatchOp>, ToRowsPattern<PermuteOp>,
               FromRowsPattern<CombineOp>, FromRowsPattern<UnpermuteOp>>(
      converter, patterns.getContext());
  patterns.add<CountSumPattern>(converter, patterns.getContext(),
                                /*benefit=*/2);
}

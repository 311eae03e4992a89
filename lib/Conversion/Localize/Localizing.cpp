//===- Localizing.cpp - Local types and values ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Localizing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

SmallVector<int32_t> moe::getCuttingAxes(PlacedTensorType type, int64_t dim) {
  SmallVector<int32_t> axes;
  for (auto [i, axis] : llvm::enumerate(type.getMesh().getLeafAxes())) {
    Placement placement = type.getPlacements()[i];
    if (axis.getSize() > 1 && placement.isCut() && placement.dim == dim)
      axes.push_back(i);
  }
  return axes;
}

RankedTensorType moe::getLocalType(PlacedTensorType type) {
  SmallVector<int64_t> shape(type.getShape());
  auto axes = type.getMesh().getLeafAxes();
  for (auto [dim, size] : llvm::enumerate(shape))
    for (int32_t axis : getCuttingAxes(type, dim)) {
      bool ragged = type.getPlacements()[axis].isRagged();
      if (ragged || ShapedType::isDynamic(size) || size % axes[axis].getSize())
        size = ShapedType::kDynamic;
      else
        size /= axes[axis].getSize();
    }
  return RankedTensorType::get(shape, type.getElementType());
}

Type moe::getComputeType(Type element) {
  auto type = dyn_cast<FloatType>(element);
  return type && type.getWidth() < 32 ? Float32Type::get(type.getContext())
                                      : element;
}

Value moe::convertNumber(OpBuilder &builder, Value value, Type type) {
  auto from = dyn_cast<FloatType>(value.getType());
  auto to = dyn_cast<FloatType>(type);
  if (!from || !to || from == to)
    return value;
  if (from.getWidth() < to.getWidth())
    return arith::ExtFOp::create(builder, value.getLoc(), to, value);
  return arith::TruncFOp::create(builder, value.getLoc(), to, value);
}

LocalTypeConverter::LocalTypeConverter() {
  addConversion([](Type type) { return type; });
  addConversion(
      [](PlacedTensorType type) -> Type { return getLocalType(type); });
}

LocalBuilder::LocalBuilder(OpBuilder &builder, Operation *op)
    : builder(builder), loc(op->getLoc()),
      rank(op->getParentOfType<func::FuncOp>().getArgument(0)) {}

Value LocalBuilder::constant(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value LocalBuilder::index(int32_t axis) {
  return rt::AxisIndexOp::create(builder, loc, builder.getIndexType(), rank,
                                 builder.getI32IntegerAttr(axis));
}

OpFoldResult LocalBuilder::dim(Value tensor, int64_t dim) {
  return tensor::getMixedSize(builder, loc, tensor, dim);
}

SmallVector<OpFoldResult> LocalBuilder::shape(Value tensor) {
  return tensor::getMixedSizes(builder, loc, tensor);
}

Value LocalBuilder::toValue(OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(builder, loc, size);
}

LocalRange LocalBuilder::chunk(Value size, int32_t axis, int64_t ranks) {
  Value parts = constant(ranks);
  Value most = arith::CeilDivUIOp::create(builder, loc, size, parts);
  Value begin = arith::MulIOp::create(builder, loc, index(axis), most);
  begin = arith::MinUIOp::create(builder, loc, begin, size);
  Value rest = arith::SubIOp::create(builder, loc, size, begin);
  return {begin, arith::MinUIOp::create(builder, loc, most, rest)};
}

Value LocalBuilder::empty(ArrayRef<OpFoldResult> shape, Type element) {
  return tensor::EmptyOp::create(builder, loc, shape, element);
}

Value LocalBuilder::number(Type type, double value) {
  TypedAttr attr;
  if (isa<FloatType>(type))
    attr = builder.getFloatAttr(type, value);
  else
    attr = builder.getIntegerAttr(type, static_cast<int64_t>(value));
  return arith::ConstantOp::create(builder, loc, attr);
}

Value LocalBuilder::zeros(ArrayRef<OpFoldResult> shape, Type element) {
  return linalg::FillOp::create(builder, loc, number(element, 0),
                                empty(shape, element))
      .getResult(0);
}

Value LocalBuilder::broadcast(ArrayRef<Value> inputs,
                              ArrayRef<SmallVector<unsigned>> dims,
                              ArrayRef<OpFoldResult> shape, Type element,
                              Body body) {
  SmallVector<AffineMap> maps;
  for (ArrayRef<unsigned> list : dims) {
    SmallVector<AffineExpr> exprs;
    for (unsigned dim : list)
      exprs.push_back(builder.getAffineDimExpr(dim));
    maps.push_back(
        AffineMap::get(shape.size(), 0, exprs, builder.getContext()));
  }
  maps.push_back(builder.getMultiDimIdentityMap(shape.size()));
  SmallVector<utils::IteratorType> iterators(shape.size(),
                                             utils::IteratorType::parallel);
  Value init = empty(shape, element);
  return linalg::GenericOp::create(
             builder, loc, init.getType(), inputs, init, maps, iterators,
             [&](OpBuilder &b, Location l, ValueRange args) {
               SmallVector<Value> numbers;
               for (Value arg : args.drop_back())
                 numbers.push_back(
                     convertNumber(b, arg, getComputeType(arg.getType())));
               Value result = convertNumber(b, body(b, numbers), element);
               linalg::YieldOp::create(b, l, result);
             })
      .getResult(0);
}

Value LocalBuilder::map(ArrayRef<Value> inputs, Type element, Body body) {
  int64_t rank = cast<RankedTensorType>(inputs[0].getType()).getRank();
  SmallVector<unsigned> identity(rank);
  std::iota(identity.begin(), identity.end(), 0u);
  SmallVector<SmallVector<unsigned>> dims(inputs.size(), identity);
  return broadcast(inputs, dims, shape(inputs[0]), element, body);
}

Value LocalBuilder::fold(Value input, double start, Body body) {
  auto type = cast<RankedTensorType>(input.getType());
  Type compute = getComputeType(type.getElementType());
  unsigned rank = type.getRank();
  SmallVector<OpFoldResult> kept = shape(input);
  kept.pop_back();
  Value init = linalg::FillOp::create(builder, loc, number(compute, start),
                                      empty(kept, compute))
                   .getResult(0);
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  SmallVector<utils::IteratorType> iterators(rank - 1,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             builder, loc, init.getType(), input, init,
             ArrayRef{identity, identity.dropResult(rank - 1)}, iterators,
             [&](OpBuilder &b, Location l, ValueRange args) {
               Value element = convertNumber(b, args[0], compute);
               linalg::YieldOp::create(b, l, body(b, {element, args[1]}));
             })
      .getResult(0);
}

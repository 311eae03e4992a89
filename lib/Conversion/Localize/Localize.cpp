//===- Localize.cpp - From a global function to one rank's program --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Localizing.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "moe/Conversion/Passes.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/SPMD/IR/ControlFlow.h"

namespace moe {
#define GEN_PASS_DEF_LOCALIZE
#include "moe/Conversion/Passes.h.inc"
} // namespace moe

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

namespace {

/// Converts a value axis by axis. Between two steps it has a placement of its
/// own, so every step is a conversion by itself.
class Redistribution {
public:
  Redistribution(LocalBuilder &local, Operation *op, Value value,
                 PlacedTensorType from)
      : local(local), op(op), value(value), type(from) {}

  FailureOr<Value> run(PlacedTensorType to);

private:
  LogicalResult convertAxis(unsigned axis, Placement to);
  FailureOr<Value> gather(unsigned axis, unsigned dim);
  Value reduce(DenseI32ArrayAttr axes, ReductionKind kind);
  Value reduceScatter(unsigned axis, ReductionKind kind, unsigned dim);
  Value slice(unsigned axis, unsigned dim);
  Value pad(unsigned axis, unsigned dim);
  /// The value on coordinate 0, zeros elsewhere.
  Value keepFirst(unsigned axis);

  int64_t ranksOf(unsigned axis) const {
    return type.getMesh().getLeafAxes()[axis].getSize();
  }
  /// The type after `axis` has changed.
  PlacedTensorType typeWith(unsigned axis, Placement placement) const;
  /// Sizes of a value of type `after`, which differs from now along `dim`.
  SmallVector<OpFoldResult> shapeOf(PlacedTensorType after, unsigned dim,
                                    OpFoldResult size);
  StringAttr getSite() const { return op->getAttrOfType<StringAttr>("site"); }
  DenseI32ArrayAttr axesOf(unsigned axis) const {
    return local.builder.getDenseI32ArrayAttr(static_cast<int32_t>(axis));
  }
  /// What the value is part of now.
  ArrayAttr globalTypes() const {
    return local.builder.getTypeArrayAttr(Type(type));
  }
  IntegerAttr attrOf(ReductionKind kind) const {
    return local.builder.getI32IntegerAttr(static_cast<int32_t>(kind));
  }
  /// Whether an axis after `axis` cuts `dim` too: its chunks are inside.
  bool isCutInside(unsigned axis, unsigned dim) const {
    return llvm::any_of(getCuttingAxes(type, dim),
                        [&](int32_t other) { return other > int32_t(axis); });
  }

  LocalBuilder &local;
  Operation *op;
  Value value;
  PlacedTensorType type;
};

} // namespace

PlacedTensorType Redistribution::typeWith(unsigned axis,
                                          Placement placement) const {
  SmallVector<Placement> placements(type.getPlacements());
  placements[axis] = placement;
  return type.withPlacements(placements);
}

SmallVector<OpFoldResult> Redistribution::shapeOf(PlacedTensorType after,
                                                  unsigned dim,
                                                  OpFoldResult size) {
  SmallVector<OpFoldResult> shape = local.shape(value);
  int64_t known = getLocalType(after).getDimSize(dim);
  shape[dim] = ShapedType::isDynamic(known)
                   ? size
                   : OpFoldResult(local.builder.getIndexAttr(known));
  return shape;
}

/// The size of dimension `dim` before `axis` cut it: as the outer axes leave
/// it.
static Value sizeBefore(LocalBuilder &local, PlacedTensorType type,
                        unsigned axis, unsigned dim) {
  Value size = local.constant(type.getDimSize(dim));
  auto axes = type.getMesh().getLeafAxes();
  for (int32_t outer : getCuttingAxes(type, dim))
    if (outer < int32_t(axis))
      size = local.chunk(size, outer, axes[outer].getSize()).size;
  return size;
}

FailureOr<Value> Redistribution::gather(unsigned axis, unsigned dim) {
  PlacedTensorType after = typeWith(axis, Placement::replicate());
  Value size = sizeBefore(local, type, axis, dim);
  Value init = local.empty(shapeOf(after, dim, OpFoldResult(size)),
                           type.getElementType());
  return rt::AllGatherOp::create(
             local.builder, local.loc, TypeRange{init.getType()}, local.rank,
             ValueRange{value}, ValueRange{init}, axesOf(axis), getSite(),
             IntegerAttr(), globalTypes(), local.builder.getI64IntegerAttr(dim))
      .getResult(0);
}

Value Redistribution::reduce(DenseI32ArrayAttr axes, ReductionKind kind) {
  Value init = local.empty(local.shape(value), type.getElementType());
  return rt::AllReduceOp::create(
             local.builder, local.loc, TypeRange{init.getType()}, local.rank,
             ValueRange{value}, ValueRange{init}, axes, getSite(),
             IntegerAttr(), globalTypes(), attrOf(kind))
      .getResult(0);
}

Value Redistribution::reduceScatter(unsigned axis, ReductionKind kind,
                                    unsigned dim) {
  PlacedTensorType after = typeWith(axis, Placement::shard(dim));
  Value whole = local.toValue(local.dim(value, dim));
  LocalRange range = local.chunk(whole, axis, ranksOf(axis));
  Value init = local.empty(shapeOf(after, dim, OpFoldResult(range.size)),
                           type.getElementType());
  return rt::ReduceScatterOp::create(
             local.builder, local.loc, TypeRange{init.getType()}, local.rank,
             ValueRange{value}, ValueRange{init}, axesOf(axis), getSite(),
             IntegerAttr(), globalTypes(), local.builder.getI64IntegerAttr(dim),
             attrOf(kind))
      .getResult(0);
}

Value Redistribution::slice(unsigned axis, unsigned dim) {
  OpBuilder &b = local.builder;
  PlacedTensorType after = typeWith(axis, Placement::shard(dim));
  Value whole = local.toValue(local.dim(value, dim));
  LocalRange range = local.chunk(whole, axis, ranksOf(axis));
  SmallVector<OpFoldResult> sizes =
      shapeOf(after, dim, OpFoldResult(range.size));
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
  offsets[dim] = range.offset;
  return tensor::ExtractSliceOp::create(b, local.loc, value, offsets, sizes,
                                        strides);
}

Value Redistribution::pad(unsigned axis, unsigned dim) {
  OpBuilder &b = local.builder;
  PlacedTensorType after = typeWith(axis, Placement::partial());
  Value whole = sizeBefore(local, type, axis, dim);
  LocalRange range = local.chunk(whole, axis, ranksOf(axis));
  SmallVector<OpFoldResult> sizes = local.shape(value);
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
  offsets[dim] = range.offset;
  Value zeros = local.zeros(shapeOf(after, dim, OpFoldResult(whole)),
                            type.getElementType());
  return tensor::InsertSliceOp::create(b, local.loc, value, zeros, offsets,
                                       sizes, strides);
}

Value Redistribution::keepFirst(unsigned axis) {
  OpBuilder &b = local.builder;
  Value first = arith::CmpIOp::create(b, local.loc, arith::CmpIPredicate::eq,
                                      local.index(axis), local.constant(0));
  Type element = type.getElementType();
  Value zero = local.number(getComputeType(element), 0);
  return local.map({value}, element, [&](OpBuilder &inner, ValueRange args) {
    return arith::SelectOp::create(inner, local.loc, first, args[0], zero)
        .getResult();
  });
}

LogicalResult Redistribution::convertAxis(unsigned axis, Placement to) {
  Placement from = type.getPlacements()[axis];
  auto refuse = [&](StringRef help) {
    return op->emitError("a conversion from ")
           << from.str() << " to " << to.str()
           << " is not compiled yet; help: " << help;
  };
  if (from.isRagged() || to.isRagged())
    return refuse("rows move with moe.dispatch and moe.combine");
  if ((from.isShard() && isCutInside(axis, from.dim)) ||
      (to.isShard() && isCutInside(axis, to.dim)))
    return refuse("convert the inner axis of the dimension first");

  if (from.isPartial() && to.isShard()) {
    value = reduceScatter(axis, from.reduction, to.dim);
  } else if (from.isPartial() && to.isReplicate()) {
    value = reduce(axesOf(axis), from.reduction);
  } else if (from.isReplicate() && to.isShard()) {
    value = slice(axis, to.dim);
  } else if (from.isReplicate() && to == Placement::partial()) {
    value = keepFirst(axis);
  } else if (from.isShard() && to == Placement::partial()) {
    value = pad(axis, from.dim);
  } else if (from.isShard() && (to.isReplicate() || to.isShard())) {
    FailureOr<Value> whole = gather(axis, from.dim);
    if (failed(whole))
      return failure();
    value = *whole;
    if (to.isShard()) {
      type = typeWith(axis, Placement::replicate());
      value = slice(axis, to.dim);
    }
  } else {
    return refuse("convert to replicate first");
  }
  type = typeWith(axis, to);
  return success();
}

FailureOr<Value> Redistribution::run(PlacedTensorType to) {
  auto axes = type.getMesh().getLeafAxes();
  auto change = [&](unsigned axis) -> LogicalResult {
    Placement target = to.getPlacements()[axis];
    if (axes[axis].getSize() == 1 || type.getPlacements()[axis] == target) {
      type = typeWith(axis, target);
      return success();
    }
    return convertAxis(axis, target);
  };
  // One collective over the ranks of all axes that are summed whole.
  SmallVector<int32_t> summed;
  for (auto [axis, from, after] :
       llvm::enumerate(type.getPlacements(), to.getPlacements()))
    if (axes[axis].getSize() > 1 && from.isPartial() && after.isReplicate())
      summed.push_back(axis);
  if (summed.size() > 1) {
    value = reduce(local.builder.getDenseI32ArrayAttr(summed),
                   type.getPlacements()[summed.front()].reduction);
    for (int32_t axis : summed)
      type = typeWith(axis, Placement::replicate());
  }
  // What is gathered or reduced goes from the innermost axis outwards, what is
  // cut from the outermost inwards.
  for (unsigned axis = axes.size(); axis-- > 0;)
    if (!to.getPlacements()[axis].isCut() && failed(change(axis)))
      return failure();
  for (unsigned axis = 0; axis < axes.size(); ++axis)
    if (failed(change(axis)))
      return failure();
  return value;
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

namespace {

/// A conversion, and a collective, which is one that says how.
template <typename OpT>
struct RedistributePattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    auto from = cast<PlacedTensorType>(op.getInput().getType());
    FailureOr<Value> value = Redistribution(local, op, adaptor.getInput(), from)
                                 .run(cast<PlacedTensorType>(op.getType()));
    if (failed(value))
      return failure();
    rewriter.replaceOp(op, *value);
    return success();
  }
};

/// Claims, and what acts on cotangents only, are the identity.
template <typename OpT>
struct IdentityPattern : OpConversionPattern<OpT> {
  using OpConversionPattern<OpT>::OpConversionPattern;

  LogicalResult
  matchAndRewrite(OpT op, typename OpT::Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Type type = this->getTypeConverter()->convertType(op.getType());
    if (type != adaptor.getInput().getType())
      return op.emitError("the local value has the type ")
             << adaptor.getInput().getType() << ", claimed is " << type
             << "; help: claims of another cut are not compiled";
    rewriter.replaceOp(op, adaptor.getInput());
    return success();
  }
};

struct AllReducePattern : OpConversionPattern<spmd::AllReduceOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(spmd::AllReduceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    LocalBuilder local(rewriter, op);
    auto type = cast<PlacedTensorType>(op.getType());
    SmallVector<int32_t> axes;
    for (Attribute name : op.getAxes())
      for (unsigned leaf :
           type.getMesh().getLeavesOf(cast<StringAttr>(name).getValue()))
        if (type.getMesh().getLeafAxes()[leaf].getSize() > 1)
          axes.push_back(leaf);
    if (axes.empty()) {
      rewriter.replaceOp(op, adaptor.getInput());
      return success();
    }
    llvm::sort(axes);
    Value init =
        local.empty(local.shape(adaptor.getInput()), type.getElementType());
    rewriter.replaceOpWithNewOp<rt::AllReduceOp>(
        op, TypeRange{init.getType()}, local.rank,
        ValueRange{adaptor.getInput()}, ValueRange{init},
        rewriter.getDenseI32ArrayAttr(axes), op.getSiteAttr(), IntegerAttr(),
        rewriter.getTypeArrayAttr(op.getInput().getType()),
        rewriter.getI32IntegerAttr(0));
    return success();
  }
};

/// Arguments: the rank, then a memref per argument and per result.
struct FunctionPattern : OpConversionPattern<func::FuncOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(func::FuncOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto toMemRef = [&](Type type) -> Type {
      auto tensor =
          cast<RankedTensorType>(getTypeConverter()->convertType(type));
      return MemRefType::get(tensor.getShape(), tensor.getElementType());
    };
    SmallVector<Type> types{LLVM::LLVMPointerType::get(getContext())};
    TypeConverter::SignatureConversion conversion(op.getNumArguments());
    conversion.addInputs(types[0]);
    for (auto [i, type] : llvm::enumerate(op.getArgumentTypes())) {
      types.push_back(toMemRef(type));
      conversion.addInputs(i, types.back());
    }
    for (Type type : op.getResultTypes()) {
      types.push_back(toMemRef(type));
      conversion.addInputs(types.back());
    }
    rewriter.applySignatureConversion(&op.getBody().front(), conversion,
                                      getTypeConverter());
    rewriter.modifyOpInPlace(op, [&] {
      op.setFunctionType(rewriter.getFunctionType(types, {}));
      op.setAllArgAttrs(SmallVector<DictionaryAttr>(
          types.size(), rewriter.getDictionaryAttr({})));
      op->removeAttr(op.getResAttrsAttrName());
    });
    return success();
  }
};

struct ReturnPattern : OpConversionPattern<func::ReturnOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(func::ReturnOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto function = op->getParentOfType<func::FuncOp>();
    auto outputs =
        function.getArguments().take_back(adaptor.getOperands().size());
    for (auto [value, output] : llvm::zip_equal(adaptor.getOperands(), outputs))
      bufferization::MaterializeInDestinationOp::create(
          rewriter, op.getLoc(), TypeRange{}, value, output,
          /*restrict=*/true, /*writable=*/true);
    rewriter.replaceOpWithNewOp<func::ReturnOp>(op);
    return success();
  }
};

struct LocalizePass : ::moe::impl::LocalizeBase<LocalizePass> {
  using LocalizeBase::LocalizeBase;

  void runOnOperation() override;

private:
  LogicalResult localize(func::FuncOp function);
};

} // namespace

void moe::populateSPMDLocalizePatterns(const LocalTypeConverter &converter,
                                       RewritePatternSet &patterns) {
  patterns.add<RedistributePattern<RedistributeOp>,
               RedistributePattern<spmd::AllGatherOp>,
               RedistributePattern<spmd::ReduceScatterOp>,
               RedistributePattern<spmd::AllToAllOp>, IdentityPattern<ClaimOp>,
               IdentityPattern<BoundaryOp>, IdentityPattern<GradAllReduceOp>,
               AllReducePattern, FunctionPattern, ReturnPattern>(
      converter, patterns.getContext());
}

static bool isPlaced(Type type) { return isa<PlacedTensorType>(type); }

/// Names and global types of arguments and results.
static DictionaryAttr describeValues(func::FuncOp function) {
  Builder b(function.getContext());
  auto describe = [&](TypeRange types, auto attrsOf, StringRef fallback) {
    SmallVector<Attribute> values;
    for (auto [i, type] : llvm::enumerate(types)) {
      DictionaryAttr attrs = attrsOf(i);
      auto name = attrs ? attrs.getAs<StringAttr>(SPMDDialect::kNameAttr)
                        : StringAttr();
      if (!name)
        name = b.getStringAttr(fallback + Twine(i));
      values.push_back(
          b.getDictionaryAttr({b.getNamedAttr("name", name),
                               b.getNamedAttr("type", TypeAttr::get(type))}));
    }
    return b.getArrayAttr(values);
  };
  return b.getDictionaryAttr(
      {b.getNamedAttr(
           "arguments",
           describe(
               function.getArgumentTypes(),
               [&](unsigned i) { return function.getArgAttrDict(i); }, "arg")),
       b.getNamedAttr("results", describe(
                                     function.getResultTypes(),
                                     [&](unsigned i) {
                                       return function.getResultAttrDict(i);
                                     },
                                     "result"))});
}

void LocalizePass::runOnOperation() {
  SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
  for (func::FuncOp function : functions) {
    if (function->hasAttr(SPMDDialect::kVjpAttr)) {
      function.erase();
      continue;
    }
    bool placed = !function.isDeclaration() && function.getNumArguments() > 0 &&
                  llvm::all_of(function.getArgumentTypes(), isPlaced);
    // A private one is a part of those that call it.
    if (placed && !function.isPrivate() &&
        (failed(inlineCalls(function, "")) || failed(localize(function))))
      return signalPassFailure();
  }
  for (func::FuncOp function :
       llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
    if (function.isPrivate() &&
        (llvm::any_of(function.getArgumentTypes(), isPlaced) ||
         llvm::any_of(function.getResultTypes(), isPlaced)))
      function.erase();
}

/// The element types that moert.h knows.
static bool isCompiled(Type element) {
  return element.isF32() || element.isF64() || element.isBF16() ||
         element.isInteger(32) || element.isInteger(64);
}

/// Reports the first operation or value that there is no local program for.
static LogicalResult checkCompiled(func::FuncOp function, bool straightLine) {
  auto check = [](Operation *op, TypeRange types) -> LogicalResult {
    for (Type type : types)
      if (auto placed = dyn_cast<PlacedTensorType>(type);
          placed && !isCompiled(placed.getElementType()))
        return op->emitError("elements of ")
               << placed.getElementType()
               << " are not compiled; help: use f32, bf16 or f64 for numbers, "
                  "i32 or i64 for integers";
    return success();
  };
  if (failed(check(function, function.getArgumentTypes())))
    return failure();
  WalkResult walk = function.walk<WalkOrder::PreOrder>([&](Operation *op)
                                                           -> WalkResult {
    if (isa<ComputeOp, OpaqueOp>(op))
      return op->emitError("'")
             << op->getName()
             << "' is checked, but not compiled; help: write it with "
                "operations of moe, or run it with moe-run --backend reference";
    if (straightLine && isStructured(op) && touchesPlacedTensors(op))
      return op->emitError("'")
             << op->getName()
             << "' is compiled for the CPU only; help: unroll it, or use "
                "--target cpu";
    return check(op, op->getResultTypes());
  });
  return failure(walk.wasInterrupted());
}

LogicalResult LocalizePass::localize(func::FuncOp function) {
  if (failed(checkCompiled(function, straightLine)))
    return failure();
  function->setAttr("moert.values", describeValues(function));
  LocalTypeConverter converter;
  // Arguments arrive as buffers; the program works on values.
  converter.addSourceMaterialization([](OpBuilder &builder, Type type,
                                        ValueRange inputs,
                                        Location loc) -> Value {
    return UnrealizedConversionCastOp::create(builder, loc, type, inputs)
        .getResult(0);
  });
  converter.addTargetMaterialization([](OpBuilder &builder, Type type,
                                        ValueRange inputs,
                                        Location loc) -> Value {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || inputs.size() != 1 || !isa<MemRefType>(inputs[0].getType()))
      return {};
    return bufferization::ToTensorOp::create(builder, loc, tensor, inputs[0],
                                             /*restrict=*/true);
  });
  RewritePatternSet patterns(&getContext());
  populateSPMDLocalizePatterns(converter, patterns);
  populateContractionLocalizePatterns(converter, patterns);
  populateElementwiseLocalizePatterns(converter, patterns);
  populateRoutingLocalizePatterns(converter, patterns);
  ConversionTarget target(getContext());
  target.addIllegalDialect<MoEDialect, SPMDDialect>();
  target.addLegalDialect<
      arith::ArithDialect, bufferization::BufferizationDialect,
      linalg::LinalgDialect, math::MathDialect, memref::MemRefDialect,
      rt::MoERTDialect, scf::SCFDialect, tensor::TensorDialect>();
  target.addDynamicallyLegalOp<func::FuncOp>([&](func::FuncOp op) {
    return llvm::none_of(op.getArgumentTypes(), isPlaced);
  });
  target.addDynamicallyLegalOp<func::ReturnOp>(
      [](func::ReturnOp op) { return op.getNumOperands() == 0; });
  scf::populateSCFStructuralTypeConversionsAndLegality(converter, patterns,
                                                       target);
  return applyFullConversion(function, target, std::move(patterns));
}

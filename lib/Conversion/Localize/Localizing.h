//===- Localizing.h - Local types and values --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_LOCALIZE_LOCALIZING_H
#define MOE_LIB_CONVERSION_LOCALIZE_LOCALIZING_H

#include "mlir/Transforms/DialectConversion.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include <functional>

namespace moe {

using mlir::Location;
using mlir::OpBuilder;
using mlir::OpFoldResult;
using mlir::Value;
using mlir::ValueRange;

/// The axes of more than one rank that cut dimension `dim`, in mesh order.
llvm::SmallVector<int32_t> getCuttingAxes(spmd::PlacedTensorType type,
                                          int64_t dim);

/// What a rank holds of a value of type `type`. A size is dynamic if the cut is
/// uneven or depends on routing.
mlir::RankedTensorType getLocalType(spmd::PlacedTensorType type);

/// The type that numbers of type `element` are computed in.
mlir::Type getComputeType(mlir::Type element);

/// `value`, a number, in type `type`.
Value convertNumber(OpBuilder &builder, Value value, mlir::Type type);

/// `spmd.tensor` to its local type.
struct LocalTypeConverter : mlir::TypeConverter {
  LocalTypeConverter();
};

/// A part of a dimension: what one rank holds of it.
struct LocalRange {
  Value offset;
  Value size;
};

/// Emits local code at one place.
class LocalBuilder {
public:
  LocalBuilder(OpBuilder &builder, mlir::Operation *op);

  OpBuilder &builder;
  Location loc;
  /// The first argument of the function.
  Value rank;

  Value constant(int64_t value);
  Value index(int32_t axis);
  /// Size `dim` of a tensor, static where it is.
  OpFoldResult dim(Value tensor, int64_t dim);
  llvm::SmallVector<OpFoldResult> shape(Value tensor);
  Value toValue(OpFoldResult size);
  /// This rank's chunk of `size` elements that axis `axis` of `ranks` cuts.
  LocalRange chunk(Value size, int32_t axis, int64_t ranks);

  Value empty(llvm::ArrayRef<OpFoldResult> shape, mlir::Type element);
  Value zeros(llvm::ArrayRef<OpFoldResult> shape, mlir::Type element);
  /// The element type's `value`.
  Value number(mlir::Type type, double value);

  /// What is computed per element. Narrow floats arrive as f32, and what leaves
  /// as f32 is rounded once, to the element type of the result.
  using Body = std::function<Value(OpBuilder &, ValueRange)>;
  /// `body` on the elements of inputs of one shape.
  Value map(llvm::ArrayRef<Value> inputs, mlir::Type element, Body body);
  /// As `map`, but input i has dimensions `dims[i]` of the result's.
  Value broadcast(llvm::ArrayRef<Value> inputs,
                  llvm::ArrayRef<llvm::SmallVector<unsigned>> dims,
                  llvm::ArrayRef<OpFoldResult> shape, mlir::Type element,
                  Body body);
  /// Folds the last dimension: `body` gets an element and what was folded
  /// before, `start` at first. The result has the type that is computed in.
  Value fold(Value input, double start, Body body);
};

void populateSPMDLocalizePatterns(const LocalTypeConverter &converter,
                                  mlir::RewritePatternSet &patterns);
void populateContractionLocalizePatterns(const LocalTypeConverter &converter,
                                         mlir::RewritePatternSet &patterns);
void populateElementwiseLocalizePatterns(const LocalTypeConverter &converter,
                                         mlir::RewritePatternSet &patterns);
void populateRoutingLocalizePatterns(const LocalTypeConverter &converter,
                                     mlir::RewritePatternSet &patterns);

} // namespace moe

#endif // MOE_LIB_CONVERSION_LOCALIZE_LOCALIZING_H

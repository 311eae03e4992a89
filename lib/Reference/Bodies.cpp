//===- Bodies.cpp - Upstream operations on one rank -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Bodies.h"
#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/TypeUtilities.h"
#include "moe/Reference/Placing.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using mlir::failure;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::success;
namespace arith = mlir::arith;
namespace linalg = mlir::linalg;
namespace tensor = mlir::tensor;

namespace {

/// A tensor, or one scalar that stands for a tensor of any size.
template <typename T>
struct Operand {
  std::variant<Value<T>, Scalar<T>> value;

  bool isUniform() const { return value.index() == 1; }
  const Value<T> &tensor() const { return *std::get_if<0>(&value); }
  const Scalar<T> &scalar() const { return *std::get_if<1>(&value); }
  Scalar<T> at(int64_t position) const {
    if (isUniform())
      return scalar();
    return tensor().isIndex() ? Scalar<T>(tensor().indices().data[position])
                              : Scalar<T>(tensor().floats().data[position]);
  }
};

/// The row-major position of `index`, or -1 outside of `shape`.
int64_t positionOf(ArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  int64_t position = 0;
  for (auto [i, size] : llvm::zip_equal(index, shape)) {
    if (i < 0 || i >= size)
      return -1;
    position = position * size + i;
  }
  return position;
}

/// Moves to the next index; false after the last one.
bool advance(llvm::MutableArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  for (size_t dim = shape.size(); dim-- > 0;) {
    if (++index[dim] < shape[dim])
      return true;
    index[dim] = 0;
  }
  return false;
}

/// A tensor of `shape` made of scalars, of which all or none are integers.
template <typename T>
Value<T> toTensor(ArrayRef<int64_t> shape, ArrayRef<Scalar<T>> elements,
                  bool isIndex) {
  if (isIndex) {
    IndexTensor tensor(shape);
    for (auto [to, from] : llvm::zip_equal(tensor.data, elements))
      to = *std::get_if<1>(&from);
    return tensor;
  }
  Tensor<T> tensor(shape);
  for (auto [to, from] : llvm::zip_equal(tensor.data, elements))
    to = *std::get_if<0>(&from);
  return tensor;
}

bool hasIntegers(mlir::Type type) {
  return mlir::getElementTypeOrSelf(type).isIntOrIndex();
}

template <typename T>
class Body {
public:
  Body(std::string &error) : error(error) {}

  FailureOr<Value<T>> run(spmd::ComputeOp op,
                          ArrayRef<const Value<T> *> arguments);

private:
  LogicalResult evaluate(mlir::Operation *op);
  LogicalResult evaluateConstant(arith::ConstantOp op);
  LogicalResult evaluateElementwise(mlir::Operation *op);
  LogicalResult evaluateStructured(linalg::LinalgOp op);
  LogicalResult evaluateSoftmax(linalg::SoftmaxOp op);
  LogicalResult evaluateMoved(mlir::Operation *op);
  FailureOr<SmallVector<int64_t>> loopSizes(linalg::LinalgOp op);
  /// What the payload yields, given its arguments at `index`.
  FailureOr<SmallVector<Scalar<T>>> runPayload(linalg::LinalgOp op,
                                               ArrayRef<Scalar<T>> arguments,
                                               ArrayRef<int64_t> index);
  /// A result of `shape` whose elements come from `sourceOf(index)`, which
  /// says of which operand, null for `padding`, and where.
  struct Source {
    const Operand<T> *operand = nullptr;
    SmallVector<int64_t> index;
  };
  LogicalResult gather(mlir::Operation *op, ArrayRef<int64_t> shape,
                       llvm::function_ref<Source(ArrayRef<int64_t>)> sourceOf,
                       const Operand<T> *padding = nullptr);

  const Operand<T> &get(mlir::Value value) const {
    return values.find(value)->second;
  }
  /// Of a tensor as it lies here; of one element, that of its type.
  SmallVector<int64_t> shapeOf(mlir::Value value) const {
    const Operand<T> &operand = get(value);
    if (!operand.isUniform())
      return SmallVector<int64_t>(operand.tensor().shape());
    return SmallVector<int64_t>(
        llvm::cast<mlir::RankedTensorType>(value.getType()).getShape());
  }
  /// Takes a copy, for what `get` returns does not survive a new entry.
  void set(mlir::Value value, Operand<T> operand) {
    values[value] = std::move(operand);
  }
  LogicalResult fail(std::string why) {
    error = std::move(why);
    return failure();
  }

  llvm::DenseMap<mlir::Value, Operand<T>> values;
  std::string &error;
};

template <typename T>
LogicalResult Body<T>::evaluateConstant(arith::ConstantOp op) {
  auto elements = llvm::dyn_cast<mlir::DenseElementsAttr>(op.getValue());
  if (!elements || elements.isSplat()) {
    auto scalar = toScalar<T>(
        elements ? elements.getSplatValue<mlir::Attribute>() : op.getValue(),
        error);
    if (failed(scalar))
      return failure();
    set(op.getResult(), {*scalar});
    return success();
  }
  SmallVector<Scalar<T>> scalars;
  for (mlir::Attribute element : elements.getValues<mlir::Attribute>()) {
    auto scalar = toScalar<T>(element, error);
    if (failed(scalar))
      return failure();
    scalars.push_back(*scalar);
  }
  set(op.getResult(), {toTensor<T>(elements.getType().getShape(), scalars,
                                   hasIntegers(op.getType()))});
  return success();
}

template <typename T>
LogicalResult Body<T>::evaluateElementwise(mlir::Operation *op) {
  const Operand<T> *sized = nullptr;
  for (mlir::Value operand : op->getOperands()) {
    const Operand<T> &known = get(operand);
    if (known.isUniform())
      continue;
    if (sized && known.tensor().shape() != sized->tensor().shape())
      return fail("operands of shapes " +
                  describeShape(sized->tensor().shape()) + " and " +
                  describeShape(known.tensor().shape()) + " meet");
    sized = &known;
  }
  int64_t size =
      sized ? Tensor<T>::product(sized->tensor().shape()) : int64_t(1);
  SmallVector<Scalar<T>> results, operands;
  for (int64_t i = 0; i < size; ++i) {
    operands.clear();
    for (mlir::Value operand : op->getOperands())
      operands.push_back(get(operand).at(i));
    auto result = evaluateScalar<T>(op, operands, error);
    if (failed(result))
      return failure();
    results.push_back(*result);
  }
  if (!sized)
    set(op->getResult(0), {results.front()});
  else
    set(op->getResult(0),
        {toTensor<T>(sized->tensor().shape(), results,
                     hasIntegers(op->getResult(0).getType()))});
  return success();
}

//===----------------------------------------------------------------------===//
// linalg
//===----------------------------------------------------------------------===//

template <typename T>
FailureOr<SmallVector<int64_t>> Body<T>::loopSizes(linalg::LinalgOp op) {
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<bool> measured(sizes.size());
  for (mlir::OpOperand &operand : op->getOpOperands()) {
    if (!llvm::isa<mlir::RankedTensorType>(operand.get().getType()) ||
        get(operand.get()).isUniform() ||
        !op.payloadUsesValueFromOperand(&operand))
      continue;
    mlir::AffineMap map = op.getMatchingIndexingMap(&operand);
    for (auto [expr, size] : llvm::zip_equal(
             map.getResults(), get(operand.get()).tensor().shape())) {
      auto loop = llvm::dyn_cast<mlir::AffineDimExpr>(expr);
      if (!loop)
        continue;
      unsigned i = loop.getPosition();
      if (measured[i] && sizes[i] != size) {
        error = "a dimension has sizes " + std::to_string(sizes[i]) + " and " +
                std::to_string(size);
        return failure();
      }
      sizes[i] = size;
      measured[i] = true;
    }
  }
  return sizes;
}

template <typename T>
FailureOr<SmallVector<Scalar<T>>>
Body<T>::runPayload(linalg::LinalgOp op, ArrayRef<Scalar<T>> arguments,
                    ArrayRef<int64_t> index) {
  llvm::DenseMap<mlir::Value, Scalar<T>> known;
  for (auto [argument, scalar] :
       llvm::zip_equal(op.getBlock()->getArguments(), arguments))
    known[argument] = scalar;
  auto lookup = [&](mlir::Value value) {
    auto entry = known.find(value);
    return entry != known.end() ? entry->second : get(value).scalar();
  };
  for (mlir::Operation &inner : op.getBlock()->without_terminator()) {
    FailureOr<Scalar<T>> result = failure();
    if (auto position = llvm::dyn_cast<linalg::IndexOp>(inner)) {
      result = Scalar<T>(index[position.getDim()]);
    } else if (auto constant = llvm::dyn_cast<arith::ConstantOp>(inner)) {
      result = toScalar<T>(constant.getValue(), error);
    } else {
      SmallVector<Scalar<T>> operands;
      for (mlir::Value operand : inner.getOperands()) {
        bool missing = !known.contains(operand) &&
                       (!values.contains(operand) || !get(operand).isUniform());
        if (missing) {
          error = "'" + inner.getName().getStringRef().str() +
                  "' reads what is no element of an operand";
          return failure();
        }
        operands.push_back(lookup(operand));
      }
      result = evaluateScalar<T>(&inner, operands, error);
    }
    if (failed(result))
      return failure();
    known[inner.getResult(0)] = *result;
  }
  SmallVector<Scalar<T>> yielded;
  for (mlir::Value value : op.getBlock()->getTerminator()->getOperands())
    yielded.push_back(lookup(value));
  return yielded;
}

template <typename T>
LogicalResult Body<T>::evaluateStructured(linalg::LinalgOp op) {
  // A fill has the size of what it meets.
  if (auto fill = llvm::dyn_cast<linalg::FillOp>(op.getOperation()))
    if (get(fill.getInputs().front()).isUniform()) {
      set(op->getResult(0), get(fill.getInputs().front()));
      return success();
    }
  FailureOr<SmallVector<int64_t>> sizes = loopSizes(op);
  if (failed(sizes))
    return failure();

  SmallVector<SmallVector<int64_t>> shapes;
  SmallVector<SmallVector<Scalar<T>>> results;
  unsigned numInputs = op.getNumDpsInputs();
  SmallVector<mlir::AffineMap> maps = op.getIndexingMapsArray();
  for (auto [i, init] : llvm::enumerate(op.getDpsInits())) {
    mlir::AffineMap map = maps[numInputs + i];
    SmallVector<int64_t> shape(
        llvm::cast<mlir::RankedTensorType>(init.getType()).getShape());
    for (auto [dim, expr] : llvm::enumerate(map.getResults()))
      if (auto loop = llvm::dyn_cast<mlir::AffineDimExpr>(expr))
        shape[dim] = (*sizes)[loop.getPosition()];
    const Operand<T> &start = get(init);
    bool read = op.payloadUsesValueFromOperand(op.getDpsInitOperand(i));
    if (read && !start.isUniform() && start.tensor().shape() != ArrayRef(shape))
      return fail("a result of shape " + describeShape(shape) +
                  " starts from one of shape " +
                  describeShape(start.tensor().shape()));
    SmallVector<Scalar<T>> elements;
    Scalar<T> none =
        hasIntegers(init.getType()) ? Scalar<T>(int64_t(0)) : Scalar<T>(T());
    for (int64_t k = 0; k < Tensor<T>::product(shape); ++k)
      elements.push_back(read ? start.at(k) : none);
    shapes.push_back(std::move(shape));
    results.push_back(std::move(elements));
  }

  SmallVector<int64_t> index(sizes->size());
  bool more = !llvm::is_contained(*sizes, 0);
  while (more) {
    SmallVector<Scalar<T>> arguments;
    SmallVector<int64_t> targets;
    for (auto [i, operand] : llvm::enumerate(op->getOpOperands())) {
      SmallVector<int64_t> at = maps[i].compose(index);
      const Operand<T> &known = get(operand.get());
      bool isInit = i >= numInputs;
      int64_t position = isInit ? positionOf(at, shapes[i - numInputs])
                         : known.isUniform()
                             ? 0
                             : positionOf(at, known.tensor().shape());
      if (position < 0)
        return fail("an element outside of a local value is wanted");
      if (isInit)
        targets.push_back(position);
      arguments.push_back(isInit ? results[i - numInputs][position]
                                 : known.at(position));
    }
    auto yielded = runPayload(op, arguments, index);
    if (failed(yielded))
      return failure();
    for (auto [i, position] : llvm::enumerate(targets))
      results[i][position] = (*yielded)[i];
    more = advance(index, *sizes);
  }
  for (auto [result, shape, elements] :
       llvm::zip_equal(op->getResults(), shapes, results))
    set(result, {toTensor<T>(shape, elements, hasIntegers(result.getType()))});
  return success();
}

template <typename T>
LogicalResult Body<T>::evaluateSoftmax(linalg::SoftmaxOp op) {
  const Operand<T> &input = get(op.getInput());
  if (input.isUniform())
    return fail("a softmax of one element has no size");
  Tensor<T> result = input.tensor().floats();
  unsigned dim = op.getDimension();
  int64_t inner = result.inner(dim), size = result.shape[dim];
  std::vector<T> row(size);
  for (int64_t outer = 0; outer < result.outer(dim); ++outer)
    for (int64_t column = 0; column < inner; ++column) {
      auto at = [&](int64_t i) -> T & {
        return result.data[(outer * size + i) * inner + column];
      };
      T sum = T();
      for (int64_t i = 0; i < size; ++i)
        row[i] = at(i);
      Numerics<T>::softmaxNumerators(row);
      for (T numerator : row)
        sum += numerator;
      for (int64_t i = 0; i < size; ++i)
        at(i) = row[i] / sum;
    }
  set(op.getResult()[0], {Value<T>(std::move(result))});
  return success();
}

//===----------------------------------------------------------------------===//
// tensor
//===----------------------------------------------------------------------===//

template <typename T>
LogicalResult
Body<T>::gather(mlir::Operation *op, ArrayRef<int64_t> shape,
                llvm::function_ref<Source(ArrayRef<int64_t>)> sourceOf,
                const Operand<T> *padding) {
  SmallVector<Scalar<T>> elements;
  SmallVector<int64_t> index(shape.size());
  bool more = !llvm::is_contained(shape, 0);
  while (more) {
    Source source = sourceOf(index);
    const Operand<T> *from = source.operand ? source.operand : padding;
    int64_t position = from->isUniform()
                           ? 0
                           : positionOf(source.index, from->tensor().shape());
    if (position < 0)
      return fail("an element outside of a local value is wanted");
    elements.push_back(from->at(position));
    more = advance(index, shape);
  }
  mlir::Value result = op->getResult(0);
  set(result, {toTensor<T>(shape, elements, hasIntegers(result.getType()))});
  return success();
}

/// The size that each rank's part of a dimension has: where the slice takes all
/// of it, that which the operand has here.
template <typename Op>
static SmallVector<int64_t> sliceSizes(Op op, ArrayRef<int64_t> global,
                                       ArrayRef<int64_t> local) {
  SmallVector<int64_t> sizes(op.getStaticSizes());
  for (auto [size, all, here] : llvm::zip_equal(sizes, global, local))
    if (size == all)
      size = here;
  return sizes;
}

template <typename T>
LogicalResult Body<T>::evaluateMoved(mlir::Operation *op) {
  if (llvm::all_of(op->getOperands(),
                   [&](mlir::Value value) { return get(value).isUniform(); }) &&
      llvm::isa<tensor::CastOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp,
                tensor::ExtractSliceOp, tensor::SplatOp>(op)) {
    set(op->getResult(0), get(op->getOperand(0)));
    return success();
  }
  auto isStatic = [](auto op) {
    return !llvm::any_of(op.getStaticOffsets(), mlir::ShapedType::isDynamic) &&
           !llvm::any_of(op.getStaticSizes(), mlir::ShapedType::isDynamic) &&
           !llvm::any_of(op.getStaticStrides(), mlir::ShapedType::isDynamic);
  };
  return llvm::TypeSwitch<mlir::Operation *, LogicalResult>(op)
      .Case([&](tensor::CastOp op) {
        set(op.getResult(), get(op.getSource()));
        return success();
      })
      .template Case<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(
          [&](auto op) -> LogicalResult {
            SmallVector<int64_t> from = shapeOf(op.getSrc());
            SmallVector<int64_t> shape(op.getResultType().getShape());
            ArrayRef<int64_t> global = op.getSrcType().getShape();
            // A rank has less of the outermost dimension of a group.
            for (auto [i, group] :
                 llvm::enumerate(op.getReassociationIndices())) {
              bool collapses = llvm::isa<tensor::CollapseShapeOp>(op);
              for (int64_t dim : group) {
                int64_t source = collapses ? dim : int64_t(i);
                int64_t target = collapses ? int64_t(i) : dim;
                if (from[source] == global[source] || shape[target] == 1)
                  continue;
                shape[target] = shape[target] * from[source] / global[source];
                break;
              }
            }
            Value<T> result = get(op.getSrc()).tensor();
            if (Tensor<T>::product(shape) != Tensor<T>::product(result.shape()))
              return fail("a local value of shape " + describeShape(from) +
                          " doesn't become " + describeShape(shape));
            if (result.isIndex())
              result.indices().shape = shape;
            else
              result.floats().shape = shape;
            set(op.getResult(), {std::move(result)});
            return success();
          })
      .Case([&](tensor::ExtractSliceOp op) -> LogicalResult {
        if (!isStatic(op))
          return fail("the reference runs slices of constant offsets only");
        SmallVector<int64_t> from = shapeOf(op.getSource());
        SmallVector<int64_t> sizes =
            sliceSizes(op, op.getSourceType().getShape(), from);
        llvm::SmallBitVector dropped = op.getDroppedDims();
        SmallVector<int64_t> shape;
        for (auto [dim, size] : llvm::enumerate(sizes))
          if (!dropped[dim])
            shape.push_back(size);
        return gather(op, shape, [&](ArrayRef<int64_t> index) {
          Source source{&get(op.getSource()), {}};
          unsigned next = 0;
          for (unsigned dim = 0; dim < sizes.size(); ++dim)
            source.index.push_back(
                op.getStaticOffsets()[dim] +
                (dropped[dim] ? 0
                              : index[next++] * op.getStaticStrides()[dim]));
          return source;
        });
      })
      .Case([&](tensor::InsertSliceOp op) -> LogicalResult {
        if (!isStatic(op))
          return fail("the reference runs slices of constant offsets only");
        SmallVector<int64_t> shape = shapeOf(op.getDest());
        llvm::SmallBitVector dropped = op.getDroppedDims();
        if (get(op.getDest()).isUniform() && !get(op.getSource()).isUniform()) {
          // Zeros around the slice are as long as the slice where it is whole.
          SmallVector<int64_t> from = shapeOf(op.getSource());
          unsigned next = 0;
          for (unsigned dim = 0; dim < shape.size(); ++dim) {
            if (dropped[dim])
              continue;
            int64_t here = from[next++];
            if (op.getStaticSizes()[dim] == shape[dim])
              shape[dim] = here;
          }
        }
        SmallVector<int64_t> sizes =
            sliceSizes(op, op.getDestType().getShape(), shape);
        return gather(op, shape, [&](ArrayRef<int64_t> index) {
          Source inside{&get(op.getSource()), {}};
          for (unsigned dim = 0; dim < shape.size(); ++dim) {
            int64_t offset = index[dim] - op.getStaticOffsets()[dim];
            int64_t stride = op.getStaticStrides()[dim];
            if (offset < 0 || offset % stride || offset / stride >= sizes[dim])
              return Source{&get(op.getDest()), SmallVector<int64_t>(index)};
            if (!dropped[dim])
              inside.index.push_back(offset / stride);
          }
          return inside;
        });
      })
      .Case([&](tensor::PadOp op) -> LogicalResult {
        mlir::Value padding = op.getConstantPaddingValue();
        if (!padding ||
            llvm::any_of(op.getStaticLow(), mlir::ShapedType::isDynamic) ||
            llvm::any_of(op.getStaticHigh(), mlir::ShapedType::isDynamic))
          return fail("the reference pads with constants, constantly far");
        Operand<T> element;
        auto constant = padding.getDefiningOp<arith::ConstantOp>();
        auto scalar = toScalar<T>(
            constant ? constant.getValue() : mlir::Attribute(), error);
        if (failed(scalar))
          return failure();
        element.value = *scalar;
        SmallVector<int64_t> from = shapeOf(op.getSource()), shape = from;
        for (unsigned dim = 0; dim < shape.size(); ++dim)
          shape[dim] += op.getStaticLow()[dim] + op.getStaticHigh()[dim];
        return gather(
            op, shape,
            [&](ArrayRef<int64_t> index) {
              Source source{&get(op.getSource()), {}};
              for (unsigned dim = 0; dim < shape.size(); ++dim) {
                int64_t i = index[dim] - op.getStaticLow()[dim];
                if (i < 0 || i >= from[dim])
                  return Source();
                source.index.push_back(i);
              }
              return source;
            },
            &element);
      })
      .Case([&](tensor::ConcatOp op) -> LogicalResult {
        SmallVector<int64_t> shape, ends;
        unsigned dim = op.getDim();
        int64_t total = 0;
        for (mlir::Value input : op.getInputs()) {
          SmallVector<int64_t> piece = shapeOf(input);
          if (!get(input).isUniform() || shape.empty())
            shape = piece;
          ends.push_back(total += piece[dim]);
        }
        shape[dim] = total;
        return gather(op, shape, [&](ArrayRef<int64_t> index) {
          unsigned i = 0;
          while (index[dim] >= ends[i])
            ++i;
          Source source{&get(op.getInputs()[i]), SmallVector<int64_t>(index)};
          source.index[dim] -= i ? ends[i - 1] : 0;
          return source;
        });
      })
      .Default([&](mlir::Operation *op) {
        return fail("the reference can't execute '" +
                    op->getName().getStringRef().str() + "'");
      });
}

//===----------------------------------------------------------------------===//
// The whole body
//===----------------------------------------------------------------------===//

template <typename T>
LogicalResult Body<T>::evaluate(mlir::Operation *op) {
  for (mlir::Value operand : op->getOperands())
    if (!values.contains(operand))
      return fail("an operand of '" + op->getName().getStringRef().str() +
                  "' has no value in the reference");
  llvm::StringRef dialect = op->getName().getDialectNamespace();
  if (auto constant = llvm::dyn_cast<arith::ConstantOp>(op))
    return evaluateConstant(constant);
  if (auto empty = llvm::dyn_cast<tensor::EmptyOp>(op)) {
    set(empty.getResult(), {hasIntegers(empty.getType()) ? Scalar<T>(int64_t(0))
                                                         : Scalar<T>(T())});
    return success();
  }
  if (auto softmax = llvm::dyn_cast<linalg::SoftmaxOp>(op))
    return evaluateSoftmax(softmax);
  if (auto structured = llvm::dyn_cast<linalg::LinalgOp>(op))
    return evaluateStructured(structured);
  if (dialect == "tensor")
    return evaluateMoved(op);
  return evaluateElementwise(op);
}

template <typename T>
FailureOr<Value<T>> Body<T>::run(spmd::ComputeOp op,
                                 ArrayRef<const Value<T> *> arguments) {
  for (auto [argument, value] :
       llvm::zip_equal(op.getBody().front().getArguments(), arguments))
    set(argument, {*value});
  for (mlir::Operation &inner : op.getBody().front().without_terminator())
    if (failed(evaluate(&inner))) {
      error += ", in '" + inner.getName().getStringRef().str() + "'";
      return failure();
    }
  const Operand<T> &yielded = get(op.getYielded());
  if (!yielded.isUniform())
    return yielded.tensor();
  mlir::Value result = op.getYielded();
  SmallVector<int64_t> shape = shapeOf(result);
  SmallVector<Scalar<T>> elements(Tensor<T>::product(shape), yielded.scalar());
  return toTensor<T>(shape, elements, hasIntegers(result.getType()));
}

} // namespace

template <typename T>
FailureOr<Value<T>>
reference::evaluateBody(spmd::ComputeOp op,
                        ArrayRef<const Value<T> *> arguments,
                        std::string &error) {
  return Body<T>(error).run(op, arguments);
}

template FailureOr<Value<double>>
reference::evaluateBody<double>(spmd::ComputeOp,
                                ArrayRef<const Value<double> *>, std::string &);
template FailureOr<Value<Field>>
reference::evaluateBody<Field>(spmd::ComputeOp, ArrayRef<const Value<Field> *>,
                               std::string &);

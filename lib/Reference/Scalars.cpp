//===- Scalars.cpp - Scalar operations of arith and math ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Scalars.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using mlir::failure;
using mlir::FailureOr;
namespace arith = mlir::arith;
namespace math = mlir::math;

//===----------------------------------------------------------------------===//
// Functions of one number
//===----------------------------------------------------------------------===//

namespace {
/// A function, and its place among all those that have a surrogate.
enum class Function : uint8_t {
  Abs,
  Cos,
  Erf,
  Exp,
  Log,
  Rsqrt,
  Sin,
  Sqrt,
  Tanh,
  Round
};
} // namespace

static double applyFunction(Function function, double x) {
  switch (function) {
  case Function::Abs:
    return std::abs(x);
  case Function::Cos:
    return std::cos(x);
  case Function::Erf:
    return std::erf(x);
  case Function::Exp:
    return std::exp(x);
  case Function::Log:
    return std::log(x);
  case Function::Rsqrt:
    return 1 / std::sqrt(x);
  case Function::Sin:
    return std::sin(x);
  case Function::Sqrt:
    return std::sqrt(x);
  case Function::Tanh:
    return std::tanh(x);
  case Function::Round:
    return x;
  }
  llvm_unreachable("all functions are listed");
}

/// x^3 + (2n + 3) x^2 + x + n + 1 for function n: no two agree, none is linear.
static Field applyFunction(Function function, Field x) {
  int64_t n = int64_t(function);
  return ((x + Field(2 * n + 3)) * x + Field(1)) * x + Field(n + 1);
}

static double roundTo(double x, mlir::FloatType type) {
  llvm::APFloat number(x);
  bool losesInfo = false;
  number.convert(type.getFloatSemantics(), llvm::APFloat::rmNearestTiesToEven,
                 &losesInfo);
  number.convert(llvm::APFloat::IEEEdouble(),
                 llvm::APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

static Field roundTo(Field x, mlir::FloatType) {
  return applyFunction(Function::Round, x);
}

static double power(double x, double y) { return std::pow(x, y); }
/// Linear in neither.
static Field power(Field x, Field y) {
  return x * x * y + x * y * y + Field(1);
}

static int64_t truncate(double x) { return int64_t(x); }
static int64_t truncate(Field x) {
  return int64_t(applyFunction(Function::Round, x).getResidue());
}

//===----------------------------------------------------------------------===//
// Comparisons
//===----------------------------------------------------------------------===//

/// Numbers are never NaN here.
template <typename T>
static FailureOr<bool> compare(arith::CmpFPredicate predicate, T lhs, T rhs,
                               std::string &error) {
  using P = arith::CmpFPredicate;
  bool equal = lhs == rhs;
  switch (predicate) {
  case P::OEQ:
  case P::UEQ:
    return equal;
  case P::ONE:
  case P::UNE:
    return !equal;
  case P::OLT:
  case P::ULT:
    return lhs < rhs;
  case P::OLE:
  case P::ULE:
    return lhs < rhs || equal;
  case P::OGT:
  case P::UGT:
    return rhs < lhs;
  case P::OGE:
  case P::UGE:
    return rhs < lhs || equal;
  default:
    error = "the reference can't compare by that predicate";
    return failure();
  }
}

static FailureOr<bool> compare(arith::CmpIPredicate predicate, int64_t lhs,
                               int64_t rhs, std::string &error) {
  using P = arith::CmpIPredicate;
  switch (predicate) {
  case P::eq:
    return lhs == rhs;
  case P::ne:
    return lhs != rhs;
  case P::slt:
    return lhs < rhs;
  case P::sle:
    return lhs <= rhs;
  case P::sgt:
    return lhs > rhs;
  case P::sge:
    return lhs >= rhs;
  default:
    error = "the reference can't compare by that predicate";
    return failure();
  }
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

template <typename T>
FailureOr<Scalar<T>> reference::toScalar(mlir::Attribute element,
                                         std::string &error) {
  if (auto number = llvm::dyn_cast_if_present<mlir::FloatAttr>(element))
    return Scalar<T>(Numerics<T>::fromDouble(number.getValueAsDouble()));
  if (auto number = llvm::dyn_cast_if_present<mlir::IntegerAttr>(element))
    return Scalar<T>(number.getValue().getSExtValue());
  error = "the reference knows no element like this constant's";
  return failure();
}

template <typename T>
FailureOr<Scalar<T>> reference::evaluateScalar(mlir::Operation *op,
                                               ArrayRef<Scalar<T>> operands,
                                               std::string &error) {
  using Result = FailureOr<Scalar<T>>;
  auto isInteger = [&](unsigned i) { return operands[i].index() == 1; };
  auto number = [&](unsigned i) { return *std::get_if<0>(&operands[i]); };
  auto integer = [&](unsigned i) { return *std::get_if<1>(&operands[i]); };
  auto function = [&](Function function) -> Result {
    return Scalar<T>(applyFunction(function, number(0)));
  };
  auto of = [](auto result) -> Result { return Scalar<T>(result); };
  auto truth = [](FailureOr<bool> result) -> Result {
    if (mlir::failed(result))
      return failure();
    return Scalar<T>(int64_t(*result));
  };
  /// The larger or smaller operand.
  auto extreme = [&](bool larger) -> Result {
    bool less = isInteger(0) ? integer(0) < integer(1) : number(0) < number(1);
    return operands[less == larger ? 1 : 0];
  };
  return llvm::TypeSwitch<mlir::Operation *, Result>(op)
      .Case([&](arith::AddFOp) { return of(number(0) + number(1)); })
      .Case([&](arith::SubFOp) { return of(number(0) - number(1)); })
      .Case([&](arith::MulFOp) { return of(number(0) * number(1)); })
      .Case([&](arith::DivFOp) { return of(number(0) / number(1)); })
      .Case([&](arith::NegFOp) { return of(T() - number(0)); })
      .Case([&](arith::AddIOp) { return of(integer(0) + integer(1)); })
      .Case([&](arith::SubIOp) { return of(integer(0) - integer(1)); })
      .Case([&](arith::MulIOp) { return of(integer(0) * integer(1)); })
      .Case([&](arith::DivSIOp) -> Result {
        if (integer(1) == 0) {
          error = "an integer is divided by zero";
          return failure();
        }
        return Scalar<T>(integer(0) / integer(1));
      })
      .template Case<arith::MaximumFOp, arith::MaxNumFOp, arith::MaxSIOp>(
          [&](auto) { return extreme(/*larger=*/true); })
      .template Case<arith::MinimumFOp, arith::MinNumFOp, arith::MinSIOp>(
          [&](auto) { return extreme(/*larger=*/false); })
      .Case([&](arith::CmpFOp op) {
        return truth(compare(op.getPredicate(), number(0), number(1), error));
      })
      .Case([&](arith::CmpIOp op) {
        return truth(compare(op.getPredicate(), integer(0), integer(1), error));
      })
      .Case([&](arith::SelectOp) -> Result {
        return operands[integer(0) ? 1 : 2];
      })
      .template Case<arith::ExtFOp, arith::ExtSIOp, arith::IndexCastOp>(
          [&](auto) -> Result { return operands[0]; })
      .Case([&](arith::TruncFOp op) {
        return of(roundTo(
            number(0), llvm::cast<mlir::FloatType>(mlir::getElementTypeOrSelf(
                           op.getResult().getType()))));
      })
      .Case([&](arith::SIToFPOp) {
        return of(Numerics<T>::fromDouble(double(integer(0))));
      })
      .Case([&](arith::FPToSIOp) { return of(truncate(number(0))); })
      .Case([&](math::AbsFOp) { return function(Function::Abs); })
      .Case([&](math::CosOp) { return function(Function::Cos); })
      .Case([&](math::ErfOp) { return function(Function::Erf); })
      .Case([&](math::ExpOp) { return function(Function::Exp); })
      .Case([&](math::LogOp) { return function(Function::Log); })
      .Case([&](math::RsqrtOp) { return function(Function::Rsqrt); })
      .Case([&](math::SinOp) { return function(Function::Sin); })
      .Case([&](math::SqrtOp) { return function(Function::Sqrt); })
      .Case([&](math::TanhOp) { return function(Function::Tanh); })
      .Case([&](math::PowFOp) { return of(power(number(0), number(1))); })
      .Default([&](mlir::Operation *op) -> Result {
        error = "the reference can't execute '" +
                op->getName().getStringRef().str() + "'";
        return failure();
      });
}

template FailureOr<Scalar<double>> reference::toScalar<double>(mlir::Attribute,
                                                               std::string &);
template FailureOr<Scalar<Field>> reference::toScalar<Field>(mlir::Attribute,
                                                             std::string &);
template FailureOr<Scalar<double>>
reference::evaluateScalar<double>(mlir::Operation *, ArrayRef<Scalar<double>>,
                                  std::string &);
template FailureOr<Scalar<Field>>
reference::evaluateScalar<Field>(mlir::Operation *, ArrayRef<Scalar<Field>>,
                                 std::string &);

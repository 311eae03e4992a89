//===- Numerics.h - The numbers the reference computes with -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The interpreter runs in float64, or exactly: in the integers modulo the prime
// 2^61 - 1, where addition has no rounding and hence no order. Non-linear
// functions are fixed polynomials there. Two programs that agree in the field
// on random data agree as programs, whatever real function stands behind.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_REFERENCE_NUMERICS_H
#define MOE_REFERENCE_NUMERICS_H

#include "moe/Dialect/SPMD/IR/Placement.h"
#include "llvm/ADT/ArrayRef.h"
#include <cstdint>
#include <random>

namespace moe::reference {

/// The source of every random number: its output is the same everywhere.
using Random = std::mt19937_64;

/// An element of the prime field with 2^61 - 1 elements. All operations are
/// total; a quotient by zero is zero.
class Field {
public:
  static constexpr uint64_t prime = (uint64_t(1) << 61) - 1;

  Field() = default;
  /// The residue class of an integer.
  Field(int64_t value);
  static Field fromResidue(uint64_t residue);
  /// The exact value of a double, numerator / 2^k; zero if it is not finite.
  static Field fromDouble(double value);

  uint64_t getResidue() const { return residue; }
  Field power(uint64_t exponent) const;
  /// The multiplicative inverse; zero for zero.
  Field inverse() const;

  Field operator+(Field other) const {
    return fromResidue(residue + other.residue);
  }
  Field operator-(Field other) const {
    return fromResidue(residue + prime - other.residue);
  }
  Field operator*(Field other) const;
  Field operator/(Field other) const { return *this * other.inverse(); }
  Field &operator+=(Field other) { return *this = *this + other; }
  bool operator==(Field other) const { return residue == other.residue; }
  /// The integer that stands for the residue: the last quarter are negative, so
  /// that neither 0 nor 1/2 is near an end of the order.
  static constexpr int64_t largest = int64_t(prime / 4) * 3;
  static constexpr int64_t smallest = largest + 1 - int64_t(prime);
  int64_t getSigned() const {
    int64_t number = int64_t(residue);
    return number > largest ? number - int64_t(prime) : number;
  }
  /// The order top-k and max use: by signed residue. It is no order of a field.
  bool operator<(Field other) const { return getSigned() < other.getSigned(); }

private:
  uint64_t residue = 0;
};

/// What the kernels need of a number type: double, Field, and int64_t for the
/// part that moves data. `*Vjp` functions return the factor of the cotangent.
template <typename T>
struct Numerics;

template <>
struct Numerics<double> {
  /// Added to the denominator of `moe.normalize`.
  static constexpr double normalizeEpsilon = 1e-20;
  static double fromDouble(double value) { return value; }
  static double toDouble(double value) { return value; }
  static bool bitEqual(double lhs, double rhs);
  static double sigmoid(double x);
  /// From the saved result.
  static double sigmoidVjp(double y) { return y * (1 - y); }
  static double silu(double x) { return x * sigmoid(x); }
  /// From the saved operand.
  static double siluVjp(double x);
  /// The numerators of softmax of one row, in place.
  static void softmaxNumerators(llvm::MutableArrayRef<double> row);
  /// A number in [-1, 1).
  static double sample(Random &random);
  /// Fills `terms` with different numbers whose reduction is `value`, up to
  /// rounding; cancellation is mild.
  static void split(double value, spmd::ReductionKind kind, Random &random,
                    llvm::MutableArrayRef<double> terms);
};

template <>
struct Numerics<Field> {
  static constexpr int64_t normalizeEpsilon = 0;
  static Field fromDouble(double value) { return Field::fromDouble(value); }
  static double toDouble(Field value) { return double(value.getResidue()); }
  static bool bitEqual(Field lhs, Field rhs) { return lhs == rhs; }
  /// x^2 + 3x + 5
  static Field sigmoid(Field x) { return x * x + Field(3) * x + Field(5); }
  static Field sigmoidVjp(Field y) { return y * (Field(1) - y); }
  static Field silu(Field x) { return x * sigmoid(x); }
  /// The derivative of x^3 + 3x^2 + 5x.
  static Field siluVjp(Field x) {
    return Field(3) * x * x + Field(6) * x + Field(5);
  }
  /// x^2 + x + 7 each.
  static void softmaxNumerators(llvm::MutableArrayRef<Field> row);
  /// A uniformly distributed element.
  static Field sample(Random &random) { return Field::fromResidue(random()); }
  static void split(Field value, spmd::ReductionKind kind, Random &random,
                    llvm::MutableArrayRef<Field> terms);
};

template <>
struct Numerics<int64_t> {
  static double toDouble(int64_t value) { return double(value); }
  static bool bitEqual(int64_t lhs, int64_t rhs) { return lhs == rhs; }
  static void split(int64_t value, spmd::ReductionKind kind, Random &random,
                    llvm::MutableArrayRef<int64_t> terms);
};

} // namespace moe::reference

#endif // MOE_REFERENCE_NUMERICS_H

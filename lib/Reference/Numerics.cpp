//===- Numerics.cpp - The numbers the reference computes with -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/Numerics.h"
#include "moe/Reference/Tensor.h"
#include "llvm/ADT/STLExtras.h"
#include <bit>
#include <cmath>

using namespace moe;
using namespace moe::reference;
using moe::spmd::ReductionKind;

std::string reference::describeShape(llvm::ArrayRef<int64_t> shape) {
  if (shape.empty())
    return "scalar";
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

//===----------------------------------------------------------------------===//
// The field
//===----------------------------------------------------------------------===//

Field::Field(int64_t value) {
  int64_t remainder = value % int64_t(prime);
  residue = remainder < 0 ? remainder + prime : remainder;
}

Field Field::fromResidue(uint64_t residue) {
  Field result;
  result.residue = residue % prime;
  return result;
}

Field Field::operator*(Field other) const {
  __extension__ using Wide = unsigned __int128;
  Wide wide = Wide(residue) * other.residue;
  // 2^61 is 1 modulo the prime.
  return fromResidue((uint64_t(wide) & prime) + uint64_t(wide >> 61));
}

Field Field::power(uint64_t exponent) const {
  Field result(1), square = *this;
  for (; exponent; exponent >>= 1) {
    if (exponent & 1)
      result = result * square;
    square = square * square;
  }
  return result;
}

Field Field::inverse() const { return power(prime - 2); }

Field Field::fromDouble(double value) {
  if (!std::isfinite(value))
    return Field();
  int exponent = 0;
  double mantissa = std::frexp(value, &exponent);
  int64_t numerator = int64_t(std::ldexp(mantissa, 53));
  // Powers of 2 have period 61.
  int power = ((exponent - 53) % 61 + 61) % 61;
  return Field(numerator) * fromResidue(uint64_t(1) << power);
}

void Numerics<Field>::softmaxNumerators(llvm::MutableArrayRef<Field> row) {
  for (Field &x : row)
    x = x * x + x + Field(7);
}

//===----------------------------------------------------------------------===//
// Doubles
//===----------------------------------------------------------------------===//

bool Numerics<double>::bitEqual(double lhs, double rhs) {
  return std::bit_cast<uint64_t>(lhs) == std::bit_cast<uint64_t>(rhs);
}

double Numerics<double>::sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Numerics<double>::siluVjp(double x) {
  double s = sigmoid(x);
  return s * (1 + x * (1 - s));
}

void Numerics<double>::softmaxNumerators(llvm::MutableArrayRef<double> row) {
  if (row.empty())
    return;
  double largest = *llvm::max_element(row);
  for (double &x : row)
    x = std::exp(x - largest);
}

/// A number in [0, 1).
static double uniform(Random &random) {
  return double(random() >> 11) * 0x1p-53;
}

double Numerics<double>::sample(Random &random) {
  return 2 * uniform(random) - 1;
}

//===----------------------------------------------------------------------===//
// Terms of a reduction
//===----------------------------------------------------------------------===//

/// One rank has the extreme value itself, the others have what `worse` returns.
template <typename T>
static void splitExtreme(T value, Random &random,
                         llvm::MutableArrayRef<T> terms,
                         llvm::function_ref<T()> worse) {
  for (T &term : terms)
    term = worse();
  terms[random() % terms.size()] = value;
}

void Numerics<double>::split(double value, ReductionKind kind, Random &random,
                             llvm::MutableArrayRef<double> terms) {
  if (kind == ReductionKind::Max || kind == ReductionKind::Min) {
    double sign = kind == ReductionKind::Max ? -1 : 1;
    return splitExtreme<double>(value, random, terms, [&] {
      return value + sign * uniform(random) * (1 + std::abs(value));
    });
  }
  double count = double(terms.size()), weights = 0;
  for (size_t i = 0; i < terms.size(); ++i)
    weights += 0.6 + 0.1 * double(i);
  double total = kind == ReductionKind::Avg ? value * count : value;
  double rest = total;
  for (size_t i = 0; i + 1 < terms.size(); ++i) {
    double share = (0.6 + 0.1 * double(i)) / weights;
    terms[i] = total * share + 0.05 * sample(random) * (std::abs(total) + 0.1);
    rest -= terms[i];
  }
  terms.back() = rest;
}

void Numerics<Field>::split(Field value, ReductionKind kind, Random &random,
                            llvm::MutableArrayRef<Field> terms) {
  int64_t number = value.getSigned();
  if (kind == ReductionKind::Max)
    return splitExtreme<Field>(value, random, terms, [&] {
      return Field(number - int64_t(random() % (number - Field::smallest + 1)));
    });
  if (kind == ReductionKind::Min)
    return splitExtreme<Field>(value, random, terms, [&] {
      return Field(number + int64_t(random() % (Field::largest - number + 1)));
    });
  Field rest =
      kind == ReductionKind::Avg ? value * Field(int64_t(terms.size())) : value;
  for (Field &term : terms.drop_back()) {
    term = sample(random);
    rest = rest - term;
  }
  terms.back() = rest;
}

void Numerics<int64_t>::split(int64_t value, ReductionKind kind, Random &random,
                              llvm::MutableArrayRef<int64_t> terms) {
  if (kind == ReductionKind::Max || kind == ReductionKind::Min) {
    int64_t sign = kind == ReductionKind::Max ? -1 : 1;
    return splitExtreme<int64_t>(value, random, terms, [&] {
      return value + sign * int64_t(random() % 5);
    });
  }
  int64_t rest =
      kind == ReductionKind::Avg ? value * int64_t(terms.size()) : value;
  for (int64_t &term : terms.drop_back()) {
    term = rest > 0 ? int64_t(random() % uint64_t(rest + 1)) : 0;
    rest -= term;
  }
  terms.back() = rest;
}

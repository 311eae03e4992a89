//===- Contractions.cpp - Einsums by plain loops --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Reference/Kernels.h"
#include "llvm/ADT/STLExtras.h"
#include <numeric>
#include <optional>

using namespace moe;
using namespace moe::reference;
using llvm::ArrayRef;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::failure;
using mlir::FailureOr;
using mlir::LogicalResult;
using mlir::success;

namespace {
/// One tensor of a contraction: its letters, and how far apart in memory
/// neighbours along each of them are.
struct Term {
  std::string letters;
  SmallVector<int64_t> strides;

  Term(StringRef letters, ArrayRef<int64_t> shape)
      : letters(letters), strides(shape.size(), 1) {
    for (size_t dim = shape.size(); dim-- > 1;)
      strides[dim - 1] = strides[dim] * shape[dim];
  }
  bool has(char letter) const {
    return letters.find(letter) != std::string::npos;
  }
  /// Zero for a letter that the tensor lacks.
  int64_t stride(char letter) const {
    size_t dim = letters.find(letter);
    return dim == std::string::npos ? 0 : strides[dim];
  }
};

/// The size of every letter.
struct LetterSizes {
  int64_t sizes[26];
  LetterSizes() { llvm::fill(sizes, -1); }
  int64_t &operator[](char letter) { return sizes[letter - 'a']; }
};

struct Loop {
  int64_t size, result, lhs, rhs;
};

struct Equation {
  StringRef lhs, rhs, result;
  bool isBinary = false;

  static std::optional<Equation> parse(StringRef text) {
    Equation equation;
    auto [operands, result] = text.split("->");
    equation.result = result;
    equation.isBinary = operands.contains(',');
    std::tie(equation.lhs, equation.rhs) = operands.split(',');
    for (StringRef term : {equation.lhs, equation.rhs, equation.result})
      for (char letter : term)
        if (letter < 'a' || letter > 'z')
          return std::nullopt;
    return equation;
  }
};
} // namespace

/// Records the sizes of a term's letters; fails where they contradict.
static LogicalResult addSizes(StringRef letters, ArrayRef<int64_t> shape,
                              LetterSizes &sizes, StringRef except,
                              std::string &error) {
  if (letters.size() != shape.size()) {
    error = "the term '" + letters.str() + "' doesn't fit a local shape of " +
            describeShape(shape);
    return failure();
  }
  for (auto [letter, size] : llvm::zip_equal(letters, shape)) {
    if (except.contains(letter))
      continue;
    if (sizes[letter] >= 0 && sizes[letter] != size) {
      error = std::string("the letter '") + letter + "' has local sizes " +
              std::to_string(sizes[letter]) + " and " + std::to_string(size);
      return failure();
    }
    sizes[letter] = size;
  }
  return success();
}

/// Adds the products of all combinations of indices, the last loop innermost.
template <typename T>
static void accumulate(ArrayRef<Loop> loops, T *result, const T *lhs,
                       const T *rhs) {
  if (loops.empty()) {
    *result += *lhs * *rhs;
    return;
  }
  const Loop &loop = loops.front();
  for (int64_t i = 0; i < loop.size; ++i)
    accumulate(loops.drop_front(), result + i * loop.result, lhs + i * loop.lhs,
               rhs + i * loop.rhs);
}

/// One loop per letter but those in `except`: first the result's, then those
/// that are summed over.
static SmallVector<Loop> makeLoops(const Term &result, const Term &lhs,
                                   const Term &rhs, LetterSizes &sizes,
                                   StringRef except) {
  SmallVector<Loop> loops;
  std::string done = except.str();
  for (char letter : result.letters + lhs.letters + rhs.letters) {
    if (done.find(letter) != std::string::npos)
      continue;
    done += letter;
    loops.push_back({sizes[letter], result.stride(letter), lhs.stride(letter),
                     rhs.stride(letter)});
  }
  return loops;
}

static FailureOr<SmallVector<int64_t>>
resultShape(StringRef letters, LetterSizes &sizes, std::string &error) {
  SmallVector<int64_t> shape;
  for (char letter : letters) {
    if (sizes[letter] < 0) {
      error = std::string("no operand has the letter '") + letter + "'";
      return failure();
    }
    shape.push_back(sizes[letter]);
  }
  return shape;
}

template <typename T>
FailureOr<Tensor<T>> reference::einsum(StringRef text, const Tensor<T> &lhs,
                                       const Tensor<T> *rhs,
                                       std::string &error) {
  std::optional<Equation> equation = Equation::parse(text);
  if (!equation || equation->isBinary != (rhs != nullptr)) {
    error = "malformed equation '" + text.str() + "'";
    return failure();
  }
  // The second factor of a sum over one operand.
  Tensor<T> one({}, {T(1)});
  const Tensor<T> &right = rhs ? *rhs : one;
  LetterSizes sizes;
  if (mlir::failed(addSizes(equation->lhs, lhs.shape, sizes, "", error)) ||
      mlir::failed(addSizes(equation->rhs, right.shape, sizes, "", error)))
    return failure();
  FailureOr<SmallVector<int64_t>> shape =
      resultShape(equation->result, sizes, error);
  if (mlir::failed(shape))
    return failure();

  Tensor<T> result(*shape);
  Term resultTerm(equation->result, result.shape);
  Term lhsTerm(equation->lhs, lhs.shape), rhsTerm(equation->rhs, right.shape);
  SmallVector<Loop> loops = makeLoops(resultTerm, lhsTerm, rhsTerm, sizes, "");
  if (llvm::all_of(loops, [](const Loop &loop) { return loop.size > 0; }))
    accumulate<T>(loops, result.data.data(), lhs.data.data(),
                  right.data.data());
  return result;
}

template <typename T>
FailureOr<Tensor<T>>
reference::groupedEinsum(StringRef text, const Tensor<T> &lhs,
                         const Tensor<T> &rhs, const IndexTensor &counts,
                         const GroupedExperts &experts, std::string &error) {
  std::optional<Equation> equation = Equation::parse(text);
  if (!equation || !equation->isBinary) {
    error = "malformed equation '" + text.str() + "'";
    return failure();
  }
  // Rows and experts have their own loop: a row determines its expert.
  LetterSizes sizes;
  if (mlir::failed(addSizes(equation->lhs, lhs.shape, sizes, "e", error)) ||
      mlir::failed(addSizes(equation->rhs, rhs.shape, sizes, "e", error)))
    return failure();

  Range rows = experts.rows;
  bool hasParts = counts.shape.size() == 2;
  if ((counts.shape.size() != 1 && !hasParts) ||
      rows.end > counts.shape.back()) {
    error = "there are counts of shape " + describeShape(counts.shape) +
            " for " + std::to_string(rows.end) + " experts";
    return failure();
  }
  int64_t parts = hasParts ? counts.shape[0] : 1;
  int64_t numExperts = counts.shape.back();
  if (parts != 1 && rows.size() != numExperts) {
    error = "rows of " + std::to_string(parts) +
            " parts of tokens are cut by expert";
    return failure();
  }
  int64_t numRows = 0;
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t expert = rows.begin; expert < rows.end; ++expert) {
      int64_t count = counts.data[part * numExperts + expert];
      if (count < 0 || count > INT32_MAX) {
        error = "expert " + std::to_string(expert) + " has the row count " +
                std::to_string(count);
        return failure();
      }
      numRows += count;
    }
  if (sizes['n'] != numRows) {
    error = "there are " + std::to_string(sizes['n']) +
            " local rows where the counts of experts " +
            std::to_string(rows.begin) + " to " + std::to_string(rows.end) +
            " say " + std::to_string(numRows);
    return failure();
  }

  sizes['e'] = experts.result.size();
  FailureOr<SmallVector<int64_t>> shape =
      resultShape(equation->result, sizes, error);
  if (mlir::failed(shape))
    return failure();
  Tensor<T> result(*shape);
  Term resultTerm(equation->result, result.shape);
  Term lhsTerm(equation->lhs, lhs.shape), rhsTerm(equation->rhs, rhs.shape);
  struct Piece {
    const Term &term;
    Range experts;
    ArrayRef<int64_t> shape;
  };
  Piece pieces[] = {{resultTerm, experts.result, result.shape},
                    {lhsTerm, experts.lhs, lhs.shape},
                    {rhsTerm, experts.rhs, rhs.shape}};
  for (const Piece &piece : pieces) {
    size_t dim = piece.term.letters.find('e');
    if (dim != std::string::npos && piece.shape[dim] != piece.experts.size()) {
      error = "a local value has " + std::to_string(piece.shape[dim]) +
              " experts where its placement says " +
              std::to_string(piece.experts.size());
      return failure();
    }
  }

  SmallVector<Loop> loops =
      makeLoops(resultTerm, lhsTerm, rhsTerm, sizes, "ne");
  if (llvm::any_of(loops, [](const Loop &loop) { return loop.size == 0; }))
    return result;
  int64_t row = 0;
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t expert = rows.begin; expert < rows.end; ++expert) {
      bool held = llvm::all_of(pieces, [&](const Piece &piece) {
        return !piece.term.has('e') ||
               (expert >= piece.experts.begin && expert < piece.experts.end);
      });
      int64_t count = counts.data[part * numExperts + expert];
      for (int64_t i = 0; i < count; ++i, ++row) {
        if (!held)
          continue;
        auto offset = [&](const Piece &piece) {
          return row * piece.term.stride('n') +
                 (expert - piece.experts.begin) * piece.term.stride('e');
        };
        accumulate<T>(loops, result.data.data() + offset(pieces[0]),
                      lhs.data.data() + offset(pieces[1]),
                      rhs.data.data() + offset(pieces[2]));
      }
    }
  return result;
}

// NOLINTBEGIN(bugprone-macro-parentheses): types take none.
#define INSTANTIATE(T)                                                         \
  template FailureOr<Tensor<T>> reference::einsum(                             \
      StringRef, const Tensor<T> &, const Tensor<T> *, std::string &);         \
  template FailureOr<Tensor<T>> reference::groupedEinsum(                      \
      StringRef, const Tensor<T> &, const Tensor<T> &, const IndexTensor &,    \
      const GroupedExperts &, std::string &);
INSTANTIATE(double)
INSTANTIATE(Field)
#undef INSTANTIATE
// NOLINTEND(bugprone-macro-parentheses)

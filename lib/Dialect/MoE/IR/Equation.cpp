//===- Equation.cpp - The equation of an einsum ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Equation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe;

FailureOr<Equation> Equation::parse(StringRef text, bool grouped,
                                    std::string &error) {
  auto [left, right] = text.split("->");
  if (!text.contains("->")) {
    error = "has no '->'";
    return failure();
  }
  Equation equation;
  left.split(equation.operands, ',');
  equation.result = right;
  SmallVector<StringRef, 3> terms;
  llvm::append_range(terms, equation.operands);
  terms.push_back(right);
  for (StringRef term : terms) {
    for (auto [i, letter] : llvm::enumerate(term)) {
      if (letter < 'a' || letter > 'z') {
        error = "'" + std::string(1, letter) + "' is not a letter a to z";
        return failure();
      }
      if (term.take_front(i).contains(letter)) {
        error = "letter '" + std::string(1, letter) + "' stands twice in '" +
                term.str() + "'";
        return failure();
      }
    }
  }
  for (char letter : right) {
    // A row says which expert is its own.
    if (grouped && letter == 'e' && left.contains('n'))
      continue;
    if (!left.contains(letter)) {
      error = "letter '" + std::string(1, letter) +
              "' of the result is in no operand";
      return failure();
    }
  }
  return equation;
}

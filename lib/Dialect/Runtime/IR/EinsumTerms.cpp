//===- EinsumTerms.cpp - The letters of an equation -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/Runtime/IR/EinsumTerms.h"

using namespace moe::rt;
using llvm::StringRef;

EinsumTerms::EinsumTerms(StringRef equation) {
  auto [left, right] = equation.split("->");
  left.split(operands, ',');
  result = right;
}

bool EinsumTerms::isMatrixProduct() const {
  if (operands.size() != 2 || result.size() != 2)
    return false;
  // Each operand shares one letter with the result, and one with the other.
  unsigned ofResult = 0, shared = 0;
  for (StringRef operand : operands) {
    if (operand.size() != 2)
      return false;
    for (char letter : operand)
      ofResult += result.contains(letter);
  }
  for (char letter : operands[0])
    shared += operands[1].contains(letter);
  return ofResult == 2 && shared == 1 &&
         operands[0].contains(result[0]) != operands[1].contains(result[0]);
}

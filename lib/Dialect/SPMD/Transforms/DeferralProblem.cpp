//===- DeferralProblem.cpp - What deferral chooses, without the IR --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DeferralProblem.h"

using namespace mlir;
using namespace moe::spmd;

static auto asTuple(const DeferralProblem::Item &item) {
  return std::tuple(item.type.getAsOpaquePointer(), item.computed.pack(),
                    item.cuts.pack(), item.rules, item.pinned, item.weight,
                    item.operandsEnd, item.needsEnd, item.position);
}

bool DeferralProblem::operator==(const DeferralProblem &that) const {
  auto sameItem = [](const Item &lhs, const Item &rhs) {
    return asTuple(lhs) == asTuple(rhs);
  };
  auto sameOperand = [](const Operand &lhs, const Operand &rhs) {
    return lhs.value == rhs.value && lhs.stated == rhs.stated;
  };
  return llvm::equal(items, that.items, sameItem) &&
         llvm::equal(operands, that.operands, sameOperand) &&
         needs == that.needs && needPositions == that.needPositions;
}

llvm::hash_code moe::spmd::hash_value(const DeferralProblem &problem) {
  llvm::hash_code hash = llvm::hash_combine(
      problem.items.size(), problem.operands.size(), problem.needs.size());
  for (const DeferralProblem::Item &item : problem.items)
    hash = llvm::hash_combine(
        hash, item.type.getAsOpaquePointer(), item.computed.pack(),
        llvm::hash_combine_range(item.rules.begin(), item.rules.end()),
        item.operandsEnd, item.needsEnd);
  for (const DeferralProblem::Operand &operand : problem.operands)
    hash = llvm::hash_combine(hash, operand.value, operand.stated.pack());
  for (Form need : problem.needs)
    hash = llvm::hash_combine(hash, need.pack());
  return hash;
}

Form moe::spmd::getComputedForm(const DeferralProblem::Item &item,
                                const DeferralChoice &choice) {
  Form form = item.computed;
  for (unsigned axis = 0; axis < Form::maxAxes; ++axis)
    if (const AxisRule *rule = item.rules[axis])
      form[axis] = choice.levels[axis] == PartialLevel ? Form::partial
                   : choice.levels[axis] == WholeLevel ? Form::whole
                                                       : Form::cut(rule->dim);
  return form;
}

Form moe::spmd::getNeededForm(const DeferralProblem::Item &item,
                              const DeferralChoice &choice, unsigned number,
                              Form stated) {
  Form form = stated;
  for (unsigned axis = 0; axis < Form::maxAxes; ++axis) {
    const AxisRule *rule = item.rules[axis];
    if (!rule)
      continue;
    if (choice.levels[axis] == CutLevel) {
      int dim = rule->operandDims[number];
      if (dim >= 0)
        form[axis] = Form::cut(dim);
      else if (rule->varies(number))
        form[axis] = Form::whole;
    } else if (choice.levels[axis] == WholeLevel) {
      if (rule->varies(number))
        form[axis] = Form::whole;
    } else if (rule->kind == AxisRule::Sum) {
      form[axis] = Form::partial;
    } else if (rule->varies(number)) {
      bool carries =
          rule->kind != AxisRule::Product || choice.carriers[axis] == number;
      form[axis] = carries ? Form::partial : Form::whole;
    }
  }
  return form;
}

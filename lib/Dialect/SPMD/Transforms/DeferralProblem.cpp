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
                    item.cuts.pack(), item.rules, item.pinned, item.gathered,
                    item.padded, item.weight, item.operandsEnd, item.needsEnd,
                    item.position);
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

/// Many small numbers make one.
static uint64_t mix(uint64_t hash, uint64_t number) {
  hash = (hash ^ number) * UINT64_C(0x9E3779B97F4A7C15);
  return hash ^ hash >> 29;
}

uint64_t DeferralProblem::getHash() const {
  uint64_t hash = items.size();
  for (const Item &item : items) {
    hash =
        mix(hash, reinterpret_cast<uintptr_t>(item.type.getAsOpaquePointer()));
    hash = mix(hash, item.computed.pack());
    for (const AxisRule *rule : item.rules)
      hash = mix(hash, reinterpret_cast<uintptr_t>(rule));
    hash = mix(hash, uint64_t(item.operandsEnd) << 32 | item.needsEnd);
  }
  for (const Operand &operand : operands)
    hash = mix(mix(hash, operand.value), operand.stated.pack());
  for (Form need : needs)
    hash = mix(hash, need.pack());
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
    bool contracted = choice.isContracted(axis);
    if (choice.levels[axis] == CutLevel || contracted) {
      int dim =
          contracted ? rule->contractedDims[number] : rule->operandDims[number];
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

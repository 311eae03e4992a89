//===- RuleNumbers.cpp - Rules by number, and errors that cite them -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuleNumbers.h"
#include "Samples.h"
#include "mlir/IR/Builders.h"
#include "moe/Analysis/PlacementAnalysis.h"

using namespace moe;
using namespace moe::evidence;
using llvm::ArrayRef;
using llvm::StringRef;
using mlir::Operation;
using mlir::Value;
using mlir::func::FuncOp;
using moe::spmd::ComputeOp;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;
using moe::spmd::PlacementAnalysis;
using moe::spmd::PlacementOpInterface;
using moe::spmd::Transfer;

std::string RuleNumber::str() const {
  return std::to_string(operation) + "." + std::to_string(clause);
}

static RuleNumber numberOf(Operation *op, const Transfer &transfer) {
  return {llvm::cast<PlacementOpInterface>(op).getRuleNumber(),
          spmd::getClause(transfer)};
}

std::vector<RuleNumber> moe::evidence::rulesOf(Operation *op, unsigned axis,
                                               ArrayRef<Placement> operands) {
  auto compute = llvm::dyn_cast<ComputeOp>(op);
  if (!compute)
    return {
        numberOf(op, llvm::cast<PlacementOpInterface>(op).transferPlacements(
                         axis, operands))};
  std::vector<RuleNumber> rules;
  llvm::DenseMap<Value, Placement> placements;
  mlir::Block &body = compute.getBody().front();
  for (auto [argument, placement] :
       llvm::zip_equal(body.getArguments(), operands))
    placements[argument] = placement;
  for (Operation &inner : body.without_terminator()) {
    Transfer transfer = spmd::transferThroughBody(
        &inner, axis, [&](Value value) { return placements.lookup(value); });
    rules.push_back(numberOf(&inner, transfer));
    if (!transfer.ok)
      break;
    for (auto [result, placement] :
         llvm::zip_equal(inner.getResults(), transfer.results))
      placements[result] = placement;
  }
  return rules;
}

Operation *moe::evidence::getSubject(FuncOp function) {
  Operation *op = &function.getBody().front().front();
  if (auto compute = llvm::dyn_cast<ComputeOp>(op))
    return compute.getYielded().getDefiningOp();
  return op;
}

/// The first error of the function or note of one that cites the rule.
static std::string findCitation(FuncOp function, RuleNumber rule) {
  std::string found, mark = "[rule " + rule.str() + "]";
  auto look = [&](const std::string &text) {
    if (found.empty() && StringRef(text).contains(mark))
      found = text;
  };
  mlir::ScopedDiagnosticHandler handler(
      function.getContext(), [&](mlir::Diagnostic &error) {
        look(error.str());
        for (mlir::Diagnostic &note : error.getNotes())
          look(note.str());
        return mlir::success();
      });
  PlacementAnalysis analysis(function);
  for (ArrayRef<spmd::Finding> error : analysis.getErrors())
    spmd::emitError(analysis, function, error);
  return found;
}

/// The placements of the result of `op` on all axes; where a rule refuses, or
/// gives what no type says, partial<sum>.
static std::vector<Placement> placeResult(Operation *op, const Tuple &tuple) {
  std::vector<Placement> result;
  for (size_t axis = 0; axis < tuple.front().size(); ++axis) {
    llvm::SmallVector<Placement> operands;
    for (const auto &placements : tuple)
      operands.push_back(placements[axis]);
    Transfer transfer =
        llvm::cast<PlacementOpInterface>(op).transferPlacements(axis, operands);
    bool known = transfer.ok && !transfer.results.front().isMixed();
    result.push_back(known ? transfer.results.front() : Placement::partial());
  }
  return result;
}

std::string moe::evidence::diagnose(FuncOp function, const Tuple &tuple,
                                    RuleNumber rule) {
  mlir::OwningOpRef<FuncOp> copy = function.clone();
  mlir::Block &body = copy->getBody().front();
  for (auto [argument, placements] :
       llvm::zip_equal(body.getArguments(), tuple))
    argument.setType(typeOf(argument).withPlacements(placements));
  Operation *op = &body.front(), *ret = body.getTerminator();
  Value result = op->getResult(0);
  PlacedTensorType type = typeOf(result);
  mlir::OpBuilder builder(ret);
  std::vector<Placement> truth = placeResult(op, tuple);
  // What the operation gives is said by its type or, unless that is empty, by a
  // claim after it.
  auto cite = [&](ArrayRef<Placement> given,
                  ArrayRef<Placement> claimed) -> std::string {
    if (!makesType(type, given))
      return "";
    result.setType(type.withPlacements(given));
    if (claimed.empty())
      return findCitation(*copy, rule);
    auto claim = spmd::ClaimOp::create(builder, op->getLoc(),
                                       type.withPlacements(claimed), result,
                                       mlir::StringAttr());
    std::string text = findCitation(*copy, rule);
    claim->erase();
    return text;
  };
  // What may be believed of the result: each in turn is false of some.
  for (size_t axis = 0; axis < truth.size(); ++axis) {
    for (Placement wrong : {Placement::replicate(), Placement::partial()}) {
      std::vector<Placement> believed = truth, partial = truth;
      believed[axis] = wrong;
      partial[axis] = Placement::partial();
      if (!makesType(type, believed))
        continue;
      std::string text = cite(believed, {});
      if (text.empty())
        text = cite(truth, believed);
      if (text.empty())
        text = cite(partial, believed);
      if (!text.empty())
        return text;
    }
  }
  return "";
}

//===- RuleSpecification.cpp - The rules as a page of the documentation ---===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RuleNumbers.h"
#include "Samples.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/Support/raw_ostream.h"

using namespace moe;
using namespace moe::evidence;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::Operation;
using mlir::func::FuncOp;
using moe::spmd::Placement;
using moe::spmd::PlacementOpInterface;
using moe::spmd::Transfer;

/// The operations of a function without what makes constants for them.
static std::string describeBody(Operation *op) {
  std::string text;
  llvm::raw_string_ostream os(text);
  auto compute = llvm::dyn_cast<spmd::ComputeOp>(op);
  if (!compute) {
    os << *op;
    text = text.substr(text.find('=') + 2);
    return text.substr(0, text.find(" : "));
  }
  for (Operation &inner : compute.getBody().front().without_terminator())
    if (inner.getNumOperands() && !llvm::isa<mlir::linalg::FillOp>(inner))
      os << (text.empty() ? "" : "; ") << inner.getName();
  return text;
}

namespace {
/// Placements of the operands that one rule refuses.
struct Refusal {
  unsigned count = 0;
  Tuple first;
};
} // namespace

static SmallVector<Placement> onOneAxis(const Tuple &tuple) {
  SmallVector<Placement> operands;
  for (const auto &placements : tuple)
    operands.push_back(placements.front());
  return operands;
}

static mlir::LogicalResult printFunction(FuncOp function,
                                         const std::vector<Tuple> &tuples,
                                         llvm::raw_ostream &os) {
  Operation *op = &function.getBody().front().front();
  os << "\n" << function.getName() << ": `" << describeBody(op) << "`, ";
  llvm::interleaveComma(function.getArguments(), os, [&](mlir::Value value) {
    os << reference::describeShape(typeOf(value).getShape());
  });
  os << " to " << reference::describeShape(typeOf(op->getResult(0)).getShape())
     << "\n\n";
  std::multimap<RuleNumber, std::string> allowed;
  std::map<RuleNumber, Refusal> refused;
  for (const Tuple &tuple : tuples) {
    SmallVector<Placement> operands = onOneAxis(tuple);
    for (auto [argument, placement] :
         llvm::zip_equal(function.getArguments(), operands))
      argument.setType(typeOf(argument).withPlacements(placement));
    RuleNumber rule = rulesOf(op, 0, operands).back();
    Transfer transfer =
        llvm::cast<PlacementOpInterface>(op).transferPlacements(0, operands);
    if (!transfer.ok || transfer.results.front().isMixed()) {
      Refusal &refusal = refused[rule];
      if (refusal.count++ == 0)
        refusal.first = tuple;
      continue;
    }
    std::string row;
    llvm::raw_string_ostream text(row);
    llvm::interleaveComma(operands, text);
    text << " | " << transfer.results.front();
    allowed.emplace(rule, std::move(row));
  }
  os << "| rule | operands | result |\n|---|---|---|\n";
  for (const auto &[rule, row] : allowed)
    os << "| " << rule.str() << " | " << row << " |\n";
  if (!refused.empty())
    os << "\n| rule | refused | the first of them | error "
          "|\n|---|---|---|---|\n";
  for (const auto &[rule, refusal] : refused) {
    std::string error = diagnose(function, refusal.first, rule);
    if (error.empty())
      return function.emitError("rule ")
             << rule.str() << " refuses, but no error cites it";
    os << "| " << rule.str() << " | " << refusal.count << " | ";
    llvm::interleaveComma(onOneAxis(refusal.first), os);
    os << " | `" << StringRef(error).split("; help:").first << "` |\n";
  }
  return mlir::success();
}

mlir::LogicalResult moe::evidence::printSpecification(
    mlir::ModuleOp module,
    llvm::function_ref<std::vector<Tuple>(FuncOp)> tuples,
    llvm::raw_ostream &os) {
  std::map<unsigned, std::vector<FuncOp>> sections;
  for (auto function : module.getOps<FuncOp>())
    sections[llvm::cast<PlacementOpInterface>(getSubject(function))
                 .getRuleNumber()]
        .push_back(function);
  for (const auto &[number, functions] : sections) {
    Operation *subject = getSubject(functions.front());
    // One model reads them all.
    bool structured = llvm::isa<mlir::linalg::LinalgOp>(subject);
    os << "\n### " << number << ". `"
       << (structured ? "linalg.generic` and named structured operations"
                      : (subject->getName().getStringRef() + "`").str())
       << '\n';
    for (FuncOp function : functions)
      if (failed(printFunction(function, tuples(function), os)))
        return mlir::failure();
  }
  return mlir::success();
}

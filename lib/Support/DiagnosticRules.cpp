//===- DiagnosticRules.cpp - The labels of diagnostics --------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Support/DiagnosticRules.h"
#include "llvm/ADT/STLExtras.h"

using llvm::StringRef;

static constexpr moe::DiagnosticRule kRules[] = {
    {"G1", "a reduction is missing", true},
    {"G2", "a reduction too many", true},
    {"G3", "cut otherwise", true},
    {"G4", "another kind of reduction", true},
    {"G5", "a sum without meaning", true},
    {"G6", "sums what is not Partial", true},
    {"Q1", "a gradient leaves otherwise than its argument lies", true},
    {"T1", "an operation is typed otherwise than its rule gives", true},
    {"R1", "Partial into what is not linear", true},
    {"R2", "two Partial factors", true},
    {"R3", "terms of different kinds", true},
    {"R4", "operands that cut different things", true},
    {"R5", "a cut of what is needed whole", true},
    {"R6", "no rule", true},
    {"R7", "not what opaque code needs", true},
    {"R8", "ranks may go different ways", true},
    {"R9", "a function that calls itself", true},
    {"I1", "an argument's placement is not given", true},
    {"I2", "not inferred yet", true},
    {"I3", "a value that is placed in two ways", true},
    {"I4", "a signature that says nothing", true},
    {"A1", "no derivative", true},
    {"A2", "not inferred yet", true},
    {"M1", "the sizes of a mesh", false},
    {"M2", "names of mesh axes", false},
    {"M3", "split axes", false},
    {"T1.type", "one placement per mesh axis", false},
    {"T2", "cut dimensions", false},
    {"T3", "reductions in one type", false},
    {"T4", "shapes", false},
    {"C1", "operations of `spmd` change placements alone", false},
    {"C2", "rows cut by expert", false},
    {"C3", "conversions to avg, max or min", false},
    {"B1", "names of axes in operations", false},
    {"L1", "`spmd.all_reduce`", false},
    {"L2", "`spmd.all_gather`", false},
    {"L3", "`spmd.reduce_scatter`", false},
    {"L4", "`spmd.all_to_all`", false},
    {"U1", "arguments of `spmd.compute`'s body", false},
    {"U2", "what it yields", false},
    {"U3", "the mesh of `spmd.compute` and `spmd.opaque`", false},
    {"O1", "what `spmd.opaque` declares of operands", false},
    {"O2", "what it declares of its result", false},
    {"E1", "the equation of an einsum", false},
    {"E2", "its letters and sizes", false},
    {"E3", "element types", false},
    {"E4", "counts of a grouped einsum", false},
    {"W1", "element-wise operations", false},
    {"W2", "`moe.fold`, `moe.unfold`", false},
    {"K1", "sizes of `moe.top_k`", false},
    {"K2", "its groups", false},
    {"K3", "its bias", false},
    {"G", "`moe.gather`, `moe.scatter`, `moe.count`", false},
    {"N1", "axes of a collective of `moert`", false},
    {"N2", "its operands", false},
    {"N3", "what its operands are parts of", false},
    {"D1", "`moe.dispatch`, `moe.combine`, `moe.permute`, `moe.unpermute`",
     false},
};

llvm::ArrayRef<moe::DiagnosticRule> moe::getDiagnosticRules() { return kRules; }

const moe::DiagnosticRule *moe::findDiagnosticRule(StringRef message) {
  bool ofPass = message.starts_with("[");
  StringRef label = message.drop_front().split(']').first;
  if (!ofPass) {
    size_t open = message.find('(');
    label = open == StringRef::npos
                ? ""
                : message.drop_front(open + 1).split(')').first;
  }
  // Both kinds have a T1.
  StringRef id = !ofPass && label == "T1" ? "T1.type" : label;
  const auto *rule = llvm::find_if(kRules, [&](const DiagnosticRule &rule) {
    return rule.id == id && rule.isOfPass == ofPass;
  });
  return rule == std::end(kRules) ? nullptr : rule;
}

mlir::FileLineColLoc moe::findFileLocation(mlir::Location loc) {
  mlir::FileLineColLoc place;
  loc->walk([&](mlir::Location part) {
    place = llvm::dyn_cast<mlir::FileLineColLoc>(part);
    return place ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
  });
  return place;
}

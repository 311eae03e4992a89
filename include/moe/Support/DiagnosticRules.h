//===- DiagnosticRules.h - The labels of diagnostics ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// For programs that hand diagnostics on in another form.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_SUPPORT_DIAGNOSTICRULES_H
#define MOE_SUPPORT_DIAGNOSTICRULES_H

#include "mlir/IR/Location.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace moe {

/// A label, as docs/Diagnostics.md describes it.
struct DiagnosticRule {
  llvm::StringRef id, description;
  /// Stands in brackets, `[G1]`, with a section of its own in the page. Those
  /// of single operations stand in parentheses and share one section.
  bool isOfPass;
};

llvm::ArrayRef<DiagnosticRule> getDiagnosticRules();

/// The rule whose label is at the beginning of a message, or in it in
/// parentheses; null if it has none that is known.
const DiagnosticRule *findDiagnosticRule(llvm::StringRef message);

/// The first place in a file that is part of a location; null if there is none.
mlir::FileLineColLoc findFileLocation(mlir::Location loc);

} // namespace moe

#endif // MOE_SUPPORT_DIAGNOSTICRULES_H

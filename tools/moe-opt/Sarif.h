//===- Sarif.h - Diagnostics for code hosts and editors ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_OPT_SARIF_H
#define MOE_TOOLS_OPT_SARIF_H

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SourceMgr.h"

/// Collects diagnostics as the results of one run of the Static Analysis
/// Results Interchange Format, version 2.1.0 (OASIS). Rules are the labels of
/// docs/Diagnostics.md; notes are related locations; a repair that is an edit
/// of the text is a fix.
class SarifLog {
public:
  /// `sources` holds the text that locations are in.
  explicit SarifLog(const llvm::SourceMgr &sources) : sources(sources) {}

  void add(mlir::Diagnostic &diagnostic);
  /// The whole log.
  std::string str(bool successful) const;

private:
  void addFix(mlir::Diagnostic &note, llvm::json::Array &fixes) const;

  const llvm::SourceMgr &sources;
  llvm::json::Array results;
};

#endif // MOE_TOOLS_OPT_SARIF_H

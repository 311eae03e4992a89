//===- Diagnostics.h - What the C API collects ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CAPI_DIAGNOSTICS_H
#define MOE_LIB_CAPI_DIAGNOSTICS_H

#include "mlir/IR/Diagnostics.h"
#include "moe-c/Diagnostics.h"
#include <deque>
#include <string>
#include <vector>

struct MoEDiagnostic {
  MoESeverity severity = MOE_ERROR;
  std::string message;
  std::string rule;
  std::string file;
  unsigned line = 0, column = 0;
  std::deque<MoEDiagnostic> notes;
  std::vector<std::string> helps;
};

struct MoEDiagnostics {
  /// One that has been handed out stays where it is.
  std::deque<MoEDiagnostic> list;
};

namespace moe {

/// While it lives, what is reported in a context goes into a list.
class DiagnosticCollector {
public:
  /// `list` may be null.
  DiagnosticCollector(mlir::MLIRContext &context, MoEDiagnostics *list);

private:
  mlir::ScopedDiagnosticHandler handler;
};

/// Adds an error without a place; `list` may be null.
void addError(MoEDiagnostics *list, std::string message, std::string help = "");

} // namespace moe

#endif // MOE_LIB_CAPI_DIAGNOSTICS_H

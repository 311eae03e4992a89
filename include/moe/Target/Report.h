//===- Report.h - What a compilation did --------------------------*- C++
//-*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One report, in JSON; docs/Tools/moe-compile.md has its schema. Text and HTML
// are renderings of it.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TARGET_REPORT_H
#define MOE_TARGET_REPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/Support/JSON.h"
#include <memory>

namespace moe {

/// What spmd-defer-reductions says of each reduction, under each policy, and
/// moert-bucket-collectives and moert-schedule-collectives of collectives.
class ReductionLog {
public:
  /// Has to be called before passes run on `context`.
  mlir::LogicalResult attach(mlir::MLIRContext &context);
  /// Tries every policy on a copy of `module`, which is checked and whose
  /// reductions stand where they were written. Fails with an error of the
  /// passes.
  mlir::LogicalResult comparePolicies(mlir::ModuleOp module,
                                      const MoEDeferOptions &chosen);

  /// By the policy that was chosen.
  llvm::json::Array takeReductions() { return std::move(reductions); }
  /// What each policy is estimated to cost, by axis.
  llvm::json::Array takeEstimates() { return std::move(estimates); }
  /// What the program sends under each policy, by phase.
  llvm::json::Array takeTotals() { return std::move(totals); }

  /// Small collectives that became one.
  llvm::json::Array takeBuckets() { return std::move(run->buckets); }
  /// Of the step; null if no schedule was made.
  llvm::json::Value takeSchedule() { return std::move(run->schedule); }
  /// Of each collective in its order, if a schedule was made.
  llvm::json::Array takeOverlaps() { return std::move(run->overlaps); }

  /// The remarks of one run of the passes.
  struct Run {
    llvm::json::Array reductions, estimates, buckets, overlaps;
    llvm::json::Value schedule = nullptr;
  };

private:
  std::shared_ptr<Run> run = std::make_shared<Run>();
  llvm::json::Array reductions, estimates, totals;
};

struct ReportOptions {
  /// The file that was compiled.
  llvm::StringRef source;
  llvm::StringRef target;
  /// Of spmd-defer-reductions; empty if it did not run.
  llvm::StringRef policy;
};

/// Of a localized module whose collectives are numbered. Fails with an error if
/// it has not exactly one program.
mlir::FailureOr<llvm::json::Object> makeReport(mlir::ModuleOp module,
                                               ReductionLog &log,
                                               const ReportOptions &options);

enum class ReportFormat { JSON, Text, HTML };

/// By the file's extension; nothing for any other than json, txt and html.
std::optional<ReportFormat> getReportFormat(llvm::StringRef path);

void renderReport(const llvm::json::Object &report, ReportFormat format,
                  llvm::raw_ostream &os);

} // namespace moe

#endif // MOE_TARGET_REPORT_H

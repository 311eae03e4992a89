//===- LayerImporter.h - The IR of one MoE layer ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_IMPORT_LAYERIMPORTER_H
#define MOE_IMPORT_LAYERIMPORTER_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "moe/Import/Labels.h"
#include "moe/Import/LayerConfig.h"

namespace moe::importer {

/// How the layer lies over the ranks.
enum class Plan {
  /// Experts cut along their hidden dimension.
  TP,
  /// The same on a mesh that has an axis for experts too, whose ranks have
  /// tokens of their own.
  ETP,
  /// Experts spread over the ranks of tp; each rank routes its run of tokens.
  TP2EP,
  /// Experts spread over ranks that have tokens of their own.
  EP,
};

struct LayerOptions {
  /// Axis names and sizes, outermost first. With every plan the first may be
  /// dp, whose ranks have tokens of their own and all experts.
  std::vector<std::pair<std::string, int64_t>> mesh;
  Plan plan = Plan::TP;
  int64_t batch = 1;
  int64_t seq = 32;
  std::optional<ScorePosition> scorePosition;
  bool sequenceParallel = false;
  bool bf16 = false;

  /// The axis that labels are about if they name none.
  llvm::StringRef getLayerAxis() const {
    return plan == Plan::EP ? "ep" : "tp";
  }

  /// Reads `tp=2,ep=1`.
  static mlir::LogicalResult
  parseMesh(llvm::StringRef text,
            std::vector<std::pair<std::string, int64_t>> &mesh,
            ImportError &error);
};

/// Builds `@moe_layer`, see docs/Tools/moe-import.md. Placements of arguments,
/// conversions and the result are given, all others are `?`. Errors: a mesh
/// that the plan cannot use, a batch and sequence that do not divide.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importLayer(mlir::MLIRContext *context, const LayerConfig &config,
            const LayerOptions &options, const LabelMap &labels,
            ImportError &error);

} // namespace moe::importer

#endif // MOE_IMPORT_LAYERIMPORTER_H

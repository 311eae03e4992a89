//===- Labels.h - What a framework's code says of gradients -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_IMPORT_LABELS_H
#define MOE_IMPORT_LABELS_H

#include "moe/Dialect/SPMD/IR/Placement.h"
#include "moe/Import/LayerConfig.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include <map>
#include <string>
#include <vector>

namespace moe::importer {

struct LayerOptions;

/// One thing that is believed of, or done to, a cotangent at a site.
struct LabelAction {
  enum Kind {
    /// Believed to lie as `placements` say (`grad claims`).
    Claims,
    /// Converted to replicate from what it is believed to be (`grad converts`).
    Reduces,
    /// Summed over the layer's axis whatever it is (`grad_all_reduce`).
    AllReduces,
  };
  Kind kind = Claims;
  /// By axis name; the empty name is LayerOptions::getLayerAxis. An axis that
  /// is not named stays as it is, and nothing is said of it.
  std::vector<std::pair<std::string, spmd::Placement>> placements;
};

/// Sites and what happens to the cotangent there, in the order it happens.
using LabelMap = std::map<std::string, std::vector<LabelAction>>;

/// A place of the layer where a framework states placements of gradients.
struct LabelSite {
  std::string name;
  std::string description;
};

/// The sites of the layer, in order of the forward program.
std::vector<LabelSite> labelSites(const LayerConfig &config,
                                  const LayerOptions &options);

/// The labels of torchtitan's era called `name` (docs/Tools/moe-import.md), for
/// the sites that the layer has.
mlir::FailureOr<LabelMap> getBuiltinLabels(llvm::StringRef name,
                                           const LayerConfig &config,
                                           const LayerOptions &options,
                                           ImportError &error);

/// Reads `{"site": "partial", "site": ["partial", "reduced"],
/// "site": {"tp": "partial"}}`. Errors: no JSON, an unknown site or label.
mlir::FailureOr<LabelMap> parseLabels(llvm::StringRef text,
                                      llvm::StringRef path,
                                      const LayerConfig &config,
                                      const LayerOptions &options,
                                      ImportError &error);

/// One label: none, replicate, partial, shard<d>, reduced or all-reduce. None
/// gives an action list that is empty.
mlir::LogicalResult parseLabel(llvm::StringRef text,
                               std::vector<LabelAction> &actions);

} // namespace moe::importer

#endif // MOE_IMPORT_LABELS_H

//===- LayerConfig.h - One MoE layer out of a model's configuration -*- C++
//-*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_IMPORT_LAYERCONFIG_H
#define MOE_IMPORT_LAYERCONFIG_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace moe::importer {

/// What is wrong, and what to do about it.
struct ImportError {
  std::string message;
  std::string help;
};

enum class ScoreFunction { Softmax, Sigmoid };

/// Where the router's scores multiply.
enum class ScorePosition {
  /// The rows, before the experts (Llama 4).
  Before,
  /// The experts' results.
  After,
  /// The hidden activations, before the down projection.
  PreDown,
};

/// The mathematics of one MoE layer. Sizes are in elements.
struct LayerConfig {
  int64_t dModel = 0;
  int64_t dExpert = 0;
  int64_t numExperts = 0;
  int64_t topK = 0;
  /// Hidden size of all shared experts together; 0 if there are none.
  int64_t dShared = 0;
  ScoreFunction scoreFunction = ScoreFunction::Softmax;
  /// Chosen scores are divided by their sum.
  bool normalize = false;
  /// Chosen scores are multiplied by this, last.
  double scale = 1.0;
  int64_t groups = 1;
  int64_t limitedGroups = 1;
  /// A bias on the scores, for the choice only.
  bool scoreBias = false;
  ScorePosition scorePosition = ScorePosition::After;

  /// Reads a Hugging Face `config.json`. `path` names it in errors: text that
  /// is no JSON, a needed key that is missing or of the wrong type, keys that
  /// contradict each other, a model whose layer cannot be expressed.
  static mlir::FailureOr<LayerConfig>
  parse(llvm::StringRef text, llvm::StringRef path, ImportError &error);
};

} // namespace moe::importer

#endif // MOE_IMPORT_LAYERCONFIG_H

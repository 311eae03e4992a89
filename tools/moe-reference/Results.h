//===- Results.h - Inputs, outputs and comparisons of a run -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TOOLS_REFERENCE_RESULTS_H
#define MOE_TOOLS_REFERENCE_RESULTS_H

#include "Options.h"
#include "moe/Reference/Interpreter.h"
#include "moert/SafeTensors.h"

/// A named argument or result of the function.
struct Slot {
  std::string name;
  moe::spmd::PlacedTensorType type;

  bool isIndex() const {
    return llvm::isa<mlir::IntegerType>(type.getElementType());
  }
  std::vector<int64_t> shape() const {
    return std::vector<int64_t>(type.getShape().begin(), type.getShape().end());
  }
};

/// Reads the global value of each of `slots`, which are all that the file may
/// have. Returns Success, or an exit code having printed the error.
int readInputs(const std::string &path, llvm::ArrayRef<Slot> slots,
               std::vector<moe::reference::Value<double>> &values);

/// Results of a run in float64, by position in `slots`.
struct RunResults {
  llvm::ArrayRef<Slot> slots;
  const moe::reference::RankMesh &mesh;
  std::vector<moe::reference::LocalValues<double>> locals;
  std::vector<moe::reference::Denotation<double>> globals;
};

/// Prints for each replicated result whether the ranks are bit-equal.
void printReplicas(const RunResults &results);

/// Writes what `--outputs` and `--gather` ask for: all files or none.
int writeOutputs(const Options &options, const RunResults &results);

/// Compares with the file of `--expect`, a line per tensor.
int compareWithExpected(const Options &options, const RunResults &results);

#endif // MOE_TOOLS_REFERENCE_RESULTS_H

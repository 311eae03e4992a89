//===- RandomGraphs.h - Small programs that type-check ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_EVIDENCE_RANDOMGRAPHS_H
#define MOE_TEST_EVIDENCE_RANDOMGRAPHS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "moe/Reference/Numerics.h"
#include "llvm/Support/CommandLine.h"

namespace moe::evidence {

/// Flags of a program that compares graphs which it draws.
struct GraphFlags {
  llvm::cl::opt<uint64_t> seed{"seed", llvm::cl::init(1),
                               llvm::cl::desc("Random seed")};
  llvm::cl::opt<int64_t> graphs{
      "graphs", llvm::cl::init(2000),
      llvm::cl::desc("Different programs to compare")};
  llvm::cl::opt<bool> print{"print",
                            llvm::cl::desc("Print programs that differ")};
};

/// The mesh that `text` describes, as between the angle brackets of the
/// attribute.
spmd::MeshAttr parseMesh(mlir::MLIRContext *context, llvm::StringRef text);

/// A function `@graph` of 4 to 15 operations of both dialects on `mesh`:
/// several arguments with any placements but extremes, values with several
/// uses, conversions and collectives in between, often a route through experts.
/// Every placement is known, and what each rule demands is met. Null if this
/// draw came to nothing.
mlir::OwningOpRef<mlir::ModuleOp> drawGraph(spmd::MeshAttr mesh,
                                            reference::Random &random);

} // namespace moe::evidence

#endif // MOE_TEST_EVIDENCE_RANDOMGRAPHS_H

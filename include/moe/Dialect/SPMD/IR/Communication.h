//===- Communication.h - What conversions send ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one count of bytes behind every cost that is reported: ring algorithms,
// see docs/Dialects/SPMD/Rationale.md, "Conversions".
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_COMMUNICATION_H
#define MOE_DIALECT_SPMD_IR_COMMUNICATION_H

#include "moe/Dialect/SPMD/IR/SPMD.h"

namespace moe::spmd {

/// Bytes that the rank with the largest piece holds of a value. Rows that are
/// cut by expert count as if they were cut evenly.
int64_t getLocalBytes(PlacedTensorType type);
/// The same of the value placed otherwise.
int64_t getLocalBytes(PlacedTensorType type,
                      llvm::ArrayRef<Placement> placements);

/// The collective that converts one axis from the one placement to the other:
/// `all_reduce`, `reduce_scatter`, `all_gather`, `all_to_all`; empty if nothing
/// is sent.
llvm::StringRef getCollectiveName(Placement from, Placement to);

/// What is sent for it over an axis of `ranks` ranks by those who hold `bytes`
/// together before.
int64_t getBytesSent(Placement from, Placement to, int64_t ranks,
                     int64_t bytes);

/// One collective of those that a conversion takes.
struct CollectiveStep {
  /// As `getCollectiveName` says.
  llvm::StringRef name;
  /// Leaf axes of the mesh, each of more than one rank; several for one sum
  /// over all of them.
  llvm::SmallVector<unsigned, 2> axes;
  /// Bytes that a rank holds before, and those that it sends.
  int64_t held = 0, sent = 0;
};

/// What a conversion or collective sends, sums last; nothing for any other
/// operation. Precondition: no placement is `?`.
llvm::SmallVector<CollectiveStep, 2> getCollectiveSteps(mlir::Operation *op);

/// Collectives, and the bytes that one rank sends for them.
struct Communication {
  int64_t collectives = 0;
  int64_t bytes = 0;

  void operator+=(Communication other) {
    collectives += other.collectives;
    bytes += other.bytes;
  }
};

/// What a conversion or collective costs; nothing for any other operation.
/// Precondition: no placement is `?`.
Communication getCommunication(mlir::Operation *op);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_COMMUNICATION_H

//===- RepairTrial.h - A changed program, checked ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_ANALYSIS_REPAIRTRIAL_H
#define MOE_LIB_ANALYSIS_REPAIRTRIAL_H

#include "moe/Analysis/Repairs.h"
#include <optional>

namespace moe::spmd {

using llvm::SmallVector;

/// What a fault is called in every copy of the program.
struct FaultKey {
  unsigned op;
  bool isBackward;
  llvm::StringRef name;
  unsigned axis;

  bool operator==(const FaultKey &other) const {
    return op == other.op && isBackward == other.isBackward &&
           name == other.name && axis == other.axis;
  }
};

/// A copy of the program, inferred, differentiated and analyzed.
struct RepairTrial {
  EditableProgram program;
  mlir::func::FuncOp checked;
  std::unique_ptr<PlacementAnalysis> analysis;
  SmallVector<FaultKey> faults, consequences;
  Communication cost;

  explicit RepairTrial(EditableProgram copy) : program(std::move(copy)) {}
  mlir::LogicalResult run(bool differentiated);
  /// Why it is not known to compute what one device does: empty if it does,
  /// nothing if it computes something else.
  std::optional<std::string> execute() const;
  /// Arguments and results are placed as in another trial.
  bool hasTypesOf(const RepairTrial &other) const {
    mlir::func::FuncOp mine = checked, others = other.checked;
    return mine.getFunctionType() == others.getFunctionType();
  }
  bool has(const FaultKey &fault) const {
    return llvm::is_contained(faults, fault);
  }
  /// Also what is not reported as long as another fault is.
  bool knows(const FaultKey &fault) const {
    return has(fault) || llvm::is_contained(consequences, fault);
  }
};

/// The number of the operation of the program that `loc`, of a trial, belongs
/// to; the number of operations, or more, for arguments.
unsigned getNumber(mlir::Location loc);

/// Edits that may help with `finding` of `trial`, in lists of those that are
/// made together.
SmallVector<SmallVector<Edit>> getRepairCandidates(const RepairTrial &trial,
                                                   const Finding &finding);

/// Edits after which `finding` is no fault since more is left Partial: what is
/// claimed becomes what is true, and the terms of a sum without meaning are not
/// reduced before it. Empty if there are none.
SmallVector<Edit> getLeftPartial(const RepairTrial &trial,
                                 const Finding &finding);

/// What a change adds to the communication of a program, in words.
std::string describeCost(Communication cost);

} // namespace moe::spmd

#endif // MOE_LIB_ANALYSIS_REPAIRTRIAL_H

//===- Repairs.h - Ways out of a false label, tried -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A repair is a list of edits of the program that its author wrote: of the
// forward function, if `moe-differentiate` made the function that was checked.
// Each one is applied to a copy, which is inferred, differentiated, verified
// and executed in the prime field. A repair holds if the fault is gone, no
// other appears, arguments and results are placed as before, and all ranks
// together compute what one device does. No edit takes a claim away.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_ANALYSIS_REPAIRS_H
#define MOE_ANALYSIS_REPAIRS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "moe/Analysis/PlacementAnalysis.h"
#include "moe/Dialect/SPMD/IR/Communication.h"
#include <memory>

namespace moe::spmd {

/// One change, on one leaf axis.
struct Edit {
  enum Kind : uint8_t {
    /// The result of a claim, conversion or operation is placed as `placement`.
    SetResult,
    /// A boundary says of the cotangent that it is, or with `converts` becomes,
    /// `placement`.
    SetGradient,
    /// `operand` is converted to `placement` before the operation.
    InsertConversion,
    /// The cotangent of `operand` is converted to `placement` where it leaves
    /// the operation.
    InsertBoundary,
    /// A collective no longer sums over the axis.
    RemoveSum,
    /// A collective becomes the conversion that it was meant for.
    ConvertInstead,
  };
  Kind kind;
  /// Number of the operation, see `EditableProgram`.
  unsigned op = 0;
  unsigned operand = 0;
  unsigned axis = 0;
  Placement placement;
  bool converts = false;
  /// What the value is before; for messages.
  Placement from;

  bool operator==(const Edit &other) const;
};

/// The operations of a function by number: in their order first, those of loops
/// and branches included, then those that edits have inserted.
class EditableProgram {
public:
  /// Edits `function` itself.
  explicit EditableProgram(mlir::func::FuncOp function);
  /// A copy, in a module of its own.
  EditableProgram clone() const;

  mlir::func::FuncOp getFunction() const { return function; }
  mlir::ModuleOp getModule() const { return *module; }
  mlir::OwningOpRef<mlir::ModuleOp> takeModule() { return std::move(module); }
  unsigned getNumOperations() const { return operations.size(); }
  /// Null if an edit has removed it.
  mlir::Operation *getOperation(unsigned number) const {
    return operations[number];
  }
  /// Fails, without a message, if the operation can't be changed so.
  mlir::LogicalResult apply(const Edit &edit);
  /// Operations by number, and axes.
  using AxisSet = llvm::DenseSet<std::pair<unsigned, unsigned>>;
  /// Where `checked` found fault. Its function, or the joint one that it is
  /// about, begins with the operations of the program.
  static AxisSet getFaults(const PlacementAnalysis &checked);
  /// Writes `?` for every placement that follows from operands by a rule, but
  /// not for those of `except`.
  void forgetInferred(const AxisSet &except);

private:
  EditableProgram() = default;
  mlir::LogicalResult replaceSum(mlir::Operation *&op, const Edit &edit);

  mlir::func::FuncOp function;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::SmallVector<mlir::Operation *> operations;
};

/// Edits that together repair one fault.
struct Repair {
  llvm::SmallVector<Edit, 2> edits;
  /// What it adds to the communication of the program; negative if it saves.
  Communication cost;
  /// Empty if the repaired program was executed; else why it was not.
  std::string notExecuted;
  /// Other errors that are left, at which execution went on with what is
  /// claimed, and those of them that this one has hidden so far.
  unsigned numLeft = 0, numRevealed = 0;
};

struct RepairTrial;

/// Searches the repairs of the faults of one function.
class RepairSearch {
public:
  /// `written` is the function that edits are about. With `differentiated` its
  /// joint function is what `checked` is about, else itself.
  RepairSearch(mlir::func::FuncOp written, bool differentiated,
               const PlacementAnalysis &checked);
  ~RepairSearch();

  /// Whether there is anything to try: `written` leads to what was checked.
  bool isUsable() const { return base != nullptr; }

  /// Those of `error`, findings of `checked`, that hold, cheapest first.
  /// One edit comes alone if it is enough.
  llvm::SmallVector<Repair> find(llvm::ArrayRef<Finding> error);

  /// How many candidates the last `find` tried.
  unsigned getNumTried() const { return numTried; }

private:
  std::unique_ptr<RepairTrial> check(const EditableProgram &edited) const;
  bool isHeld(const RepairTrial &trial, llvm::ArrayRef<Finding> error) const;
  bool isAcceptable(const RepairTrial &trial, llvm::ArrayRef<Finding> error,
                    Repair &repair) const;

  void tryLeftPartial(llvm::ArrayRef<Finding> error,
                      llvm::SmallVectorImpl<Repair> &repairs);

  EditableProgram program;
  bool differentiated;
  /// Findings of the function that was checked.
  llvm::ArrayRef<Finding> findings;
  /// Of the program as it is; null if it can't be checked on its own.
  std::unique_ptr<RepairTrial> base;
  unsigned numTried = 0;
  /// Operations that may still be looked at, over all findings.
  int64_t budget = 2'000'000;
};

/// The metadata of a note that names a repair: locations of boundaries, each
/// followed by what their `grad` clause has to be. Nothing where a repair is no
/// such edit of the text.
using ClauseEdits =
    llvm::SmallVector<std::pair<mlir::Location, mlir::StringAttr>>;
ClauseEdits getClauseEdits(mlir::Diagnostic &note);

/// What to change, in words, and where the first change is.
std::pair<mlir::Location, std::string>
describeRepair(mlir::func::FuncOp written, const Finding &finding,
               const Repair &repair);

/// Adds the repairs of an error to it, as notes. `written` has the places where
/// they are to be made.
void noteRepairs(mlir::InFlightDiagnostic &diag, mlir::func::FuncOp written,
                 llvm::ArrayRef<Finding> error, RepairSearch &search);

/// Applies the cheapest repair of each false label in `module`, a program as it
/// was written, until no repair is left to make; a remark says what each one
/// was. A joint function that `moe-differentiate` made of a repaired one is
/// taken away. Placements that were given and follow from others are adapted.
void repairModule(mlir::ModuleOp module);

} // namespace moe::spmd

#endif // MOE_ANALYSIS_REPAIRS_H

//===- DeferralGraph.h - What of a function deferral may change -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALGRAPH_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALGRAPH_H

#include "DeferralProblem.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Analysis/AlikeOperations.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/SetVector.h"

namespace moe::spmd {

/// What an operation finds on one axis, on which its rule there depends.
struct AxisSituation {
  unsigned leaf = 0;
  /// The dimension that its result may be cut along; -1 if none.
  int dim = -1;
  /// Operands whose form varies, and of these the ones that have terms.
  uint64_t varying = 0, terms = 0;
  /// The dimension that each of these may be cut along; -1 if none.
  llvm::SmallVector<int16_t, 4> cuts;

  bool varies(unsigned operand) const { return varying >> operand & 1; }
  bool operator==(const AxisSituation &that) const {
    return leaf == that.leaf && dim == that.dim && varying == that.varying &&
           terms == that.terms && cuts == that.cuts;
  }
};

/// The values of a function that are partial, or computed from such, as one
/// sees them once all conversions that only reduce or cut are left out. They
/// fall into groups that do not depend on each other.
class DeferralGraph {
public:
  static constexpr unsigned none = DeferralProblem::none;

  DeferralGraph(mlir::func::FuncOp function, const DeferralAxes &axes);

  struct Value {
    mlir::Value root;
    Form computed, cuts;
    std::array<const AxisRule *, Form::maxAxes> rules = {};
    /// Its operation's operands among the uses, where its form may vary.
    unsigned usesBegin = 0, usesEnd = 0;
    unsigned position = 0;
    /// Axes, as bits, on which its form may vary: at first as far as operands
    /// and results tell, then as its rules do.
    uint8_t open = 0;
    uint8_t pinned = 0;
    /// Those on which it is cut, and the program gathers or pads it.
    uint8_t gathered = 0;
    /// Of these, the ones on which the program pads it.
    uint8_t padded = 0;
    /// Those on which it may be computed partial: it has terms of its own,
    /// which more than padding makes.
    uint8_t terms = 0;
    /// Axes on which no plan costs less than one that makes it whole.
    uint8_t whole = 0;
    /// Its problem, and its place in it.
    unsigned group = none, index = 0;
  };
  struct Use {
    mlir::OpOperand *operand;
    unsigned value;
    /// The value that is computed with it, if the form of that may vary.
    unsigned user;
    unsigned position;
    Form stated;
    /// The value is had in all forms that the user may take.
    bool isApart = false;
  };
  /// A conversion, as far as it reduces or cuts: which is left out.
  struct Conversion {
    RedistributeOp op;
    unsigned value;
    Form from, to;
    /// It does something else, too.
    bool stays = false;
  };

  llvm::ArrayRef<Value> getValues() const { return values; }
  llvm::ArrayRef<Use> getUses() const { return uses; }
  llvm::ArrayRef<Conversion> getConversions() const { return conversions; }
  /// Conversions of other values that convert nothing.
  llvm::ArrayRef<RedistributeOp> getIdentities() const { return identities; }
  const DeferralAxes &getAxes() const { return axes; }

  /// What parts values from others.
  enum class Parting {
    /// Nothing: all are one group.
    None,
    /// That none is computed from the other.
    Unrelated,
    /// That it is settled what one is made of: for the cheapest plan.
    Settled
  };
  /// Parts the values into groups, and returns how many.
  unsigned formGroups(Parting parting, ConversionTrees &trees);
  /// The problem of a group, with positions if `placed`.
  void build(unsigned group, bool placed, DeferralProblem &problem) const;

private:
  /// What is remembered of operations that are alike.
  struct Kind {
    std::vector<std::pair<AxisSituation, const AxisRule *>> rules;
    std::optional<PlacementRule> placementRule;
  };
  struct Reference {
    unsigned value = none;
    Form form;
  };

  void read(mlir::Operation *op, unsigned position);
  void readConversion(RedistributeOp op, Reference input, unsigned position);
  void addUses(mlir::Operation *op, unsigned user, unsigned position,
               Form *stated = nullptr);
  uint8_t findGathered(mlir::Value value, Form form) const;
  unsigned addValue(mlir::Value root, Form computed, uint8_t open,
                    uint8_t gathered, unsigned position);
  Reference find(mlir::Value value) const {
    auto found = references.find(value);
    return found == references.end() ? Reference() : found->second;
  }
  llvm::ArrayRef<Use> operandsOf(const Value &value) const {
    return llvm::ArrayRef(uses).slice(value.usesBegin,
                                      value.usesEnd - value.usesBegin);
  }

  const PlacementRule &getPlacementRule(unsigned value);
  bool canCut(const Value &value, unsigned axis, int dim) const;
  void suggest(unsigned value, unsigned axis, int dim);
  void passCutsForwards(unsigned number);
  void passCutsBackwards(unsigned number);
  void findCuts();
  void classify(unsigned number);
  const AxisRule *getRule(unsigned value, AxisSituation situation);
  void pin();
  /// Of groups that are too large: which values are looked at by themselves.
  enum class Alone { Sums, All };
  struct AxisView;
  AxisView getView(unsigned axis, ConversionTrees &trees) const;
  void findWhole(const AxisView &view, std::optional<Alone> alone);
  unsigned numberGroups(Parting parting);
  void setApart(Use &use) const;
  void sortFixedUses();

  mlir::func::FuncOp function;
  const DeferralAxes &axes;
  std::vector<Value> values;
  std::vector<Use> uses;
  std::vector<Conversion> conversions;
  std::vector<RedistributeOp> identities;
  llvm::DenseMap<mlir::Value, Reference> references;
  /// Of the operands of the operation that is being read.
  llvm::SmallVector<Reference> found;
  AlikeOperations<Kind> alike;
  /// By value; null for a conversion.
  std::vector<Kind *> kinds;
  std::deque<AxisRule> rules;
  /// Members of each group, and uses of each value whose form does not vary.
  std::vector<unsigned> memberBegins, members, fixedBegins, fixedUses;
};

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALGRAPH_H

//===- Placement.h - How a value lies over one mesh axis --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A placement says how the local values v_r of the ranks along one mesh axis
// denote the global value. It is a plain value, not an attribute: types hold
// arrays of it and analyses compare it in their inner loops.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_PLACEMENT_H
#define MOE_DIALECT_SPMD_IR_PLACEMENT_H

#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <cstdint>
#include <string>

namespace moe::spmd {

enum class PlacementKind : uint8_t {
  /// Not inferred yet; printed `?`.
  Unknown,
  /// All ranks hold the same value, and it is the value.
  Replicate,
  /// The value is the concatenation along `dim`, cut as `torch.chunk` cuts.
  Shard,
  /// As `Shard`, but where the cuts are is known at run time only: dispatched
  /// rows are sorted by expert, and an axis cuts them where it cuts the
  /// experts.
  Ragged,
  /// The value is the reduction of the local values.
  Partial,
  /// Never in a type: what an analysis knows of a sum in which a replicated and
  /// a partial term met. No placement gives such local values a meaning.
  Mixed,
};

enum class ReductionKind : uint8_t { Sum, Avg, Max, Min };

struct Placement {
  PlacementKind kind = PlacementKind::Unknown;
  /// `Partial` only.
  ReductionKind reduction = ReductionKind::Sum;
  /// `Shard` and `Ragged` only: the dimension that is cut.
  int16_t dim = 0;

  static Placement unknown() { return {}; }
  static Placement replicate() { return {PlacementKind::Replicate}; }
  static Placement shard(unsigned dim) {
    return {PlacementKind::Shard, ReductionKind::Sum,
            static_cast<int16_t>(dim)};
  }
  static Placement ragged(unsigned dim) {
    return {PlacementKind::Ragged, ReductionKind::Sum,
            static_cast<int16_t>(dim)};
  }
  static Placement partial(ReductionKind kind = ReductionKind::Sum) {
    return {PlacementKind::Partial, kind};
  }
  static Placement mixed() { return {PlacementKind::Mixed}; }

  bool isUnknown() const { return kind == PlacementKind::Unknown; }
  bool isReplicate() const { return kind == PlacementKind::Replicate; }
  bool isShard() const { return kind == PlacementKind::Shard; }
  bool isRagged() const { return kind == PlacementKind::Ragged; }
  /// Cut along a dimension, evenly or not.
  bool isCut() const { return isShard() || isRagged(); }
  bool isPartial() const { return kind == PlacementKind::Partial; }
  bool isMixed() const { return kind == PlacementKind::Mixed; }

  /// The placement of the cotangent that a conversion out of this placement
  /// hands back for nothing: Replicate and Partial are each other's, a cut is
  /// its own (docs/Dialects/SPMD/Rationale.md, "Conversions").
  Placement dual() const;

  /// Whether local values that lie so have the meaning of `other` too: replicas
  /// are their own mean, maximum and minimum.
  bool implies(const Placement &other) const {
    return *this == other || (isReplicate() && other.isPartial() &&
                              other.reduction != ReductionKind::Sum);
  }

  bool operator==(const Placement &other) const {
    return kind == other.kind && reduction == other.reduction &&
           dim == other.dim;
  }
  bool operator!=(const Placement &other) const { return !(*this == other); }

  /// As in a type: `replicate`, `shard<0>`, `partial<sum>`.
  std::string str() const;
};

inline llvm::hash_code hash_value(const Placement &placement) {
  return llvm::hash_combine(placement.kind, placement.reduction, placement.dim);
}

llvm::StringRef stringifyReduction(ReductionKind kind);
llvm::raw_ostream &operator<<(llvm::raw_ostream &os, const Placement &p);

} // namespace moe::spmd

#endif // MOE_DIALECT_SPMD_IR_PLACEMENT_H

//===- DeferralForms.h - Forms of a value over several axes -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALFORMS_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALFORMS_H

#include "moe/Dialect/SPMD/IR/CostModel.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"
#include "llvm/ADT/Hashing.h"
#include <array>
#include <memory>
#include <unordered_map>

namespace moe::spmd {

/// How a value lies over up to four axes of the mesh: on each it is partial,
/// cut along one dimension, whole, or placed in another way, which stays.
class Form {
public:
  static constexpr unsigned maxAxes = 4;
  static constexpr int16_t partial = 0, whole = INT16_MAX, other = -1;
  static int16_t cut(int dim) { return int16_t(dim + 1); }
  static bool isCut(int16_t code) { return code > partial && code < whole; }
  static int dimOf(int16_t code) { return code - 1; }
  /// Whether the placement is that of a value whose form may vary.
  static bool mayVary(int16_t code) { return code == partial || code == whole; }

  int16_t operator[](unsigned axis) const { return codes[axis]; }
  int16_t &operator[](unsigned axis) { return codes[axis]; }
  Form with(unsigned axis, int16_t code) const {
    Form form = *this;
    form[axis] = code;
    return form;
  }

  /// Whether a value on one axis is had of another for nothing.
  static bool gives(int16_t from, int16_t to) {
    return from == to || from == whole || (to == partial && isCut(from));
  }
  bool gives(Form to) const {
    for (unsigned axis = 0; axis < maxAxes; ++axis)
      if (!gives(codes[axis], to.codes[axis]))
        return false;
    return true;
  }
  /// Whether another axis cuts the same dimension.
  bool clashes(unsigned axis, int dim) const {
    for (unsigned i = 0; i < maxAxes; ++i)
      if (i != axis && codes[i] == cut(dim))
        return true;
    return false;
  }

  bool operator==(const Form &that) const { return codes == that.codes; }
  bool operator!=(const Form &that) const { return codes != that.codes; }
  bool operator<(const Form &that) const { return codes < that.codes; }
  uint64_t pack() const {
    uint64_t packed = 0;
    for (int16_t code : codes)
      packed = packed << 16 | uint16_t(code);
    return packed;
  }

private:
  std::array<int16_t, maxAxes> codes = {};
};

/// The axes that are decided together: leaves of the mesh.
struct DeferralAxes {
  MeshAttr mesh;
  llvm::SmallVector<unsigned, Form::maxAxes> leaves;

  unsigned size() const { return leaves.size(); }
  /// Axes beyond the last are `other`.
  Form formOf(llvm::ArrayRef<Placement> placements) const;
  /// `type` in another form.
  PlacedTensorType typeOf(PlacedTensorType type, Form form) const;
};

/// The conversions that make of one form all that are needed.
struct ConversionTree {
  struct Step {
    /// What it converts: 0 is the computed value, i + 1 what step i makes.
    unsigned from;
    Form to;
  };
  int64_t cost = 0;
  llvm::SmallVector<Step, 2> steps;
};

/// Finds the cheapest conversions, and remembers them.
class ConversionTrees {
public:
  ConversionTrees(const DeferralAxes &axes, const CostModel &model)
      : axes(axes), model(model) {}

  const DeferralAxes &getAxes() const { return axes; }

  /// From `computed` to all of `needs`. Values have the shape and the placement
  /// on other axes of `type`; on the way they may be cut as `cuts` says. Every
  /// collective takes what is computed, or what another one makes: none takes a
  /// slice.
  const ConversionTree &get(PlacedTensorType type, Form computed, Form cuts,
                            llvm::SmallVectorImpl<Form> &needs);
  int64_t getCost(PlacedTensorType type, Form computed, Form cuts, Form need) {
    llvm::SmallVector<Form> needs{need};
    return get(type, computed, cuts, needs).cost;
  }
  int64_t getBytes(PlacedTensorType type, Form form) const;

  /// What it costs on one axis to make of a partial value a cut and a whole
  /// one, and of the cut one a whole one.
  struct Prices {
    bool cuttable = false;
    int64_t scatter = 0, reduce = 0, gather = 0;
  };
  /// For a value that takes the form `others` on all other axes.
  const Prices &getPrices(PlacedTensorType type, Form computed, Form cuts,
                          Form others, unsigned axis);

private:
  ConversionTree find(PlacedTensorType type, Form computed, Form cuts,
                      llvm::ArrayRef<Form> needs) const;

  using Key = llvm::SmallVector<uint64_t, 5>;
  struct KeyHash {
    size_t operator()(const Key &key) const {
      return llvm::hash_combine_range(key.begin(), key.end());
    }
  };

  const DeferralAxes &axes;
  const CostModel &model;
  ConversionTree nothing;
  std::unordered_map<Key, std::unique_ptr<ConversionTree>, KeyHash> known;
  std::unordered_map<Key, Prices, KeyHash> prices;
};

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_DEFERRALFORMS_H

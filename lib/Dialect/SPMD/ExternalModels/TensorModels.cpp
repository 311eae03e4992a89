//===- TensorModels.cpp - Slices, pads, casts, reshapes -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// These move elements: each element of the result is one of an operand, or of a
// constant. So any kind of Partial passes that all the operands have.
//
//===----------------------------------------------------------------------===//

#include "Dependence.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

/// One factor per dimension of `type`, whole where `isWhole` says so.
SmallVector<DimFactor, 4> addFactors(PlacementRule &rule, RankedTensorType type,
                                     function_ref<bool(int64_t)> isWhole) {
  SmallVector<DimFactor, 4> dims;
  for (int64_t i = 0; i < type.getRank(); ++i)
    dims.push_back({static_cast<int>(rule.addFactor(
                        isWhole(i) ? FactorRole::Whole : FactorRole::Free)),
                    CutForm::Any});
  return dims;
}

/// Each element is one of some operand: cuts by `rule`, terms if all are such.
Transfer transferElements(const PlacementRule &rule, Operation *op,
                          ArrayRef<Placement> operands, bool addsConstant) {
  unsigned numTensors = rule.operands.size();
  operands = operands.take_front(numTensors);
  SmallVector<Placement> adopted = adoptCuts(
      rule, ValueRange(op->getOperands()).take_front(numTensors), operands);
  bool hasTerms = llvm::any_of(
      operands, [](Placement p) { return !p.isReplicate() && !p.isCut(); });
  if (!hasTerms || llvm::any_of(adopted, [](Placement p) { return p.isCut(); }))
    return applyPlacementRule(rule, adopted);
  SmallVector<bool> zeros = findZeros(op);
  zeros.truncate(numTensors);
  return transferTerms(
      [&](ArrayRef<Dependence> dependences, ReductionKind kind) {
        bool extreme = kind == ReductionKind::Max || kind == ReductionKind::Min;
        Dependence joined =
            addsConstant ? Dependence::Constant : Dependence::Zero;
        for (Dependence dependence : dependences) {
          if (dependence == Dependence::Other)
            return Dependence::Other;
          if (joined == dependence || joined == Dependence::Zero)
            joined = dependence;
          else if (dependence != Dependence::Zero)
            joined = Dependence::Affine;
        }
        // The max of equal values is that value.
        if (extreme && joined == Dependence::Affine)
          return Dependence::Commutes;
        return joined;
      },
      operands, zeros);
}

template <typename Model, typename Op>
struct ElementsModel : PlacementOpInterface::ExternalModel<Model, Op> {
  Transfer transferPlacements(Operation *op, unsigned,
                              ArrayRef<Placement> operands) const {
    return transferElements(
        static_cast<const Model *>(this)->getPlacementRule(op), op, operands,
        Model::addsConstant(cast<Op>(op)));
  }
  static bool addsConstant(Op) { return false; }
};

/// Whether dimension `dim` of `type` is taken as it is.
template <typename Op>
bool takesWholeDim(Op op, RankedTensorType type, int64_t dim) {
  auto is = [](OpFoldResult value, int64_t number) {
    return getConstantIntValue(value) == number;
  };
  return is(op.getMixedOffsets()[dim], 0) && is(op.getMixedStrides()[dim], 1) &&
         is(op.getMixedSizes()[dim], type.getDimSize(dim));
}

struct ExtractSliceModel
    : ElementsModel<ExtractSliceModel, tensor::ExtractSliceOp> {
  static unsigned getRuleNumber() { return 170; }
  PlacementRule getPlacementRule(Operation *op) const {
    auto slice = cast<tensor::ExtractSliceOp>(op);
    PlacementRule rule;
    RankedTensorType source = slice.getSourceType();
    rule.operands.push_back(addFactors(rule, source, [&](int64_t dim) {
      return !takesWholeDim(slice, source, dim);
    }));
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    rule.results.emplace_back();
    for (int64_t i = 0; i < source.getRank(); ++i)
      if (!dropped[i])
        rule.results.front().push_back(rule.operands.front()[i]);
    return rule;
  }
};

struct InsertSliceModel
    : ElementsModel<InsertSliceModel, tensor::InsertSliceOp> {
  static unsigned getRuleNumber() { return 171; }
  PlacementRule getPlacementRule(Operation *op) const {
    auto slice = cast<tensor::InsertSliceOp>(op);
    PlacementRule rule;
    RankedTensorType dest = slice.getDestType();
    SmallVector<DimFactor, 4> dims = addFactors(rule, dest, [&](int64_t dim) {
      return !takesWholeDim(slice, dest, dim);
    });
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    rule.operands.emplace_back();
    for (int64_t i = 0; i < dest.getRank(); ++i)
      if (!dropped[i])
        rule.operands.front().push_back(dims[i]);
    rule.operands.push_back(dims);
    rule.results.push_back(dims);
    return rule;
  }
};

struct PadModel : ElementsModel<PadModel, tensor::PadOp> {
  static unsigned getRuleNumber() { return 172; }
  PlacementRule getPlacementRule(Operation *op) const {
    auto pad = cast<tensor::PadOp>(op);
    PlacementRule rule;
    SmallVector<OpFoldResult> low = pad.getMixedLowPad();
    SmallVector<OpFoldResult> high = pad.getMixedHighPad();
    rule.operands.push_back(
        addFactors(rule, pad.getSourceType(), [&](int64_t dim) {
          return getConstantIntValue(low[dim]) != 0 ||
                 getConstantIntValue(high[dim]) != 0;
        }));
    rule.results = rule.operands;
    return rule;
  }
  static bool addsConstant(tensor::PadOp pad) {
    Value padding = pad.getConstantPaddingValue();
    return !padding || !isUniformZero(padding);
  }
  Transfer transferPlacements(Operation *op, unsigned axis,
                              ArrayRef<Placement> operands) const {
    Value padding = cast<tensor::PadOp>(op).getConstantPaddingValue();
    if (!padding || !getUniformElement(padding))
      return Transfer::failure("R6", "what it pads with is no constant");
    return ElementsModel::transferPlacements(op, axis, operands);
  }
};

struct CastModel : ElementsModel<CastModel, tensor::CastOp> {
  static unsigned getRuleNumber() { return 173; }
  PlacementRule getPlacementRule(Operation *op) const {
    PlacementRule rule;
    // Types of a body are static, so that nothing is left to cast but
    // encodings.
    rule.operands.push_back(
        addFactors(rule, cast<RankedTensorType>(op->getOperand(0).getType()),
                   [](int64_t) { return false; }));
    rule.results = rule.operands;
    return rule;
  }
};

struct ConcatModel : ElementsModel<ConcatModel, tensor::ConcatOp> {
  static unsigned getRuleNumber() { return 174; }
  PlacementRule getPlacementRule(Operation *op) const {
    auto concat = cast<tensor::ConcatOp>(op);
    PlacementRule rule;
    SmallVector<DimFactor, 4> dims =
        addFactors(rule, concat.getResultType(), [&](int64_t dim) {
          return dim == static_cast<int64_t>(concat.getDim());
        });
    rule.operands.assign(op->getNumOperands(), dims);
    rule.results.push_back(dims);
    return rule;
  }
};

/// The ranks of the mesh around `op`: no more than these cut a dimension.
int64_t numRanksAround(Operation *op) {
  auto compute = op->getParentOfType<ComputeOp>();
  if (!compute)
    return 1;
  int64_t ranks = 1;
  auto type = cast<PlacedTensorType>(compute.getResult().getType());
  for (MeshAxisAttr axis : type.getMesh().getLeafAxes())
    ranks *= axis.getSize();
  return ranks;
}

/// A group of dimensions that becomes one. The outermost that is more than one
/// element long shares its factor: where every rank's part of it is equally
/// long, a cut of it is a cut of the whole group.
PlacementRule reshapeRule(Operation *op, RankedTensorType apart,
                          ArrayRef<ReassociationIndices> groups,
                          bool collapses) {
  PlacementRule rule;
  int64_t ranks = numRanksAround(op);
  SmallVector<DimFactor, 4> together, separate(apart.getRank());
  for (const ReassociationIndices &group : groups) {
    int64_t outermost = group.front();
    for (int64_t dim : group)
      if (apart.getDimSize(outermost) == 1)
        outermost = dim;
    bool single = llvm::all_of(group, [&](int64_t dim) {
      return dim == outermost || apart.getDimSize(dim) == 1;
    });
    bool even = single || apart.getDimSize(outermost) % ranks == 0;
    int factor = static_cast<int>(
        rule.addFactor(even ? FactorRole::Free : FactorRole::Whole));
    together.push_back({factor});
    for (int64_t dim : group)
      separate[dim] = {dim == outermost ? factor
                                        : static_cast<int>(rule.addFactor(
                                              FactorRole::Whole))};
  }
  rule.operands.push_back(collapses ? separate : together);
  rule.results.push_back(collapses ? together : separate);
  return rule;
}

struct ExpandShapeModel
    : ElementsModel<ExpandShapeModel, tensor::ExpandShapeOp> {
  static unsigned getRuleNumber() { return 175; }
  PlacementRule getPlacementRule(Operation *op) const {
    auto expand = cast<tensor::ExpandShapeOp>(op);
    return reshapeRule(op, expand.getResultType(),
                       expand.getReassociationIndices(), /*collapses=*/false);
  }
};

struct CollapseShapeModel
    : ElementsModel<CollapseShapeModel, tensor::CollapseShapeOp> {
  static unsigned getRuleNumber() { return 176; }
  PlacementRule getPlacementRule(Operation *op) const {
    auto collapse = cast<tensor::CollapseShapeOp>(op);
    return reshapeRule(op, collapse.getSrcType(),
                       collapse.getReassociationIndices(), /*collapses=*/true);
  }
};

/// Made of nothing that is placed.
template <typename Op, unsigned number>
struct SourceModel
    : PlacementOpInterface::ExternalModel<SourceModel<Op, number>, Op> {
  static unsigned getRuleNumber() { return number; }
  Transfer transferPlacements(Operation *, unsigned,
                              ArrayRef<Placement>) const {
    Transfer transfer;
    transfer.results = {Placement::replicate()};
    return transfer;
  }
};

} // namespace

void moe::spmd::registerTensorModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::CastOp::attachInterface<CastModel>(*context);
    tensor::CollapseShapeOp::attachInterface<CollapseShapeModel>(*context);
    tensor::ConcatOp::attachInterface<ConcatModel>(*context);
    tensor::EmptyOp::attachInterface<SourceModel<tensor::EmptyOp, 177>>(
        *context);
    tensor::ExpandShapeOp::attachInterface<ExpandShapeModel>(*context);
    tensor::ExtractSliceOp::attachInterface<ExtractSliceModel>(*context);
    tensor::InsertSliceOp::attachInterface<InsertSliceModel>(*context);
    tensor::PadOp::attachInterface<PadModel>(*context);
    tensor::SplatOp::attachInterface<SourceModel<tensor::SplatOp, 178>>(
        *context);
  });
}

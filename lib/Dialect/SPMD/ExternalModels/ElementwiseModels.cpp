//===- ElementwiseModels.cpp - arith and math on tensors ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Dependence.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

template <typename Op>
struct ElementwiseModel
    : PlacementOpInterface::ExternalModel<ElementwiseModel<Op>, Op> {
  PlacementRule getPlacementRule(Operation *op) const {
    PlacementRule rule;
    SmallVector<DimFactor, 4> dims;
    if (auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType()))
      for (int64_t i = 0; i < type.getRank(); ++i)
        dims.push_back({static_cast<int>(rule.addFactor()), CutForm::Any});
    // The condition of a select may be one for all elements.
    for (Value operand : op->getOperands())
      rule.operands.push_back(isa<RankedTensorType>(operand.getType())
                                  ? dims
                                  : SmallVector<DimFactor, 4>());
    rule.results.push_back(dims);
    return rule;
  }

  Transfer transferPlacements(Operation *op, unsigned,
                              ArrayRef<Placement> operands) const {
    PlacementRule rule = getPlacementRule(op);
    SmallVector<Placement> adopted =
        adoptCuts(rule, op->getOperands(), operands);
    bool hasTerms = llvm::any_of(
        operands, [](Placement p) { return !p.isReplicate() && !p.isCut(); });
    bool isCut = llvm::any_of(adopted, [](Placement p) { return p.isCut(); });
    if (isCut || !hasTerms)
      return applyPlacementRule(rule, adopted);
    return transferTerms(
        [op](ArrayRef<Dependence> dependences, ReductionKind kind) {
          return applyScalar(op, dependences, kind);
        },
        operands, findZeros(op));
  }
};

struct ConstantModel
    : PlacementOpInterface::ExternalModel<ConstantModel, arith::ConstantOp> {
  Transfer transferPlacements(Operation *, unsigned,
                              ArrayRef<Placement>) const {
    Transfer transfer;
    transfer.results = {Placement::replicate()};
    return transfer;
  }
};

template <typename... Ops>
void attachElementwise(MLIRContext *context) {
  (Ops::template attachInterface<ElementwiseModel<Ops>>(*context), ...);
}

} // namespace

void moe::spmd::registerElementwiseModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, arith::ArithDialect *) {
    arith::ConstantOp::attachInterface<ConstantModel>(*context);
    attachElementwise<
        arith::AddFOp, arith::AddIOp, arith::CmpFOp, arith::CmpIOp,
        arith::DivFOp, arith::DivSIOp, arith::ExtFOp, arith::ExtSIOp,
        arith::FPToSIOp, arith::MaximumFOp, arith::MaxNumFOp, arith::MaxSIOp,
        arith::MinimumFOp, arith::MinNumFOp, arith::MinSIOp, arith::MulFOp,
        arith::MulIOp, arith::NegFOp, arith::SelectOp, arith::SIToFPOp,
        arith::SubFOp, arith::SubIOp, arith::TruncFOp>(context);
  });
  registry.addExtension(+[](MLIRContext *context, math::MathDialect *) {
    attachElementwise<math::AbsFOp, math::CosOp, math::ErfOp, math::ExpOp,
                      math::LogOp, math::PowFOp, math::RsqrtOp, math::SinOp,
                      math::SqrtOp, math::TanhOp>(context);
  });
}

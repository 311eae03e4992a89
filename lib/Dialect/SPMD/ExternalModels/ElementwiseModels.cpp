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

template <typename Op, unsigned number>
struct ElementwiseModel
    : PlacementOpInterface::ExternalModel<ElementwiseModel<Op, number>, Op> {
  static unsigned getRuleNumber() { return number; }

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
  static unsigned getRuleNumber() { return 100; }

  Transfer transferPlacements(Operation *, unsigned,
                              ArrayRef<Placement>) const {
    Transfer transfer;
    transfer.results = {Placement::replicate()};
    return transfer;
  }
};

template <typename Op, unsigned number>
void attach(MLIRContext *context) {
  Op::template attachInterface<ElementwiseModel<Op, number>>(*context);
}

} // namespace

void moe::spmd::registerElementwiseModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, arith::ArithDialect *) {
    arith::ConstantOp::attachInterface<ConstantModel>(*context);
    attach<arith::AddFOp, 101>(context);
    attach<arith::AddIOp, 102>(context);
    attach<arith::CmpFOp, 103>(context);
    attach<arith::CmpIOp, 104>(context);
    attach<arith::DivFOp, 105>(context);
    attach<arith::DivSIOp, 106>(context);
    attach<arith::ExtFOp, 107>(context);
    attach<arith::ExtSIOp, 108>(context);
    attach<arith::FPToSIOp, 109>(context);
    attach<arith::MaximumFOp, 110>(context);
    attach<arith::MaxNumFOp, 111>(context);
    attach<arith::MaxSIOp, 112>(context);
    attach<arith::MinimumFOp, 113>(context);
    attach<arith::MinNumFOp, 114>(context);
    attach<arith::MinSIOp, 115>(context);
    attach<arith::MulFOp, 116>(context);
    attach<arith::MulIOp, 117>(context);
    attach<arith::NegFOp, 118>(context);
    attach<arith::SelectOp, 119>(context);
    attach<arith::SIToFPOp, 120>(context);
    attach<arith::SubFOp, 121>(context);
    attach<arith::SubIOp, 122>(context);
    attach<arith::TruncFOp, 123>(context);
  });
  registry.addExtension(+[](MLIRContext *context, math::MathDialect *) {
    attach<math::AbsFOp, 140>(context);
    attach<math::CosOp, 141>(context);
    attach<math::ErfOp, 142>(context);
    attach<math::ExpOp, 143>(context);
    attach<math::LogOp, 144>(context);
    attach<math::PowFOp, 145>(context);
    attach<math::RsqrtOp, 146>(context);
    attach<math::SinOp, 147>(context);
    attach<math::SqrtOp, 148>(context);
    attach<math::TanhOp, 149>(context);
  });
}

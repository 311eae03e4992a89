#include "Toy.h"
#include "moe/AutoDiff/AutoDiffInterfaces.h"
#include "moe/Dialect/SPMD/IR/SPMD.h"

using namespace moe;
using namespace moe::spmd;

namespace {

struct MulPlacement
    : PlacementOpInterface::ExternalModel<MulPlacement, toy::MulOp> {
  PlacementRule getPlacementRule(mlir::Operation *op) const {
    PlacementRule rule;
    llvm::SmallVector<DimFactor, 4> dims;
    auto type = llvm::cast<PlacedTensorType>(op->getResult(0).getType());
    for (size_t i = 0; i < type.getShape().size(); ++i)
      dims.push_back({int(rule.addFactor())});
    rule.operands = {dims, dims};
    rule.results = {dims};
    rule.linearity = Linearity::Multilinear;
    rule.linearIn = {true, true};
    return rule;
  }
};

struct MulDerivative
    : DifferentiableOpInterface::ExternalModel<MulDerivative, toy::MulOp> {
  void buildVjp(mlir::Operation *op, mlir::OpBuilder &builder,
                mlir::ValueRange cotangents,
                llvm::SmallVectorImpl<mlir::Value> &results) const {
    auto type = llvm::cast<PlacedTensorType>(op->getResult(0).getType());
    for (unsigned other : {1, 0})
      results.push_back(toy::MulOp::create(
          builder, op->getLoc(), type.withUnknownPlacements(), cotangents[0],
          op->getOperand(other)));
  }
};

} // namespace

void toy::registerModels(mlir::DialectRegistry &registry) {
  registry.addExtension(+[](mlir::MLIRContext *context, toy::ToyDialect *) {
    toy::MulOp::attachInterface<MulPlacement, MulDerivative>(*context);
  });
}

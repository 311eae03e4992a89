//===- Derivatives.cpp - Vector-Jacobian products of the operations -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Equation.h"
#include "moe/Dialect/MoE/IR/MoE.h"

using namespace mlir;
using namespace moe;
using moe::spmd::PlacedTensorType;

/// The type of the cotangent of `value`: its tensor, placed anyhow.
static Type cotangentType(Value value) {
  return cast<PlacedTensorType>(value.getType()).withUnknownPlacements();
}

/// `Derivative` with the arguments of its builder, and the operand's type.
template <typename OpTy, typename... Args>
static Value emit(OpBuilder &builder, Operation *op, Value like,
                  Args &&...args) {
  return OpTy::create(builder, op->getLoc(), cotangentType(like),
                      std::forward<Args>(args)...);
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

void EinsumOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                        SmallVectorImpl<Value> &operandCotangents) {
  std::string error;
  FailureOr<Equation> equation =
      Equation::parse(getEquation(), /*grouped=*/false, error);
  for (unsigned i = 0; i < getInputs().size(); ++i) {
    // The operand's letters from those of the result and the other operand; a
    // letter in neither was summed away and is spread out again over ones.
    std::string term = equation->result.str();
    SmallVector<Value> inputs{cotangents[0]};
    std::string letters = term;
    if (getInputs().size() == 2) {
      term += "," + equation->operands[1 - i].str();
      letters += equation->operands[1 - i];
      inputs.push_back(getInputs()[1 - i]);
    }
    bool spread = llvm::any_of(equation->operands[i], [&](char letter) {
      return letters.find(letter) == std::string::npos;
    });
    if (spread && inputs.size() == 2) {
      // Contract first, then spread: an einsum has two operands at most.
      auto full = cast<PlacedTensorType>(getInputs()[i].getType());
      std::string kept;
      SmallVector<int64_t> shape;
      for (auto [letter, size] :
           llvm::zip(equation->operands[i], full.getShape())) {
        if (letters.find(letter) == std::string::npos)
          continue;
        kept += letter;
        shape.push_back(size);
      }
      auto type = PlacedTensorType::get(
          shape, full.getElementType(), full.getMesh(),
          SmallVector<spmd::Placement>(full.getPlacements().size()));
      Value contracted =
          EinsumOp::create(builder, getLoc(), type, term + "->" + kept, inputs);
      inputs = {contracted};
      term = kept;
    }
    if (spread) {
      Value ones =
          FillLikeOp::create(builder, getLoc(), cotangentType(getInputs()[i]),
                             getInputs()[i], builder.getF64FloatAttr(1.0));
      inputs.push_back(ones);
      term += "," + equation->operands[i].str();
    }
    operandCotangents.push_back(
        emit<EinsumOp>(builder, *this, getInputs()[i],
                       term + "->" + equation->operands[i].str(), inputs));
  }
}

void GroupedEinsumOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                               SmallVectorImpl<Value> &operandCotangents) {
  std::string error;
  FailureOr<Equation> equation =
      Equation::parse(getEquation(), /*grouped=*/true, error);
  StringRef result = equation->result;
  StringRef lhs = equation->operands[0];
  StringRef rhs = equation->operands[1];
  operandCotangents.push_back(emit<GroupedEinsumOp>(
      builder, *this, getLhs(), (result + "," + rhs + "->" + lhs).str(),
      cotangents[0], getRhs(), getCounts()));
  operandCotangents.push_back(emit<GroupedEinsumOp>(
      builder, *this, getRhs(), (result + "," + lhs + "->" + rhs).str(),
      cotangents[0], getLhs(), getCounts()));
  operandCotangents.push_back({});
}

//===----------------------------------------------------------------------===//
// Element-wise
//===----------------------------------------------------------------------===//

void AddOp::buildVjp(OpBuilder &, ValueRange cotangents,
                     SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.append(2, cotangents[0]);
}

void SubOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                     SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(cotangents[0]);
  operandCotangents.push_back(emit<ScaleOp>(
      builder, *this, getRhs(), cotangents[0], builder.getF64FloatAttr(-1.0)));
}

void MulOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                     SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(
      emit<MulOp>(builder, *this, getLhs(), cotangents[0], getRhs()));
  operandCotangents.push_back(
      emit<MulOp>(builder, *this, getRhs(), cotangents[0], getLhs()));
}

void DivOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                     SmallVectorImpl<Value> &operandCotangents) {
  // d(a / b) = da / b - (da / b) (a / b).
  Value quotient =
      emit<DivOp>(builder, *this, getLhs(), cotangents[0], getRhs());
  operandCotangents.push_back(quotient);
  Value product = emit<MulOp>(builder, *this, getRhs(), quotient, getResult());
  operandCotangents.push_back(emit<ScaleOp>(builder, *this, getRhs(), product,
                                            builder.getF64FloatAttr(-1.0)));
}

void ScaleOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                       SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(emit<ScaleOp>(builder, *this, getInput(),
                                            cotangents[0], getFactorAttr()));
}

void SigmoidOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                         SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(emit<SigmoidVjpOp>(builder, *this, getInput(),
                                                 getResult(), cotangents[0]));
}

void SiluOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                      SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(
      emit<SiluVjpOp>(builder, *this, getInput(), getInput(), cotangents[0]));
}

void SoftmaxOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                         SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(emit<SoftmaxVjpOp>(builder, *this, getInput(),
                                                 getResult(), cotangents[0]));
}

void NormalizeOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                           SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(emit<NormalizeVjpOp>(builder, *this, getInput(),
                                                   getInput(), cotangents[0]));
}

void FillLikeOp::buildVjp(OpBuilder &, ValueRange,
                          SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back({});
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

void FoldOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                      SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(
      emit<UnfoldOp>(builder, *this, getInput(), cotangents[0]));
}

void UnfoldOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                        SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(
      emit<FoldOp>(builder, *this, getInput(), cotangents[0]));
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

void TopKOp::buildVjp(OpBuilder &, ValueRange,
                      SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.append(getNumOperands(), {});
}

void CountOp::buildVjp(OpBuilder &, ValueRange,
                       SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back({});
}

void GatherOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                        SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(emit<ScatterOp>(builder, *this, getScores(),
                                              cotangents[0], getExperts()));
  operandCotangents.push_back({});
}

void ScatterOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                         SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(
      emit<GatherOp>(builder, *this, getChosen(), cotangents[0], getExperts()));
  operandCotangents.push_back({});
}

/// The four operations between tokens and rows are adjoint in pairs.
template <typename AdjointOp, typename OpTy>
static void buildRowsVjp(OpTy op, OpBuilder &builder, ValueRange cotangents,
                         SmallVectorImpl<Value> &operandCotangents) {
  operandCotangents.push_back(emit<AdjointOp>(
      builder, op, op.getInput(), cotangents[0], op.getExperts(),
      op.getNumExpertsAttr(), op.getPartsAttr()));
  operandCotangents.push_back({});
}

void DispatchOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                          SmallVectorImpl<Value> &operandCotangents) {
  buildRowsVjp<CombineOp>(*this, builder, cotangents, operandCotangents);
}

void CombineOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                         SmallVectorImpl<Value> &operandCotangents) {
  buildRowsVjp<DispatchOp>(*this, builder, cotangents, operandCotangents);
}

void PermuteOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                         SmallVectorImpl<Value> &operandCotangents) {
  buildRowsVjp<UnpermuteOp>(*this, builder, cotangents, operandCotangents);
}

void UnpermuteOp::buildVjp(OpBuilder &builder, ValueRange cotangents,
                           SmallVectorImpl<Value> &operandCotangents) {
  buildRowsVjp<PermuteOp>(*this, builder, cotangents, operandCotangents);
}

//===- MoEDialect.cpp - The moe dialect and its verifiers -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Equation.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe;
using moe::spmd::PlacedTensorType;

#include "moe/Dialect/MoE/IR/MoEDialect.cpp.inc"

void MoEDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "moe/Dialect/MoE/IR/MoEOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Conditions that several operations share
//===----------------------------------------------------------------------===//

static PlacedTensorType placedType(Value value) {
  return cast<PlacedTensorType>(value.getType());
}

static LogicalResult verifyOneMesh(Operation *op) {
  spmd::MeshAttr mesh;
  for (Value value : llvm::concat<Value>(op->getOperands(), op->getResults())) {
    spmd::MeshAttr other = placedType(value).getMesh();
    if (mesh && other != mesh)
      return op->emitOpError("mixes the meshes ") << mesh << " and " << other;
    mesh = other;
  }
  return success();
}

/// (E3) floats have one element type.
static LogicalResult verifyOneElementType(Operation *op) {
  Type type;
  for (Value value : llvm::concat<Value>(op->getOperands(), op->getResults())) {
    Type other = placedType(value).getElementType();
    if (!isa<FloatType>(other))
      continue;
    if (type && other != type)
      return op->emitOpError("(E3) mixes the element types ")
             << type << " and " << other;
    type = other;
  }
  return verifyOneMesh(op);
}

/// (W1) one shape, element type and mesh.
static LogicalResult verifyOneShape(Operation *op) {
  PlacedTensorType first = placedType(op->getResult(0));
  for (Value operand : op->getOperands()) {
    PlacedTensorType type = placedType(operand);
    if (type.getShape() != first.getShape() ||
        type.getElementType() != first.getElementType())
      return op->emitOpError("(W1) operands and result must have one shape and "
                             "element type, not ")
             << type << " and " << first;
  }
  return verifyOneMesh(op);
}

static LogicalResult verifyRank(Operation *op, StringRef label, Value value,
                                StringRef name, int64_t rank) {
  if (placedType(value).getRank() == rank)
    return success();
  return op->emitOpError("(") << label << ") " << name << " must have rank "
                              << rank << ", not " << placedType(value);
}

/// Reports `label` unless the two sizes, called by their meaning, are equal.
static LogicalResult verifySize(Operation *op, StringRef label, StringRef what,
                                int64_t found, int64_t expected) {
  if (found == expected)
    return success();
  return op->emitOpError("(") << label << ") " << what << " is " << found
                              << ", but must be " << expected;
}

/// Tokens, or their rows, in equal parts.
static LogicalResult verifyParts(Operation *op, StringRef label, int64_t parts,
                                 int64_t size, StringRef what) {
  if (parts >= 1 && size % parts == 0)
    return success();
  return op->emitOpError("(") << label << ") " << size << " " << what
                              << " are no " << parts << " equal parts";
}

/// [E], or [P, E] for P parts.
static LogicalResult verifyCounts(Operation *op, StringRef label, Value counts,
                                  StringRef name) {
  int64_t rank = placedType(counts).getRank();
  if (rank == 1 || rank == 2)
    return success();
  return op->emitOpError("(")
         << label << ") " << name << " must have rank 1, or 2 with parts, not "
         << placedType(counts);
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

/// (E1), (E2), one mesh; sizes of letters in `sizes`.
static LogicalResult verifyEquation(Operation *op, StringRef text,
                                    ValueRange inputs, Value result,
                                    llvm::SmallDenseMap<char, int64_t> &sizes) {
  std::string error;
  FailureOr<Equation> equation =
      Equation::parse(text, isa<GroupedEinsumOp>(op), error);
  if (failed(equation))
    return op->emitOpError("(E1) equation \"") << text << "\": " << error;
  if (equation->operands.size() != inputs.size())
    return op->emitOpError("(E1) equation \"")
           << text << "\" has " << equation->operands.size() << " terms for "
           << inputs.size() << " operands";
  auto check = [&](StringRef term, Value value,
                   StringRef what) -> LogicalResult {
    PlacedTensorType type = placedType(value);
    if (type.getRank() != static_cast<int64_t>(term.size()))
      return op->emitOpError("(E2) ")
             << what << " has rank " << type.getRank() << ", but its term '"
             << term << "' has " << term.size() << " letters";
    for (auto [letter, size] : llvm::zip(term, type.getShape())) {
      auto [known, fresh] = sizes.try_emplace(letter, size);
      if (!fresh && known->second != size)
        return op->emitOpError("(E2) letter '")
               << Twine(letter) << "' has the sizes " << known->second
               << " and " << size;
    }
    return success();
  };
  for (auto [i, term, value] : llvm::enumerate(equation->operands, inputs))
    if (failed(check(term, value, "operand " + std::to_string(i))))
      return failure();
  if (failed(check(equation->result, result, "the result")))
    return failure();
  return verifyOneMesh(op);
}

LogicalResult EinsumOp::verify() {
  if (getInputs().empty() || getInputs().size() > 2)
    return emitOpError("(E1) takes one or two operands");
  llvm::SmallDenseMap<char, int64_t> sizes;
  return verifyEquation(*this, getEquation(), getInputs(), getResult(), sizes);
}

LogicalResult GroupedEinsumOp::verify() {
  llvm::SmallDenseMap<char, int64_t> sizes;
  if (failed(verifyEquation(*this, getEquation(), {getLhs(), getRhs()},
                            getResult(), sizes)) ||
      failed(verifyOneElementType(*this)))
    return failure();
  // Known to parse. Two terms by row and one by expert, so that the equation's
  // derivatives have that form too.
  std::string error;
  auto equation = Equation::parse(getEquation(), /*grouped=*/true, error);
  unsigned byRow = 0, byExpert = 0;
  bool both = false;
  for (StringRef term :
       {equation->operands[0], equation->operands[1], equation->result}) {
    byRow += term.contains('n');
    byExpert += term.contains('e');
    both |= term.contains('n') && term.contains('e');
  }
  if (byRow != 2 || byExpert != 1 || both)
    return emitOpError("(E1) needs the letter 'n' (rows) in two of its three "
                       "terms and 'e' (experts) in the third, unlike \"")
           << getEquation() << "\"";
  PlacedTensorType counts = placedType(getCounts());
  if (failed(verifyCounts(*this, "E4", getCounts(), "counts")) ||
      failed(verifySize(*this, "E4", "the number of counts",
                        counts.getShape().back(), sizes.lookup('e'))) ||
      failed(verifyParts(*this, "E4", getParts(), sizes.lookup('n'), "rows")))
    return failure();
  for (spmd::Placement placement : counts.getPlacements()) {
    bool byPart =
        counts.getRank() == 2 && placement == spmd::Placement::shard(0);
    if (!placement.isReplicate() && !placement.isUnknown() && !byPart)
      return emitOpError("(E4) counts must be replicated")
             << (counts.getRank() == 2 ? " or cut by part" : "") << ", not "
             << placement.str()
             << "; help: convert them with spmd.redistribute";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Element-wise
//===----------------------------------------------------------------------===//

LogicalResult AddOp::verify() { return verifyOneShape(*this); }
LogicalResult SubOp::verify() { return verifyOneShape(*this); }
LogicalResult MulOp::verify() { return verifyOneShape(*this); }
LogicalResult DivOp::verify() { return verifyOneShape(*this); }
LogicalResult ScaleOp::verify() { return verifyOneShape(*this); }
LogicalResult SigmoidOp::verify() { return verifyOneShape(*this); }
LogicalResult SigmoidVjpOp::verify() { return verifyOneShape(*this); }
LogicalResult SiluOp::verify() { return verifyOneShape(*this); }
LogicalResult SiluVjpOp::verify() { return verifyOneShape(*this); }
LogicalResult FillLikeOp::verify() { return verifyOneShape(*this); }

/// The four operations over the last dimension.
static LogicalResult verifyLastDim(Operation *op) {
  if (placedType(op->getResult(0)).getRank() == 0)
    return op->emitOpError("(W1) needs a last dimension");
  return verifyOneShape(op);
}

LogicalResult SoftmaxOp::verify() { return verifyLastDim(*this); }
LogicalResult SoftmaxVjpOp::verify() { return verifyLastDim(*this); }
LogicalResult NormalizeOp::verify() { return verifyLastDim(*this); }
LogicalResult NormalizeVjpOp::verify() { return verifyLastDim(*this); }

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

static LogicalResult verifyFolding(Operation *op, PlacedTensorType unfolded,
                                   PlacedTensorType folded) {
  ArrayRef<int64_t> shape = unfolded.getShape();
  if (shape.size() < 2)
    return op->emitOpError("(W2) needs a batch and a sequence dimension, not ")
           << unfolded;
  SmallVector<int64_t> expected(shape.drop_front());
  expected[0] *= shape[0];
  if (ArrayRef<int64_t>(expected) != folded.getShape() ||
      unfolded.getElementType() != folded.getElementType())
    return op->emitOpError("(W2) ")
           << folded << " is not the folding of " << unfolded;
  return verifyOneMesh(op);
}

LogicalResult FoldOp::verify() {
  return verifyFolding(*this, placedType(getInput()), placedType(getResult()));
}

LogicalResult UnfoldOp::verify() {
  return verifyFolding(*this, placedType(getResult()), placedType(getInput()));
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

LogicalResult TopKOp::verify() {
  if (failed(verifyRank(*this, "K1", getScores(), "scores", 2)) ||
      failed(verifyRank(*this, "K1", getExperts(), "the result", 2)))
    return failure();
  int64_t tokens = placedType(getScores()).getDimSize(0);
  int64_t experts = placedType(getScores()).getDimSize(1);
  int64_t chosen = placedType(getExperts()).getDimSize(1);
  if (failed(verifySize(*this, "K1", "the number of tokens of the result",
                        placedType(getExperts()).getDimSize(0), tokens)))
    return failure();
  int64_t groups = getGroups();
  int64_t limited = getLimitedGroups();
  if (groups < 1 || experts % groups != 0)
    return emitOpError("(K2) ")
           << groups << " groups do not divide " << experts << " experts";
  if (limited < 1 || limited > groups)
    return emitOpError("(K2) limited_groups is ")
           << limited << ", but must be between 1 and " << groups;
  int64_t eligible = experts / groups * limited;
  if (chosen < 1 || chosen > eligible)
    return emitOpError("(K1) chooses ")
           << chosen << " of " << eligible << " experts";
  if (getBias() &&
      (failed(verifyRank(*this, "K3", getBias(), "the bias", 1)) ||
       failed(verifySize(*this, "K3", "the size of the bias",
                         placedType(getBias()).getDimSize(0), experts))))
    return failure();
  return verifyOneElementType(*this);
}

/// (G): `scores` is [T, E] and both others are [T, K].
static LogicalResult verifyChosen(Operation *op, Value scores, Value chosen,
                                  Value experts) {
  if (failed(verifyRank(op, "G", scores, "the tensor of all scores", 2)) ||
      failed(verifyRank(op, "G", chosen, "the tensor of chosen scores", 2)))
    return failure();
  if (placedType(chosen).getShape() != placedType(experts).getShape())
    return op->emitOpError("(G) chosen scores and expert numbers differ in "
                           "shape: ")
           << placedType(chosen) << " and " << placedType(experts);
  if (failed(verifySize(op, "G", "the number of tokens",
                        placedType(chosen).getDimSize(0),
                        placedType(scores).getDimSize(0))))
    return failure();
  return verifyOneElementType(op);
}

LogicalResult GatherOp::verify() {
  return verifyChosen(*this, getScores(), getResult(), getExperts());
}

LogicalResult ScatterOp::verify() {
  return verifyChosen(*this, getResult(), getChosen(), getExperts());
}

LogicalResult CountOp::verify() {
  if (failed(verifyRank(*this, "G", getExperts(), "experts", 2)) ||
      failed(verifyCounts(*this, "G", getResult(), "the result")) ||
      failed(verifyParts(*this, "G", getParts(),
                         placedType(getExperts()).getDimSize(0), "tokens")))
    return failure();
  return verifyOneMesh(*this);
}

/// (D1): `tokens` has T first, `rows` has N = T * K first.
static LogicalResult verifyRows(Operation *op, Value tokens, Value rows,
                                Value experts, int64_t tokenRank,
                                int64_t numExperts, int64_t parts) {
  if (failed(verifyRank(op, "D1", experts, "experts", 2)) ||
      failed(verifyRank(op, "D1", tokens, "the tensor by token", 2)) ||
      failed(verifyRank(op, "D1", rows, "the tensor by row", tokenRank - 1)))
    return failure();
  ArrayRef<int64_t> chosen = placedType(experts).getShape();
  if (numExperts < 1)
    return op->emitOpError("(D1) needs at least one expert, not ")
           << numExperts;
  if (failed(verifySize(op, "D1", "the number of rows",
                        placedType(rows).getDimSize(0),
                        chosen[0] * chosen[1])) ||
      failed(verifySize(op, "D1", "the number of tokens",
                        placedType(tokens).getDimSize(0), chosen[0])) ||
      failed(verifyParts(op, "D1", parts, chosen[0], "tokens")))
    return failure();
  // Rows of [T, D] have its D; a number per (t, k) has K columns by token.
  if (failed(verifySize(op, "D1", "the second dimension by token",
                        placedType(tokens).getDimSize(1),
                        tokenRank == 3 ? placedType(rows).getDimSize(1)
                                       : chosen[1])))
    return failure();
  return verifyOneElementType(op);
}

LogicalResult DispatchOp::verify() {
  return verifyRows(*this, getInput(), getResult(), getExperts(), 3,
                    getNumExperts(), getParts());
}

LogicalResult CombineOp::verify() {
  return verifyRows(*this, getResult(), getInput(), getExperts(), 3,
                    getNumExperts(), getParts());
}

LogicalResult PermuteOp::verify() {
  return verifyRows(*this, getInput(), getResult(), getExperts(), 2,
                    getNumExperts(), getParts());
}

LogicalResult UnpermuteOp::verify() {
  return verifyRows(*this, getResult(), getInput(), getExperts(), 2,
                    getNumExperts(), getParts());
}

#define GET_OP_CLASSES
#include "moe/Dialect/MoE/IR/MoEOps.cpp.inc"

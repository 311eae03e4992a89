//===- PlacementRules.cpp - Factors and linearity of each operation -------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The one table of this dialect. Each entry states what its operation's
// dimensions run over and what it is linear in; the engine in
// lib/Dialect/SPMD/IR/PlacementRule.cpp does the rest.
//
//===----------------------------------------------------------------------===//

#include "Equation.h"
#include "moe/Dialect/MoE/IR/MoE.h"

using namespace mlir;
using namespace moe;
using namespace moe::spmd;

static PlacedTensorType placedType(Value value) {
  return cast<PlacedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

namespace {
/// What a cut of rows, the letter `n`, goes with.
enum class RowCut { None, ByExpert, ByPart };
} // namespace

static SmallVector<DimFactor, 4>
termFactors(PlacementRule &rule, llvm::SmallDenseMap<char, int> &factors,
            StringRef term, RowCut rows) {
  SmallVector<DimFactor, 4> dims;
  for (char letter : term) {
    // Rows are grouped by expert: cutting the experts cuts the rows.
    bool byExpert = rows == RowCut::ByExpert && letter == 'n';
    auto [entry, fresh] = factors.try_emplace(byExpert ? 'e' : letter, -1);
    if (fresh)
      entry->second = rule.addFactor();
    CutForm form = rows == RowCut::None ? CutForm::Any
                   : byExpert           ? CutForm::Rows
                                        : CutForm::Chunks;
    dims.push_back({entry->second, form});
  }
  return dims;
}

static PlacementRule contractionRule(StringRef text, RowCut rows) {
  std::string error;
  FailureOr<Equation> equation =
      Equation::parse(text, rows != RowCut::None, error);
  PlacementRule rule;
  llvm::SmallDenseMap<char, int> factors;
  rule.linearity = Linearity::Multilinear;
  for (StringRef term : equation->operands) {
    rule.operands.push_back(termFactors(rule, factors, term, rows));
    rule.linearIn.push_back(true);
  }
  rule.results.push_back(termFactors(rule, factors, equation->result, rows));
  // One operand whose letters are all in the result: a transposition.
  rule.movesData = rule.operands.size() == 1 &&
                   rule.operands.front().size() == rule.results.front().size();
  if (rows == RowCut::ByExpert)
    rule.maskedFactor = factors.lookup('e');
  if (rows == RowCut::None)
    return rule;
  rule.operands.push_back({DimFactor{}});
  rule.linearIn.push_back(false);
  if (rows == RowCut::ByPart)
    rule.operands.back() = {{factors.lookup('n')}, DimFactor{}};
  return rule;
}

PlacementRule EinsumOp::getPlacementRule() {
  return contractionRule(getEquation(), RowCut::None);
}

/// How many parts of tokens a rank has after the axes before `axis` have cut
/// dimension 0 of `type`; 0 where one of them cuts across parts.
static int64_t getPartsLeft(PlacedTensorType type, int64_t parts,
                            unsigned axis) {
  auto axes = type.getMesh().getLeafAxes();
  for (unsigned i = 0; i < axis && parts > 1; ++i) {
    int64_t size = axes[i].getSize();
    if (size == 1 || type.getPlacements()[i] != Placement::shard(0))
      continue;
    if (parts % size != 0)
      return 0;
    parts /= size;
  }
  return parts;
}

PartsCut moe::getPartsCut(PlacedTensorType type, int64_t parts, unsigned axis) {
  int64_t size = type.getMesh().getLeafAxes()[axis].getSize();
  if (size == 1 || type.getPlacements()[axis] != Placement::shard(0))
    return PartsCut::None;
  int64_t left = getPartsLeft(type, parts, axis);
  if (left == 1)
    return PartsCut::Within;
  return left && left % size == 0 ? PartsCut::Apart : PartsCut::Across;
}

/// Rows of several parts are sorted part by part: those of an expert are no
/// run.
static Transfer acrossParts(unsigned operand, Placement placement,
                            int64_t parts) {
  return Transfer::failure(
      "R4",
      "operand " + std::to_string(operand) + " is " + placement.str() +
          ", which does not cut " + std::to_string(parts) +
          " parts of tokens between two of them, outermost axis first",
      operand);
}

/// Whether an axis cuts the experts but not the rows, and one inside of it cuts
/// both: the rows' cut is of all experts, so they lie where others' experts
/// are.
static bool cutsExpertsOutside(PlacedTensorType rows, PlacedTensorType experts,
                               int64_t expertDim) {
  bool outside = false;
  for (auto [axis, ofRows, ofExperts] :
       llvm::zip(rows.getMesh().getLeafAxes(), rows.getPlacements(),
                 experts.getPlacements())) {
    if (axis.getSize() == 1)
      continue;
    if (outside && ofRows.isRagged())
      return true;
    outside |= !ofRows.isRagged() && ofExperts == Placement::shard(expertDim);
  }
  return false;
}

PlacementRule GroupedEinsumOp::getPlacementRule() {
  PlacementRule rule = contractionRule(getEquation(), RowCut::ByExpert);
  auto [lhs, rhs] = getEquation().split("->").first.split(',');
  PlacedTensorType left = placedType(getLhs()), right = placedType(getRhs());
  size_t expertsLeft = lhs.find('e'), expertsRight = rhs.find('e');
  if ((expertsRight != StringRef::npos &&
       cutsExpertsOutside(left, right, expertsRight)) ||
      (expertsLeft != StringRef::npos &&
       cutsExpertsOutside(right, left, expertsLeft)))
    rule.maskedFactor = -1;
  if (getCounts().getType().getRank() == 2)
    rule.operands.back().push_back(DimFactor{});
  return rule;
}

int64_t GroupedEinsumOp::getParts() {
  PlacedTensorType counts = placedType(getCounts());
  return counts.getRank() == 1 ? 1 : counts.getDimSize(0);
}

Transfer GroupedEinsumOp::transferPlacements(unsigned axis,
                                             ArrayRef<Placement> operands) {
  PlacedTensorType counts = placedType(getCounts());
  auto [lhs, rhs] = getEquation().split("->").first.split(',');
  StringRef terms[] = {lhs, rhs};
  bool byPart = operands[2].isShard();
  for (auto [i, term] : llvm::enumerate(terms)) {
    Placement placement = operands[i];
    if (!placement.isCut() || placement.dim != int64_t(term.find('n')))
      continue;
    byPart |= placement.isShard();
    if (placement.isRagged() && getPartsLeft(counts, getParts(), axis) != 1)
      return acrossParts(i, placement, getParts());
  }
  if (!byPart || counts.getRank() == 1)
    return applyPlacementRule(getPlacementRule(), operands);
  Transfer transfer = applyPlacementRule(
      contractionRule(getEquation(), RowCut::ByPart), operands);
  if (transfer.ok && getPartsCut(counts, getParts(), axis) != PartsCut::Apart)
    return acrossParts(2, operands[2], getParts());
  return transfer;
}

//===----------------------------------------------------------------------===//
// Element-wise
//===----------------------------------------------------------------------===//

/// One factor per dimension, shared by operands and result. The last one is
/// needed whole by softmax and its kind.
static PlacementRule elementwiseRule(Operation *op, Linearity linearity,
                                     ArrayRef<bool> linearIn = {},
                                     bool wholeLastDim = false) {
  PlacementRule rule;
  rule.linearity = linearity;
  rule.linearIn.assign(linearIn.begin(), linearIn.end());
  int64_t rank = placedType(op->getResult(0)).getRank();
  SmallVector<DimFactor, 4> dims;
  for (int64_t i = 0; i < rank; ++i)
    dims.push_back({static_cast<int>(rule.addFactor(
                        wholeLastDim && i + 1 == rank ? FactorRole::Whole
                                                      : FactorRole::Free)),
                    CutForm::Any});
  rule.operands.assign(op->getNumOperands(), dims);
  rule.results.push_back(dims);
  return rule;
}

PlacementRule AddOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Additive);
}
PlacementRule SubOp::getPlacementRule() {
  PlacementRule rule = elementwiseRule(*this, Linearity::Additive);
  rule.subtractedFrom = 1;
  return rule;
}
PlacementRule MulOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Multilinear, {true, true});
}
PlacementRule DivOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Multilinear, {true, false});
}
PlacementRule ScaleOp::getPlacementRule() {
  PlacementRule rule = elementwiseRule(*this, Linearity::Multilinear, {true});
  const APFloat factor = getFactor();
  if (!factor.isZero() && !factor.isNaN())
    rule.monotone = factor.isNegative() ? -1 : 1;
  return rule;
}
PlacementRule SigmoidOp::getPlacementRule() {
  PlacementRule rule = elementwiseRule(*this, Linearity::None);
  rule.monotone = 1;
  return rule;
}
PlacementRule SigmoidVjpOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Multilinear, {false, true});
}
PlacementRule SiluOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::None);
}
PlacementRule SiluVjpOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Multilinear, {false, true});
}
PlacementRule SoftmaxOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::None, {}, /*wholeLastDim=*/true);
}
PlacementRule SoftmaxVjpOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Multilinear, {false, true},
                         /*wholeLastDim=*/true);
}
PlacementRule NormalizeOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::None, {}, /*wholeLastDim=*/true);
}
PlacementRule NormalizeVjpOp::getPlacementRule() {
  return elementwiseRule(*this, Linearity::Multilinear, {false, true},
                         /*wholeLastDim=*/true);
}
PlacementRule FillLikeOp::getPlacementRule() {
  PlacementRule rule = elementwiseRule(*this, Linearity::None);
  rule.ignoresValues = true;
  return rule;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// Whether axes of these sizes cut `batches` and the tokens of all of them,
/// which are `length` each, at the same places.
static bool areCutAlike(int64_t batches, int64_t length,
                        ArrayRef<int64_t> axes) {
  if (axes.empty())
    return true;
  int64_t piece = llvm::divideCeil(batches, axes.front());
  if (piece * length !=
      int64_t(llvm::divideCeil(batches * length, axes.front())))
    return false;
  // The last piece may be smaller.
  int64_t rest = piece ? batches % piece : 0;
  return areCutAlike(piece, length, axes.drop_front()) &&
         (rest == 0 || areCutAlike(rest, length, axes.drop_front()));
}

/// Which of batch and sequence stands for the tokens' factor. The cut of a
/// batch folds to chunks of the tokens if both are cut alike; that of a
/// sequence if there is one batch.
static PlacementRule foldingRule(PlacedTensorType unfolded,
                                 PlacedTensorType cut, int64_t rank,
                                 bool fold) {
  PlacementRule rule;
  rule.linearity = Linearity::Multilinear;
  rule.linearIn = {true};
  rule.movesData = true;
  SmallVector<int64_t> axes;
  for (auto [axis, placement] :
       llvm::zip(cut.getMesh().getLeafAxes(), cut.getPlacements()))
    if (placement == Placement::shard(0) && axis.getSize() > 1)
      axes.push_back(axis.getSize());
  bool sequence = unfolded.getDimSize(0) == 1;
  bool alike =
      areCutAlike(unfolded.getDimSize(0), unfolded.getDimSize(1), axes);
  int tokens =
      rule.addFactor(sequence || alike ? FactorRole::Free : FactorRole::Whole);
  int other = rule.addFactor(FactorRole::Whole);
  SmallVector<DimFactor, 4> folded{{tokens}};
  SmallVector<DimFactor, 4> apart;
  if (sequence)
    apart = {{other}, {tokens}};
  else
    apart = {{tokens}, {other}};
  for (int64_t i = 2; i < rank; ++i) {
    int factor = rule.addFactor();
    folded.push_back({factor});
    apart.push_back({factor});
  }
  rule.operands.push_back(fold ? apart : folded);
  rule.results.push_back(fold ? folded : apart);
  return rule;
}

PlacementRule FoldOp::getPlacementRule() {
  PlacedTensorType input = placedType(getInput());
  return foldingRule(input, input, input.getRank(), /*fold=*/true);
}

PlacementRule UnfoldOp::getPlacementRule() {
  PlacedTensorType result = placedType(getResult());
  return foldingRule(result, placedType(getInput()), result.getRank(),
                     /*fold=*/false);
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

/// Factors of tokens and experts; K is needed whole everywhere.
namespace {
struct RoutingRule : PlacementRule {
  int tokens = static_cast<int>(addFactor());
  int whole = static_cast<int>(addFactor(FactorRole::Whole));

  explicit RoutingRule(std::initializer_list<bool> linear) {
    linearity = Linearity::Multilinear;
    linearIn.assign(linear.begin(), linear.end());
    movesData = true;
  }
};
} // namespace

PlacementRule TopKOp::getPlacementRule() {
  RoutingRule rule({false, false});
  rule.operands.push_back({{rule.tokens}, {rule.whole}});
  if (getBias())
    rule.operands.push_back({{rule.whole}});
  rule.results.push_back({{rule.tokens}, {rule.whole}});
  return rule;
}

PlacementRule GatherOp::getPlacementRule() {
  RoutingRule rule({true, false});
  rule.operands.assign(2, {{rule.tokens}, {rule.whole}});
  rule.results.push_back({{rule.tokens}, {rule.whole}});
  return rule;
}

PlacementRule ScatterOp::getPlacementRule() {
  RoutingRule rule({true, false});
  // Two slots of a token may name one expert, whose numbers then add.
  rule.movesData = false;
  rule.operands.assign(2, {{rule.tokens}, {rule.whole}});
  rule.results.push_back({{rule.tokens}, {rule.whole}});
  return rule;
}

PlacementRule CountOp::getPlacementRule() {
  RoutingRule rule({false});
  rule.operands.push_back({{rule.tokens}, {rule.whole}});
  rule.results.push_back({{rule.whole}});
  if (getType().getRank() == 2)
    rule.results.front().insert(rule.results.front().begin(), DimFactor{});
  return rule;
}

int64_t CountOp::getParts() {
  return getType().getRank() == 1 ? 1 : getType().getDimSize(0);
}

/// The rule on `axis` of an operation on expert numbers `experts` of tokens in
/// `parts`: `cutByPart` changes it for an axis that cuts them apart.
static Transfer transferByParts(PlacementRule rule, Value experts,
                                int64_t parts, unsigned axis,
                                ArrayRef<Placement> operands,
                                function_ref<void(PlacementRule &)> cutByPart) {
  unsigned number = operands.size() - 1;
  if (parts > 1 && operands[number] == Placement::shard(0)) {
    PartsCut cut = getPartsCut(placedType(experts), parts, axis);
    if (cut == PartsCut::Apart)
      cutByPart(rule);
    else if (cut != PartsCut::Within)
      return acrossParts(number, operands[number], parts);
  }
  return applyPlacementRule(rule, operands);
}

Transfer CountOp::transferPlacements(unsigned axis,
                                     ArrayRef<Placement> operands) {
  return transferByParts(
      getPlacementRule(), getExperts(), getParts(), axis, operands,
      [](PlacementRule &rule) { rule.results[0][0] = rule.operands[0][0]; });
}

/// Rows share the factor of tokens: tokens that are cut send their rows to the
/// ranks of their experts.
static PlacementRule rowsRule(bool toRows, bool hasColumns) {
  RoutingRule rule({true, false});
  rule.cutsOperand = 1;
  int columns = hasColumns ? static_cast<int>(rule.addFactor()) : rule.whole;
  SmallVector<DimFactor, 4> byToken{{rule.tokens}, {columns}};
  SmallVector<DimFactor, 4> byRow{{rule.tokens, CutForm::Rows}};
  if (hasColumns)
    byRow.push_back({columns});
  rule.operands.push_back(toRows ? byToken : byRow);
  rule.operands.push_back({{rule.tokens}, {rule.whole}});
  rule.results.push_back(toRows ? byRow : byToken);
  return rule;
}

/// Rows of a part of their own are chunks, where their tokens are.
template <typename OpTy>
static Transfer transferRows(OpTy op, unsigned axis,
                             ArrayRef<Placement> operands) {
  return transferByParts(op.getPlacementRule(), op.getExperts(), op.getParts(),
                         axis, operands, [](PlacementRule &rule) {
                           for (auto *side :
                                {&rule.operands.front(), &rule.results.front()})
                             side->front().form = CutForm::Chunks;
                         });
}

PlacementRule DispatchOp::getPlacementRule() {
  return rowsRule(/*toRows=*/true, /*hasColumns=*/true);
}

Transfer DispatchOp::transferPlacements(unsigned axis,
                                        ArrayRef<Placement> operands) {
  return transferRows(*this, axis, operands);
}

PlacementRule CombineOp::getPlacementRule() {
  PlacementRule rule = rowsRule(/*toRows=*/false, /*hasColumns=*/true);
  rule.movesData = false;
  return rule;
}

Transfer CombineOp::transferPlacements(unsigned axis,
                                       ArrayRef<Placement> operands) {
  return transferRows(*this, axis, operands);
}

PlacementRule PermuteOp::getPlacementRule() {
  return rowsRule(/*toRows=*/true, /*hasColumns=*/false);
}

Transfer PermuteOp::transferPlacements(unsigned axis,
                                       ArrayRef<Placement> operands) {
  return transferRows(*this, axis, operands);
}

PlacementRule UnpermuteOp::getPlacementRule() {
  return rowsRule(/*toRows=*/false, /*hasColumns=*/false);
}

Transfer UnpermuteOp::transferPlacements(unsigned axis,
                                         ArrayRef<Placement> operands) {
  return transferRows(*this, axis, operands);
}

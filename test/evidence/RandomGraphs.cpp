//===- RandomGraphs.cpp - Small programs that type-check ------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Dimensions have letters, each with one size in a program: b batches of s
// tokens, t of all of them, d and h features, e experts, k chosen ones, n rows,
// p parts of the tokens whose rows stay apart. Operations are tried on values
// that fit; where a rule refuses the placements, an operand is converted, and
// if that does not help the operation is dropped.
//
//===----------------------------------------------------------------------===//

#include "RandomGraphs.h"
#include "Samples.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Verifier.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include <string>

using namespace moe;
using namespace moe::evidence;
using mlir::Operation;
using moe::spmd::MeshAttr;
using moe::spmd::PlacedTensorType;
using moe::spmd::Placement;
using moe::spmd::Transfer;

namespace {

struct Item {
  mlir::Value value;
  std::string letters;
};

class Drawer {
public:
  Drawer(MeshAttr mesh, reference::Random &random)
      : mesh(mesh), random(random), builder(mesh.getContext()),
        loc(builder.getUnknownLoc()) {}

  mlir::OwningOpRef<mlir::ModuleOp> draw();

private:
  unsigned below(unsigned bound) { return random() % bound; }
  bool chance(unsigned percent) { return below(100) < percent; }

  PlacedTensorType type(llvm::StringRef letters, bool integer = false);
  std::vector<Placement> drawPlacements(PlacedTensorType type);
  void addArgument(llvm::StringRef letters);
  /// An item that `fits`, or nothing.
  const Item *pick(llvm::function_ref<bool(const Item &)> fits);
  const Item *pickFloat();
  const Item *pickLike(llvm::StringRef letters);

  /// Places the results of `op`, whose placements are `?`, by its rule, with
  /// conversions of operands before it if need be.
  bool settle(Operation *op);
  bool convert(Operation *op, unsigned operand, unsigned axis, Placement to);
  bool keep(Operation *op, llvm::StringRef letters);
  template <typename OpTy, typename... Args>
  bool emit(llvm::StringRef letters, Args &&...args) {
    return keep(
        OpTy::create(builder, loc, type(letters), std::forward<Args>(args)...),
        letters);
  }

  bool drawEinsum();
  bool drawElementwise();
  bool drawUnary();
  bool drawFolding();
  bool drawRouting();
  bool drawRows();
  bool drawConversion();
  bool drawCollective();
  bool step();
  void finish(mlir::func::FuncOp function);
  mlir::Value closeRows(const Item &item);

  MeshAttr mesh;
  reference::Random &random;
  mlir::OpBuilder builder;
  mlir::Location loc;
  std::map<char, int64_t> sizes;
  std::vector<Item> items;
  /// One choice of experts per program: rows of two are never alike.
  mlir::Value experts, counts;
  mlir::Block *body = nullptr;
};

} // namespace

MeshAttr evidence::parseMesh(mlir::MLIRContext *context, llvm::StringRef text) {
  return llvm::cast<MeshAttr>(
      mlir::parseAttribute(("#spmd.mesh<" + text + ">").str(), context));
}

//===----------------------------------------------------------------------===//
// Types and values
//===----------------------------------------------------------------------===//

PlacedTensorType Drawer::type(llvm::StringRef letters, bool integer) {
  llvm::SmallVector<int64_t> shape;
  for (char letter : letters)
    shape.push_back(sizes.at(letter));
  mlir::Type element = builder.getF32Type();
  if (integer)
    element = builder.getI32Type();
  return PlacedTensorType::get(
      shape, element, mesh,
      llvm::SmallVector<Placement>(mesh.getNumLeafAxes()));
}

std::vector<Placement> Drawer::drawPlacements(PlacedTensorType type) {
  std::vector<Placement> placements;
  for (unsigned axis = 0; axis < mesh.getNumLeafAxes(); ++axis) {
    unsigned form = below(type.getRank() ? 3 : 2);
    placements.push_back(form == 0   ? Placement::replicate()
                         : form == 1 ? Placement::partial()
                                     : Placement::shard(below(type.getRank())));
  }
  return placements;
}

void Drawer::addArgument(llvm::StringRef letters) {
  PlacedTensorType unplaced = type(letters);
  std::vector<Placement> placements = drawPlacements(unplaced);
  // Weights and activations are Partial in few programs.
  for (Placement &placement : placements)
    if (placement.isPartial() && chance(60))
      placement = Placement::replicate();
  items.push_back({body->addArgument(unplaced.withPlacements(placements), loc),
                   letters.str()});
}

const Item *Drawer::pick(llvm::function_ref<bool(const Item &)> fits) {
  std::vector<const Item *> fitting;
  for (const Item &item : items)
    if (fits(item))
      fitting.push_back(&item);
  if (fitting.empty())
    return nullptr;
  // Rather what has no use yet, but now and then what has.
  for (unsigned attempt = 0; attempt < 2; ++attempt) {
    const Item *item = fitting[below(fitting.size())];
    if (item->value.use_empty() || chance(50))
      return item;
  }
  return fitting[below(fitting.size())];
}

const Item *Drawer::pickFloat() {
  return pick([](const Item &) { return true; });
}

const Item *Drawer::pickLike(llvm::StringRef letters) {
  return pick([&](const Item &item) { return item.letters == letters; });
}

//===----------------------------------------------------------------------===//
// Placing
//===----------------------------------------------------------------------===//

bool Drawer::convert(Operation *op, unsigned operand, unsigned axis,
                     Placement to) {
  mlir::Value value = op->getOperand(operand);
  llvm::SmallVector<Placement> placements(typeOf(value).getPlacements());
  // Where rows are cut by expert, no other cut of them can change.
  bool ragged =
      llvm::any_of(placements, [](Placement p) { return p.isRagged(); });
  if (placements[axis].isRagged() || placements[axis] == to ||
      (ragged && (to.isCut() || placements[axis].isCut())))
    return false;
  placements[axis] = to;
  if (!makesType(typeOf(value), placements))
    return false;
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  op->setOperand(operand, spmd::RedistributeOp::create(
                              builder, loc,
                              typeOf(value).withPlacements(placements), value));
  return true;
}

bool Drawer::settle(Operation *op) {
  llvm::SmallVector<Placement> results(
      typeOf(op->getResult(0)).getPlacements());
  for (unsigned axis = 0; axis < mesh.getNumLeafAxes(); ++axis) {
    bool settled = false;
    for (unsigned attempt = 0; attempt < 4 && !settled; ++attempt) {
      llvm::SmallVector<Placement> operands;
      for (mlir::Value operand : op->getOperands())
        operands.push_back(typeOf(operand).getPlacements()[axis]);
      Transfer transfer =
          llvm::cast<spmd::PlacementOpInterface>(op).transferPlacements(
              axis, operands);
      if (transfer.ok && !transfer.results[0].isMixed()) {
        results[axis] = transfer.results[0];
        settled = true;
        continue;
      }
      if (transfer.ok) {
        // The term that is whole joins the sum, or the sum is reduced.
        bool joins = chance(50);
        unsigned whole = operands[0].isReplicate() ? 0 : 1;
        if (!convert(op, joins ? whole : 1 - whole, axis,
                     joins ? Placement::partial() : Placement::replicate()))
          return false;
        continue;
      }
      unsigned operand = chance(70) && transfer.operand >= 0
                             ? transfer.operand
                             : below(operands.size());
      Placement to = Placement::replicate();
      int64_t rank = typeOf(op->getOperand(operand)).getRank();
      if (rank && chance(30))
        to = Placement::shard(below(rank));
      convert(op, operand, axis, to);
    }
    if (!settled)
      return false;
  }
  PlacedTensorType type = typeOf(op->getResult(0));
  if (!makesType(type, results))
    return false;
  op->getResult(0).setType(type.withPlacements(results));
  return true;
}

bool Drawer::keep(Operation *op, llvm::StringRef letters) {
  if (!settle(op)) {
    op->erase();
    return false;
  }
  items.push_back({op->getResult(0), letters.str()});
  return true;
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

bool Drawer::drawEinsum() {
  // A term has letters (E1).
  auto hasLetters = [](const Item &item) { return !item.letters.empty(); };
  const Item *lhs = pick(hasLetters), *rhs = pick(hasLetters);
  if (!lhs)
    return false;
  std::string letters = lhs->letters;
  bool single = chance(20);
  if (!single)
    for (char letter : rhs->letters)
      if (letters.find(letter) == std::string::npos)
        letters += letter;
  for (size_t i = letters.size(); i > 1; --i)
    std::swap(letters[i - 1], letters[below(i)]);
  std::string result;
  for (char letter : letters)
    if (result.size() < 3 && chance(65))
      result += letter;
  std::string equation = lhs->letters;
  llvm::SmallVector<mlir::Value> inputs = {lhs->value};
  if (!single) {
    equation += "," + rhs->letters;
    inputs.push_back(rhs->value);
  }
  return emit<EinsumOp>(result, equation + "->" + result, inputs);
}

bool Drawer::drawElementwise() {
  const Item *lhs = pickFloat();
  const Item *rhs = pickLike(lhs->letters);
  std::string letters = lhs->letters;
  // x - x and x / x are constants, and the terms of their gradients cancel.
  switch (below(lhs == rhs ? 3 : 5)) {
  case 0:
  case 1:
    return emit<AddOp>(letters, lhs->value, rhs->value);
  case 2:
    return emit<MulOp>(letters, lhs->value, rhs->value);
  case 3:
    return emit<SubOp>(letters, lhs->value, rhs->value);
  default:
    return emit<DivOp>(letters, lhs->value, rhs->value);
  }
}

bool Drawer::drawUnary() {
  const Item *item = pickFloat();
  std::string letters = item->letters;
  mlir::Value value = item->value;
  switch (chance(8) ? 5 : below(letters.empty() ? 3 : 5)) {
  case 0:
    return emit<ScaleOp>(letters, value, builder.getF64FloatAttr(-2.5));
  case 1:
    return emit<SigmoidOp>(letters, value);
  case 2:
    return emit<SiluOp>(letters, value);
  case 3:
    return emit<SoftmaxOp>(letters, value);
  case 4:
    return emit<NormalizeOp>(letters, value);
  default:
    // Little flows back through a constant.
    return emit<FillLikeOp>(letters, value, builder.getF64FloatAttr(3.0));
  }
}

bool Drawer::drawFolding() {
  // No letter twice, before or after.
  const Item *item = pick([](const Item &item) {
    llvm::StringRef letters = item.letters;
    return letters.starts_with("bs")
               ? !letters.contains('t')
               : letters.starts_with("t") && letters.size() < 3 &&
                     letters.find_first_of("bs") == llvm::StringRef::npos;
  });
  if (!item)
    return false;
  std::string letters = item->letters;
  if (letters[0] == 'b')
    return emit<FoldOp>("t" + letters.substr(2), item->value);
  return emit<UnfoldOp>("bs" + letters.substr(1), item->value);
}

bool Drawer::drawRouting() {
  if (experts) {
    const Item *item = pick([](const Item &item) {
      return item.letters == "te" || item.letters == "tk";
    });
    if (!item)
      return false;
    return item->letters == "te" ? emit<GatherOp>("tk", item->value, experts)
                                 : emit<ScatterOp>("te", item->value, experts);
  }
  const Item *scores = pickLike("te");
  if (!scores)
    return false;
  Operation *chosen =
      TopKOp::create(builder, loc, type("tk", true), scores->value,
                     /*bias=*/mlir::Value(), builder.getI64IntegerAttr(1),
                     builder.getI64IntegerAttr(1));
  if (!settle(chosen)) {
    chosen->erase();
    return false;
  }
  sizes['p'] = chance(40) ? sizes.at('b') : 1;
  bool hasParts = sizes.at('p') > 1;
  Operation *counted = CountOp::create(
      builder, loc, type(hasParts ? "pe" : "e", true), chosen->getResult(0));
  if (!settle(counted)) {
    // What it chose may have been converted for it already.
    counted->erase();
    return false;
  }
  experts = chosen->getResult(0);
  counts = counted->getResult(0);
  // Whole, or cut by part.
  llvm::SmallVector<Placement> placements(typeOf(counts).getPlacements());
  for (Placement &placement : placements)
    if (!hasParts || placement != Placement::shard(0))
      placement = Placement::replicate();
  PlacedTensorType placed = typeOf(counts).withPlacements(placements);
  if (placed != typeOf(counts))
    counts = spmd::RedistributeOp::create(builder, loc, placed, counts);
  return true;
}

/// What goes to the experts, is computed there, or comes back.
bool Drawer::drawRows() {
  if (!experts)
    return drawRouting();
  mlir::IntegerAttr number = builder.getI64IntegerAttr(sizes.at('e'));
  mlir::IntegerAttr parts = builder.getI64IntegerAttr(sizes.at('p'));
  const Item *item = pick([](const Item &item) {
    return item.letters == "td" || item.letters == "th" ||
           item.letters == "tk" || item.letters[0] == 'n';
  });
  if (!item)
    return false;
  std::string letters = item->letters;
  mlir::Value value = item->value;
  if (letters == "tk")
    return emit<PermuteOp>("n", value, experts, number, parts);
  if (letters[0] == 't')
    return emit<DispatchOp>("n" + letters.substr(1), value, experts, number,
                            parts);
  if (letters == "n")
    return emit<UnpermuteOp>("tk", value, experts, number, parts);
  if (letters != "nd" && letters != "nh")
    return false;
  const Item *weights = pick([](const Item &item) {
    return item.letters == "edh" || item.letters == "ehd";
  });
  if (!weights || chance(25))
    return emit<CombineOp>("t" + letters.substr(1), value, experts, number,
                           parts);
  std::string result = letters == "nd" ? "nh" : "nd";
  return emit<GroupedEinsumOp>(result,
                               letters + "," + weights->letters + "->" + result,
                               value, weights->value, counts);
}

bool Drawer::drawConversion() {
  const Item *item = pickFloat();
  PlacedTensorType type = typeOf(item->value);
  if (llvm::any_of(type.getPlacements(),
                   [](Placement p) { return p.isRagged(); }))
    return false;
  std::vector<Placement> to = drawPlacements(type);
  if (chance(15))
    to.assign(type.getPlacements().begin(), type.getPlacements().end());
  std::string letters = item->letters;
  if (chance(10))
    items.push_back(
        {spmd::ClaimOp::create(builder, loc, type, item->value), letters});
  else
    items.push_back({spmd::RedistributeOp::create(
                         builder, loc, type.withPlacements(to), item->value),
                     letters});
  return true;
}

bool Drawer::drawCollective() {
  unsigned axis = below(mesh.getNumLeafAxes());
  auto at = [&](const Item &item) {
    return typeOf(item.value).getPlacements()[axis];
  };
  const Item *item = pick([&](const Item &item) {
    return at(item).isShard() || at(item) == Placement::partial();
  });
  if (!item)
    return false;
  llvm::StringRef name = mesh.getLeafAxes()[axis].getName();
  PlacedTensorType from = typeOf(item->value);
  std::string letters = item->letters;
  mlir::Value value = item->value;
  int64_t dim = from.getRank() ? below(from.getRank()) : 0;
  llvm::SmallVector<Placement> placements(from.getPlacements());
  bool scatters = from.getRank() && chance(50);
  placements[axis] = scatters ? Placement::shard(dim) : Placement::replicate();
  PlacedTensorType to = from.withPlacements(placements);
  Placement before = at(*item);
  mlir::Value result;
  if (before.isPartial() && scatters)
    result = spmd::ReduceScatterOp::create(builder, loc, to, value, name, dim);
  else if (before.isPartial())
    result = spmd::AllReduceOp::create(builder, loc, to, value,
                                       builder.getStrArrayAttr({name}),
                                       /*site=*/mlir::StringAttr());
  else if (scatters)
    result = spmd::AllToAllOp::create(builder, loc, to, value, name,
                                      int64_t(before.dim), dim);
  else
    result = spmd::AllGatherOp::create(builder, loc, to, value, name,
                                       int64_t(before.dim));
  items.push_back({result, letters});
  return true;
}

bool Drawer::step() {
  unsigned form = below(100);
  if (form < 25)
    return drawEinsum();
  if (form < 45)
    return drawElementwise();
  if (form < 58)
    return drawUnary();
  if (form < 64)
    return drawFolding();
  if (form < 72)
    return drawRouting();
  if (form < 84)
    return drawRows();
  return form < 92 ? drawConversion() : drawCollective();
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

/// Rows that are cut by expert have no other use at the end of a program.
mlir::Value Drawer::closeRows(const Item &item) {
  mlir::IntegerAttr number = builder.getI64IntegerAttr(sizes.at('e'));
  mlir::IntegerAttr parts = builder.getI64IntegerAttr(sizes.at('p'));
  if (item.letters[0] != 'n' || item.letters.size() > 2)
    return {};
  bool closed =
      item.letters == "n"
          ? emit<UnpermuteOp>("tk", item.value, experts, number, parts)
          : emit<CombineOp>("t" + item.letters.substr(1), item.value, experts,
                            number, parts);
  return closed ? items.back().value : mlir::Value();
}

void Drawer::finish(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::Value> results;
  std::vector<Item> all = items;
  for (const Item &item : all) {
    if (!item.value.use_empty() || llvm::isa<mlir::BlockArgument>(item.value))
      continue;
    mlir::Value value = item.value;
    if (llvm::any_of(typeOf(value).getPlacements(),
                     [](Placement p) { return p.isRagged(); }))
      value = closeRows(item);
    if (value)
      results.push_back(value);
  }
  auto ret = mlir::func::ReturnOp::create(builder, loc, results);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*body)))
    if (&op != ret && op.use_empty())
      op.erase();
  for (unsigned i = body->getNumArguments(); i-- > 0;)
    if (body->getArgument(i).use_empty())
      body->eraseArgument(i);
  function.setFunctionType(builder.getFunctionType(
      body->getArgumentTypes(), mlir::ValueRange(results).getTypes()));
}

mlir::OwningOpRef<mlir::ModuleOp> Drawer::draw() {
  sizes = {{'b', 2 + below(3)},     {'s', 2 + below(2)},
           {'d', 3 + 2 * below(2)}, {'h', 4 + 2 * below(2)},
           {'e', 3 + below(2)},     {'k', 2}};
  sizes['t'] = sizes['b'] * sizes['s'];
  sizes['n'] = sizes['t'] * sizes['k'];

  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  builder.setInsertionPointToEnd(module->getBody());
  auto function = mlir::func::FuncOp::create(builder, loc, "graph",
                                             builder.getFunctionType({}, {}));
  body = function.addEntryBlock();
  builder.setInsertionPointToEnd(body);
  constexpr llvm::StringLiteral shapes[] = {"td", "td",  "td",  "th", "ed",
                                            "hd", "te",  "te",  "tk", "t",
                                            "d",  "bsd", "ehd", "edh"};
  for (unsigned i = 2 + below(4); i > 0; --i)
    addArgument(shapes[below(std::size(shapes))]);
  if (chance(40)) {
    // What a layer is made of.
    for (const char *letters : {"td", "te", "ehd"})
      addArgument(letters);
    drawRouting();
  }
  unsigned wanted = 4 + below(10);
  for (unsigned attempt = 0;
       attempt < 60 && body->getOperations().size() < wanted; ++attempt)
    step();
  finish(function);
  size_t operations = body->getOperations().size() - 1;
  mlir::ScopedDiagnosticHandler quiet(
      mesh.getContext(), [](mlir::Diagnostic &) { return mlir::success(); });
  if (operations < 4 || operations > 15 || body->getNumArguments() < 2 ||
      function.getNumResults() == 0 || mlir::failed(mlir::verify(*module)))
    return {};
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp>
evidence::drawGraph(MeshAttr mesh, reference::Random &random) {
  return Drawer(mesh, random).draw();
}

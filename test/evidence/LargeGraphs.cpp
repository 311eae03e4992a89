//===- LargeGraphs.cpp - Graphs of the size of whole models ---------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LargeGraphs.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"
#include "moe/Import/LayerImporter.h"
#include "llvm/Support/ErrorHandling.h"

using namespace mlir;
using namespace moe;
using namespace moe::evidence;
using namespace moe::importer;
using namespace moe::spmd;

namespace {

/// Leaf axes of the stack's mesh.
enum Axis : unsigned { DP, EP, TP, NumAxes };

constexpr int64_t kModel = 64, kSeq = 16, kHeadSize = 16;

/// One form of MoE layer.
struct Layer {
  OwningOpRef<ModuleOp> module;
  /// The axis that the layer's own axis `tp` is.
  Axis axis = TP;
  /// Experts are cut over `axis`, else their hidden dimension is.
  bool spread = false;
};

MeshAttr getMesh(MLIRContext *context, int64_t dp, int64_t ep, int64_t tp) {
  auto axis = [&](StringRef name, int64_t size) {
    return MeshAxisAttr::get(context, StringAttr::get(context, name), size, {});
  };
  return MeshAttr::get(context,
                       {axis("dp", dp), axis("ep", ep), axis("tp", tp)});
}

class StackBuilder {
public:
  StackBuilder(ModuleOp module, const StackOptions &options,
               std::mt19937_64 &random)
      : module(module), options(options), random(random),
        builder(module.getContext()), loc(builder.getUnknownLoc()),
        mesh(getMesh(module.getContext(), options.dp, options.ep, options.tp)) {
  }

  void run(StringRef name);

private:
  int64_t draw(ArrayRef<int64_t> choices) {
    return choices[random() % choices.size()];
  }
  Layer drawLayer();
  PlacedTensorType placed(ArrayRef<int64_t> shape, Placement dp, Placement ep,
                          Placement tp) {
    return PlacedTensorType::get(shape, builder.getF32Type(), mesh,
                                 {dp, ep, tp});
  }
  PlacedTensorType unknown(ArrayRef<int64_t> shape, Type element = {}) {
    auto type = placed(shape, Placement::unknown(), Placement::unknown(),
                       Placement::unknown());
    return element ? cast<PlacedTensorType>(type.cloneWith(shape, element))
                   : type;
  }
  /// What runs through the stack; `cut` along the sequence over tp.
  PlacedTensorType stream(bool cut) {
    return placed({batch, kSeq, kModel}, Placement::shard(0),
                  Placement::replicate(),
                  cut ? Placement::shard(1) : Placement::replicate());
  }
  /// A parameter of the block that is being built.
  Value addArgument(StringRef name, Type type, DictionaryAttr attrs = {});
  Value einsum(StringRef equation, Value lhs, Value rhs,
               ArrayRef<int64_t> shape) {
    return EinsumOp::create(builder, loc, unknown(shape), equation,
                            ValueRange{lhs, rhs});
  }
  /// Between blocks the sequence is cut over tp.
  Value addResidual(Value x, Value term) {
    term = RedistributeOp::create(builder, loc, stream(true), term);
    return AddOp::create(builder, loc, unknown(stream(true).getShape()), x,
                         term);
  }
  Value buildAttention(Value x);
  PlacedTensorType parameterType(const Layer &layer, StringRef name,
                                 PlacedTensorType type);
  Value buildLayer(const Layer &layer, Value x);

  ModuleOp module;
  const StackOptions &options;
  std::mt19937_64 &random;
  OpBuilder builder;
  Location loc;
  MeshAttr mesh;
  int64_t batch = 4;
  std::string prefix;
  Block *block = nullptr;
  SmallVector<Attribute> argumentAttrs;
};

} // namespace

Layer StackBuilder::drawLayer() {
  LayerConfig config;
  config.dModel = kModel;
  int64_t ranks = options.dp * options.ep * options.tp;
  config.numExperts = ranks * draw({2, 3, 4, 6});
  config.dExpert = options.tp * draw({8, 12, 16, 20, 24, 40});
  config.topK = draw({1, 2, 3, 4});
  config.dShared = options.ep * options.tp * draw({0, 0, 8, 24});
  config.scoreFunction =
      draw({0, 1}) ? ScoreFunction::Sigmoid : ScoreFunction::Softmax;
  config.normalize = draw({0, 1});
  config.scale = draw({0, 1}) ? 2.5 : 1.0;
  config.scoreBias = config.scoreFunction == ScoreFunction::Sigmoid;
  config.scorePosition = static_cast<ScorePosition>(draw({0, 1, 2}));
  LayerOptions layerOptions;
  Layer layer;
  layer.spread = draw({0, 1});
  layer.axis = layer.spread && draw({0, 1}) ? EP : TP;
  layerOptions.plan = layer.spread ? Plan::TP2EP : Plan::TP;
  layerOptions.mesh = {{"tp", layer.axis == EP ? options.ep : options.tp}};
  layerOptions.batch = batch;
  layerOptions.seq = kSeq;
  layerOptions.sequenceParallel = layer.axis == TP && draw({0, 1});
  ImportError error;
  auto imported =
      importLayer(module.getContext(), config, layerOptions, LabelMap(), error);
  if (failed(imported))
    llvm::report_fatal_error(llvm::Twine(error.message));
  layer.module = std::move(*imported);
  return layer;
}

Value StackBuilder::addArgument(StringRef name, Type type,
                                DictionaryAttr attrs) {
  SmallVector<NamedAttribute> list;
  if (attrs)
    llvm::append_range(list, attrs);
  llvm::erase_if(list, [](NamedAttribute attr) {
    return attr.getName() == SPMDDialect::kNameAttr;
  });
  StringAttr full = builder.getStringAttr(prefix + name);
  list.push_back(builder.getNamedAttr(SPMDDialect::kNameAttr, full));
  argumentAttrs.push_back(builder.getDictionaryAttr(list));
  return block->addArgument(type, NameLoc::get(full));
}

/// Heads are cut over tp.
Value StackBuilder::buildAttention(Value x) {
  int64_t heads = options.tp * draw({1, 2, 3});
  Placement whole = Placement::replicate();
  auto weight = [&](StringRef name, ArrayRef<int64_t> shape, unsigned cut) {
    return addArgument(name,
                       placed(shape, whole, whole, Placement::shard(cut)));
  };
  Value input = RedistributeOp::create(builder, loc, stream(false), x);
  input =
      NormalizeOp::create(builder, loc, unknown({batch, kSeq, kModel}), input);
  auto project = [&](StringRef name) {
    return einsum("bsd,dhk->bshk", input,
                  weight(name, {kModel, heads, kHeadSize}, 1),
                  {batch, kSeq, heads, kHeadSize});
  };
  Value q = project("attention.wq"), k = project("attention.wk");
  Value v = project("attention.wv");
  q = ScaleOp::create(builder, loc, q.getType(), q,
                      builder.getF64FloatAttr(0.25));
  Value scores = einsum("bqhk,bthk->bhqt", q, k, {batch, heads, kSeq, kSeq});
  scores = SoftmaxOp::create(builder, loc, scores.getType(), scores);
  Value mixed =
      einsum("bhqt,bthk->bqhk", scores, v, {batch, kSeq, heads, kHeadSize});
  Value out = einsum("bqhk,hkd->bqd", mixed,
                     weight("attention.wo", {heads, kHeadSize, kModel}, 0),
                     {batch, kSeq, kModel});
  return addResidual(x, out);
}

/// Experts are cut over dp, where tokens are; inside of that as the layer says,
/// and over tp, where that cuts nothing else, their hidden dimension is.
PlacedTensorType StackBuilder::parameterType(const Layer &layer, StringRef name,
                                             PlacedTensorType type) {
  SmallVector<Placement> placements(NumAxes, Placement::replicate());
  placements[layer.axis] = type.getPlacements()[0];
  if (name.starts_with("experts.")) {
    placements[DP] = Placement::shard(0);
    if (layer.axis == EP)
      placements[TP] = Placement::shard(name == "experts.w2" ? 2 : 1);
  } else if (name.starts_with("shared_experts.") && layer.axis == EP) {
    placements[TP] = placements[EP];
  }
  return PlacedTensorType::get(type.getShape(), type.getElementType(), mesh,
                               placements);
}

Value StackBuilder::buildLayer(const Layer &layer, Value x) {
  auto function = *layer.module.get().getOps<func::FuncOp>().begin();
  Block &body = function.getBody().front();
  IRMapping mapping;
  for (BlockArgument argument : body.getArguments()) {
    auto type = cast<PlacedTensorType>(argument.getType());
    StringRef name = function
                         .getArgAttrOfType<StringAttr>(argument.getArgNumber(),
                                                       SPMDDialect::kNameAttr)
                         .getValue();
    if (name == "x") {
      bool cut = type.getPlacements()[0].isShard();
      Value input = RedistributeOp::create(builder, loc, stream(cut), x);
      mapping.map(argument, input);
      continue;
    }
    mapping.map(argument,
                addArgument(name, parameterType(layer, name, type),
                            function.getArgAttrDict(argument.getArgNumber())));
  }
  for (Operation &op : body.without_terminator()) {
    Operation *copy = builder.clone(op, mapping);
    for (OpResult result : copy->getResults()) {
      auto type = cast<PlacedTensorType>(result.getType());
      SmallVector<Placement> placements(NumAxes, Placement::unknown());
      placements[layer.axis] = type.getPlacements()[0];
      result.setType(PlacedTensorType::get(
          type.getShape(), type.getElementType(), mesh, placements));
      if (!isa<CountOp>(op))
        continue;
      // Of the tokens of all of dp.
      placements.assign(NumAxes, Placement::unknown());
      placements[DP] = Placement::replicate();
      auto all =
          cast<PlacedTensorType>(result.getType()).withPlacements(placements);
      mapping.map(op.getResult(0),
                  RedistributeOp::create(builder, loc, all, result));
    }
  }
  Value y = mapping.lookup(body.getTerminator()->getOperand(0));
  return addResidual(x, y);
}

void StackBuilder::run(StringRef name) {
  batch = options.dp * 2;
  std::vector<Layer> layers(std::min(options.kinds, options.blocks));
  for (Layer &layer : layers)
    layer = drawLayer();

  builder.setInsertionPointToEnd(module.getBody());
  auto function =
      func::FuncOp::create(builder, loc, name, builder.getFunctionType({}, {}));
  block = function.addEntryBlock();
  builder.setInsertionPointToStart(block);
  Value x = addArgument("x", stream(true));
  for (int64_t i = 0; i < options.blocks; ++i) {
    prefix = "blocks." + std::to_string(i) + ".";
    x = buildAttention(x);
    x = buildLayer(layers[i % layers.size()], x);
  }
  x = RedistributeOp::create(builder, loc, stream(true), x);
  func::ReturnOp::create(builder, loc, x);
  function.setFunctionType(
      builder.getFunctionType(block->getArgumentTypes(), x.getType()));
  function.setArgAttrsAttr(builder.getArrayAttr(argumentAttrs));
  function.setResultAttr(0, SPMDDialect::kNameAttr, builder.getStringAttr("y"));
}

void moe::evidence::buildStack(ModuleOp module, StringRef name,
                               const StackOptions &options,
                               std::mt19937_64 &random) {
  module.getContext()
      ->loadDialect<func::FuncDialect, MoEDialect, SPMDDialect>();
  StackBuilder(module, options, random).run(name);
}

LogicalResult moe::evidence::differentiateAll(ModuleOp module) {
  PassManager pm(module.getContext());
  pm.enableVerifier(false);
  pm.addNestedPass<func::FuncOp>(createInferPlacements());
  pm.addPass(createDifferentiate());
  if (failed(pm.run(module)))
    return failure();
  for (auto function :
       llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
    if (function->hasAttr(SPMDDialect::kVjpAttr)) {
      function.erase();
      continue;
    }
    for (Operation &op : function.getBody().front())
      if (isa<MoEDialect>(op.getDialect()))
        for (Value result : op.getResults())
          result.setType(
              cast<PlacedTensorType>(result.getType()).withUnknownPlacements());
  }
  return success();
}

void moe::evidence::buildHardGraph(ModuleOp module, HardGraph kind,
                                   int64_t size) {
  MLIRContext *context = module.getContext();
  context->loadDialect<func::FuncDialect, MoEDialect, SPMDDialect>();
  OpBuilder builder(context);
  Location loc = builder.getUnknownLoc();
  MeshAttr mesh = getMesh(context, 2, 2, 2);
  Placement whole = Placement::replicate();
  auto typeOf = [&](ArrayRef<int64_t> shape, Placement tp) {
    return PlacedTensorType::get(shape, builder.getF32Type(), mesh,
                                 {whole, whole, tp});
  };
  auto unknown = [&](ArrayRef<int64_t> shape) {
    return typeOf(shape, whole).withUnknownPlacements();
  };
  builder.setInsertionPointToEnd(module.getBody());
  auto function = func::FuncOp::create(builder, loc, "hard",
                                       builder.getFunctionType({}, {}));
  Block *block = function.addEntryBlock();
  builder.setInsertionPointToStart(block);
  SmallVector<int64_t> shape{16, 32};
  auto project = [&](Value x, int64_t from, int64_t to) -> Value {
    Value w = block->addArgument(typeOf({from, to}, whole), loc);
    return EinsumOp::create(builder, loc, unknown({16, to}), "ad,df->af",
                            ValueRange{x, w});
  };
  Value x = block->addArgument(
      typeOf(shape, kind == HardGraph::Shapes ? whole : Placement::shard(1)),
      loc);
  if (kind != HardGraph::Shapes) {
    Value w = block->addArgument(typeOf({32, 32}, Placement::shard(0)), loc);
    x = EinsumOp::create(builder, loc, unknown(shape), "ad,df->af",
                         ValueRange{x, w});
  }
  auto claim = [&](Value value, Placement tp) -> Value {
    return ClaimOp::create(builder, loc, typeOf(shape, tp), value);
  };
  auto scale = [&](Value value, double factor) -> Value {
    return ScaleOp::create(builder, loc, unknown(shape), value,
                           builder.getF64FloatAttr(factor));
  };
  auto add = [&](Value lhs, Value rhs) -> Value {
    return AddOp::create(builder, loc, unknown(shape), lhs, rhs);
  };
  int64_t width = 32;
  std::vector<Value> values{x};
  for (int64_t i = 0; static_cast<int64_t>(values.size()) < size; ++i) {
    Value last = values.back();
    switch (kind) {
    case HardGraph::Chain:
      if (i % 10 == 9)
        values.push_back(claim(last, Placement::partial()));
      else if (i % 2)
        values.push_back(add(last, values[values.size() / 2]));
      else
        values.push_back(scale(last, 0.5));
      break;
    case HardGraph::Fan:
      values.push_back(scale(values[0], 1.0 + i % 7));
      values.push_back(i ? add(last, values.back()) : values.back());
      break;
    case HardGraph::Shapes:
      values.push_back(project(last, width, 33 + i));
      width = 33 + i;
      break;
    case HardGraph::FalseClaims:
      if (i % 10 == 9)
        values.push_back(
            claim(last, i % 20 == 9 ? whole : Placement::partial()));
      else
        values.push_back(scale(last, 0.5));
      break;
    }
  }
  Value result = RedistributeOp::create(
      builder, loc,
      typeOf(cast<PlacedTensorType>(values.back().getType()).getShape(), whole),
      values.back());
  func::ReturnOp::create(builder, loc, result);
  function.setFunctionType(
      builder.getFunctionType(block->getArgumentTypes(), result.getType()));
}

void moe::evidence::printUpstream(func::FuncOp function,
                                  llvm::raw_ostream &os) {
  constexpr StringLiteral type = "tensor<1x64x64xf32>";
  auto typed = [&](unsigned count) {
    std::string text = "(";
    for (unsigned i = 0; i < count; ++i)
      text += (i ? ", " : "") + type.str();
    return text + ")";
  };
  DenseMap<Value, unsigned> numbers;
  os << "shard.grid @mesh(shape = 2x2x2)\nfunc.func @graph(";
  for (BlockArgument argument : function.getArguments()) {
    numbers.try_emplace(argument, numbers.size());
    os << (argument.getArgNumber() ? ", " : "") << "%" << numbers[argument]
       << ": " << type;
  }
  Operation *ret = function.getBody().front().getTerminator();
  os << ") -> " << typed(ret->getNumOperands()) << " {\n";
  // Each has a sharding of its own: upstream's pass is quadratic in the uses of
  // one, which is not what is to be measured.
  unsigned numShardings = 0;
  auto shard = [&](const std::string &result, const std::string &value,
                   bool cut) {
    unsigned number = numShardings++;
    os << "%s" << number << " = shard.sharding @mesh split_axes = [[], ["
       << (cut ? "2" : "") << "]] : !shard.sharding\n"
       << result << " = shard.shard " << value << " to %s" << number << " : "
       << type << "\n";
  };
  // What is cut is said of the arguments, as in the function itself.
  for (BlockArgument argument : function.getArguments()) {
    auto placements =
        cast<PlacedTensorType>(argument.getType()).getPlacements();
    std::string number = std::to_string(numbers[argument]);
    shard("%a" + number, "%" + number,
          llvm::any_of(placements, [](Placement p) { return p.isCut(); }));
  }
  auto name = [&](Value value) {
    return (isa<BlockArgument>(value) ? "%a" : "%") +
           std::to_string(numbers[value]);
  };
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (op.getNumResults() == 0)
      continue;
    numbers.try_emplace(op.getResult(0), numbers.size());
    std::string result = name(op.getResult(0)), lhs = name(op.getOperand(0));
    std::string rhs = name(op.getOperand(op.getNumOperands() > 1 ? 1 : 0));
    if (isa<RedistributeOp>(op))
      shard(result, lhs, /*cut=*/false);
    else if (op.getNumOperands() == 1)
      os << result << " = tosa.sigmoid " << lhs << " : " << typed(1) << " -> "
         << type << "\n";
    else
      os << result << " = tosa."
         << (isa<EinsumOp, GroupedEinsumOp>(op) ? "maximum" : "add") << " "
         << lhs << ", " << rhs << " : " << typed(2) << " -> " << type << "\n";
  }
  os << "return ";
  for (auto [i, value] : llvm::enumerate(ret->getOperands()))
    os << (i ? ", " : "") << name(value);
  os << " : ";
  for (unsigned i = 0; i < ret->getNumOperands(); ++i)
    os << (i ? ", " : "") << type;
  os << "\n}\n";
}

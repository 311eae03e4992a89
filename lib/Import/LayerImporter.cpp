//===- LayerImporter.cpp - The IR of one MoE layer ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The mathematics is torchtitan's (models/common/moe/moe.py at de329200b); so
// are the names of parameters and the places where gradients are labelled.
//
//===----------------------------------------------------------------------===//

#include "moe/Import/LayerImporter.h"
#include "JSONFile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace moe;
using namespace moe::importer;
using namespace moe::spmd;

LogicalResult
LayerOptions::parseMesh(StringRef text,
                        std::vector<std::pair<std::string, int64_t>> &mesh,
                        ImportError &error) {
  SmallVector<StringRef> axes;
  text.split(axes, ',');
  for (StringRef axis : axes) {
    auto [name, size] = axis.split('=');
    int64_t ranks = 0;
    if (name.empty() || size.getAsInteger(10, ranks) || ranks < 1 ||
        ranks > (1 << 20)) {
      error = {"--mesh: " + quote(axis) + " is no mesh axis",
               "write a mesh as tp=2 or tp=2,ep=1, sizes from 1 to 2^20"};
      return failure();
    }
    if (llvm::any_of(mesh, [&](const auto &a) { return a.first == name; })) {
      error = {"--mesh has two axes named " + quote(name),
               "give each axis once"};
      return failure();
    }
    mesh.emplace_back(name.str(), ranks);
  }
  return success();
}

namespace {

using AxisPlacements = ArrayRef<std::pair<StringRef, Placement>>;

class LayerBuilder {
public:
  LayerBuilder(MLIRContext *context, const LayerConfig &config,
               const LayerOptions &options, const LabelMap &labels)
      : config(config), options(options), labels(labels), builder(context),
        loc(builder.getUnknownLoc()) {}

  LogicalResult check(ImportError &error);
  OwningOpRef<ModuleOp> build();
  /// What is wrong with a label, if anything; known after `build`.
  StringRef getWrongLabel() const { return wrongLabel; }

private:
  LogicalResult checkMesh(ImportError &error);
  LogicalResult checkTokens(ImportError &error);
  LogicalResult checkSizes(ImportError &error);
  /// Ranks on `axis`; 0 if the mesh has no such axis.
  int64_t sizeOf(StringRef axis) const;
  bool isTP2EP() const { return options.plan == Plan::TP2EP; }
  /// The axis over which experts are spread and rows exchanged; none if all
  /// ranks have all experts.
  StringRef getExchangeAxis() const {
    if (isTP2EP())
      return "tp";
    return sizeOf("ep") > 1 ? "ep" : "";
  }
  /// Data-parallel ranks, each with a part of the tokens.
  int64_t getParts() const { return std::max<int64_t>(sizeOf("dp"), 1); }
  ScorePosition scorePosition() const {
    return options.scorePosition.value_or(config.scorePosition);
  }

  /// A type placed as `placements` say, replicated on axes that are not in it.
  PlacedTensorType typeOf(ArrayRef<int64_t> shape,
                          AxisPlacements placements = {});
  PlacedTensorType unknown(ArrayRef<int64_t> shape);
  /// Of logits and scores. They are few, and an error in them is one in all
  /// that they weigh, so frameworks have them in f32 whatever the layer is in.
  PlacedTensorType asScores(PlacedTensorType type);
  Value addArgument(StringRef name, PlacedTensorType type, bool noGrad = false);
  /// The value as a use at `site` sees it.
  Value at(StringRef site, Value value);
  Value convert(Value value, StringRef axis, Placement placement);
  Value einsum(StringRef equation, Value lhs, Value rhs,
               ArrayRef<int64_t> shape);
  Value grouped(StringRef equation, Value rows, Value weight, Value counts,
                int64_t columns);
  Value swiglu(Value gate, Value up);

  void createFunction();
  Value buildRouter(Value tokens, Value &experts);
  Value buildRouted(Value tokens, Value scores, Value experts);
  Value buildShared(Value tokens);

  const LayerConfig &config;
  const LayerOptions &options;
  const LabelMap &labels;
  OpBuilder builder;
  Location loc;
  MeshAttr mesh;
  func::FuncOp function;
  llvm::StringMap<Value> arguments;
  std::string wrongLabel;
};

int64_t LayerBuilder::sizeOf(StringRef axis) const {
  for (const auto &[name, size] : options.mesh)
    if (name == axis)
      return size;
  return 0;
}

LogicalResult LayerBuilder::checkMesh(ImportError &error) {
  constexpr struct {
    Plan plan;
    StringLiteral needed, other, text;
  } plans[] = {
      {Plan::TP, "tp", "tp", "this plan has the axes dp and tp"},
      {Plan::ETP, "tp", "ep", "plan etp has the axes dp, ep and tp"},
      {Plan::TP2EP, "tp", "tp", "this plan has the axes dp and tp"},
      {Plan::EP, "ep", "ep", "plan ep has the axes dp and ep"},
  };
  const auto *plan = llvm::find_if(
      plans, [&](const auto &entry) { return entry.plan == options.plan; });
  for (const auto &[axis, size] : options.mesh)
    if (axis != plan->needed && axis != plan->other && axis != "dp") {
      error = {"the plan does not know the mesh axis " + quote(axis),
               plan->text.str()};
      return failure();
    }
  if (!sizeOf(plan->needed)) {
    error = {
        ("the mesh has no axis '" + plan->needed + "', which the plan needs")
            .str(),
        ("write --mesh " + plan->needed + "=2").str()};
    return failure();
  }
  if (options.sequenceParallel && !sizeOf("tp")) {
    error = {"--sequence-parallel cuts the sequence over 'tp', which plan ep "
             "does not have",
             "leave it out, or use plan etp with --mesh ep=2,tp=2"};
    return failure();
  }
  // Rows of one rank's part are sorted by expert, and not the other way round.
  if (sizeOf("dp") && options.mesh.front().first != "dp") {
    error = {"the mesh axis 'dp' is inside of '" + options.mesh.front().first +
                 "', but whole layers are inside of it",
             "name it first, as in --mesh dp=2,tp=2"};
    return failure();
  }
  return success();
}

LogicalResult LayerBuilder::checkTokens(ImportError &error) {
  if (options.batch < 1 || options.seq < 1 || options.batch > (1 << 20) ||
      options.seq > (1 << 24)) {
    error = {"batch " + std::to_string(options.batch) + " and sequence " +
                 std::to_string(options.seq) + " make no tokens",
             "both must be at least 1, at most 2^20 and 2^24"};
    return failure();
  }
  int64_t tokens = options.batch * options.seq;
  // Rows are counted in 32 bits.
  if (config.topK > std::numeric_limits<int32_t>::max() / tokens) {
    error = {std::to_string(tokens) + " tokens with " +
                 std::to_string(config.topK) +
                 " experts each make more than 2^31 - 1 rows",
             "lower --batch, --seq or 'num_experts_per_tok'"};
    return failure();
  }
  // Axes have at most 2^20 ranks each.
  int64_t left = options.batch;
  for (StringRef axis : {"dp", "ep"}) {
    int64_t ranks = std::max<int64_t>(sizeOf(axis), 1);
    if (left % ranks) {
      error = {(axis + " cuts " + Twine(left) + " sequences over " +
                Twine(ranks) + " ranks, which does not come out even")
                   .str(),
               "choose --batch so that the ranks of dp and ep divide it"};
      return failure();
    }
    left /= ranks;
  }
  if (isTP2EP() && left * options.seq % sizeOf("tp")) {
    error = {"plan tp2ep cuts " + std::to_string(left * options.seq) +
                 " tokens over " + std::to_string(sizeOf("tp")) +
                 " ranks, which does not come out even",
             "choose --batch and --seq so that the ranks divide their product"};
    return failure();
  }
  return success();
}

LogicalResult LayerBuilder::check(ImportError &error) {
  if (failed(checkMesh(error)) || failed(checkTokens(error)))
    return failure();
  return checkSizes(error);
}

/// No tensor may have more elements than 64 bits can address in bytes.
LogicalResult LayerBuilder::checkSizes(ImportError &error) {
  int64_t tokens = options.batch * options.seq;
  int64_t d = config.dModel, f = config.dExpert, s = config.dShared;
  int64_t e = config.numExperts;
  struct {
    StringRef what;
    SmallVector<int64_t> shape;
  } tensors[] = {{"tokens", {tokens, d}},
                 {"logits", {tokens, e}},
                 {"rows", {tokens * config.topK, d}},
                 {"hidden rows", {tokens * config.topK, f}},
                 {"router.gate.weight", {e, d}},
                 {"experts.w1", {e, f, d}},
                 {"shared_experts.w1.weight", {s, d}},
                 {"shared experts' hidden tokens", {tokens, s}}};
  for (const auto &[what, shape] : tensors) {
    int64_t bytes = 8;
    if (llvm::none_of(shape, [&](int64_t size) {
          return llvm::MulOverflow(bytes, size, bytes);
        }))
      continue;
    auto sizes = llvm::map_range(
        shape, [](int64_t size) { return std::to_string(size); });
    error = {("the " + what + " would be a tensor of " +
              llvm::join(sizes, " x ") + " elements, more than 2^60")
                 .str(),
             "check the sizes in the configuration, --batch and --seq"};
    return failure();
  }
  return success();
}

PlacedTensorType LayerBuilder::typeOf(ArrayRef<int64_t> shape,
                                      AxisPlacements placements) {
  SmallVector<Placement> all;
  for (const auto &[axis, size] : options.mesh) {
    all.push_back(Placement::replicate());
    for (const auto &[name, placement] : placements)
      if (name == axis)
        all.back() = placement;
  }
  Type element =
      options.bf16 ? Type(builder.getBF16Type()) : Type(builder.getF32Type());
  return PlacedTensorType::get(shape, element, mesh, all);
}

PlacedTensorType LayerBuilder::unknown(ArrayRef<int64_t> shape) {
  return typeOf(shape).withUnknownPlacements();
}

PlacedTensorType LayerBuilder::asScores(PlacedTensorType type) {
  return cast<PlacedTensorType>(
      type.cloneWith(type.getShape(), builder.getF32Type()));
}

Value LayerBuilder::addArgument(StringRef name, PlacedTensorType type,
                                bool noGrad) {
  SmallVector<NamedAttribute> attrs{builder.getNamedAttr(
      SPMDDialect::kNameAttr, builder.getStringAttr(name))};
  if (noGrad)
    attrs.push_back(
        builder.getNamedAttr(SPMDDialect::kNoGradAttr, builder.getUnitAttr()));
  // A parameter whose last label leaves its gradient partial keeps it so.
  auto label = labels.find(name.str());
  if (name != "x" && label != labels.end() && !label->second.empty()) {
    const LabelAction &last = label->second.back();
    bool partial = last.kind == LabelAction::Claims &&
                   llvm::any_of(last.placements, [](const auto &entry) {
                     return entry.second.isPartial();
                   });
    if (partial) {
      SmallVector<StringAttr> axes;
      SmallVector<Placement> placements;
      for (const auto &[axis, placement] : last.placements) {
        axes.push_back(builder.getStringAttr(
            axis.empty() ? options.getLayerAxis() : StringRef(axis)));
        placements.push_back(placement);
      }
      attrs.push_back(builder.getNamedAttr(
          SPMDDialect::kGradPlacementAttr,
          PlacementsAttr::get(builder.getContext(), axes, placements)));
    }
  }
  // Adding to the end of a function without results cannot fail.
  (void)function.insertArgument(function.getNumArguments(), type,
                                builder.getDictionaryAttr(attrs),
                                NameLoc::get(builder.getStringAttr(name)));
  return arguments[name] = function.getArguments().back();
}

Value LayerBuilder::at(StringRef site, Value value) {
  auto label = labels.find(site.str());
  if (label == labels.end())
    return value;
  auto type = cast<PlacedTensorType>(value.getType()).withUnknownPlacements();
  StringAttr siteAttr = builder.getStringAttr(site);
  // The cotangent meets the last boundary first.
  for (const LabelAction &action : llvm::reverse(label->second)) {
    if (action.kind == LabelAction::AllReduces) {
      value = GradAllReduceOp::create(
          builder, loc, type, value,
          builder.getStrArrayAttr({options.getLayerAxis()}), siteAttr);
      continue;
    }
    SmallVector<StringAttr> axes;
    SmallVector<Placement> placements;
    // What is not named is replicated where the label is about whole layers,
    // and not known to it where ranks have tokens of their own.
    for (StringRef axis : {"dp", "ep"}) {
      bool isNamed = axis == options.getLayerAxis() ||
                     llvm::any_of(action.placements, [&](const auto &entry) {
                       return entry.first == axis;
                     });
      if (sizeOf(axis) > 1 && !isNamed) {
        axes.push_back(builder.getStringAttr(axis));
        placements.push_back(Placement::unknown());
      }
    }
    for (const auto &[axis, placement] : action.placements) {
      if (placement.isReplicate())
        continue;
      if (placement.isShard() && placement.dim >= type.getRank() &&
          wrongLabel.empty())
        wrongLabel = "site '" + site.str() + "': shard<" +
                     std::to_string(placement.dim) +
                     "> names a dimension that a tensor with " +
                     std::to_string(type.getRank()) + " of them lacks";
      axes.push_back(builder.getStringAttr(axis.empty() ? options.getLayerAxis()
                                                        : StringRef(axis)));
      placements.push_back(placement);
    }
    value = BoundaryOp::create(
        builder, loc, type, value, action.kind == LabelAction::Reduces,
        PlacementsAttr::get(builder.getContext(), axes, placements), siteAttr);
  }
  return value;
}

Value LayerBuilder::convert(Value value, StringRef axis, Placement placement) {
  auto type = cast<PlacedTensorType>(value.getType());
  SmallVector<Placement> placements(type.getPlacements().size());
  for (auto [meshAxis, entry] : llvm::zip(options.mesh, placements))
    if (meshAxis.first == axis)
      entry = placement;
  return RedistributeOp::create(builder, loc, type.withPlacements(placements),
                                value);
}

Value LayerBuilder::einsum(StringRef equation, Value lhs, Value rhs,
                           ArrayRef<int64_t> shape) {
  return EinsumOp::create(builder, loc, unknown(shape), equation,
                          ValueRange{lhs, rhs});
}

Value LayerBuilder::grouped(StringRef equation, Value rows, Value weight,
                            Value counts, int64_t columns) {
  int64_t numRows = cast<PlacedTensorType>(rows.getType()).getDimSize(0);
  return GroupedEinsumOp::create(builder, loc, unknown({numRows, columns}),
                                 equation, rows, weight, counts);
}

Value LayerBuilder::swiglu(Value gate, Value up) {
  Type type = gate.getType();
  Value activated = SiluOp::create(builder, loc, type, gate);
  return MulOp::create(builder, loc, type, activated, up);
}

void LayerBuilder::createFunction() {
  SmallVector<MeshAxisAttr> axes;
  for (const auto &[axis, size] : options.mesh)
    axes.push_back(MeshAxisAttr::get(builder.getContext(),
                                     builder.getStringAttr(axis), size, {}));
  mesh = MeshAttr::get(builder.getContext(), axes);
  function = func::FuncOp::create(builder, loc, "moe_layer",
                                  builder.getFunctionType({}, {}));
  function.addEntryBlock();
  builder.setInsertionPointToStart(&function.getBody().front());

  int64_t d = config.dModel, f = config.dExpert, e = config.numExperts;
  int64_t s = config.dShared;
  auto cut = [](unsigned dim) { return Placement::shard(dim); };
  SmallVector<std::pair<StringRef, Placement>> input{{"dp", cut(0)},
                                                     {"ep", cut(0)}};
  if (options.sequenceParallel)
    input.push_back({"tp", cut(1)});
  addArgument("x", typeOf({options.batch, options.seq, d}, input));
  addArgument("router.gate.weight", typeOf({e, d}));
  if (config.scoreBias)
    addArgument("router.expert_bias", asScores(typeOf({e})), /*noGrad=*/true);
  auto experts = [&](ArrayRef<int64_t> shape, unsigned hidden) {
    return typeOf(shape, {{"tp", cut(isTP2EP() ? 0 : hidden)}, {"ep", cut(0)}});
  };
  addArgument("experts.w1", experts({e, f, d}, 1));
  addArgument("experts.w2", experts({e, d, f}, 2));
  addArgument("experts.w3", experts({e, f, d}, 1));
  if (!s)
    return;
  addArgument("shared_experts.w1.weight", typeOf({s, d}, {{"tp", cut(0)}}));
  addArgument("shared_experts.w2.weight", typeOf({d, s}, {{"tp", cut(1)}}));
  addArgument("shared_experts.w3.weight", typeOf({s, d}, {{"tp", cut(0)}}));
}

Value LayerBuilder::buildRouter(Value tokens, Value &experts) {
  int64_t t = options.batch * options.seq;
  Value weight = at("router.gate.weight", arguments["router.gate.weight"]);
  Value logits = EinsumOp::create(
      builder, loc, asScores(unknown({t, config.numExperts})), "td,ed->te",
      ValueRange{at("router.gate.input", tokens), weight});
  logits = at("router.gate.output", logits);
  Value scores;
  if (config.scoreFunction == ScoreFunction::Sigmoid)
    scores = SigmoidOp::create(builder, loc, logits.getType(), logits);
  else
    scores = SoftmaxOp::create(builder, loc, logits.getType(), logits);
  auto chosenType = asScores(unknown({t, config.topK}));
  auto expertsType = cast<PlacedTensorType>(
      chosenType.cloneWith(chosenType.getShape(), builder.getIntegerType(32)));
  experts = TopKOp::create(builder, loc, expertsType, scores,
                           arguments.lookup("router.expert_bias"),
                           config.groups, config.limitedGroups);
  Value chosen = GatherOp::create(builder, loc, chosenType, scores, experts);
  if (config.normalize)
    chosen = NormalizeOp::create(builder, loc, chosenType, chosen);
  if (config.scale != 1.0)
    chosen = ScaleOp::create(builder, loc, chosenType, chosen,
                             builder.getF64FloatAttr(config.scale));
  return at("top_scores", chosen);
}

Value LayerBuilder::buildRouted(Value tokens, Value scores, Value experts) {
  int64_t d = config.dModel, f = config.dExpert, e = config.numExperts;
  int64_t t = options.batch * options.seq;
  int64_t n = t * config.topK;
  int64_t parts = getParts();
  SmallVector<int64_t> countsShape{e};
  if (parts > 1)
    countsShape.insert(countsShape.begin(), parts);
  auto countsType =
      cast<PlacedTensorType>(unknown(countsShape)
                                 .cloneWith(ArrayRef<int64_t>(countsShape),
                                            builder.getIntegerType(32)));
  if (isTP2EP()) {
    Placement cut = Placement::shard(0);
    tokens = convert(at("routed_input", tokens), "tp", cut);
    scores = convert(scores, "tp", cut);
    experts = convert(experts, "tp", cut);
  }
  // Of the rows that there are: with cut tokens each rank counts its own, and a
  // rank of experts needs all of theirs.
  Value counts = CountOp::create(builder, loc, countsType, experts);
  if (StringRef axis = getExchangeAxis(); !axis.empty())
    counts = convert(counts, axis, Placement::replicate());
  Value rowScores = PermuteOp::create(builder, loc, asScores(unknown({n})),
                                      scores, experts, e, parts);
  Value rows = DispatchOp::create(builder, loc, unknown({n, d}), tokens,
                                  experts, e, parts);
  if (scorePosition() == ScorePosition::Before)
    rows = einsum("nd,n->nd", rows, rowScores, {n, d});
  if (!isTP2EP())
    rows = at("routed_input", rows);

  auto weight = [&](StringRef name) { return at(name, arguments[name]); };
  Value gate = grouped("nd,efd->nf", rows, weight("experts.w1"), counts, f);
  Value up = grouped("nd,efd->nf", rows, weight("experts.w3"), counts, f);
  Value hidden = swiglu(gate, up);
  if (scorePosition() == ScorePosition::PreDown)
    hidden = einsum("nf,n->nf", hidden, rowScores, {n, f});
  Value out = grouped("nf,edf->nd", hidden, weight("experts.w2"), counts, d);
  if (scorePosition() == ScorePosition::After)
    out = einsum("nd,n->nd", out, rowScores, {n, d});
  Value routed =
      CombineOp::create(builder, loc, unknown({t, d}), out, experts, e, parts);
  // Each rank has its own tokens: as terms of a sum the others are zero.
  return isTP2EP() ? convert(routed, "tp", Placement::partial()) : routed;
}

Value LayerBuilder::buildShared(Value tokens) {
  int64_t t = options.batch * options.seq;
  auto project = [&](StringRef name) {
    Value input = at(("shared_experts." + name + ".input").str(), tokens);
    std::string weight = ("shared_experts." + name + ".weight").str();
    return einsum("td,fd->tf", input, at(weight, arguments[weight]),
                  {t, config.dShared});
  };
  Value gate = project("w1");
  Value hidden = swiglu(gate, project("w3"));
  constexpr StringLiteral down = "shared_experts.w2.weight";
  return einsum("tf,df->td", hidden, at(down, arguments[down]),
                {t, config.dModel});
}

OwningOpRef<ModuleOp> LayerBuilder::build() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder, loc);
  builder.setInsertionPointToStart(module->getBody());
  createFunction();

  Value x = arguments["x"];
  PlacedTensorType type = cast<PlacedTensorType>(x.getType());
  if (options.sequenceParallel)
    x = convert(x, "tp", Placement::replicate());
  x = at("x", x);
  int64_t t = options.batch * options.seq;
  Value tokens = FoldOp::create(builder, loc, unknown({t, config.dModel}), x);
  Value experts;
  Value scores = buildRouter(tokens, experts);
  Value y = buildRouted(tokens, scores, experts);
  if (config.dShared)
    y = AddOp::create(builder, loc, y.getType(), y, buildShared(tokens));
  y = UnfoldOp::create(builder, loc, unknown(type.getShape()), y);
  y = RedistributeOp::create(builder, loc, type, y);
  func::ReturnOp::create(builder, loc, y);
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(),
                                                   TypeRange{y.getType()}));
  function.setResultAttr(0, SPMDDialect::kNameAttr, builder.getStringAttr("y"));
  return module;
}

} // namespace

FailureOr<OwningOpRef<ModuleOp>>
moe::importer::importLayer(MLIRContext *context, const LayerConfig &config,
                           const LayerOptions &options, const LabelMap &labels,
                           ImportError &error) {
  context->loadDialect<func::FuncDialect, MoEDialect, SPMDDialect>();
  LayerBuilder layer(context, config, options, labels);
  if (failed(layer.check(error)))
    return failure();
  OwningOpRef<ModuleOp> module = layer.build();
  if (!layer.getWrongLabel().empty()) {
    error = {layer.getWrongLabel().str(),
             "dimensions are counted from 0; --list-label-sites describes the "
             "sites"};
    return failure();
  }
  std::string complaint;
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    if (complaint.empty())
      complaint = diagnostic.str();
  });
  if (failed(verify(*module))) {
    error = {"the imported layer is not valid: " + complaint,
             "this is a bug in moe-import; please report it with the files"};
    return failure();
  }
  return module;
}

//===- Labels.cpp - What a framework's code says of gradients -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Import/Labels.h"
#include "JSONFile.h"
#include "moe/Import/LayerImporter.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace moe::importer;
using moe::spmd::Placement;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Sites
//===----------------------------------------------------------------------===//

std::vector<LabelSite> moe::importer::labelSites(const LayerConfig &config,
                                                 const LayerOptions &options) {
  std::vector<LabelSite> sites = {
      {"x", "the layer's input, whole on every rank"},
      {"router.gate.input", "the tokens where the router's gate reads them"},
      {"router.gate.weight", "the gate's weight"},
      {"router.gate.output", "the logits"},
      {"top_scores", "the chosen experts' scores"},
      {"routed_input",
       options.plan == Plan::TP2EP
           ? "the tokens where the routed experts' path takes its slice"
           : "the dispatched rows where the experts read them"},
      {"experts.w1", "the experts' gate projection"},
      {"experts.w3", "the experts' up projection"},
      {"experts.w2", "the experts' down projection"},
  };
  if (config.dShared) {
    sites.push_back({"shared_experts.w1.input",
                     "the tokens where the shared gate projection reads them"});
    sites.push_back({"shared_experts.w1.weight", "the shared gate projection"});
    sites.push_back({"shared_experts.w3.input",
                     "the tokens where the shared up projection reads them"});
    sites.push_back({"shared_experts.w3.weight", "the shared up projection"});
    sites.push_back({"shared_experts.w2.weight", "the shared down projection"});
  }
  return sites;
}

//===----------------------------------------------------------------------===//
// Eras of torchtitan
//===----------------------------------------------------------------------===//

FailureOr<LabelMap> moe::importer::getBuiltinLabels(StringRef name,
                                                    const LayerConfig &config,
                                                    const LayerOptions &options,
                                                    ImportError &error) {
  if (name != "none" && options.plan == Plan::EP) {
    error = {"the labels " + quote(name) +
                 " are about the axis 'tp', which plan ep does not have",
             "use --labels none, or a file that names axes"};
    return failure();
  }
  bool tp2ep = options.plan == Plan::TP2EP;
  bool before = options.scorePosition.value_or(config.scorePosition) ==
                ScorePosition::Before;
  std::map<std::string, SmallVector<StringRef, 2>> labels;
  auto era1805 = [&] {
    labels = {{"x", {"replicate"}},
              {"router.gate.input", {"reduced"}},
              {"router.gate.output", {"replicate"}},
              {"router.gate.weight", {"replicate"}},
              {"shared_experts.w1.input", {"reduced"}},
              {"shared_experts.w3.input", {"reduced"}}};
  };
  auto era1878 = [&] {
    era1805();
    if (!tp2ep)
      labels["routed_input"] = {"reduced"};
  };
  if (name == "titan-1805") {
    era1805();
  } else if (name == "titan-1878") {
    era1878();
  } else if (name == "titan-2388") {
    era1878();
    labels["router.gate.output"] = {"all-reduce"};
  } else if (name == "titan-2416-review") {
    era1878();
    if (tp2ep || !before)
      labels["top_scores"] = {"partial", "reduced"};
  } else if (name == "titan-2416-seed") {
    for (const char *site :
         {"x", "router.gate.input", "router.gate.output", "top_scores",
          "routed_input", "shared_experts.w1.input", "shared_experts.w3.input"})
      labels[site] = {"partial"};
    labels["router.gate.weight"] = {"partial", "reduced"};
  } else if (name == "titan-2416") {
    labels = {{"x", {"partial"}},
              {"router.gate.input", {"reduced"}},
              {"router.gate.output", {"partial"}},
              {"router.gate.weight", {"partial"}},
              {"shared_experts.w1.input", {"partial"}},
              {"shared_experts.w3.input", {"partial"}}};
    if (!tp2ep)
      labels["routed_input"] = {"partial"};
  } else if (name != "none") {
    error = {"unknown labels " + quote(name),
             "use one of none, titan-1805, titan-1878, titan-2388, "
             "titan-2416-review, titan-2416-seed, titan-2416, or a file whose "
             "name ends in .json"};
    return failure();
  }

  LabelMap map;
  for (const LabelSite &site : labelSites(config, options))
    for (StringRef label : labels[site.name])
      (void)parseLabel(label, map[site.name]);
  return map;
}

//===----------------------------------------------------------------------===//
// Labels from a file
//===----------------------------------------------------------------------===//

static FailureOr<Placement> parsePlacement(StringRef text) {
  if (text == "replicate")
    return Placement::replicate();
  if (text == "partial")
    return Placement::partial();
  unsigned dim;
  if (text.consume_front("shard<") && text.consume_back(">") &&
      !text.getAsInteger(10, dim) && dim < 8)
    return Placement::shard(dim);
  return failure();
}

LogicalResult moe::importer::parseLabel(StringRef text,
                                        std::vector<LabelAction> &actions) {
  if (text == "none")
    return success();
  if (text == "reduced") {
    actions.push_back({LabelAction::Reduces, {}});
    return success();
  }
  if (text == "all-reduce") {
    actions.push_back({LabelAction::AllReduces, {}});
    return success();
  }
  FailureOr<Placement> placement = parsePlacement(text);
  if (failed(placement))
    return failure();
  actions.push_back({LabelAction::Claims, {{"", *placement}}});
  return success();
}

/// The object's keys, sorted: its own order differs from run to run.
static SmallVector<StringRef> sortedKeys(const json::Object &object) {
  SmallVector<StringRef> keys;
  for (const auto &[key, value] : object)
    keys.push_back(key);
  llvm::sort(keys);
  return keys;
}

static LogicalResult parseAxisLabels(const json::Object &object,
                                     const LayerOptions &options,
                                     std::vector<LabelAction> &actions,
                                     std::string &wrong) {
  LabelAction action{LabelAction::Claims, {}};
  for (StringRef axis : sortedKeys(object)) {
    if (llvm::none_of(options.mesh, [&](const auto &meshAxis) {
          return axis == meshAxis.first;
        })) {
      wrong = "the mesh has no axis " + quote(axis);
      return failure();
    }
    const json::Value &value = *object.get(axis);
    std::optional<StringRef> text = value.getAsString();
    FailureOr<Placement> placement =
        text ? parsePlacement(*text) : FailureOr<Placement>();
    if (failed(placement)) {
      wrong = "axis " + quote(axis) + ": " + show(value) +
              " is no placement (replicate, partial or shard<d>)";
      return failure();
    }
    action.placements.emplace_back(axis.str(), *placement);
  }
  actions.push_back(action);
  return success();
}

/// One label: a string, or an object of placements by axis.
static LogicalResult parseOneLabel(const json::Value &value,
                                   const LayerOptions &options,
                                   std::vector<LabelAction> &actions,
                                   std::string &wrong) {
  if (const json::Object *object = value.getAsObject())
    return parseAxisLabels(*object, options, actions, wrong);
  std::optional<StringRef> text = value.getAsString();
  if (text && succeeded(parseLabel(*text, actions)))
    return success();
  wrong = show(value) + " is no label";
  return failure();
}

FailureOr<LabelMap> moe::importer::parseLabels(StringRef text, StringRef path,
                                               const LayerConfig &config,
                                               const LayerOptions &options,
                                               ImportError &error) {
  constexpr StringLiteral usage =
      "write {\"site\": \"partial\"}; a label is none, replicate, partial, "
      "shard<d>, reduced, all-reduce, a list of them, or {\"axis\": "
      "\"placement\"}";
  FailureOr<json::Object> object = parseJSONObject(text, path, usage, error);
  if (failed(object))
    return failure();
  std::vector<LabelSite> sites = labelSites(config, options);
  LabelMap map;
  for (StringRef name : sortedKeys(*object)) {
    if (llvm::none_of(
            sites, [&](const LabelSite &site) { return name == site.name; })) {
      SmallVector<StringRef> known;
      for (const LabelSite &site : sites)
        known.push_back(site.name);
      error = {path.str() + ": unknown label site " + quote(name),
               "this layer has " + llvm::join(known, ", ")};
      return failure();
    }
    const json::Value &value = *object->get(name);
    const json::Array *list = value.getAsArray();
    std::vector<LabelAction> &actions = map[name.str()];
    std::string wrong;
    bool valid =
        list ? llvm::all_of(*list,
                            [&](const json::Value &element) {
                              return succeeded(parseOneLabel(element, options,
                                                             actions, wrong));
                            })
             : succeeded(parseOneLabel(value, options, actions, wrong));
    if (!valid) {
      error = {path.str() + ": site '" + name.str() + "': " + wrong,
               usage.str()};
      return failure();
    }
  }
  return map;
}

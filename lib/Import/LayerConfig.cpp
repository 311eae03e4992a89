//===- LayerConfig.cpp - One MoE layer out of a model's configuration -----===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Key names are those of Hugging Face's `config.json`. A family gives defaults
// only; what the file says wins.
//
//===----------------------------------------------------------------------===//

#include "moe/Import/LayerConfig.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace moe::importer;
namespace json = llvm::json;

namespace {

/// What `model_type` implies where the file is silent.
struct Family {
  StringLiteral modelType;
  ScoreFunction scoreFunction;
  bool normalize;
  int64_t sharedExperts;
  ScorePosition scorePosition;
};

constexpr Family kFamilies[] = {
    {"deepseek_v3", ScoreFunction::Sigmoid, true, 0, ScorePosition::After},
    {"deepseek_v2", ScoreFunction::Softmax, false, 0, ScorePosition::After},
    {"kimi_k2", ScoreFunction::Sigmoid, true, 0, ScorePosition::After},
    {"qwen3_moe", ScoreFunction::Softmax, false, 0, ScorePosition::After},
    {"mixtral", ScoreFunction::Softmax, true, 0, ScorePosition::After},
    {"olmoe", ScoreFunction::Softmax, false, 0, ScorePosition::After},
    {"llama4", ScoreFunction::Sigmoid, false, 1, ScorePosition::Before},
    {"llama4_text", ScoreFunction::Sigmoid, false, 1, ScorePosition::Before},
};

/// A layer without a model: nothing is implied but the most common form.
constexpr Family kNoFamily = {"", ScoreFunction::Softmax, false, 0,
                              ScorePosition::After};

class Reader {
public:
  Reader(const json::Object &object, StringRef path, ImportError &error)
      : object(object), path(path), error(error) {}

  LogicalResult read(LayerConfig &config);

private:
  LogicalResult fail(const Twine &message, const Twine &help) {
    error = {(path + ": " + message).str(), help.str()};
    return failure();
  }
  /// The value of the one of `keys` that is there and not null, and its name.
  /// Several have to agree.
  LogicalResult find(ArrayRef<StringRef> keys, const json::Value *&value,
                     StringRef &key);
  LogicalResult readSize(ArrayRef<StringRef> keys, int64_t &size, int64_t least,
                         std::optional<int64_t> otherwise = std::nullopt);
  LogicalResult readBool(StringRef key, bool &value);
  LogicalResult readNumber(StringRef key, double &value);
  LogicalResult readString(StringRef key, std::string &value);
  LogicalResult readFamily(const Family *&family);
  LogicalResult readExperts(const Family &family, LayerConfig &config);
  LogicalResult readRouter(const Family &family, LayerConfig &config);
  LogicalResult readGroups(LayerConfig &config);
  LogicalResult refuseUnknownForms();

  const json::Object &object;
  StringRef path;
  ImportError &error;
};

std::string show(const json::Value &value) {
  return llvm::formatv("{0}", value).str();
}

LogicalResult Reader::find(ArrayRef<StringRef> keys, const json::Value *&value,
                           StringRef &key) {
  value = nullptr;
  for (StringRef candidate : keys) {
    const json::Value *found = object.get(candidate);
    if (!found || found->kind() == json::Value::Null)
      continue;
    if (value && *value != *found)
      return fail("'" + key + "' is " + show(*value) + ", but '" + candidate +
                      "', which means the same, is " + show(*found),
                  "keep one of them");
    if (!value) {
      value = found;
      key = candidate;
    }
  }
  return success();
}

LogicalResult Reader::readSize(ArrayRef<StringRef> keys, int64_t &size,
                               int64_t least,
                               std::optional<int64_t> otherwise) {
  const json::Value *value;
  StringRef key;
  if (failed(find(keys, value, key)))
    return failure();
  if (!value) {
    if (!otherwise)
      return fail("'" + llvm::join(keys, "' or '") + "' is missing",
                  "an MoE layer cannot be built without it");
    size = *otherwise;
    return success();
  }
  std::optional<int64_t> integer = value->getAsInteger();
  // 2^31 keeps every product of two sizes inside 64 bits.
  if (!integer || *integer < least || *integer >= (int64_t{1} << 31))
    return fail("'" + key + "' is " + show(*value),
                "it must be an integer from " + Twine(least) + " to 2^31 - 1");
  size = *integer;
  return success();
}

LogicalResult Reader::readBool(StringRef key, bool &result) {
  const json::Value *value;
  if (failed(find({key}, value, key)) || !value)
    return success();
  if (std::optional<bool> boolean = value->getAsBoolean()) {
    result = *boolean;
    return success();
  }
  return fail("'" + key + "' is " + show(*value), "it must be true or false");
}

LogicalResult Reader::readNumber(StringRef key, double &result) {
  const json::Value *value;
  if (failed(find({key}, value, key)) || !value)
    return success();
  if (std::optional<double> number = value->getAsNumber()) {
    result = *number;
    return success();
  }
  return fail("'" + key + "' is " + show(*value), "it must be a number");
}

LogicalResult Reader::readString(StringRef key, std::string &result) {
  const json::Value *value;
  if (failed(find({key}, value, key)) || !value)
    return success();
  if (std::optional<StringRef> string = value->getAsString()) {
    result = string->str();
    return success();
  }
  return fail("'" + key + "' is " + show(*value), "it must be a string");
}

LogicalResult Reader::readFamily(const Family *&family) {
  std::string modelType;
  if (failed(readString("model_type", modelType)))
    return failure();
  family = &kNoFamily;
  if (modelType.empty())
    return success();
  for (const Family &candidate : kFamilies)
    if (candidate.modelType == modelType) {
      family = &candidate;
      return success();
    }
  if (modelType == "gpt_oss")
    return fail(
        "the experts of 'gpt_oss' have biases and a clamped activation, "
        "which this version cannot express",
        "no other import would be the same layer");
  return fail("unknown model_type '" + modelType + "'",
              "known are " +
                  llvm::join(llvm::map_range(kFamilies,
                                             [](const Family &f) {
                                               return f.modelType.str();
                                             }),
                             ", ") +
                  "; without the key the others are read as they stand");
}

LogicalResult Reader::refuseUnknownForms() {
  std::string activation = "silu";
  if (failed(readString("hidden_act", activation)))
    return failure();
  if (activation != "silu")
    return fail("'hidden_act' is \"" + activation +
                    "\", but experts are SwiGLU here",
                "only \"silu\" can be imported");
  int64_t gated = 0;
  if (failed(readSize({"shared_expert_intermediate_size"}, gated, 0, 0)))
    return failure();
  if (gated)
    return fail("'shared_expert_intermediate_size' asks for a shared expert "
                "behind a gate of its own, which this version cannot express",
                "no other import would be the same layer");
  return success();
}

LogicalResult Reader::readExperts(const Family &family, LayerConfig &config) {
  // Where both sizes stand, `intermediate_size` is that of the dense layers.
  bool hasOwn = object.get("moe_intermediate_size") != nullptr;
  StringRef hidden = hasOwn ? "moe_intermediate_size" : "intermediate_size";
  int64_t shared = 0;
  if (failed(readSize({"hidden_size"}, config.dModel, 1)) ||
      failed(readSize({hidden}, config.dExpert, 1)) ||
      failed(readSize({"n_routed_experts", "num_experts", "num_local_experts"},
                      config.numExperts, 1)) ||
      failed(readSize({"num_experts_per_tok"}, config.topK, 1)) ||
      failed(readSize({"n_shared_experts"}, shared, 0, family.sharedExperts)))
    return failure();
  config.dShared = shared * config.dExpert;
  if (config.topK > config.numExperts)
    return fail("'num_experts_per_tok' is " + Twine(config.topK) +
                    ", but there are " + Twine(config.numExperts) + " experts",
                "a token cannot choose an expert twice");
  return success();
}

LogicalResult Reader::readGroups(LayerConfig &config) {
  std::string method;
  if (failed(readSize({"n_group"}, config.groups, 1, 1)) ||
      failed(
          readSize({"topk_group"}, config.limitedGroups, 1, config.groups)) ||
      failed(readString("topk_method", method)))
    return failure();
  if (method == "greedy") {
    config.groups = config.limitedGroups = 1;
  } else if (method == "noaux_tc") {
    config.scoreBias = true;
  } else if (!method.empty() &&
             (method != "group_limited_greedy" || config.groups > 1)) {
    return fail("'topk_method' is \"" + method +
                    "\", whose choice of groups this version cannot express",
                "\"greedy\" and \"noaux_tc\" can be imported");
  }
  if (config.numExperts % config.groups)
    return fail("'n_group' is " + Twine(config.groups) +
                    ", which does not divide " + Twine(config.numExperts) +
                    " experts",
                "groups have equal sizes");
  if (config.limitedGroups > config.groups)
    return fail("'topk_group' is " + Twine(config.limitedGroups) +
                    ", but 'n_group' is " + Twine(config.groups),
                "it is the number of groups that a token may choose from");
  int64_t eligible = config.numExperts / config.groups * config.limitedGroups;
  if (config.topK > eligible)
    return fail("'num_experts_per_tok' is " + Twine(config.topK) +
                    ", but a token may choose from " + Twine(eligible) +
                    " experts",
                "raise 'topk_group'");
  return success();
}

LogicalResult Reader::readRouter(const Family &family, LayerConfig &config) {
  config.scoreFunction = family.scoreFunction;
  config.normalize = family.normalize;
  config.scorePosition = family.scorePosition;
  std::string scoring;
  if (failed(readString("scoring_func", scoring)) ||
      failed(readBool("norm_topk_prob", config.normalize)) ||
      failed(readNumber("routed_scaling_factor", config.scale)))
    return failure();
  if (scoring == "softmax")
    config.scoreFunction = ScoreFunction::Softmax;
  else if (scoring == "sigmoid")
    config.scoreFunction = ScoreFunction::Sigmoid;
  else if (!scoring.empty())
    return fail("'scoring_func' is \"" + scoring + "\"",
                "it must be \"softmax\" or \"sigmoid\"");
  return readGroups(config);
}

LogicalResult Reader::read(LayerConfig &config) {
  const Family *family;
  if (failed(readFamily(family)) || failed(refuseUnknownForms()) ||
      failed(readExperts(*family, config)))
    return failure();
  return readRouter(*family, config);
}

} // namespace

FailureOr<LayerConfig> LayerConfig::parse(StringRef text, StringRef path,
                                          ImportError &error) {
  llvm::Expected<json::Value> value = json::parse(text);
  if (!value) {
    error = {path.str() + ": " + llvm::toString(value.takeError()),
             "the file must be a model's config.json"};
    return failure();
  }
  const json::Object *object = value->getAsObject();
  // Multimodal models keep the language model's keys apart.
  if (object && object->getObject("text_config"))
    object = object->getObject("text_config");
  if (!object) {
    error = {path.str() + ": is not a JSON object",
             "the file must be a model's config.json"};
    return failure();
  }
  LayerConfig config;
  if (failed(Reader(*object, path, error).read(config)))
    return failure();
  return config;
}

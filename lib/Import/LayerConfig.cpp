//===- LayerConfig.cpp - One MoE layer out of a model's configuration -----===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Key names are those of Hugging Face's `config.json`. `model_type` stands for
// what a model's code fixes and its file does not say; keys that are not there
// otherwise mean that the layer lacks the feature. What the file says wins.
//
//===----------------------------------------------------------------------===//

#include "moe/Import/LayerConfig.h"
#include "JSONFile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <cmath>

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
  StringLiteral topkMethod;
};

constexpr ScoreFunction kSoftmax = ScoreFunction::Softmax;
constexpr ScoreFunction kSigmoid = ScoreFunction::Sigmoid;
constexpr ScorePosition kAfter = ScorePosition::After;
constexpr ScorePosition kBefore = ScorePosition::Before;

constexpr Family kFamilies[] = {
    {"deepseek_v3", kSigmoid, true, 0, kAfter, "noaux_tc"},
    {"deepseek_v2", kSoftmax, false, 0, kAfter, "greedy"},
    {"kimi_k2", kSigmoid, true, 0, kAfter, "noaux_tc"},
    {"qwen3_moe", kSoftmax, false, 0, kAfter, ""},
    {"mixtral", kSoftmax, true, 0, kAfter, ""},
    {"olmoe", kSoftmax, false, 0, kAfter, ""},
    {"llama4", kSigmoid, false, 1, kBefore, ""},
    {"llama4_text", kSigmoid, false, 1, kBefore, ""},
};

/// A layer without a model: nothing is implied but the most common form.
constexpr Family kNoFamily = {"", kSoftmax, false, 0, kAfter, ""};

constexpr StringLiteral kPlainExperts =
    "import a model whose experts are plain SwiGLU without biases";

class Reader {
public:
  /// `outerType` is the `model_type` of the object around this one.
  Reader(const json::Object &object, StringRef path, StringRef outerType,
         ImportError &error)
      : object(object), path(path), outerType(outerType), error(error) {}

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
  LogicalResult readBool(StringRef key, bool &result);
  LogicalResult readNumber(StringRef key, double &result);
  LogicalResult readString(StringRef key, std::string &result);
  LogicalResult readFamily(const Family *&family);
  LogicalResult refuseValue(StringRef key, const Twine &why);
  LogicalResult readExperts(const Family &family, LayerConfig &config);
  LogicalResult readRouter(const Family &family, LayerConfig &config);
  LogicalResult readGroups(const Family &family, LayerConfig &config);
  LogicalResult refuseUnknownForms();

  const json::Object &object;
  StringRef path;
  StringRef outerType;
  ImportError &error;
};

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
  std::string modelType = outerType.str();
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
    return fail("the experts of 'gpt_oss' have biases and a clamped "
                "activation, which this version cannot express",
                kPlainExperts);
  return fail("'model_type' is " + quote(modelType) + ", which is not known",
              "known are " +
                  llvm::join(llvm::map_range(kFamilies,
                                             [](const Family &f) {
                                               return f.modelType.str();
                                             }),
                             ", ") +
                  "; without the key the others are read as they stand");
}

/// Fails if `key` has a value that asks for something: not null, false or 0.
LogicalResult Reader::refuseValue(StringRef key, const Twine &why) {
  const json::Value *value = object.get(key);
  if (!value || value->kind() == json::Value::Null ||
      value->getAsBoolean() == false || value->getAsNumber() == 0.0)
    return success();
  return fail("'" + key + "' is " + show(*value) + ": " + why, kPlainExperts);
}

LogicalResult Reader::refuseUnknownForms() {
  std::string activation = "silu";
  if (failed(readString("hidden_act", activation)))
    return failure();
  if (activation != "silu" && activation != "swish")
    return fail("'hidden_act' is " + quote(activation) +
                    ", but experts are SwiGLU here",
                "only 'silu' can be imported");
  if (failed(refuseValue("swiglu_limit", "this version cannot express a "
                                         "clamped activation")) ||
      failed(refuseValue("shared_expert_intermediate_size",
                         "this version cannot express a shared expert behind "
                         "a gate of its own")))
    return failure();
  const json::Value *noise = object.get("router_jitter_noise");
  if (noise && noise->kind() != json::Value::Null &&
      noise->getAsNumber() != 0.0)
    return fail("'router_jitter_noise' is " + show(*noise) +
                    ", but a layer has no random numbers here",
                "set it to 0");
  return success();
}

LogicalResult Reader::readExperts(const Family &family, LayerConfig &config) {
  // Where both sizes stand, `intermediate_size` is that of the dense layers.
  const json::Value *own = object.get("moe_intermediate_size");
  bool hasOwn = own && own->kind() != json::Value::Null;
  StringRef hidden = hasOwn ? "moe_intermediate_size" : "intermediate_size";
  int64_t shared = 0;
  if (failed(readSize({"hidden_size"}, config.dModel, 1)) ||
      failed(readSize({hidden}, config.dExpert, 1)) ||
      failed(readSize({"n_routed_experts", "num_experts", "num_local_experts"},
                      config.numExperts, 1)) ||
      failed(readSize({"num_experts_per_tok"}, config.topK, 1)) ||
      failed(readSize({"n_shared_experts", "num_shared_experts"}, shared, 0,
                      family.sharedExperts)))
    return failure();
  config.dShared = shared * config.dExpert;
  if (config.topK > config.numExperts)
    return fail("'num_experts_per_tok' is " + Twine(config.topK) +
                    ", but there are " + Twine(config.numExperts) + " experts",
                "lower it: a token cannot choose an expert twice");
  return success();
}

LogicalResult Reader::readGroups(const Family &family, LayerConfig &config) {
  std::string method = family.topkMethod.str();
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
    return fail("'topk_method' is " + quote(method) +
                    ", whose choice of groups this version cannot express",
                "'greedy' and 'noaux_tc' can be imported");
  }
  if (config.numExperts % config.groups)
    return fail("'n_group' is " + Twine(config.groups) +
                    ", which does not divide " + Twine(config.numExperts) +
                    " experts",
                "choose a number of groups that divides the experts");
  if (config.limitedGroups > config.groups)
    return fail("'topk_group' is " + Twine(config.limitedGroups) +
                    ", but 'n_group' is " + Twine(config.groups),
                "lower it: it is how many of the groups a token may choose "
                "from");
  int64_t eligible = config.numExperts / config.groups * config.limitedGroups;
  if (config.topK > eligible)
    return fail("'num_experts_per_tok' is " + Twine(config.topK) +
                    ", but a token may choose from " + Twine(eligible) +
                    " experts",
                "raise 'topk_group' or lower 'num_experts_per_tok'");
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
    return fail("'scoring_func' is " + quote(scoring),
                "it must be 'softmax' or 'sigmoid'");
  if (!std::isfinite(config.scale) || config.scale <= 0)
    return fail("'routed_scaling_factor' is " +
                    show(*object.get("routed_scaling_factor")),
                "it must be a positive number");
  // What a model's code does whatever its file says.
  if (family.modelType == "mixtral" && !config.normalize)
    return fail("'norm_topk_prob' is false, but a mixtral layer always "
                "normalizes the chosen scores",
                "leave the key out, or take 'model_type' away");
  if (family.modelType == "deepseek_v2" && config.normalize &&
      config.scale != 1.0)
    return fail("'norm_topk_prob' is true and 'routed_scaling_factor' is not "
                "1: a deepseek_v2 layer ignores the factor then",
                "set the factor to 1, or take 'model_type' away");
  return readGroups(family, config);
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
  FailureOr<json::Object> file = parseJSONObject(
      text, path, "the file must be a model's config.json", error);
  if (failed(file))
    return failure();
  // Multimodal models keep the language model's keys apart.
  const json::Object *object = &*file;
  std::string where = path.str();
  StringRef outerType;
  if (const json::Object *inner = object->getObject("text_config")) {
    outerType = object->getString("model_type").value_or("");
    object = inner;
    where += ": text_config";
  }
  LayerConfig config;
  if (failed(Reader(*object, where, outerType, error).read(config)))
    return failure();
  return config;
}

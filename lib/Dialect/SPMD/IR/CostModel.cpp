//===- CostModel.cpp - What collectives are taken to cost -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/CostModel.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cmath>

using namespace mlir;
using namespace moe::spmd;
namespace json = llvm::json;

/// As in files and in Communication.h, in the order of CollectiveKind.
static constexpr llvm::StringLiteral kKinds[] = {"all_reduce", "reduce_scatter",
                                                 "all_gather", "all_to_all"};

/// Of one H100, from what docs/performance.md says of whole layers: products in
/// bf16 run at 317 to 368 TFLOP/s, kernels that only move rows at 1.4 to 1.8
/// TB/s. Those in f32 are taken to reach a third of the processor's peak, as
/// those in bf16 do; the start of a kernel in a graph was not measured.
static constexpr KernelRates kH100 = {3, 350, 22, 1700};

CostModel::CostModel() : kernels(kH100) {}

CostModel CostModel::nvlink() {
  // Measured by `moe-run --calibrate` on two H100 with 18 links of NVLink 4,
  // NCCL 2.28.3; docs/performance.md has what was measured.
  struct Line {
    double alphaUs, usPerMib;
  };
  struct Measured {
    double smallUpTo;
    Line small, large;
  };
  // In the order of CollectiveKind.
  constexpr Measured measured[] = {
      {1 << 20, {15.1053, 10.8664}, {29.8908, 3.51507}},
      {1 << 19, {14.7822, 11.8967}, {28.2957, 4.43678}},
      {1 << 19, {16.137, 10.0534}, {31.3566, 4.23305}},
      {1 << 17, {15.4366, 14.2422}, {21.1008, 3.7353}}};
  CostModel model;
  for (auto [entry, line] : llvm::zip_equal(model.entries, measured))
    entry["*"] = {
        {line.smallUpTo, line.small.alphaUs, line.small.usPerMib / (1 << 20)},
        {std::nullopt, line.large.alphaUs, line.large.usPerMib / (1 << 20)}};
  return model;
}

static llvm::Error fail(StringRef path, const Twine &message,
                        const Twine &help) {
  return llvm::createStringError("cost file " + path + ": " + message +
                                 "; help: " + help);
}

/// A number of `segment` that is there, is one and is not negative.
static llvm::Error read(const json::Object &segment, StringRef key,
                        StringRef path, const Twine &where, double &number) {
  std::string name = (where + "." + key).str();
  const json::Value *value = segment.get(key);
  if (!value)
    return fail(path, "the entry " + name + " is missing",
                "every segment has alpha_us and beta_us_per_mib");
  auto found = value->getAsNumber();
  if (!found || !std::isfinite(*found))
    return fail(path,
                "the entry " + name + " is " +
                    llvm::formatv("{0}", *value).str() + ", not a number",
                "write a number without quotes");
  if (*found < 0)
    return fail(
        path, "the entry " + name + " is " + llvm::formatv("{0}", *value).str(),
        "times and sizes are not negative");
  number = std::min(*found, 1e12);
  return llvm::Error::success();
}

llvm::Error CostModel::readSegments(const json::Value &value,
                                    const Twine &entry, Segments &segments) {
  std::string where = entry.str();
  const json::Array *list = value.getAsArray();
  if (!list || list->empty())
    return fail(path, "the entry " + where + " is no list of segments",
                R"(write [{"alpha_us": 6, "beta_us_per_mib": 2.8}])");
  double last = 0;
  for (auto [i, element] : llvm::enumerate(*list)) {
    std::string at = where + "[" + std::to_string(i) + "]";
    const json::Object *object = element.getAsObject();
    if (!object)
      return fail(path, "the entry " + at + " is no object",
                  "every segment has alpha_us and beta_us_per_mib");
    Segment segment;
    double beta = 0;
    if (auto error = read(*object, "alpha_us", path, at, segment.alphaUs))
      return error;
    if (auto error = read(*object, "beta_us_per_mib", path, at, beta))
      return error;
    segment.usPerByte = beta / (1 << 20);
    bool isLast = i + 1 == list->size();
    if (isLast == (object->get("up_to_bytes") != nullptr))
      return fail(path,
                  "the entry " + at + ".up_to_bytes is " +
                      (isLast ? "there" : "missing"),
                  "all segments but the last have one");
    if (!isLast) {
      double bound = 0;
      if (auto error = read(*object, "up_to_bytes", path, at, bound))
        return error;
      if (bound <= last)
        return fail(path, "the entry " + at + ".up_to_bytes is out of order",
                    "segments are for larger and larger messages");
      segment.upToBytes = last = bound;
    }
    segments.push_back(segment);
  }
  return llvm::Error::success();
}

llvm::Error CostModel::readKinds(const json::Value &value, StringRef axes,
                                 const Twine &where) {
  const json::Object *kinds = value.getAsObject();
  if (!kinds)
    return fail(path, "the entry " + where + " is no object",
                "it has a list of segments for each kind of collective");
  // In order, for the same message each time.
  SmallVector<StringRef> keys;
  for (const auto &[key, unused] : *kinds)
    keys.push_back(key);
  llvm::sort(keys);
  for (StringRef key : keys) {
    const auto *kind = llvm::find(kKinds, key);
    if (kind == std::end(kKinds))
      return fail(path, "the entry " + where + "." + key + " is unknown",
                  "use " +
                      llvm::join(std::begin(kKinds), std::end(kKinds), ", "));
    Segments &segments = entries[kind - std::begin(kKinds)][axes];
    if (auto error =
            readSegments(*kinds->get(key), where + "." + key, segments))
      return error;
  }
  return llvm::Error::success();
}

llvm::Error CostModel::readKernels(const json::Value &value) {
  const json::Object *rates = value.getAsObject();
  if (!rates)
    return fail(path, "the entry kernels is no object",
                "it has start_us, bf16_tflops, f32_tflops and gb_per_s");
  std::pair<StringRef, double *> entries[] = {
      {"start_us", &kernels.startUs},
      {"bf16_tflops", &kernels.bf16Tflops},
      {"f32_tflops", &kernels.f32Tflops},
      {"gb_per_s", &kernels.gbPerS}};
  for (auto [key, rate] : entries) {
    if (!rates->get(key))
      return fail(path, "the entry kernels." + key + " is missing",
                  "kernels has start_us, bf16_tflops, f32_tflops and gb_per_s");
    if (auto error = read(*rates, key, path, "kernels", *rate))
      return error;
    if (*rate == 0 && rate != &kernels.startUs)
      return fail(path, "the entry kernels." + key + " is 0",
                  "a rate is more than 0");
  }
  return llvm::Error::success();
}

llvm::Expected<CostModel> CostModel::parse(StringRef text, StringRef path) {
  llvm::Expected<json::Value> parsed = json::parse(text);
  if (!parsed)
    return fail(path, llvm::toString(parsed.takeError()),
                "moe-run --calibrate FILE writes one");
  const json::Object *root = parsed->getAsObject();
  const json::Value *any = root ? root->get("default") : nullptr;
  const json::Value *axes = root ? root->get("axes") : nullptr;
  if (!any && !axes)
    return fail(path, "the entry default is missing",
                "moe-run --calibrate FILE writes a file that has it");
  CostModel model;
  model.path = path.str();
  if (const json::Value *kernels = root->get("kernels"))
    if (auto error = model.readKernels(*kernels))
      return std::move(error);
  if (any)
    if (auto error = model.readKinds(*any, "*", "default"))
      return std::move(error);
  if (!axes)
    return model;
  if (!axes->getAsObject())
    return fail(path, "the entry axes is no object",
                "it has an entry for each axis");
  SmallVector<StringRef> names;
  for (const auto &[key, unused] : *axes->getAsObject())
    names.push_back(key);
  llvm::sort(names);
  for (StringRef name : names)
    if (auto error = model.readKinds(*axes->getAsObject()->get(name), name,
                                     "axes." + name))
      return std::move(error);
  return model;
}

llvm::Expected<CostModel> CostModel::load(StringRef path) {
  if (path.empty())
    return nvlink();
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file)
    return fail(path, file.getError().message(),
                "the file must exist and be readable");
  return parse((*file)->getBuffer(), path);
}

const CostModel::Segments *CostModel::find(CollectiveKind kind,
                                           StringRef axes) const {
  const auto &of = entries[unsigned(kind)];
  if (auto found = of.find(axes); found != of.end())
    return &found->second;
  auto any = of.find("*");
  return any == of.end() ? nullptr : &any->second;
}

llvm::Error CostModel::check(MeshAttr mesh) const {
  SmallVector<StringRef> names;
  for (MeshAxisAttr axis : mesh.getLeafAxes())
    names.push_back(axis.getName().getValue());
  for (auto [kind, name] : llvm::enumerate(kKinds)) {
    for (MeshAxisAttr axis : mesh.getLeafAxes())
      if (axis.getSize() > 1 &&
          !find(CollectiveKind(kind), axis.getName().getValue()))
        return fail(path,
                    "the entry axes." + axis.getName().getValue() + "." + name +
                        " is missing",
                    "add it for this axis of the mesh, or default." + name +
                        " for any");
    SmallVector<StringRef> keys(entries[kind].keys());
    llvm::sort(keys);
    for (StringRef key : keys) {
      SmallVector<StringRef> parts;
      if (key != "*")
        key.split(parts, ',');
      for (StringRef part : parts)
        if (!llvm::is_contained(names, part))
          return fail(path,
                      "the entry axes." + key + " names the axis '" + part +
                          "', which the mesh does not have",
                      "its axes are " + llvm::join(names, ", "));
    }
  }
  return llvm::Error::success();
}

int64_t CostModel::get(CollectiveKind kind, MeshAttr mesh,
                       ArrayRef<unsigned> axes, int64_t bytes) const {
  auto leaves = mesh.getLeafAxes();
  SmallVector<StringRef> names;
  int64_t ranks = 1;
  for (unsigned axis : axes)
    if (leaves[axis].getSize() > 1) {
      names.push_back(leaves[axis].getName().getValue());
      ranks *= leaves[axis].getSize();
    }
  if (names.empty())
    return 0;
  Placement whole = Placement::replicate(), cut = Placement::shard(0);
  bool gathers = kind == CollectiveKind::AllGather;
  Placement from =
      gathers || kind == CollectiveKind::AllToAll ? cut : Placement::partial();
  Placement to = gathers                             ? whole
                 : kind == CollectiveKind::AllReduce ? whole
                 : kind == CollectiveKind::AllToAll  ? Placement::shard(1)
                                                     : cut;
  int64_t sent = getBytesSent(from, to, ranks, bytes);
  auto costOf = [&](const Segments &segments) {
    const Segment &segment =
        *llvm::find_if(segments, [&](const Segment &segment) {
          return !segment.upToBytes || double(sent) <= *segment.upToBytes;
        });
    return int64_t(std::llround(
        (segment.alphaUs + double(sent) * segment.usPerByte) * 1e6));
  };
  const auto &of = entries[unsigned(kind)];
  if (auto found = of.find(llvm::join(names, ",")); found != of.end())
    return costOf(found->second);
  // What a file gives for any axis was measured over the whole mesh.
  auto any = of.find("*");
  int64_t all = 1;
  for (MeshAxisAttr axis : leaves)
    all *= axis.getSize();
  if (any != of.end() && ranks == all)
    return costOf(any->second);
  // A group that has no entry is as slow as its slowest axis.
  int64_t cost = 0;
  for (StringRef name : names)
    if (const Segments *segments = find(kind, name))
      cost = std::max(cost, costOf(*segments));
  return cost;
}

int64_t CostModel::getKernel(double operations, double bytes,
                             bool isNarrow) const {
  double tflops = isNarrow ? kernels.bf16Tflops : kernels.f32Tflops;
  // A teraflop per second is an operation per picosecond.
  double picoseconds =
      std::max(operations / tflops, bytes * 1e3 / kernels.gbPerS);
  return std::llround(kernels.startUs * 1e6 + std::min(picoseconds, 1e18));
}

int64_t moe::spmd::getCost(const CollectiveStep &step, MeshAttr mesh,
                           const CostModel &model) {
  auto kind =
      CollectiveKind(llvm::find(kKinds, step.name) - std::begin(kKinds));
  return model.get(kind, mesh, step.axes, step.held);
}

int64_t moe::spmd::getCost(Operation *op, const CostModel &model) {
  int64_t cost = 0;
  for (const CollectiveStep &step : getCollectiveSteps(op)) {
    auto type = cast<PlacedTensorType>(op->getOperand(0).getType());
    cost += getCost(step, type.getMesh(), model);
  }
  return cost;
}

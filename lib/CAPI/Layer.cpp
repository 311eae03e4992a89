//===- Layer.cpp - Compiled layers, for C ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe-c/Layer.h"
#include "Diagnostics.h"
#include "Module.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Pipelines/Pipelines.h"
#include "moe/Target/InProcess.h"
#include "moert/Run.h"
#include "llvm/ADT/STLExtras.h"
#include <mutex>

using namespace mlir;

struct MoEValue {
  std::string name;
  MoEDType dtype = MOE_F32;
  std::vector<int64_t> shape;
  std::string placements;
};

struct MoELayer {
  std::unique_ptr<moe::InProcessCode> code;
  std::unique_ptr<moert::Program> program;
  std::vector<MoEValue> arguments, results;
  /// A rank still runs in it.
  bool isLeftBehind = false;
};

template <typename Function>
static moe::HostSymbol describe(StringRef name, Function *function) {
  return {name, reinterpret_cast<void *>(function)};
}

/// What compiled code for the CPU calls.
static llvm::ArrayRef<moe::HostSymbol> getRuntime() {
  static const moe::HostSymbol symbols[] = {
      describe("moert_all_gather", moert_all_gather),
      describe("moert_all_reduce", moert_all_reduce),
      describe("moert_all_to_all", moert_all_to_all),
      describe("moert_axis_index", moert_axis_index),
      describe("moert_count_received", moert_count_received),
      describe("moert_count_rows", moert_count_rows),
      describe("moert_fail", moert_fail),
      describe("moert_plan_exchange", moert_plan_exchange),
      describe("moert_reduce_scatter", moert_reduce_scatter),
      describe("moert_sort_rows", moert_sort_rows),
      describe("moert_top_k", moert_top_k),
  };
  return symbols;
}

MoECompileOptions moeCompileOptionsGetDefault() {
  return {"min-cut", nullptr, -1, 4096, true};
}

static MoEValue describe(const moert::ProgramInfo &info,
                         const moert::ValueInfo &value) {
  static constexpr std::pair<StringRef, MoEDType> types[] = {{"F32", MOE_F32},
                                                             {"F64", MOE_F64},
                                                             {"BF16", MOE_BF16},
                                                             {"I32", MOE_I32},
                                                             {"I64", MOE_I64}};
  MoEValue result;
  result.name = value.name;
  result.shape = value.shape;
  for (auto [name, dtype] : types)
    if (name == value.dtype)
      result.dtype = dtype;
  for (auto [axis, placement] : llvm::zip(info.mesh, value.placements)) {
    if (placement.kind == moert::Placement::Replicate)
      continue;
    result.placements += result.placements.empty() ? "" : ", ";
    result.placements += axis.name + ": ";
    result.placements += placement.kind == moert::Placement::Partial
                             ? "partial<sum>"
                             : "shard<" + std::to_string(placement.dim) + ">";
  }
  return result;
}

/// From a program as it was written to the LLVM dialect.
static LogicalResult lower(ModuleOp module, const MoECompileOptions &options) {
  PassManager passes(module.getContext());
  moe::buildMoECheckPipeline(passes, {.verify = options.verify});
  // A program with false claims keeps its reductions where they are.
  if (options.verify) {
    moe::MoEDeferOptions defer;
    defer.policy = options.policy;
    defer.costFile = options.costFile ? options.costFile : "";
    defer.memoryBudget = options.memoryBudget;
    moe::buildMoEDeferPipeline(passes, defer);
  }
  moe::MoELocalizeOptions localize;
  localize.bucketBytes = options.bucketBytes;
  moe::buildMoELocalizePipeline(passes, localize);
  moe::buildMoELowerCPUPipeline(passes);
  return passes.run(module);
}

MoELayer *moeCompile(const MoEModule *module, const char *target,
                     const MoECompileOptions *options,
                     MoEDiagnostics *diagnostics) {
  MoECompileOptions chosen = options ? *options : moeCompileOptionsGetDefault();
  StringRef policy = chosen.policy;
  if (StringRef(target) != "cpu") {
    moe::addError(diagnostics,
                  "cannot run a layer for '" + std::string(target) +
                      "' in this process",
                  "use cpu; moe-compile and moe-run have other targets");
    return nullptr;
  }
  if (policy != "min-cut" && policy != "boundary" && policy != "eager") {
    moe::addError(diagnostics, "unknown policy '" + policy.str() + "'",
                  "use min-cut, boundary or eager");
    return nullptr;
  }
  if (chosen.bucketBytes < 0) {
    moe::addError(diagnostics, "bucket_bytes is less than 0",
                  "0 leaves every all-reduce alone");
    return nullptr;
  }
  moe::DiagnosticCollector collector(*module->context, diagnostics);
  OwningOpRef<ModuleOp> copy = ModuleOp(*module->module).clone();
  if (failed(lower(*copy, chosen)))
    return nullptr;
  FailureOr<std::unique_ptr<moe::InProcessCode>> code =
      moe::InProcessCode::load(*copy, getRuntime());
  if (failed(code))
    return nullptr;
  const auto *text =
      static_cast<const char *>((*code)->lookup("moert_program"));
  auto main =
      reinterpret_cast<moert::Program::Main>((*code)->lookup("moert_main"));
  moert::ProgramInfo info;
  std::string error = "it has no moert_program and moert_main";
  if (!text || !main || !moert::ProgramInfo::parse(text, info, error)) {
    moe::addError(diagnostics, "the compiled layer cannot be used: " + error);
    return nullptr;
  }
  auto layer = std::make_unique<MoELayer>();
  layer->code = std::move(*code);
  for (const moert::ValueInfo &value : info.arguments)
    layer->arguments.push_back(describe(info, value));
  for (const moert::ValueInfo &value : info.results)
    layer->results.push_back(describe(info, value));
  layer->program = std::make_unique<moert::Program>(std::move(info), main);
  return layer.release();
}

void moeLayerDestroy(MoELayer *layer) {
  if (layer && !layer->isLeftBehind)
    delete layer;
}

int64_t moeLayerGetNumRanks(const MoELayer *layer) {
  return layer->program->getInfo().numRanks();
}

size_t moeLayerGetNumArguments(const MoELayer *layer) {
  return layer->arguments.size();
}

const MoEValue *moeLayerGetArgument(const MoELayer *layer, size_t index) {
  return &layer->arguments[index];
}

size_t moeLayerGetNumResults(const MoELayer *layer) {
  return layer->results.size();
}

const MoEValue *moeLayerGetResult(const MoELayer *layer, size_t index) {
  return &layer->results[index];
}

const char *moeValueGetName(const MoEValue *value) {
  return value->name.c_str();
}

MoEDType moeValueGetDType(const MoEValue *value) { return value->dtype; }

size_t moeValueGetNumDimensions(const MoEValue *value) {
  return value->shape.size();
}

const int64_t *moeValueGetShape(const MoEValue *value) {
  return value->shape.data();
}

const char *moeValueGetPlacements(const MoEValue *value) {
  return value->placements.c_str();
}

bool moeLayerRun(MoELayer *layer, const void *const *arguments,
                 void *const *results, double timeout, bool *leftBehind,
                 MoEDiagnostics *diagnostics) {
  // The handler of crashes is one of the process.
  static std::mutex running;
  std::lock_guard<std::mutex> lock(running);
  std::vector<const std::byte *> in(layer->arguments.size());
  std::vector<std::byte *> out(layer->results.size());
  for (size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<const std::byte *>(arguments[i]);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::byte *>(results[i]);
  moert::RunOptions options;
  options.timeout = timeout;
  moert::RunReport report =
      moert::runThreads(*layer->program, in, out, options);
  layer->isLeftBehind |= report.isLeftBehind;
  if (leftBehind)
    *leftBehind = report.isLeftBehind;
  if (report.outcome == moert::RunReport::Finished)
    return true;
  moe::addError(diagnostics, report.error, report.help);
  return false;
}

//===- Module.cpp - Programs, and passes on them, for C -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Module.h"
#include "Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "moe/Pipelines/Pipelines.h"
#include <mutex>

using namespace mlir;

/// Passes by name, once for the process.
static void registerPasses() {
  static std::once_flag once;
  std::call_once(once, [] {
    moe::registerMoEPassesAndPipelines();
    registerCanonicalizerPass();
    registerCSEPass();
  });
}

MoEModule *moeModuleParse(const char *text, size_t length, const char *filename,
                          MoEDiagnostics *diagnostics) {
  DialectRegistry registry;
  moe::registerCompilerDialects(registry);
  auto context = std::make_shared<MLIRContext>(registry);
  // Errors have a place; the whole module beside it would be pages.
  context->printOpOnDiagnostic(false);
  moe::DiagnosticCollector collector(*context, diagnostics);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(
      StringRef(text, length), context.get(), filename);
  if (!module)
    return nullptr;
  return new MoEModule{std::move(context), std::move(module)};
}

MoEModule *moeModuleClone(const MoEModule *module) {
  return new MoEModule{module->context, ModuleOp(*module->module).clone()};
}

void moeModuleDestroy(MoEModule *module) { delete module; }

void moeModulePrint(const MoEModule *module, bool locations,
                    MoETextCallback callback, void *context) {
  std::string text;
  llvm::raw_string_ostream os(text);
  OpPrintingFlags flags;
  flags.enableDebugInfo(locations);
  ModuleOp(*module->module)->print(os, flags);
  os << "\n";
  callback(text.data(), text.size(), context);
}

static bool parsePipeline(StringRef text, OpPassManager &passes,
                          MoEDiagnostics *diagnostics) {
  registerPasses();
  // The text of --pass-pipeline names what it runs on, that of a flag does not.
  StringRef inner = text.trim();
  if (inner.consume_front("builtin.module(") && !inner.consume_back(")"))
    inner = text;
  std::string error;
  llvm::raw_string_ostream os(error);
  if (succeeded(parsePassPipeline(inner, passes, os)))
    return true;
  // Of the message alone: the text is in it.
  StringRef reason = StringRef(error).split('\n').first;
  if (size_t end = reason.find("error: "); end != StringRef::npos)
    reason = reason.drop_front(end + strlen("error: "));
  moe::addError(diagnostics, ("'" + text + "' is no pipeline: " + reason).str(),
                "moe-opt --help lists passes and pipelines");
  return false;
}

static PassManager makePassManager(MLIRContext &context) {
  return {&context, ModuleOp::getOperationName(),
          PassManager::Nesting::Implicit};
}

bool moePipelineCheck(const char *pipeline, size_t length,
                      MoEDiagnostics *diagnostics) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  PassManager passes = makePassManager(context);
  return parsePipeline({pipeline, length}, passes, diagnostics);
}

bool moeModuleRunPipeline(MoEModule *module, const char *pipeline,
                          size_t length, MoEDiagnostics *diagnostics) {
  PassManager passes = makePassManager(*module->context);
  if (!parsePipeline({pipeline, length}, passes, diagnostics))
    return false;
  moe::DiagnosticCollector collector(*module->context, diagnostics);
  return succeeded(passes.run(*module->module));
}

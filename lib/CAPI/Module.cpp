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

/// The parser goes one frame deeper for each bracket and operator, and nobody
/// can handle the end of the stack in another program's process. No program
/// that is meant comes near the limits.
static bool isNestedTooDeeply(StringRef text) {
  constexpr int maxBrackets = 1000, maxOperators = 10000;
  int brackets = 0, operators = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
    case '"':
      while (++i < text.size() && text[i] != '"')
        i += text[i] == '\\';
      break;
    case '/':
      if (text.substr(i).starts_with("//"))
        i = std::min(text.find('\n', i), text.size());
      break;
    case '(':
    case '[':
    case '{':
    case '<':
      if (++brackets > maxBrackets)
        return true;
      operators = 0;
      break;
    case '-':
      if (text.substr(i).starts_with("->")) {
        ++i;
        break;
      }
      [[fallthrough]];
    case '+':
    case '*':
      if (++operators > maxOperators)
        return true;
      break;
    case ')':
    case ']':
    case '}':
    case '>':
      brackets = std::max(brackets - 1, 0);
      [[fallthrough]];
    case ',':
      operators = 0;
      break;
    default:
      break;
    }
  }
  return false;
}

MoEModule *moeModuleParse(const char *text, size_t length, const char *filename,
                          MoEDiagnostics *diagnostics) {
  if (isNestedTooDeeply({text, length})) {
    moe::addError(diagnostics,
                  "'" + std::string(filename) + "' is nested too deeply",
                  "nest brackets, regions and attributes less; a chain of "
                  "operators nests too");
    return nullptr;
  }
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

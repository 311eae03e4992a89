//===- moe-opt.cpp - The passes on IR files -------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Sarif.h"
#include "mlir/IR/AsmState.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "moe/Analysis/Repairs.h"
#include "moe/Pipelines/Pipelines.h"
#include "moe/Support/OutputFile.h"
#include "moe/Support/StackOverflow.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"

namespace cl = llvm::cl;

static cl::opt<std::string>
    sarifPath("sarif", cl::value_desc("FILE.sarif"),
              cl::desc("Write what is reported in SARIF 2.1.0 as well"));
static cl::opt<bool>
    fix("fix", cl::desc("Repair what --moe-check refuses, each false label by "
                        "its cheapest repair, and print the program"));

static int fail(const llvm::Twine &message, const llvm::Twine &help) {
  llvm::errs() << "moe-opt: error: " << message << "\nhelp: " << help << "\n";
  return EXIT_FAILURE;
}

/// Checks a copy of the repaired program, so that it is printed as it was
/// written.
static mlir::LogicalResult checkCopy(mlir::ModuleOp module) {
  mlir::OwningOpRef<mlir::ModuleOp> copy = module.clone();
  mlir::PassManager passes(module.getContext());
  moe::buildMoECheckPipeline(passes);
  return passes.run(*copy);
}

static mlir::LogicalResult runPasses(mlir::ModuleOp module,
                                     const mlir::MlirOptMainConfig &config) {
  mlir::PassManager passes(module.getContext(),
                           module->getName().getStringRef(),
                           mlir::PassManager::Nesting::Implicit);
  passes.enableVerifier(config.shouldVerifyPasses());
  if (failed(mlir::applyPassManagerCLOptions(passes)))
    return mlir::failure();
  mlir::applyDefaultTimingPassManagerCLOptions(passes);
  return mlir::failure(failed(config.setupPassPipeline(passes)) ||
                       failed(passes.run(module)));
}

/// Parses one program, repairs it or runs the passes, and prints it. What is
/// reported goes into `log`.
static mlir::LogicalResult process(
    mlir::MLIRContext &context, const std::shared_ptr<llvm::SourceMgr> &sources,
    const mlir::MlirOptMainConfig &config, SarifLog &log, std::string &output) {
  mlir::SourceMgrDiagnosticHandler print(*sources, &context);
  mlir::ScopedDiagnosticHandler record(&context, [&](mlir::Diagnostic &d) {
    log.add(d);
    return mlir::failure();
  });
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return mlir::failure();
  if (fix)
    moe::spmd::repairModule(*module);
  if (failed(fix ? checkCopy(*module) : runPasses(*module, config)))
    return mlir::failure();
  llvm::raw_string_ostream os(output);
  module->print(os);
  os << "\n";
  return mlir::success();
}

/// With --sarif or --fix.
static int runOnOneProgram(const std::string &input,
                           const std::string &outputPath,
                           const mlir::DialectRegistry &registry) {
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  if (!config.inputSplitMarker().empty() || config.shouldVerifyDiagnostics())
    return fail("--sarif and --fix are for one program, as it is",
                "leave --split-input-file and --verify-diagnostics out");
  std::string error;
  auto buffer = mlir::openInputFile(input, &error);
  if (!buffer)
    return fail(error, "check the path of the .mlir file");
  auto sources = std::make_shared<llvm::SourceMgr>();
  sources->AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  mlir::MLIRContext context(registry);
  context.allowUnregisteredDialects(config.shouldAllowUnregisteredDialects());
  // Copies are checked one after the other, and reported in that order.
  context.disableMultithreading();
  SarifLog log(*sources);
  std::string output;
  bool succeeded =
      mlir::succeeded(process(context, sources, config, log, output));
  if (!sarifPath.empty())
    if (llvm::Error problem =
            moe::writeOutputFile(sarifPath, log.str(succeeded)))
      return fail(llvm::toString(std::move(problem)),
                  "the folder must exist and be writable");
  if (!succeeded)
    return EXIT_FAILURE;
  if (llvm::Error problem = moe::writeOutputFile(outputPath, output))
    return fail(llvm::toString(std::move(problem)),
                "the folder must exist and be writable");
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  mlir::DialectRegistry registry;
  moe::registerCompilerDialects(registry);
  moe::registerMoEPassesAndPipelines();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  auto [input, output] = mlir::registerAndParseCLIOptions(
      argc, argv, "moe-opt: placements of gradients, checked\n", registry);
  moe::reportStackOverflow("moe-opt", input);
  if (fix || !sarifPath.empty())
    return runOnOneProgram(input, output, registry);
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, input, output, registry));
}

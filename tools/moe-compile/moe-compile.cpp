//===- moe-compile.cpp - The whole way from IR to a shared object ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "moe/Dialect/SPMD/Transforms/PrintGraph.h"
#include "moe/Pipelines/Pipelines.h"
#include "moe/Support/CommandLine.h"
#include "moe/Support/OutputFile.h"
#include "moe/Support/StackOverflow.h"
#include "moe/Target/DeviceCode.h"
#include "moe/Target/GraphImage.h"
#include "moe/Target/Report.h"
#include "moe/Target/SharedObject.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"

namespace cl = llvm::cl;

static cl::OptionCategory category("moe-compile options");

static cl::opt<std::string> inputPath(cl::Positional, cl::desc("FILE"),
                                      cl::cat(category));
static cl::opt<std::string> outputPath("o", cl::desc("Where the program goes"),
                                       cl::value_desc("layer.so"),
                                       cl::cat(category));
static cl::opt<std::string>
    target("target", cl::init("cpu"),
           cl::desc("What it runs on: this machine's CPU, or a GPU"),
           cl::value_desc("cpu|cuda:sm_90a"), cl::cat(category));
static cl::opt<std::string>
    emitKind("emit", cl::init("artifact"),
             cl::desc("mlir: one rank's program before lowering; llvm: "
                      "optimized LLVM IR of the host; ptx: the kernels; "
                      "artifact: the shared object"),
             cl::value_desc("mlir|llvm|ptx|artifact"), cl::cat(category));
static cl::opt<std::string>
    policy("policy", cl::init("min-cut"),
           cl::desc("Where reductions go: min-cut, boundary or eager"),
           cl::value_desc("POLICY"), cl::cat(category));
static cl::opt<std::string>
    costFile("cost-file",
             cl::desc("What collectives cost, for min-cut; as measured over "
                      "NVLink if not given"),
             cl::value_desc("FILE.json"), cl::cat(category));
static cl::opt<int64_t> memoryBudget(
    "memory-budget", cl::init(-1),
    cl::desc(
        "Most bytes of values that are partial over an axis at a time, for "
        "min-cut; -1: any number"),
    cl::value_desc("BYTES"), cl::cat(category));
static cl::opt<uint32_t> bucketBytes(
    "bucket-bytes", cl::init(4096),
    cl::desc("Make one all-reduce of small ones that have at most so many "
             "bytes together; 0: of none"),
    cl::value_desc("N"), cl::cat(category));
enum class Schedule { Auto, Always, Never };
static cl::opt<Schedule> schedule(
    "schedule", cl::init(Schedule::Auto),
    cl::desc("Order the program so that collectives run beside kernels"),
    cl::values(clEnumValN(Schedule::Auto, "auto",
                          "for a GPU; a CPU does one thing at a time"),
               clEnumValN(Schedule::Always, "always", ""),
               clEnumValN(Schedule::Never, "never", "")),
    cl::cat(category));
static cl::opt<std::string> reportPath(
    "report",
    cl::desc(
        "Say what became of each reduction and what each collective sends"),
    cl::value_desc("FILE.json|.txt|.html"), cl::cat(category));
static cl::opt<std::string> renderPath(
    "render",
    cl::desc("Draw the backward pass, coloured by placement, before and after "
             "reductions are moved; without -o nothing is compiled"),
    cl::value_desc("FILE.svg|.dot"), cl::cat(category));
static cl::opt<bool> noVerify(
    "no-verify",
    cl::desc("Compile even a program that makes false claims, as it is"),
    cl::cat(category));

static int fail(const llvm::Twine &message, const llvm::Twine &help) {
  llvm::errs() << "moe-compile: error: " << message << "\nhelp: " << help
               << "\n";
  return 1;
}

/// What is asked for, as the contents of a file.
static mlir::FailureOr<std::string> emit(mlir::ModuleOp module) {
  auto [platform, chip] = llvm::StringRef(target).split(':');
  if (emitKind == "ptx")
    return moe::emitPTX(module, chip);
  if (platform == "cuda" && emitKind != "mlir" &&
      mlir::failed(moe::embedDeviceCode(module, chip)))
    return mlir::failure();
  if (emitKind == "artifact")
    return moe::emitSharedObject(module);
  std::string text;
  llvm::raw_string_ostream os(text);
  if (emitKind == "mlir")
    module.print(os);
  else if (mlir::failed(moe::emitLLVMIR(module, os)))
    return mlir::failure();
  return text;
}

static mlir::FailureOr<std::string> report(mlir::ModuleOp module,
                                           moe::ReductionLog &log) {
  moe::ReportOptions options{inputPath, target,
                             noVerify ? llvm::StringRef() : policy};
  auto report = moe::makeReport(module, log, options);
  if (mlir::failed(report))
    return mlir::failure();
  std::string text;
  llvm::raw_string_ostream os(text);
  moe::renderReport(*report, *moe::getReportFormat(reportPath), os);
  return text;
}

static int write(llvm::StringRef path, llvm::StringRef contents) {
  if (llvm::Error problem = moe::writeOutputFile(path, contents))
    return fail(llvm::toString(std::move(problem)),
                "the folder must exist, be writable and have space left");
  return 0;
}

/// Draws the program before and after deferral.
static int render(mlir::ModuleOp before, mlir::ModuleOp after) {
  auto model = moe::spmd::CostModel::load(costFile);
  if (!model)
    return fail(llvm::toString(model.takeError()), "give another --cost-file");
  auto written = moe::spmd::findGraph(before, "");
  if (mlir::failed(written))
    return 1;
  auto deferred = moe::spmd::findGraph(after, written->getName());
  if (mlir::failed(deferred))
    return 1;
  std::vector<moe::spmd::GraphState> states{{"as written", *written}};
  if (!noVerify)
    states.push_back({"reductions by policy " + policy, *deferred});
  std::string dot;
  llvm::raw_string_ostream os(dot);
  if (mlir::failed(moe::spmd::writeGraph(os, states, {*model})))
    return 1;
  auto picture = moe::renderGraph(dot, *moe::getGraphFormat(renderPath));
  if (!picture) {
    std::string problem = llvm::toString(picture.takeError());
    auto [message, help] = llvm::StringRef(problem).split("; help: ");
    return fail(message, help);
  }
  return write(renderPath, *picture);
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  if (!moe::parseCommandLine(
          argc, argv,
          "A layer's IR to a program that each rank runs\n\n"
          "  moe-compile layer.mlir -o layer.so --target cpu\n"))
    return 1;
  if (inputPath.empty())
    return fail("no input", "moe-compile FILE.mlir -o layer.so");
  bool device = target == "cuda:sm_90a";
  if (!device && llvm::StringRef(target).split(':').first == "cuda")
    return fail("there are no kernels for target '" + target + "'",
                "they need Hopper's instructions: use cuda:sm_90a");
  if (!device && target != "cpu")
    return fail("unknown target '" + target + "'", "use cpu or cuda:sm_90a");
  if (policy != "min-cut" && policy != "boundary" && policy != "eager")
    return fail("unknown policy '" + policy + "'",
                "use min-cut, boundary or eager");
  if (emitKind != "mlir" && emitKind != "llvm" && emitKind != "ptx" &&
      emitKind != "artifact")
    return fail("cannot emit '" + emitKind + "'",
                "use mlir, llvm, ptx or artifact");
  if (emitKind == "ptx" && !device)
    return fail("a CPU program has no PTX", "add --target cuda:sm_90a");
  bool onlyRender = !renderPath.empty() && outputPath.empty() &&
                    reportPath.empty() && emitKind == "artifact";
  if (emitKind == "artifact" && outputPath.empty() && !onlyRender)
    return fail("no output", "say where it goes: -o layer.so");
  if (!reportPath.empty() && !moe::getReportFormat(reportPath))
    return fail("'" + reportPath + "' is no name of a report",
                "let it end in .json, .txt or .html");

  if (!renderPath.empty() && !moe::getGraphFormat(renderPath))
    return fail("'" + renderPath + "' is no name of a picture",
                "let it end in .svg or .dot");

  moe::reportStackOverflow("moe-compile", inputPath);
  mlir::DialectRegistry registry;
  moe::registerCompilerDialects(registry);
  mlir::MLIRContext context(registry);
  // Errors quote the line; the whole module beside it would be pages.
  context.printOpOnDiagnostic(false);
  std::string error;
  auto file = mlir::openInputFile(inputPath, &error);
  if (!file)
    return fail(error, "the file must exist and be readable");
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(file), llvm::SMLoc());
  mlir::SourceMgrDiagnosticHandler handler(sources, &context);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  if (!module)
    return 1;

  moe::ReductionLog log;
  if (!reportPath.empty() && mlir::failed(log.attach(context)))
    return 1;
  mlir::PassManager check(&context);
  moe::buildMoECheckPipeline(check, {.verify = !noVerify});
  if (mlir::failed(check.run(*module)))
    return 1;
  mlir::OwningOpRef<mlir::ModuleOp> before;
  if (!renderPath.empty())
    before = module->clone();
  // A program with false claims keeps its reductions where they are.
  mlir::PassManager defer(&context);
  moe::MoEDeferOptions deferral{policy, costFile, memoryBudget};
  if (!noVerify) {
    if (!reportPath.empty() &&
        mlir::failed(log.comparePolicies(*module, deferral)))
      return 1;
    moe::buildMoEDeferPipeline(defer, deferral);
  }
  if (mlir::failed(defer.run(*module)))
    return 1;
  if (!renderPath.empty())
    if (int code = render(*before, *module))
      return code;
  if (onlyRender)
    return 0;
  mlir::PassManager localize(&context);
  moe::buildMoELocalizePipeline(
      localize, {.bucketBytes = bucketBytes,
                 .schedule = schedule == Schedule::Always ||
                             (schedule == Schedule::Auto && device),
                 .device = device,
                 .costFile = costFile});
  if (mlir::failed(localize.run(*module)))
    return 1;
  mlir::FailureOr<std::string> reportText;
  if (!reportPath.empty() && mlir::failed(reportText = report(*module, log)))
    return 1;

  mlir::PassManager lower(&context);
  if (device && emitKind == "mlir")
    moe::buildMoEFormKernelsPipeline(lower);
  else if (device)
    moe::buildMoELowerCUDAPipeline(lower, target);
  else if (emitKind != "mlir")
    moe::buildMoELowerCPUPipeline(lower);
  if (mlir::failed(lower.run(*module)))
    return 1;
  mlir::FailureOr<std::string> program = emit(*module);
  if (mlir::failed(program))
    return 1;
  if (int code =
          write(outputPath.empty() ? "-" : outputPath.getValue(), *program))
    return code;
  return reportPath.empty() ? 0 : write(reportPath, *reportText);
}

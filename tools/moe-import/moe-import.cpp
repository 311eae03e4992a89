//===- moe-import.cpp - A model's configuration to IR ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/IR/MLIRContext.h"
#include "moe/Import/LayerImporter.h"
#include "moe/Support/CommandLine.h"
#include "moe/Support/OutputFile.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace moe::importer;
namespace cl = llvm::cl;

static cl::OptionCategory category("moe-import options");

static cl::opt<std::string> configPath(cl::Positional, cl::desc("CONFIG.json"),
                                       cl::cat(category));
static cl::opt<std::string> outputPath("o", cl::init("-"),
                                       cl::desc("Where the IR goes"),
                                       cl::value_desc("FILE"),
                                       cl::cat(category));
static cl::opt<std::string> meshText("mesh", cl::init("tp=2"),
                                     cl::desc("Mesh axes, outermost first"),
                                     cl::value_desc("[dp=N,][ep=N,]tp=N"),
                                     cl::cat(category));
static cl::opt<std::string> planText("plan", cl::init("tp"),
                                     cl::desc("How experts lie over the ranks"),
                                     cl::value_desc("tp|etp|tp2ep|ep"),
                                     cl::cat(category));
static cl::opt<std::string> batchText("batch", cl::init("1"),
                                      cl::desc("Batch size"),
                                      cl::value_desc("B"), cl::cat(category));
static cl::opt<std::string> seqText("seq", cl::init("32"),
                                    cl::desc("Tokens per batch"),
                                    cl::value_desc("L"), cl::cat(category));
static cl::opt<std::string>
    scoreText("score",
              cl::desc("Where scores multiply; the model's way if not "
                       "given"),
              cl::value_desc("after|before|pre-down"), cl::cat(category));
static cl::opt<bool>
    sequenceParallel("sequence-parallel",
                     cl::desc("x, y and dy are cut along the sequence"),
                     cl::cat(category));
static cl::opt<std::string>
    labelsText("labels", cl::init("none"),
               cl::desc("What the code says of gradients: an era of torchtitan "
                        "(none, titan-1805, titan-1878, titan-2388, "
                        "titan-2416-review, titan-2416-seed, titan-2416) or a "
                        "file"),
               cl::value_desc("ERA|FILE.json"), cl::cat(category));
static cl::opt<bool>
    listSites("list-label-sites",
              cl::desc("Print the sites that a label can name, and stop"),
              cl::cat(category));
static cl::opt<std::string> dtypeText("dtype", cl::init("f32"),
                                      cl::desc("Element type of all floats"),
                                      cl::value_desc("f32|bf16"),
                                      cl::cat(category));

static int fail(const ImportError &error) {
  llvm::errs() << "moe-import: error: " << error.message
               << "\nhelp: " << error.help << "\n";
  return 1;
}

static mlir::LogicalResult readFile(llvm::StringRef path, std::string &text,
                                    ImportError &error) {
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(path, /*IsText=*/true);
  if (!buffer) {
    error = {path.str() + ": " + buffer.getError().message(),
             "the file must exist and be readable"};
    return mlir::failure();
  }
  text = (*buffer)->getBuffer().str();
  return mlir::success();
}

static mlir::LogicalResult parseCount(llvm::StringRef flag,
                                      llvm::StringRef text, int64_t limit,
                                      int64_t &count, ImportError &error) {
  if (!text.getAsInteger(10, count) && count >= 1 && count <= limit)
    return mlir::success();
  error = {(flag + " is '" + text + "'").str(),
           "give an integer from 1 to " + std::to_string(limit)};
  return mlir::failure();
}

static mlir::LogicalResult parseOptions(LayerOptions &options,
                                        ImportError &error) {
  if (failed(LayerOptions::parseMesh(meshText, options.mesh, error)) ||
      failed(parseCount("--batch", batchText, 1 << 20, options.batch, error)) ||
      failed(parseCount("--seq", seqText, 1 << 24, options.seq, error)))
    return mlir::failure();
  auto plan = llvm::StringSwitch<std::optional<Plan>>(planText)
                  .Case("tp", Plan::TP)
                  .Case("etp", Plan::ETP)
                  .Case("tp2ep", Plan::TP2EP)
                  .Case("ep", Plan::EP)
                  .Default(std::nullopt);
  if (!plan) {
    error = {"unknown plan '" + planText + "'", "use tp, etp, tp2ep or ep"};
    return mlir::failure();
  }
  options.plan = *plan;
  if (!scoreText.empty()) {
    options.scorePosition =
        llvm::StringSwitch<std::optional<ScorePosition>>(scoreText)
            .Case("after", ScorePosition::After)
            .Case("before", ScorePosition::Before)
            .Case("pre-down", ScorePosition::PreDown)
            .Default(std::nullopt);
    if (!options.scorePosition) {
      error = {"unknown score position '" + scoreText + "'",
               "use after, before or pre-down"};
      return mlir::failure();
    }
  }
  if (dtypeText != "f32" && dtypeText != "bf16") {
    error = {"unknown dtype '" + dtypeText + "'", "use f32 or bf16"};
    return mlir::failure();
  }
  options.bf16 = dtypeText == "bf16";
  options.sequenceParallel = sequenceParallel;
  return mlir::success();
}

static mlir::FailureOr<LabelMap> getLabels(const LayerConfig &config,
                                           const LayerOptions &options,
                                           ImportError &error) {
  if (!llvm::StringRef(labelsText).ends_with(".json"))
    return getBuiltinLabels(labelsText, config, options, error);
  std::string text;
  if (failed(readFile(labelsText, text, error)))
    return mlir::failure();
  return parseLabels(text, labelsText, config, options, error);
}

static mlir::LogicalResult writeText(llvm::StringRef path, llvm::StringRef text,
                                     ImportError &error) {
  llvm::Error problem = moe::writeOutputFile(path, text);
  if (!problem)
    return mlir::success();
  error = {llvm::toString(std::move(problem)),
           "the folder must exist, be writable and have space left"};
  return mlir::failure();
}

static mlir::LogicalResult writeModule(mlir::ModuleOp module,
                                       ImportError &error) {
  std::string text;
  llvm::raw_string_ostream os(text);
  module.print(os, mlir::OpPrintingFlags().printNameLocAsPrefix());
  os << "\n";
  return writeText(outputPath, text, error);
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  if (!moe::parseCommandLine(
          argc, argv,
          "One MoE layer of a model's config.json as IR\n\n"
          "  moe-import config.json -o layer.mlir --mesh tp=2 --plan tp2ep \\\n"
          "      --batch 2 --seq 16 --sequence-parallel --labels titan-1878\n"))
    return 1;
  if (configPath.empty())
    return fail({"CONFIG.json is missing",
                 "name a model's config.json, as in moe-import config.json"});
  ImportError error;
  LayerOptions options;
  std::string text;
  if (failed(parseOptions(options, error)) ||
      failed(readFile(configPath, text, error)))
    return fail(error);
  auto config = LayerConfig::parse(text, configPath, error);
  if (failed(config))
    return fail(error);
  if (listSites) {
    std::string list;
    for (const LabelSite &site : labelSites(*config, options))
      list += llvm::formatv("{0,-26} {1}\n", site.name, site.description).str();
    return failed(writeText("-", list, error)) ? fail(error) : 0;
  }
  auto labels = getLabels(*config, options, error);
  if (failed(labels))
    return fail(error);
  mlir::MLIRContext context;
  auto module = importLayer(&context, *config, options, *labels, error);
  if (failed(module) || failed(writeModule(**module, error)))
    return fail(error);
  return 0;
}

//===- PassBenchmark.cpp - Time and memory of the checking passes ---------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads a module and runs inference, verification and deferral on it, one after
// the other and without MLIR's own verifier in between. Prints what each took
// as JSON: seconds, and bytes that the process held.
//
//===----------------------------------------------------------------------===//

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/SPMD/ExternalModels/PlacementModels.h"
#include "moe/Dialect/SPMD/IR/CostModel.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"
#include "moe/Support/CommandLine.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include <ctime>
#include <fstream>
#include <malloc.h>

using namespace mlir;
using namespace moe::spmd;
namespace cl = llvm::cl;

static cl::opt<std::string> input(cl::Positional, cl::Required,
                                  cl::desc("FILE"));
static cl::opt<bool> parallel("parallel", cl::desc("Functions in parallel"));
static cl::opt<bool> wall("wall", cl::desc("Time as it passes, not of the "
                                           "processor"));
static cl::opt<bool> fails("fails", cl::desc("Verification is to fail, and is "
                                             "the last pass"));
static cl::opt<unsigned>
    repeats("repeats", cl::init(1),
            cl::desc("Plant a defect: analyse so many times over"));
static cl::opt<bool> copies("copies",
                            cl::desc("Plant a defect: keep copies of the "
                                     "module"));

/// A line of /proc/self/status, in bytes.
static int64_t readStatus(llvm::StringRef key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    llvm::StringRef text = line;
    int64_t kilobytes = 0;
    if (text.consume_front(key) && text.consume_front(":") &&
        !(text = text.ltrim()).consumeInteger(10, kilobytes))
      return kilobytes << 10;
  }
  return 0;
}

/// Seconds: of processor time, which other programs on the machine disturb
/// least, or as they pass.
static double getTime() {
  timespec time;
  clock_gettime(wall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

template <typename Action>
static double measure(Action action) {
  double start = getTime();
  action();
  return getTime() - start;
}

/// Microseconds that collectives take by the default cost model.
static double getCost(ModuleOp module) {
  CostModel model = CostModel::nvlink();
  int64_t cost = 0;
  module->walk(
      [&](RedistributeOp op) { cost += moe::spmd::getCost(op, model); });
  return double(cost) / 1e6;
}

/// Runs one pass; whether it succeeded.
template <typename Add>
static bool runPass(ModuleOp module, double &seconds, Add add) {
  bool succeeds = false;
  seconds = measure([&] {
    PassManager pm(module.getContext());
    pm.enableVerifier(false);
    add(pm);
    succeeds = succeeded(pm.run(module));
  });
  return succeeds;
}

static int fail(llvm::StringRef what) {
  llvm::errs() << "pass-benchmark: error: " << what << "\n";
  return 1;
}

int main(int argc, char **argv) {
  if (!moe::parseCommandLine(argc, argv, "Measures the checking passes\n"))
    return 1;
  DialectRegistry registry;
  registry.insert<func::FuncDialect, SPMDDialect, moe::MoEDialect>();
  registerPlacementModels(registry);
  MLIRContext context(registry, parallel ? MLIRContext::Threading::ENABLED
                                         : MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  int64_t before = readStatus("VmRSS");
  ParserConfig config(&context, /*verifyAfterParse=*/false);
  OwningOpRef<ModuleOp> module;
  double parse =
      measure([&] { module = parseSourceFile<ModuleOp>(input, config); });
  if (!module)
    return fail("cannot read " + input);
  malloc_trim(0);
  int64_t parsed = readStatus("VmRSS") - before;
  int64_t operations = 0;
  module->walk([&](Operation *) { ++operations; });
  std::vector<OwningOpRef<ModuleOp>> kept;
  if (copies)
    for (int i = 0; i < 4; ++i)
      kept.emplace_back(module->clone());

  double infer = 0, verify = 0, defer = 0;
  bool inferred = runPass(*module, infer, [](PassManager &pm) {
    pm.addNestedPass<func::FuncOp>(createInferPlacements());
  });
  if (!inferred)
    return fail("inference failed");
  // What is reported is counted, not printed.
  int64_t errors = 0;
  bool verified;
  {
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &) { ++errors; });
    verified = runPass(*module, verify, [](PassManager &pm) {
      VerifyGradientsOptions options;
      options.tryRepairs = !fails;
      for (unsigned i = 0; i < repeats; ++i)
        pm.addPass(createVerifyGradients(options));
    });
  }
  if (verified == fails)
    return fail("verification did not end as it should");
  double costBefore = getCost(*module);
  if (!fails && !runPass(*module, defer, [](PassManager &pm) {
        pm.addNestedPass<func::FuncOp>(createDeferReductions());
      }))
    return fail("deferral failed");
  int64_t peak = readStatus("VmHWM") - before;
  llvm::outs() << llvm::formatv(
      "{{\"operations\": {0}, \"parse\": {1:f6}, \"infer\": {2:f6}, "
      "\"verify\": {3:f6}, \"defer\": {4:f6}, \"parsed_bytes\": {5}, "
      "\"peak_bytes\": {6}, \"errors\": {7}, \"us_before\": {8:f3}, "
      "\"us_after\": {9:f3}}\n",
      operations, parse, infer, verify, defer, parsed, peak, errors, costBefore,
      getCost(*module));
  return 0;
}

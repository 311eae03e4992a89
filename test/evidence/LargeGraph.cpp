//===- LargeGraph.cpp - Write a graph of the size of a model --------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LargeGraphs.h"
#include "mlir/Bytecode/BytecodeWriter.h"
#include "moe/Support/CommandLine.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace moe::evidence;
using mlir::failed;
namespace cl = llvm::cl;

static cl::opt<std::string> output("o", cl::init("-"), cl::desc("The file"));
static cl::opt<std::string>
    upstream("upstream",
             cl::desc("Where to write the same graph in upstream operations"));
static cl::opt<int64_t> operations("ops", cl::init(10000),
                                   cl::desc("About how many operations"));
static cl::opt<int64_t> functions("functions", cl::init(1),
                                  cl::desc("Spread over so many functions"));
static cl::opt<int64_t> kinds("kinds", cl::init(64),
                              cl::desc("Different layers among the blocks"));
static cl::opt<uint64_t> seed("seed", cl::init(1), cl::desc("Random seed"));
static cl::list<int64_t> mesh("mesh", cl::CommaSeparated,
                              cl::desc("Ranks along dp, ep and tp"),
                              cl::value_desc("2,2,2"));
static cl::opt<bool> text("text", cl::desc("Write text, not bytecode"));
namespace {
enum class Form { Stack, Chain, Fan, Shapes, FalseClaims };
} // namespace

static cl::opt<Form>
    form("form", cl::init(Form::Stack), cl::desc("What the graph is"),
         cl::values(clEnumValN(Form::Stack, "stack", "blocks of a model"),
                    clEnumValN(Form::Chain, "chain", "claims and far uses"),
                    clEnumValN(Form::Fan, "fan", "one value with many uses"),
                    clEnumValN(Form::Shapes, "shapes", "no type twice"),
                    clEnumValN(Form::FalseClaims, "false-claims",
                               "a tenth are false claims")));

static int64_t countOperations(mlir::ModuleOp module) {
  int64_t count = 0;
  module.walk([&](mlir::Operation *) { ++count; });
  return count;
}

static StackOptions getStackOptions(int64_t blocks) {
  StackOptions options;
  options.blocks = blocks;
  options.kinds = kinds;
  if (mesh.size() == 3) {
    options.dp = mesh[0];
    options.ep = mesh[1];
    options.tp = mesh[2];
  }
  return options;
}

static mlir::LogicalResult build(mlir::ModuleOp module, int64_t blocks,
                                 int64_t count) {
  std::mt19937_64 random(seed);
  for (int64_t i = 0; i < count; ++i)
    buildStack(module, "stack" + std::to_string(i), getStackOptions(blocks),
               random);
  return differentiateAll(module);
}

/// How many blocks have as many operations as were asked for: measured on as
/// many blocks as there are kinds.
static int64_t getNumBlocks(mlir::MLIRContext *context) {
  mlir::OwningOpRef<mlir::ModuleOp> sample =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(context));
  int64_t blocks = std::min<int64_t>(kinds, 64);
  if (failed(build(*sample, blocks, 1)))
    return 0;
  double each = double(countOperations(*sample)) / blocks;
  return std::max<int64_t>(1, double(operations) / functions / each);
}

int main(int argc, char **argv) {
  if (!moe::parseCommandLine(argc, argv, "Writes a large graph\n"))
    return 1;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  if (form == Form::Stack) {
    int64_t blocks = getNumBlocks(&context);
    if (!blocks || failed(build(*module, blocks, functions)))
      return 1;
  } else {
    auto kind = static_cast<HardGraph>(static_cast<int>(form.getValue()) - 1);
    buildHardGraph(*module, kind, operations);
  }
  std::error_code error;
  llvm::ToolOutputFile file(output, error, llvm::sys::fs::OF_None);
  if (error) {
    llvm::errs() << output << ": " << error.message() << "\n";
    return 1;
  }
  if (text)
    module->print(file.os(), mlir::OpPrintingFlags().assumeVerified());
  else if (failed(mlir::writeBytecodeToFile(*module, file.os())))
    return 1;
  file.keep();
  if (!upstream.empty()) {
    llvm::ToolOutputFile peer(upstream, error, llvm::sys::fs::OF_None);
    if (error) {
      llvm::errs() << upstream << ": " << error.message() << "\n";
      return 1;
    }
    printUpstream(*module->getOps<mlir::func::FuncOp>().begin(), peer.os());
    peer.keep();
  }
  llvm::outs() << countOperations(*module) << "\n";
  return 0;
}

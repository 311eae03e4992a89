// Checks the gradients of a program of the toy dialect: toy-check FILE.

#include "Toy.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "moe/Pipelines/Pipelines.h"
#include "llvm/Support/SourceMgr.h"

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  mlir::DialectRegistry registry;
  registry.insert<toy::ToyDialect>();
  toy::registerModels(registry);
  moe::registerCompilerDialects(registry);
  mlir::MLIRContext context(registry);
  context.printOpOnDiagnostic(false);

  llvm::SourceMgr sources;
  mlir::SourceMgrDiagnosticHandler handler(sources, &context);
  auto module =
      mlir::parseSourceFile<mlir::ModuleOp>(argv[1], sources, &context);
  if (!module)
    return 1;

  mlir::PassManager passes(&context);
  moe::buildMoECheckPipeline(passes, {.verify = true, .tryRepairs = true});
  if (mlir::failed(passes.run(*module)))
    return 1;
  module->print(llvm::outs());
  return 0;
}

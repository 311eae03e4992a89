//===- SharedObject.cpp - From the LLVM dialect to a shared object --------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/SharedObject.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

/// Makes code for the machine that the compiler runs on.
static std::unique_ptr<llvm::TargetMachine>
createTargetMachine(ModuleOp module) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target) {
    module.emitError("cannot make code for this machine: ") << error;
    return nullptr;
  }
  std::string features;
  for (const auto &[feature, has] : llvm::sys::getHostCPUFeatures())
    features += (features.empty() ? "" : ",") + std::string(has ? "+" : "-") +
                feature.str();
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, llvm::sys::getHostCPUName(), features, llvm::TargetOptions(),
      llvm::Reloc::PIC_, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

static std::unique_ptr<llvm::Module> translate(ModuleOp module,
                                               llvm::LLVMContext &context,
                                               llvm::TargetMachine &machine) {
  registerBuiltinDialectTranslation(*module.getContext());
  registerLLVMDialectTranslation(*module.getContext());
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(module, context);
  if (!llvmModule) {
    module.emitError("cannot translate to LLVM IR");
    return nullptr;
  }
  llvmModule->setDataLayout(machine.createDataLayout());
  llvmModule->setTargetTriple(machine.getTargetTriple());
  auto optimize =
      makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, &machine);
  if (llvm::Error error = optimize(llvmModule.get())) {
    module.emitError("cannot optimize: ") << llvm::toString(std::move(error));
    return nullptr;
  }
  return llvmModule;
}

LogicalResult moe::emitLLVMIR(ModuleOp module, llvm::raw_ostream &os) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(module);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      machine ? translate(module, context, *machine) : nullptr;
  if (!llvmModule)
    return failure();
  os << *llvmModule;
  return success();
}

FailureOr<std::string> moe::emitObject(ModuleOp module) {
  std::unique_ptr<llvm::TargetMachine> machine = createTargetMachine(module);
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> llvmModule =
      machine ? translate(module, context, *machine) : nullptr;
  if (!llvmModule)
    return failure();
  llvm::SmallString<0> object;
  llvm::raw_svector_ostream os(object);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, os, nullptr,
                                   llvm::CodeGenFileType::ObjectFile))
    return module.emitError("cannot make an object file");
  passes.run(*llvmModule);
  return object.str().str();
}

static LogicalResult writeObject(ModuleOp module, llvm::StringRef path) {
  FailureOr<std::string> object = moe::emitObject(module);
  if (failed(object))
    return failure();
  std::error_code code;
  llvm::raw_fd_ostream os(path, code);
  if (code)
    return module.emitError("cannot write ") << path << ": " << code.message();
  os << *object;
  os.flush();
  if (std::error_code problem = os.error()) {
    // An error that is left in place ends the program in the destructor.
    os.clear_error();
    return module.emitError("cannot write ")
           << path << ": " << problem.message();
  }
  return success();
}

static LogicalResult link(ModuleOp module, llvm::StringRef object,
                          llvm::StringRef output) {
  llvm::ErrorOr<std::string> linker = std::make_error_code(std::errc());
  for (const char *name : {"clang-22", "clang", "cc"})
    if (linker = llvm::sys::findProgramByName(name); linker)
      break;
  if (!linker)
    return module.emitError("no linker found; help: install clang-22 "
                            "(tools/setup does)");
  llvm::StringRef arguments[] = {*linker, "-shared", "-o",
                                 output,  object,    "-lm"};
  std::string error;
  if (llvm::sys::ExecuteAndWait(*linker, arguments, std::nullopt, {}, 0, 0,
                                &error))
    return module.emitError("linking failed")
           << (error.empty() ? "" : ": ") << error;
  return success();
}

FailureOr<std::string> moe::emitSharedObject(ModuleOp module) {
  llvm::SmallString<128> object, shared;
  std::error_code problem =
      llvm::sys::fs::createTemporaryFile("moe", "o", object);
  if (!problem)
    problem = llvm::sys::fs::createTemporaryFile("moe", "so", shared);
  llvm::FileRemover removeObject(object), removeShared(shared);
  if (problem)
    return module.emitError("cannot make a temporary file: ")
           << problem.message() << "; help: TMPDIR says where they go";
  if (failed(writeObject(module, object)) ||
      failed(link(module, object, shared)))
    return failure();
  auto contents = llvm::MemoryBuffer::getFile(shared);
  if (!contents)
    return module.emitError("cannot read ")
           << shared << ": " << contents.getError().message();
  return (*contents)->getBuffer().str();
}

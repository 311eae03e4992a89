//===- DeviceCode.cpp - Kernels to PTX and to machine code ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/DeviceCode.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;

/// Of CUDA 13.0 and later drivers; what the kernels use came before it.
static constexpr llvm::StringLiteral kFeatures = "+ptx86";

static std::unique_ptr<llvm::TargetMachine>
createTargetMachine(ModuleOp module, llvm::StringRef chip) {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string error;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target) {
    emitError(module.getLoc(), "this LLVM cannot make code for NVIDIA's GPUs: ")
        << error;
    return nullptr;
  }
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, chip, kFeatures, llvm::TargetOptions(), std::nullopt,
      std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

FailureOr<std::string> moe::emitPTX(ModuleOp module, llvm::StringRef chip) {
  auto devices = module.getOps<gpu::GPUModuleOp>();
  if (devices.empty())
    return emitError(module.getLoc(), "this program has no kernels");
  std::unique_ptr<llvm::TargetMachine> machine =
      createTargetMachine(module, chip);
  if (!machine)
    return failure();
  MLIRContext &context = *module.getContext();
  registerBuiltinDialectTranslation(context);
  registerGPUDialectTranslation(context);
  registerLLVMDialectTranslation(context);
  registerNVVMDialectTranslation(context);
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule =
      translateModuleToLLVMIR(*devices.begin(), llvmContext, "kernels");
  if (!llvmModule)
    return emitError(module.getLoc(),
                     "cannot translate the kernels to LLVM IR");
  llvmModule->setDataLayout(machine->createDataLayout());
  llvmModule->setTargetTriple(machine->getTargetTriple());
  auto optimize =
      makeOptimizingTransformer(/*optLevel=*/3, /*sizeLevel=*/0, machine.get());
  if (llvm::Error error = optimize(llvmModule.get()))
    return emitError(module.getLoc(), "cannot optimize the kernels: ")
           << llvm::toString(std::move(error));
  llvm::SmallString<0> text;
  llvm::raw_svector_ostream os(text);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, os, nullptr,
                                   llvm::CodeGenFileType::AssemblyFile))
    return emitError(module.getLoc(), "cannot make PTX");
  passes.run(*llvmModule);
  return text.str().str();
}

/// MOE_CUDA_PATH is binding, the others are guesses.
static llvm::ErrorOr<std::string> findAssembler() {
  for (const char *variable : {"MOE_CUDA_PATH", "CUDA_HOME"})
    if (std::optional<std::string> root =
            llvm::sys::Process::GetEnv(variable)) {
      llvm::SmallString<128> path(*root);
      llvm::sys::path::append(path, "bin");
      auto found = llvm::sys::findProgramByName("ptxas", {path.str()});
      if (found || variable == llvm::StringRef("MOE_CUDA_PATH"))
        return found;
    }
  if (auto found = llvm::sys::findProgramByName("ptxas"))
    return found;
  if (llvm::sys::fs::can_execute(MOE_PTXAS))
    return std::string(MOE_PTXAS);
  return std::make_error_code(std::errc::no_such_file_or_directory);
}

/// Machine code of `ptx`, through files that are gone afterwards.
static FailureOr<std::unique_ptr<llvm::MemoryBuffer>>
assemble(ModuleOp module, llvm::StringRef ptx, llvm::StringRef chip) {
  llvm::ErrorOr<std::string> assembler = findAssembler();
  if (!assembler)
    return emitError(module.getLoc(),
                     "no ptxas found; help: run tools/setup --cuda, or set "
                     "MOE_CUDA_PATH or CUDA_HOME to a CUDA toolkit");
  llvm::SmallString<128> input, output, log;
  int descriptor;
  for (auto [suffix, path] :
       {std::pair("ptx", &input), {"cubin", &output}, {"log", &log}})
    if (std::error_code code =
            llvm::sys::fs::createTemporaryFile("moe", suffix, *path))
      return emitError(module.getLoc(), "cannot make a temporary file: ")
             << code.message()
             << "; help: TMPDIR must be a writable folder with space left";
  llvm::FileRemover removeInput(input), removeOutput(output), removeLog(log);
  if (std::error_code code = llvm::sys::fs::openFileForWrite(input, descriptor))
    return emitError(module.getLoc(), "cannot write ")
           << input << ": " << code.message();
  {
    llvm::raw_fd_ostream os(descriptor, /*shouldClose=*/true);
    os << ptx;
  }
  std::string arch = ("--gpu-name=" + chip).str();
  llvm::StringRef arguments[] = {*assembler, arch, "-O3", "-o", output, input};
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, log.str(),
                                                log.str()};
  std::string error;
  if (llvm::sys::ExecuteAndWait(*assembler, arguments, std::nullopt, redirects,
                                0, 0, &error)) {
    auto messages = llvm::MemoryBuffer::getFile(log);
    return emitError(module.getLoc(), "ptxas failed: ")
           << error
           << (messages ? (*messages)->getBuffer().take_front(2000) : "")
           << "; help: this needs the ptxas of CUDA 12.8 or later";
  }
  auto code = llvm::MemoryBuffer::getFile(output, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!code)
    return emitError(module.getLoc(), "cannot read what ptxas wrote: ")
           << code.getError().message() << "; help: look whether " << *assembler
           << " is NVIDIA's";
  return std::move(*code);
}

LogicalResult moe::embedDeviceCode(ModuleOp module, llvm::StringRef chip) {
  FailureOr<std::string> ptx = emitPTX(module, chip);
  if (failed(ptx))
    return failure();
  auto code = assemble(module, *ptx, chip);
  if (failed(code))
    return failure();
  for (auto device :
       llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>()))
    device.erase();
  module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
  OpBuilder b(module.getBodyRegion());
  llvm::StringRef bytes = (*code)->getBuffer();
  LLVM::GlobalOp::create(
      b, module.getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size()),
      /*isConstant=*/true, LLVM::Linkage::External, "moert_device_code",
      b.getStringAttr(bytes), /*alignment=*/64);
  LLVM::GlobalOp::create(b, module.getLoc(), b.getI64Type(),
                         /*isConstant=*/true, LLVM::Linkage::External,
                         "moert_device_code_size",
                         b.getI64IntegerAttr(bytes.size()));
  return success();
}

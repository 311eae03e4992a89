//===- InProcess.cpp - From the LLVM dialect to code in this process ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Target/InProcess.h"
#include "moe/Target/SharedObject.h"
#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
namespace orc = llvm::orc;

moe::InProcessCode::InProcessCode(std::unique_ptr<orc::LLJIT> jit)
    : jit(std::move(jit)) {}

moe::InProcessCode::~InProcessCode() = default;

void *moe::InProcessCode::lookup(llvm::StringRef name) const {
  llvm::Expected<orc::ExecutorAddr> address = jit->lookup(name);
  if (address)
    return address->toPtr<void *>();
  llvm::consumeError(address.takeError());
  return nullptr;
}

static llvm::Expected<std::unique_ptr<orc::LLJIT>>
link(std::unique_ptr<llvm::MemoryBuffer> object,
     llvm::ArrayRef<moe::HostSymbol> symbols) {
  auto jit = orc::LLJITBuilder().create();
  if (!jit)
    return jit.takeError();
  orc::JITDylib &dylib = (*jit)->getMainJITDylib();
  orc::SymbolMap map;
  for (const moe::HostSymbol &symbol : symbols)
    map[(*jit)->mangleAndIntern(symbol.name)] = {
        orc::ExecutorAddr::fromPtr(symbol.address),
        llvm::JITSymbolFlags::Exported};
  if (llvm::Error error = dylib.define(orc::absoluteSymbols(std::move(map))))
    return error;
  // By name: a process may have these where its symbols are not searched.
  char prefix = (*jit)->getDataLayout().getGlobalPrefix();
  for (const char *library : {"libm.so.6", "libc.so.6"}) {
    auto generator = orc::DynamicLibrarySearchGenerator::Load(library, prefix);
    if (!generator)
      return generator.takeError();
    dylib.addGenerator(std::move(*generator));
  }
  if (llvm::Error error = (*jit)->addObjectFile(std::move(object)))
    return error;
  return jit;
}

FailureOr<std::unique_ptr<moe::InProcessCode>>
moe::InProcessCode::load(ModuleOp module, llvm::ArrayRef<HostSymbol> symbols) {
  FailureOr<std::string> object = emitObject(module);
  if (failed(object))
    return failure();
  auto jit =
      link(llvm::MemoryBuffer::getMemBufferCopy(*object, "layer"), symbols);
  if (!jit) {
    module.emitError("cannot load the compiled program: ")
        << llvm::toString(jit.takeError());
    return failure();
  }
  return std::unique_ptr<InProcessCode>(new InProcessCode(std::move(*jit)));
}

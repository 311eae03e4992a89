//===- Plugin.cpp - Dialects and passes for the stock mlir-opt ------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Config/mlir-config.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "moe/Pipelines/Pipelines.h"

#define MOE_EXPORTED extern "C" __attribute__((visibility("default")))

MOE_EXPORTED mlir::DialectPluginLibraryInfo mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "MoEMLIR", LLVM_VERSION_STRING,
          [](mlir::DialectRegistry *registry) {
            moe::registerCompilerDialects(*registry);
          }};
}

MOE_EXPORTED mlir::PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "MoEMLIR", LLVM_VERSION_STRING,
          [] { moe::registerMoEPassesAndPipelines(); }};
}

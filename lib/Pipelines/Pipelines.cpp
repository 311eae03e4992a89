//===- Pipelines.cpp - The order of the passes ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Pipelines/Pipelines.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/ControlFlow/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferDeallocationOpInterfaceImpl.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Shard/IR/ShardDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Conversion/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"
#include "moe/Dialect/SPMD/ExternalModels/PlacementModels.h"
#include "moe/Dialect/SPMD/Transforms/Passes.h"

using namespace mlir;

void moe::buildMoECheckPipeline(OpPassManager &pm,
                                const MoECheckOptions &options) {
  pm.addNestedPass<func::FuncOp>(spmd::createInferPlacements());
  pm.addPass(createDifferentiate());
  pm.addNestedPass<func::FuncOp>(spmd::createInferPlacements());
  if (options.verify) {
    spmd::VerifyGradientsOptions verify;
    verify.tryRepairs = options.tryRepairs;
    verify.counterexample = options.counterexample;
    pm.addPass(spmd::createVerifyGradients(verify));
  }
  pm.addNestedPass<func::FuncOp>(spmd::createCheckRequirements());
}

void moe::buildMoEDeferPipeline(OpPassManager &pm,
                                const MoEDeferOptions &options) {
  spmd::DeferReductionsOptions defer;
  defer.policy = options.policy;
  defer.costFile = options.costFile;
  defer.memoryBudget = options.memoryBudget;
  pm.addNestedPass<func::FuncOp>(spmd::createDeferReductions(defer));
  pm.addNestedPass<func::FuncOp>(spmd::createCheckRequirements());
  pm.addPass(createCSEPass());
}

void moe::registerCompilerDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, bufferization::BufferizationDialect,
                  cf::ControlFlowDialect, func::FuncDialect, gpu::GPUDialect,
                  linalg::LinalgDialect, NVVM::NVVMDialect, LLVM::LLVMDialect,
                  math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                  shard::ShardDialect, tensor::TensorDialect>();
  registry.insert<MoEDialect, rt::MoERTDialect, spmd::SPMDDialect>();
  arith::registerBufferDeallocationOpInterfaceExternalModels(registry);
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  // convert-gpu-to-nvvm asks the dialects of what is in a kernel.
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  registerConvertMathToLLVMInterface(registry);
  registerConvertMemRefToLLVMInterface(registry);
  registerConvertNVVMToLLVMInterface(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(
      registry);
  cf::registerBufferDeallocationOpInterfaceExternalModels(registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  spmd::registerPlacementModels(registry);
  rt::registerBufferizableOpInterfaceModels(registry);
  scf::registerBufferDeallocationOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
}

/// Loops as they are in kernels.
static void buildJoinLoopsPipeline(OpPassManager &pm) {
  using namespace moe;
  EinsumToLinalgOptions einsums;
  einsums.keepProducts = true;
  pm.addNestedPass<func::FuncOp>(createEinsumToLinalg(einsums));
  pm.addNestedPass<func::FuncOp>(rt::createFuseElementwise());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void moe::buildMoELocalizePipeline(OpPassManager &pm,
                                   const MoELocalizeOptions &options) {
  pm.addPass(createLocalize({options.device}));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  rt::BucketCollectivesOptions buckets;
  buckets.maxBytes = options.bucketBytes;
  buckets.costFile = options.costFile;
  pm.addNestedPass<func::FuncOp>(rt::createBucketCollectives(buckets));
  if (options.device)
    buildJoinLoopsPipeline(pm);
  if (options.schedule) {
    rt::ScheduleCollectivesOptions schedule;
    schedule.costFile = options.costFile;
    pm.addNestedPass<func::FuncOp>(rt::createScheduleCollectives(schedule));
  }
  pm.addNestedPass<func::FuncOp>(rt::createNumberCollectives());
}

/// The host's functions to the LLVM dialect.
static void buildHostPipeline(OpPassManager &pm) {
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(arith::createArithExpandOpsPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
}

void moe::buildMoELowerCPUPipeline(OpPassManager &pm) {
  pm.addNestedPass<func::FuncOp>(createEinsumToLinalg());
  pm.addNestedPass<func::FuncOp>(rt::createFuseElementwise());
  pm.addPass(createCSEPass());

  // What a loop carries need not stay in one buffer: it is freed like any
  // other.
  bufferization::OneShotBufferizePassOptions buffers;
  buffers.allowReturnAllocsFromLoops = true;
  pm.addPass(bufferization::createOneShotBufferizePass(buffers));
  bufferization::buildBufferDeallocationPipeline(pm);
  pm.addPass(createConvertBufferizationToMemRefPass());

  pm.addPass(createRuntimeToLLVM());
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  buildHostPipeline(pm);
}

/// Kernels to the NVVM dialect.
static void buildKernelPipeline(OpPassManager &pm) {
  OpPassManager &device = pm.nest<gpu::GPUModuleOp>();
  device.addPass(createLowerAffinePass());
  device.addPass(createSCFToControlFlowPass());
  device.addPass(arith::createArithExpandOpsPass());
  device.addPass(memref::createExpandStridedMetadataPass());
  device.addPass(createConvertGpuOpsToNVVMOps());
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  device.addPass(createReconcileUnrealizedCastsPass());
}

void moe::buildMoEFormKernelsPipeline(OpPassManager &pm) {
  buildJoinLoopsPipeline(pm);
  pm.addNestedPass<func::FuncOp>(rt::createSeparateDestinations());
  pm.addPass(bufferization::createOneShotBufferizePass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createFormKernels());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(rt::createInsertWaits());
  pm.addNestedPass<func::FuncOp>(rt::createPlanBuffers());
}

void moe::buildMoELowerCUDAPipeline(OpPassManager &pm, llvm::StringRef target) {
  buildMoEFormKernelsPipeline(pm);
  RuntimeToLLVMOptions runtime;
  runtime.target = target.str();
  pm.addPass(createRuntimeToLLVM(runtime));
  buildKernelPipeline(pm);
  buildHostPipeline(pm);
}

namespace {
struct CheckPipelineOptions : PassPipelineOptions<CheckPipelineOptions> {
  Option<bool> tryRepairs{*this, "try-repairs",
                          llvm::cl::desc("try repairs of what is refused"),
                          llvm::cl::init(true)};
  Option<bool> counterexample{
      *this, "counterexample",
      llvm::cl::desc("show data on which a false claim is wrong"),
      llvm::cl::init(false)};
};
} // namespace

void moe::registerMoEPassesAndPipelines() {
  registerAutoDiffPasses();
  registerConversionPasses();
  rt::registerRuntimePasses();
  spmd::registerSPMDPasses();
  PassPipelineRegistration<CheckPipelineOptions>(
      "moe-check", "infer placements, differentiate, verify every gradient",
      [](OpPassManager &pm, const CheckPipelineOptions &options) {
        buildMoECheckPipeline(
            pm, {/*verify=*/true, options.tryRepairs, options.counterexample});
      });
  PassPipelineRegistration<>("moe-compile-cpu",
                             "from a verified function to the LLVM dialect",
                             [](OpPassManager &pm) {
                               buildMoELocalizePipeline(pm);
                               buildMoELowerCPUPipeline(pm);
                             });
  PassPipelineRegistration<>("moe-form-kernels",
                             "from a verified function to kernels and launches",
                             [](OpPassManager &pm) {
                               MoELocalizeOptions options;
                               options.schedule = options.device = true;
                               buildMoELocalizePipeline(pm, options);
                               buildMoEFormKernelsPipeline(pm);
                             });
}

//===- Pipelines.h - The order of the passes --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_PIPELINES_PIPELINES_H
#define MOE_PIPELINES_PIPELINES_H

#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace mlir {
class DialectRegistry;
class OpPassManager;
} // namespace mlir

namespace moe {

/// What `--moe-check` does with claims.
struct MoECheckOptions {
  /// Refuse false ones.
  bool verify = true;
  /// Then try repairs.
  bool tryRepairs = true;
  /// And show data on which they are wrong.
  bool counterexample = false;
};

/// Infer, differentiate, infer, and with `verify`, verify; then check what the
/// outside requires. Runs on a module; functions that are joint already are not
/// differentiated.
void buildMoECheckPipeline(mlir::OpPassManager &pm,
                           const MoECheckOptions &options = {});

/// Options of spmd-defer-reductions.
struct MoEDeferOptions {
  std::string policy = "min-cut";
  std::string costFile;
  int64_t memoryBudget = -1;
};

/// Moves the reductions of verified functions.
void buildMoEDeferPipeline(mlir::OpPassManager &pm,
                           const MoEDeferOptions &options);

/// Options of moert-bucket-collectives and moert-schedule-collectives.
struct MoELocalizeOptions {
  int64_t bucketBytes = 4096;
  /// Run collectives beside kernels, as devices can.
  bool schedule = false;
  /// A device program: loops over elements are joined before, as they are in
  /// kernels, and loops and branches of the program are refused, which only the
  /// CPU pipeline lowers.
  bool device = false;
  std::string costFile;
};

/// From a joint function, inferred and verified, to one rank's program over
/// local tensors, its collectives in their final order.
void buildMoELocalizePipeline(mlir::OpPassManager &pm,
                              const MoELocalizeOptions &options = {});

/// From there to the LLVM dialect, for the CPU. Needs
/// `registerCompilerDialects`.
void buildMoELowerCPUPipeline(mlir::OpPassManager &pm);

/// From the same local program to a device program: kernels in the gpu dialect,
/// and the host function that launches them, on planned buffers.
void buildMoEFormKernelsPipeline(mlir::OpPassManager &pm);

/// The same, and on to the NVVM and LLVM dialects. `target` is what the program
/// says it runs on: `cuda:sm_90a`.
void buildMoELowerCUDAPipeline(mlir::OpPassManager &pm, llvm::StringRef target);

/// Dialects and interfaces that the compiling pipelines use.
void registerCompilerDialects(mlir::DialectRegistry &registry);

/// Registers the passes and the pipelines `--moe-check`, `--moe-compile-cpu`
/// and
/// `--moe-form-kernels`.
void registerMoEPassesAndPipelines();

} // namespace moe

#endif // MOE_PIPELINES_PIPELINES_H

/*===- moe-c/Layer.h - Compiled layers ----------------------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_C_LAYER_H
#define MOE_C_LAYER_H

#include "moe-c/Module.h"

/* NOLINTBEGIN: this is C. */
#ifdef __cplusplus
extern "C" {
#endif

/* Forward and backward of a layer, compiled for the CPU and in this process. */
typedef struct MoELayer MoELayer;

/* An argument or a result; lives as long as the layer. */
typedef struct MoEValue MoEValue;

/* As moert_dtype. */
typedef enum {
  MOE_F32 = 0,
  MOE_F64 = 1,
  MOE_BF16 = 2,
  MOE_I32 = 3,
  MOE_I64 = 4,
} MoEDType;

/* As the flags of moe-compile. */
typedef struct {
  /* Where reductions go: "min-cut", "boundary" or "eager". */
  const char *policy;
  /* For "min-cut": the file that says what collectives cost, as moe-run
   * --calibrate writes it. Null or empty: what was measured over NVLink. */
  const char *costFile;
  /* For "min-cut": most bytes of values that are partial over an axis at a
   * time; -1: any number. */
  int64_t memoryBudget;
  /* All-reduces of at most so many bytes together become one. */
  int64_t bucketBytes;
  /* Refuse a program that makes false claims; without it reductions stay where
   * they are. */
  bool verify;
} MoECompileOptions;

/* "min-cut", null, -1, 4096, true. */
MOE_CAPI_EXPORTED MoECompileOptions moeCompileOptionsGetDefault(void);

/* Compiles a copy of a program as moe-compile does. `target` is "cpu". Null,
 * with errors in `diagnostics`, if it makes a false claim, if the cost file has
 * an entry that cannot be used or nothing fits into the memory budget (the
 * error names the entry, or the smallest budget that works), or if it cannot be
 * compiled. */
MOE_CAPI_EXPORTED MoELayer *moeCompile(const MoEModule *module,
                                       const char *target,
                                       const MoECompileOptions *options,
                                       MoEDiagnostics *diagnostics);
MOE_CAPI_EXPORTED void moeLayerDestroy(MoELayer *layer);

/* How many ranks its mesh has. */
MOE_CAPI_EXPORTED int64_t moeLayerGetNumRanks(const MoELayer *layer);
MOE_CAPI_EXPORTED size_t moeLayerGetNumArguments(const MoELayer *layer);
MOE_CAPI_EXPORTED const MoEValue *moeLayerGetArgument(const MoELayer *layer,
                                                      size_t index);
MOE_CAPI_EXPORTED size_t moeLayerGetNumResults(const MoELayer *layer);
MOE_CAPI_EXPORTED const MoEValue *moeLayerGetResult(const MoELayer *layer,
                                                    size_t index);

/* "x", "router.gate.weight", "grad.x". */
MOE_CAPI_EXPORTED const char *moeValueGetName(const MoEValue *value);
MOE_CAPI_EXPORTED MoEDType moeValueGetDType(const MoEValue *value);
/* The global shape. */
MOE_CAPI_EXPORTED size_t moeValueGetNumDimensions(const MoEValue *value);
MOE_CAPI_EXPORTED const int64_t *moeValueGetShape(const MoEValue *value);
/* "tp: shard<0>, ep: partial<sum>"; axes over which it is replicated are left
 * out. */
MOE_CAPI_EXPORTED const char *moeValueGetPlacements(const MoEValue *value);

/* Runs all ranks as threads. `arguments` and `results` have a pointer to a
 * global tensor per argument and per result, dense, row-major and aligned for
 * its elements; nothing is copied that a rank can use where it is. A collective
 * that waits longer than `timeout` seconds ends the run. False, with an error
 * that names rank, collective and source line, if the run fails, or if ranks
 * differ in a result that should be equal.
 *
 * A rank that computes for ever cannot be stopped: then `*leftBehind` is true
 * (if it is not null), the tensors must stay, and moeLayerDestroy leaves the
 * layer as it is.
 *
 * One run at a time in a process; others wait. */
MOE_CAPI_EXPORTED bool
moeLayerRun(MoELayer *layer, const void *const *arguments, void *const *results,
            double timeout, bool *leftBehind, MoEDiagnostics *diagnostics);

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND */

#endif /* MOE_C_LAYER_H */

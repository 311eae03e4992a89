/*===- moe-c/Module.h - Programs, and passes on them --------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_C_MODULE_H
#define MOE_C_MODULE_H

#include "moe-c/Diagnostics.h"

/* NOLINTBEGIN: this is C. */
#ifdef __cplusplus
extern "C" {
#endif

/* A program: a `builtin.module` in a context of its own. */
typedef struct MoEModule MoEModule;

/* Reads a program as moe-opt does. `filename` is what its locations name; it
 * ends with a zero. Null if the text is no program, or is nested more than a
 * thousand brackets deep. */
MOE_CAPI_EXPORTED MoEModule *moeModuleParse(const char *text, size_t length,
                                            const char *filename,
                                            MoEDiagnostics *diagnostics);
MOE_CAPI_EXPORTED MoEModule *moeModuleClone(const MoEModule *module);
MOE_CAPI_EXPORTED void moeModuleDestroy(MoEModule *module);

/* Gives the program as text, in pieces. With `locations` it has the place of
 * each operation. */
MOE_CAPI_EXPORTED void moeModulePrint(const MoEModule *module, bool locations,
                                      MoETextCallback callback, void *context);

/* Whether a text names a pipeline: "moe-check", with options
 * "moe-check{try-repairs=false}", or any text that moe-opt takes as
 * --pass-pipeline. If not, `diagnostics` says why. */
MOE_CAPI_EXPORTED bool moePipelineCheck(const char *pipeline, size_t length,
                                        MoEDiagnostics *diagnostics);

/* Runs a pipeline, which changes the program. False, with errors in
 * `diagnostics`, if there is no such pipeline or a pass fails; the program is
 * then somewhere between. */
MOE_CAPI_EXPORTED bool moeModuleRunPipeline(MoEModule *module,
                                            const char *pipeline, size_t length,
                                            MoEDiagnostics *diagnostics);

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND */

#endif /* MOE_C_MODULE_H */

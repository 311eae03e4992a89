/*===- moe-c/Support.h - What all of the C API needs --------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/
/*
 * The C API is for programs that cannot, or would rather not, include MLIR. It
 * is one shared library, libMoEMLIR-C. Texts that it takes are a pointer and a
 * length, and need no zero at their end; texts that it gives end with one and
 * live as long as the object that they were asked of. Objects may be used by
 * any thread, by one at a time.
 */

#ifndef MOE_C_SUPPORT_H
#define MOE_C_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOE_CAPI_EXPORTED __attribute__((visibility("default")))

/* NOLINTBEGIN: this is C. */
#ifdef __cplusplus
extern "C" {
#endif

/* Takes a piece of text; `context` is what came with the callback. */
typedef void (*MoETextCallback)(const char *text, size_t length, void *context);

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND */

#endif /* MOE_C_SUPPORT_H */

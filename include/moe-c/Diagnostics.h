/*===- moe-c/Diagnostics.h - What is reported ---------------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/

#ifndef MOE_C_DIAGNOSTICS_H
#define MOE_C_DIAGNOSTICS_H

#include "moe-c/Support.h"

/* NOLINTBEGIN: this is C. */
#ifdef __cplusplus
extern "C" {
#endif

/* What calls have reported, in their order. */
typedef struct MoEDiagnostics MoEDiagnostics;

/* One of a list, or a note of one; lives as long as the list has it. */
typedef struct MoEDiagnostic MoEDiagnostic;

typedef enum {
  MOE_ERROR = 0,
  MOE_WARNING = 1,
  MOE_NOTE = 2,
  MOE_REMARK = 3,
} MoESeverity;

/* An empty list. The functions that take one add to it; for null they report
 * nothing. */
MOE_CAPI_EXPORTED MoEDiagnostics *moeDiagnosticsCreate(void);
MOE_CAPI_EXPORTED void moeDiagnosticsDestroy(MoEDiagnostics *list);
MOE_CAPI_EXPORTED size_t moeDiagnosticsGetSize(const MoEDiagnostics *list);
MOE_CAPI_EXPORTED const MoEDiagnostic *
moeDiagnosticsGet(const MoEDiagnostics *list, size_t index);

MOE_CAPI_EXPORTED MoESeverity
moeDiagnosticGetSeverity(const MoEDiagnostic *diagnostic);
MOE_CAPI_EXPORTED const char *
moeDiagnosticGetMessage(const MoEDiagnostic *diagnostic);

/* The label in the message, "G1", that docs/Diagnostics.md describes; null if
 * there is none. */
MOE_CAPI_EXPORTED const char *
moeDiagnosticGetRule(const MoEDiagnostic *diagnostic);

/* The first place in a file that the location has; null and zeros if it has
 * none. Lines and columns count from 1. */
MOE_CAPI_EXPORTED const char *
moeDiagnosticGetFile(const MoEDiagnostic *diagnostic);
MOE_CAPI_EXPORTED unsigned
moeDiagnosticGetLine(const MoEDiagnostic *diagnostic);
MOE_CAPI_EXPORTED unsigned
moeDiagnosticGetColumn(const MoEDiagnostic *diagnostic);

/* Where it comes from, step by step, and how to repair it. */
MOE_CAPI_EXPORTED size_t
moeDiagnosticGetNumNotes(const MoEDiagnostic *diagnostic);
MOE_CAPI_EXPORTED const MoEDiagnostic *
moeDiagnosticGetNote(const MoEDiagnostic *diagnostic, size_t index);

/* How to repair it: what the message itself says after "; help: ", then the
 * texts of notes that begin with "help: ", which is left out. */
MOE_CAPI_EXPORTED size_t
moeDiagnosticGetNumHelps(const MoEDiagnostic *diagnostic);
MOE_CAPI_EXPORTED const char *
moeDiagnosticGetHelp(const MoEDiagnostic *diagnostic, size_t index);

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND */

#endif /* MOE_C_DIAGNOSTICS_H */

/*===- deeds.c - A layer of which one rank does something -----------*- C
-*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/
/*
 * y = the sum of x over the ranks, twice. Between the two all-reduces rank 1
 * does what -DDEED says. The other macros change what the layer says of itself.
 */

#include "moert/moert.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef DEED
#define DEED
#endif
#ifndef ABI
#define ABI MOERT_ABI_VERSION
#endif
#ifndef TARGET
#define TARGET "cpu"
#endif
#ifndef RANKS
#define RANKS 3
#endif
#ifndef ARGUMENT
#define ARGUMENT "x"
#endif
#ifndef RESULT
#define RESULT "y"
#endif
#ifndef SIZE
#define SIZE "4"
#endif
#ifndef PLACEMENT
#define PLACEMENT "replicate"
#endif

#define TEXT(x) TEXT_OF(x)
#define TEXT_OF(x) #x
#define QUOTED(text) "\"" text "\""
#define FIELD(name, value) QUOTED(name) ": " value
#define TEXT_FIELD(name, value) FIELD(name, QUOTED(value))
#define MESH "[{" TEXT_FIELD("name", "tp") ", " FIELD("size", TEXT(RANKS)) "}]"
/* clang-format off */
#define VALUE(name, size, placement)                                                 \
  "[{" TEXT_FIELD("name", name) ", "                                           \
       TEXT_FIELD("dtype", "F32") ", "                                         \
       FIELD("shape", "[" size "]") ", "                                       \
       FIELD("placements", "[" QUOTED(placement) "]") "}]"
#define COLLECTIVE(site, place, phase)                                         \
  "{" TEXT_FIELD("kind", "all_reduce") ", "                                    \
      FIELD("axes", "[0]") ", "                                                \
      TEXT_FIELD("site", site) ", "                                            \
      TEXT_FIELD("location", "deeds.mlir:" place) ", "                         \
      TEXT_FIELD("phase", phase) "}"
#define EARLY COLLECTIVE("early", "3:7", "forward")
#define LATE COLLECTIVE("late", "5:9", "backward")

#ifndef NO_DESCRIPTION
const char moert_program[] =
    "{" FIELD("abi", TEXT(ABI)) ", "
    TEXT_FIELD("target", TARGET) ", "
    TEXT_FIELD("function", "deeds.vjp") ", "
    FIELD("mesh", MESH) ", "
    FIELD("arguments", VALUE(ARGUMENT, "4", "replicate")) ", "
    FIELD("results", VALUE(RESULT, SIZE, PLACEMENT)) ", "
    FIELD("collectives", "[" EARLY ", " LATE "]") "}";
#endif
/* clang-format on */

#ifndef NO_MAIN
int32_t moert_main(moert_context *context, void *const *buffers) {
  float sum[4] = {0};
  moert_all_reduce(context, 0, MOERT_F32, MOERT_SUM, buffers[0], sum, 4);
  if (moert_axis_index(context, 0) == 1) {
    DEED;
  }
  moert_all_reduce(context, 1, MOERT_F32, MOERT_SUM, sum, buffers[1], 4);
  return 0;
}
#endif

#ifdef CONSTRUCTOR
/* What is no layer must not run. */
__attribute__((constructor)) static void run(void) { _exit(99); }
#endif

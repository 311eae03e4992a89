/*===- moert.h - What a compiled layer needs of the runtime -------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/
/*
 * A compiled layer is a shared object with two symbols:
 *
 *   const char moert_program[];  a JSON description, see below
 *   int32_t moert_main(moert_context *context, void *const *buffers);
 *
 * `moert_main` is one rank's program. `buffers` has a pointer per argument and
 * then per result, in the order of the description: dense, row-major local
 * values of the shape that the placement gives the rank (cuts are those of
 * `torch.chunk`). The caller owns all buffers; arguments are not written.
 *
 * The description:
 *   {"abi": 1, "target": "cpu", "function": "moe_layer.vjp",
 *    "mesh": [{"name": "tp", "size": 2}],
 *    "arguments": [{"name": "x", "dtype": "F32", "shape": [2, 16, 64],
 *                   "placements": ["shard<1>"]}],
 *    "results": [as arguments],
 *    "collectives": [{"kind": "all_reduce", "axes": [0], "site": "x",
 *                     "location": "layer.mlir:5:10", "phase": "backward"}]}
 * Shapes are global. There is a placement per mesh axis: `replicate`,
 * `shard<d>` or `partial<sum>`. Ranks are numbered row-major over the mesh.
 *
 * All ranks of a group call the same collectives in the same order; a
 * collective is named by its index in the description. Sums are taken in the
 * order of ranks, so every rank gets the same bits. A collective that fails, or
 * waits longer than the context allows, does not return: the run ends there,
 * and the context has the reason with rank, collective and source line.
 *
 * All functions may be called by several ranks at once, each with its own
 * context.
 */

#ifndef MOERT_MOERT_H
#define MOERT_MOERT_H

#include <stdint.h>

/* NOLINTBEGIN: this is C. */
#ifdef __cplusplus
extern "C" {
#endif

#define MOERT_ABI_VERSION 1

/* One rank of one run. */
typedef struct moert_context moert_context;

typedef enum {
  MOERT_F32 = 0,
  MOERT_F64 = 1,
  MOERT_BF16 = 2,
  MOERT_I32 = 3,
  MOERT_I64 = 4,
} moert_dtype;

typedef enum {
  MOERT_SUM = 0,
  MOERT_AVG = 1,
  MOERT_MAX = 2,
  MOERT_MIN = 3,
} moert_reduction;

/* The coordinate of this rank on mesh axis `axis`. */
int64_t moert_axis_index(moert_context *context, int32_t axis);

/* out[i] = reduction over the group of in[i], for `count` elements. */
void moert_all_reduce(moert_context *context, int32_t collective, int32_t dtype,
                      int32_t reduction, const void *in, void *out,
                      int64_t count);

/* out is [outer, size, inner]; each rank's in is its chunk of dimension 1. */
void moert_all_gather(moert_context *context, int32_t collective, int32_t dtype,
                      const void *in, void *out, int64_t outer, int64_t size,
                      int64_t inner);

/* in is [outer, size, inner] on all ranks; out is this rank's chunk, of
 * dimension 1, of the reduction. */
void moert_reduce_scatter(moert_context *context, int32_t collective,
                          int32_t dtype, int32_t reduction, const void *in,
                          void *out, int64_t outer, int64_t size,
                          int64_t inner);

/* Rows of `row` elements: the first send[0] rows of in go to rank 0 of the
 * group, the next send[1] to rank 1 and so on; out gets what the ranks sent
 * here, in the order of ranks: receive[r] rows of rank r. */
void moert_all_to_all(moert_context *context, int32_t collective, int32_t dtype,
                      const void *in, const int64_t *send, void *out,
                      const int64_t *receive, int64_t row);

/* experts[t, k]: the `chosen` experts of each of `tokens` tokens with the
 * largest scores[t, e] + bias[e], in descending order, the lower number first
 * in a tie; bias may be null and counts for the choice only. Of `groups` equal
 * groups of experts only the `limited_groups` best may be chosen from, by the
 * sum of a group's two largest scores. */
void moert_top_k(moert_context *context, int32_t dtype, const void *scores,
                 const void *bias, int32_t *experts, int64_t tokens,
                 int64_t num_experts, int64_t chosen, int64_t groups,
                 int64_t limited_groups);

/* counts[e]: how many of the `entries` expert numbers are e. Fails where an
 * expert does not exist. */
void moert_count_rows(moert_context *context, const int32_t *experts,
                      int64_t entries, int64_t num_experts, int32_t *counts);

/* Sorts the entries t * chosen + k of experts[t, k] by (expert, t): order[row]
 * is the entry, rows[entry] the row. Fails where an expert does not exist. */
void moert_sort_rows(moert_context *context, const int32_t *experts,
                     int64_t tokens, int64_t chosen, int64_t num_experts,
                     int64_t *order, int64_t *rows);

/* Rows that this rank gets: counts[r, e] is rank r's rows of expert e, and the
 * experts are cut over `ranks` ranks of `axis`. */
int64_t moert_count_received(moert_context *context, int32_t axis,
                             const int32_t *counts, int64_t ranks,
                             int64_t num_experts);

/* Of the same counts: rows to each rank, rows from each rank, and for the rows
 * ordered by (expert, rank) where they arrive ordered by (rank, expert), and
 * the reverse; null for both leaves them out. */
void moert_plan_exchange(moert_context *context, int32_t axis,
                         const int32_t *counts, int64_t ranks,
                         int64_t num_experts, int64_t *send, int64_t *receive,
                         int64_t *arrival, int64_t *departure);

/* Ends the run with an error of this rank: `message` at `location`. Does not
 * return. */
void moert_fail(moert_context *context, const char *location,
                const char *message);

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND */

#endif /* MOERT_MOERT_H */

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
 *   {"abi": 3, "target": "cpu", "function": "moe_layer.vjp",
 *    "mesh": [{"name": "tp", "size": 2}],
 *    "arguments": [{"name": "x", "dtype": "F32", "shape": [2, 16, 64],
 *                   "placements": ["shard<1>"]}],
 *    "results": [as arguments],
 *    "collectives": [{"kind": "all_reduce", "axes": [0], "site": "x",
 *                     "location": "layer.mlir:5:10", "phase": "backward"}]}
 * Shapes are global. There is a placement per mesh axis: `replicate`,
 * `shard<d>` or `partial<sum>`. Ranks are numbered row-major over the mesh.
 *
 * A layer for GPUs has two more symbols:
 *
 *   const unsigned char moert_device_code[];  a cubin for the target
 *   const uint64_t moert_device_code_size;
 *
 * and its description more fields:
 *   {"target": "cuda:sm_90a", "hash": "5c1f..", "arena_bytes": 1048576,
 *    "capturable": true,
 *    "kernels": [{"name": "einsum_0", "op": "moe.einsum", "shared": 0,
 *                 "location": "layer.mlir:5:10", "phase": "forward"}]}
 * `hash` is the same for equal artifacts and for no others; ranks compare it.
 * `name` is a symbol of the cubin, `shared` (0 if left out) the most dynamic
 * shared memory the kernel is started with. A kernel that uses moert_fault may
 * have a `fault`, which says what is wrong, with {} for the value that it
 * reports, and a `fault_help`. `capturable`: no step needs the
 * host between its launches, and all steps make the same calls, so that the
 * runtime may repeat one as a graph without calling moert_main. Buffers are on
 * the device, each at a multiple of 256 bytes, and stay where they are from
 * step to step. `moert_main` enqueues a step and returns before it is done.
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

#define MOERT_ABI_VERSION 3

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
 * sum of a group's two largest scores. Fails where these are not numbers. Here
 * and below `location` is the place in the program that a failure names. */
void moert_top_k(moert_context *context, const char *location, int32_t dtype,
                 const void *scores, const void *bias, int32_t *experts,
                 int64_t tokens, int64_t num_experts, int64_t chosen,
                 int64_t groups, int64_t limited_groups);

/* counts[e]: how many of the `entries` expert numbers are e. Fails where an
 * expert does not exist. */
void moert_count_rows(moert_context *context, const char *location,
                      const int32_t *experts, int64_t entries,
                      int64_t num_experts, int32_t *counts);

/* Sorts the entries t * chosen + k of experts[t, k] by (expert, t): order[row]
 * is the entry, rows[entry] the row. Fails where an expert does not exist. */
void moert_sort_rows(moert_context *context, const char *location,
                     const int32_t *experts, int64_t tokens, int64_t chosen,
                     int64_t num_experts, int64_t *order, int64_t *rows);

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

/* The following only layers for GPUs call. They have a stream for kernels and
 * one for collectives. In the functions above data is on the device, but `send`
 * and `receive` of an all-to-all, and the tables of moert_count_received and
 * moert_plan_exchange, are on the host. A collective starts after the kernels
 * started before it, and returns at once. */

/* Where a buffer of `bytes` bytes is for intermediate values: at byte `offset`,
 * a multiple of 256, of the arena of `arena_bytes` bytes. The same place in
 * every step. */
void *moert_buffer(moert_context *context, int64_t offset, int64_t bytes);

/* Starts the kernel of that index in the description, after those started
 * before it. `block` is the number of threads of a block, `arguments` what
 * cuLaunchKernel gets; with a grid of no blocks nothing starts. `flops` and
 * `bytes` are what the kernel has to compute, and to read and write once, for
 * reports of its speed. */
void moert_launch(moert_context *context, int32_t kernel, int32_t grid_x,
                  int32_t grid_y, int32_t grid_z, int32_t block,
                  int32_t shared_bytes, void *const *arguments, int64_t flops,
                  int64_t bytes);

/* Kernels started after this start after the collective, which was started in
 * this step, is done. Called before its result is read or its operand written.
 */
void moert_wait(moert_context *context, int32_t collective);

/* Waits for the kernels started so far and copies from the device. Not in
 * programs that are `capturable`. */
void moert_fetch(moert_context *context, void *host, const void *device,
                 int64_t bytes);

/* On the device, two numbers, zeros at first. A kernel that meets impossible
 * data, such as an expert that does not exist, writes one more than its index
 * to the first and the value that it met to the second. After the step the run
 * ends with rank, kernel and source line. */
int32_t *moert_fault(moert_context *context);

/* Ends the run with an error of this rank: `message` at `location`. Does not
 * return. */
void moert_fail(moert_context *context, const char *location,
                const char *message);

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND */

#endif /* MOERT_MOERT_H */

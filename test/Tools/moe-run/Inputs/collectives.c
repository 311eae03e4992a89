/*===- collectives.c - A layer that is written by hand ------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/
/*
 * Each collective once, in an uneven form, between kernels that must not run
 * before or after their time. For the CPU, or with -DGPU for the fake GPU; the
 * results are the same.
 *
 *   DP, TP   the mesh
 *   FETCH    the counts of the all-to-all come from the device
 *   TARGET   what the description says
 *   SHARED   dynamic shared memory of a kernel
 *   FAULT    more of its description, as ", \"fault\": \"{} is odd\""
 *   UNAWAITED  a result is read before its collective is waited for
 *   ARENA    bytes of the arena
 */

#include "moert/moert.h"
#include <string.h>

#ifndef DP
#define DP 1
#endif
#ifndef TP
#define TP 2
#endif
#ifndef TARGET
#define TARGET "cuda:sm_90a"
#endif
#ifndef SHARED
#define SHARED 0
#endif
#ifndef FAULT
#define FAULT ""
#endif
#ifndef ARENA
#define ARENA 4096
#endif
#ifdef FETCH
#define CAPTURABLE "false"
#else
#define CAPTURABLE "true"
#endif

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)
#define COLLECTIVE(kind, axes, line)                                           \
  "{\"kind\": \"" kind "\", \"axes\": [" axes "], \"site\": \"x\", "           \
  "\"location\": \"layer.mlir:" line "\", \"phase\": \"forward\"}"
#define VALUE(name, shape, dp, tp)                                             \
  "{\"name\": \"" name "\", \"dtype\": \"F32\", \"shape\": [" shape            \
  "], \"placements\": [\"" dp "\", \"" tp "\"]}"

/* Rows that each rank has of the all-to-all's operand: at least TP. */
#define ROWS 4

/* clang-format off */
const char moert_program[] =
    "{\"abi\": 3, \"function\": \"layer\", \"mesh\": [{\"name\": \"dp\", "
    "\"size\": " NUMBER(DP) "}, {\"name\": \"tp\", \"size\": " NUMBER(
    TP) "}], "
    "\"arguments\": [" VALUE("g", "4, 7", "shard<0>", "partial<sum>") ", " VALUE(
    "s", "3, 5",
    "replicate", "shard<1>") ", " VALUE("t",
    NUMBER(ROWS) ", " NUMBER(TP) ", 2", "replicate", "shard<1>") "], \"results\": [" VALUE("reduced", "4, 7", "shard<0>", "replicate") ", " VALUE("gathered", "3, 5", "replicate", "replicate") ", " VALUE("scattered", "4, 7", "shard<0>", "shard<1>") ", " VALUE("most",
    "3, 2",
    "replicate",
    "replicate") ", " VALUE("grad.t",
    NUMBER(ROWS) ", " NUMBER(
    TP) ", 2",
    "replicate", "shard<1>") "], \"collectives\": [" COLLECTIVE("all_reduce",
    "1",
    "3:10") ", " COLLECTIVE("all_gather", "1",
    "4:10") ", " COLLECTIVE("reduce_scatter",
    "1",
    "5:10") ", " COLLECTIVE("all_reduce",
    "0, 1",
    "6:10") ", " COLLECTIVE("all_to_all", "1", "7:10") "]"
#ifdef GPU
    ", \"target\": \"" TARGET "\", \"hash\": \"" NUMBER(DP) NUMBER(TP) "\", "
    "\"arena_bytes\": " NUMBER(
    ARENA) ", \"capturable\": " CAPTURABLE
    ", "
    "\"kernels\": [{\"name\": \"scale\", \"op\": \"moe.scale\", \"location\": "
    "\"layer.mlir:2:8\", \"phase\": \"forward\", \"shared\": " NUMBER(
    SHARED) FAULT "}, {\"name\": \"count\", \"op\": \"moe.sort_rows\", \"location\": "
    "\"layer.mlir:6:8\", \"phase\": \"backward\"}]}";
#else
    ", \"target\": \"cpu\"}";
#endif
/* clang-format on */

/* to[i] = by * from[i], where one that is beyond 1000 cannot be. */
static void scale(const float *from, float *to, float by, int64_t count,
                  int32_t *fault) {
  for (int64_t i = 0; i < count; ++i) {
    if (fault && from[i] > 1000) {
      fault[0] = 1;
      fault[1] = (int32_t)from[i];
    }
    to[i] = by * from[i];
  }
}

/* How many rows go to each rank. */
static void count(int64_t *to, int64_t self) {
  for (int64_t r = 0; r < TP; ++r)
    to[r] = r == self ? ROWS - (TP - 1) : 1;
}

#ifdef GPU
#include "FakeKernels.h"
#include <unistd.h>

static int32_t run_scale(const fake_launch *launch) {
  void **a = launch->arguments;
  /* What comes next must not rely on luck. */
  usleep(2000);
  scale(*(const float **)a[0], *(float **)a[1], *(float *)a[2],
        *(int64_t *)a[3], *(int32_t **)a[4]);
  return 0;
}

static int32_t run_count(const fake_launch *launch) {
  count(*(int64_t **)launch->arguments[0], *(int64_t *)launch->arguments[1]);
  return 0;
}

static const fake_kernel kernels[] = {
    {"scale", run_scale, 5, {8, 8, 4, 8, 8}},
    {"count", run_count, 2, {8, 8}},
};

const fake_module moert_device_code = {FAKE_MAGIC, 2, kernels};
const uint64_t moert_device_code_size = sizeof(moert_device_code);

static void start_scale(moert_context *context, const float *from, float *to,
                        float by, int64_t size) {
  int32_t *fault = moert_fault(context);
  void *arguments[] = {&from, &to, &by, &size, &fault};
  moert_launch(context, 0, size > 0, 1, 1, 128, SHARED, arguments, size,
               8 * size);
}

__attribute__((unused)) static void start_count(moert_context *context,
                                                int64_t *to, int64_t self) {
  void *arguments[] = {&to, &self};
  moert_launch(context, 1, 1, 1, 1, 32, 0, arguments, 0, 8 * TP);
}
#else
#define start_scale(context, from, to, by, size) scale(from, to, by, size, 0)
#define start_count(context, to, self) count(to, self)
#define moert_wait(context, collective) ((void)(context), (void)(collective))
#endif

int32_t moert_main(moert_context *context, void *const *buffers) {
  const float *g = buffers[0], *s = buffers[1], *t = buffers[2];
  float *reduced = buffers[3], *gathered = buffers[4], *scattered = buffers[5];
  float *most = buffers[6], *grad_t = buffers[7];
  int64_t dp = moert_axis_index(context, 0), tp = moert_axis_index(context, 1);
  int64_t rows = 4 / DP, chunk = (5 + TP - 1) / TP;
  int64_t mine = tp * chunk >= 5          ? 0
                 : 5 - tp * chunk < chunk ? 5 - tp * chunk
                                          : chunk;
  (void)dp;
#ifdef GPU
  float *a = moert_buffer(context, 0, 256);
  float *b = moert_buffer(context, 256, 256);
  float *c = moert_buffer(context, 512, 256);
  float *d = moert_buffer(context, 768, 256);
#else
  float a[64], b[64], c[64], d[64];
#endif

  start_scale(context, g, a, 2, rows * 7);
  moert_all_reduce(context, 0, MOERT_F32, MOERT_SUM, a, b, rows * 7);
  start_scale(context, s, c, 3, 3 * mine);
#ifndef UNAWAITED
  moert_wait(context, 0);
#endif
  start_scale(context, b, reduced, 0.5f, rows * 7);

  moert_all_gather(context, 1, MOERT_F32, c, gathered, 3, 5, 1);
  moert_reduce_scatter(context, 2, MOERT_F32, MOERT_SUM, g, scattered, rows, 7,
                       1);
  moert_wait(context, 1);
  /* Every second number of what was gathered. */
  start_scale(context, gathered, d, 0.25f, 6);
  moert_all_reduce(context, 3, MOERT_F32, MOERT_MAX, d, most, 6);

  int64_t send[TP];
#ifdef FETCH
  int64_t *counts = moert_buffer(context, 1024, 64);
  start_count(context, counts, tp);
  moert_fetch(context, send, counts, sizeof(send));
#else
  count(send, tp);
#endif
  moert_all_to_all(context, 4, MOERT_F32, t, send, grad_t, send, 2);
  moert_wait(context, 2);
  moert_wait(context, 3);
  moert_wait(context, 4);
  return 0;
}

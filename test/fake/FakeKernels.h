/*===- FakeKernels.h - Device code of the fake GPU ----------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/
/*
 * In place of a cubin: functions of the host.
 */

#ifndef MOE_TEST_FAKE_FAKEKERNELS_H
#define MOE_TEST_FAKE_FAKEKERNELS_H

#include <stdint.h>

#define FAKE_MAGIC 0x4755504b4146ull

/* One launch. */
typedef struct {
  int32_t grid[3], block[3];
  uint32_t shared;
  void **arguments;
} fake_launch;

typedef struct {
  const char *name;
  /* Returns a CUresult: an error as of an illegal address ends the context. */
  int32_t (*run)(const fake_launch *launch);
  int32_t num_arguments;
  /* In bytes; at most 8. */
  int32_t argument_sizes[16];
} fake_kernel;

typedef struct {
  uint64_t magic;
  int32_t num_kernels;
  const fake_kernel *kernels;
} fake_module;

#endif /* MOE_TEST_FAKE_FAKEKERNELS_H */

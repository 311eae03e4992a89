/*===- layer.c - The C API, from C --------------------------------*- C -*-===*\
|*
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
|*
\*===----------------------------------------------------------------------===*/

// RUN: rm -rf %t && mkdir %t
// RUN: echo '{"default":{"all_reduce":[{"alpha_us":-1}]}}' > %t/costs.json
// RUN: moe-capi-test %t/costs.json 2>&1 | FileCheck %s

#include "moe-c/Layer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const linear =
    "#mesh = #spmd.mesh<tp=2>\n"
    "!X = !spmd.tensor<3x2xf32, #mesh>\n"
    "!W = !spmd.tensor<4x2xf32, #mesh, tp: shard<0>>\n"
    "!Y = !spmd.tensor<3x4xf32, #mesh, tp: shard<1>>\n"
    "func.func @project(%%x: !X {spmd.name = \"x\"}, "
    "%%w: !W {spmd.name = \"w\"}) -> (!Y {spmd.name = \"y\"}) {\n"
    "  %%0 = spmd.boundary %%x grad claims <%s> at \"x\" : !X -> !X\n"
    "  %%1 = moe.einsum \"td,fd->tf\" %%0, %%w : (!X, !W) -> !Y\n"
    "  return %%1 : !Y\n"
    "}\n";

static void printDiagnostic(const MoEDiagnostic *diagnostic, int depth) {
  static const char *const severities[] = {"error", "warning", "note",
                                           "remark"};
  const char *file = moeDiagnosticGetFile(diagnostic);
  const char *rule = moeDiagnosticGetRule(diagnostic);
  printf("%*s%s:%u:%u %s (rule %s): %s\n", 2 * depth, "",
         file ? file : "nowhere", moeDiagnosticGetLine(diagnostic),
         moeDiagnosticGetColumn(diagnostic),
         severities[moeDiagnosticGetSeverity(diagnostic)], rule ? rule : "none",
         moeDiagnosticGetMessage(diagnostic));
  for (size_t i = 0; i < moeDiagnosticGetNumNotes(diagnostic); ++i)
    printDiagnostic(moeDiagnosticGetNote(diagnostic, i), depth + 1);
  for (size_t i = 0; i < moeDiagnosticGetNumHelps(diagnostic); ++i)
    printf("%*shelp %zu: %s\n", 2 * depth, "", i,
           moeDiagnosticGetHelp(diagnostic, i));
}

static void printAll(MoEDiagnostics *list) {
  for (size_t i = 0; i < moeDiagnosticsGetSize(list); ++i)
    printDiagnostic(moeDiagnosticsGet(list, i), 0);
  moeDiagnosticsDestroy(list);
}

static void append(const char *text, size_t length, void *context) {
  strncat(context, text, length);
}

static MoEModule *parse(const char *claim, MoEDiagnostics *diagnostics) {
  char text[2000];
  int length = snprintf(text, sizeof text, linear, claim);
  return moeModuleParse(text, (size_t)length, "project.mlir", diagnostics);
}

/* `path` is of a cost file with a negative time. */
static void checkErrors(const char *path) {
  // CHECK-LABEL: parse nothing
  // CHECK-NEXT: null
  // CHECK-NEXT: bad.mlir:1:1 error (rule none): {{.*}}'foo'
  puts("parse nothing");
  MoEDiagnostics *list = moeDiagnosticsCreate();
  puts(moeModuleParse("foo", 3, "bad.mlir", list) ? "a module" : "null");
  printAll(list);

  // CHECK-LABEL: unknown pipelines
  // CHECK-NEXT: 0 0 1
  // CHECK-NEXT: nowhere:0:0 error (rule none): 'moe-chek' is no pipeline
  // CHECK-NEXT: note (rule none): help: moe-opt --help lists
  // CHECK-NEXT: help 0: moe-opt --help
  // CHECK-NEXT: error (rule none): 'cse(' is no pipeline
  puts("unknown pipelines");
  list = moeDiagnosticsCreate();
  MoEModule *module = parse("", list);
  int checked = moePipelineCheck("moe-chek", 8, list);
  int run = moeModuleRunPipeline(module, "cse(", 4, list);
  printf("%d %d %d\n", checked, run, moePipelineCheck("moe-check", 9, NULL));
  printAll(list);

  // CHECK-LABEL: a false claim
  // CHECK-NEXT: 0
  // CHECK-NEXT: project.mlir:6:8 error (rule G1): [G1] the gradient at 'x'
  // CHECK-NEXT: {{^}}  project.mlir:7:8 note (rule none): it became partial
  // CHECK: {{^}}help 0: claim partial<sum> over 'tp' here
  puts("a false claim");
  list = moeDiagnosticsCreate();
  MoEModule *copy = moeModuleClone(module);
  printf("%d\n", moeModuleRunPipeline(copy, "moe-check", 9, list));
  printAll(list);
  /* Nothing is reported to null. */
  moeModuleDestroy(copy);
  copy = moeModuleClone(module);
  if (moeModuleRunPipeline(copy, "moe-check", 9, NULL))
    puts("accepted");
  moeModuleDestroy(copy);

  // CHECK-LABEL: not compiled
  // CHECK-NEXT: error (rule G1)
  // CHECK: error (rule none): cannot run a layer for 'cuda:sm_90a'
  // CHECK: error (rule none): unknown policy 'best'
  // CHECK: error (rule none): cost file {{.*}}absent.json: No such file
  // CHECK: help 0: the file must exist and be readable
  // CHECK: error (rule none): cost file {{.*}}costs.json: the entry
  // CHECK-SAME: default.all_reduce[0].alpha_us is -1
  // CHECK: help 0: times and sizes are not negative
  // CHECK: error (rule none): partial values over the axis 'tp' do not fit in
  // CHECK-SAME: 3 bytes
  // CHECK: help 0: the smallest memory-budget that they fit in is 48
  // CHECK: error (rule none): the memory budget is negative
  // CHECK: help 0: give a number of bytes
  puts("not compiled");
  list = moeDiagnosticsCreate();
  MoECompileOptions options = moeCompileOptionsGetDefault();
  if (moeCompile(module, "cpu", NULL, list) ||
      moeCompile(module, "cuda:sm_90a", NULL, list))
    puts("compiled");
  options.policy = "best";
  if (moeCompile(module, "cpu", &options, list))
    puts("compiled");
  options = moeCompileOptionsGetDefault();
  moeModuleDestroy(module);
  module = parse("tp: partial<sum>", list);
  options.costFile = "absent.json";
  if (moeCompile(module, "cpu", &options, list))
    puts("compiled");
  options.costFile = path;
  if (moeCompile(module, "cpu", &options, list))
    puts("compiled");
  options.costFile = "";
  for (options.memoryBudget = 3; options.memoryBudget >= -2;
       options.memoryBudget -= 5)
    if (moeCompile(module, "cpu", &options, list))
      puts("compiled");
  printAll(list);
  moeModuleDestroy(module);
}

static void printValue(const MoEValue *value) {
  printf("%s %d [", moeValueGetName(value), (int)moeValueGetDType(value));
  for (size_t i = 0; i < moeValueGetNumDimensions(value); ++i)
    printf(i ? ", %d" : "%d", (int)moeValueGetShape(value)[i]);
  printf("] <%s>\n", moeValueGetPlacements(value));
}

static void printNumbers(const char *name, const float *numbers, size_t count) {
  printf("%s:", name);
  for (size_t i = 0; i < count; ++i)
    printf(" %g", numbers[i]);
  puts("");
}

static void run(void) {
  MoEDiagnostics *list = moeDiagnosticsCreate();
  MoEModule *module = parse("tp: partial<sum>", list);
  // CHECK-LABEL: the program
  // CHECK: spmd.boundary
  puts("the program");
  char *text = calloc(1, 100000);
  moeModulePrint(module, /*locations=*/true, append, text);
  fputs(text, stdout);
  free(text);

  // CHECK-LABEL: the layer
  // CHECK-NEXT: ranks: 2
  // CHECK-NEXT: x 0 [3, 2] <>
  // CHECK-NEXT: w 0 [4, 2] <tp: shard<0>>
  // CHECK-NEXT: dy 0 [3, 4] <tp: shard<1>>
  // CHECK-NEXT: y 0 [3, 4] <tp: shard<1>>
  // CHECK-NEXT: grad.x 0 [3, 2] <>
  // CHECK-NEXT: grad.w 0 [4, 2] <tp: shard<0>>
  puts("the layer");
  MoELayer *layer = moeCompile(module, "cpu", NULL, list);
  moeModuleDestroy(module);
  if (!layer) {
    printAll(list);
    return;
  }
  printf("ranks: %d\n", (int)moeLayerGetNumRanks(layer));
  for (size_t i = 0; i < moeLayerGetNumArguments(layer); ++i)
    printValue(moeLayerGetArgument(layer, i));
  for (size_t i = 0; i < moeLayerGetNumResults(layer); ++i)
    printValue(moeLayerGetResult(layer, i));

  // CHECK-LABEL: the run
  // CHECK-NEXT: 1 0
  // CHECK-NEXT: y: 2 4 6 8 5 13 21 29 8 22 36 50
  // CHECK-NEXT: grad.x: 40 10 10 4 14 6
  // CHECK-NEXT: grad.w: 30 36 9 12 7 11 22 29
  puts("the run");
  const float x[] = {1, 2, 4, 5, 7, 8};
  const float w[] = {0, 1, 2, 1, 4, 1, 6, 1};
  const float wy[] = {1, 2, 3, 4, 2, 0, 1, 1, 3, 1, 0, 2};
  float y[12], dx[6], dw[8];
  const void *arguments[] = {x, w, wy};
  void *results[] = {y, dx, dw};
  bool leftBehind = true;
  bool good = moeLayerRun(layer, arguments, results, 60, &leftBehind, list);
  printf("%d %d\n", good, leftBehind);
  printNumbers("y", y, 12);
  printNumbers("grad.x", dx, 6);
  printNumbers("grad.w", dw, 8);
  moeLayerDestroy(layer);
  printAll(list);
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 1;
  checkErrors(argv[1]);
  run();
  return 0;
}

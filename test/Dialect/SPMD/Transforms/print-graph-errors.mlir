// RUN: not moe-opt %s --spmd-print-graph=function=lost 2>&1 | FileCheck %s --check-prefix=LOST
// LOST: error: there is no function 'lost' to draw; help: there are one, two, blocks, plain

// RUN: not moe-opt %s --spmd-print-graph 2>&1 | FileCheck %s --check-prefix=SEVERAL
// SEVERAL: error: 3 functions over placed tensors could be drawn; help: keep one in the file, or name one of one, two, blocks, plain with function=

// RUN: not moe-opt %s --spmd-print-graph="function=one part=some" 2>&1 | FileCheck %s --check-prefix=PART
// PART: error: unknown part 'some'; help: use backward or whole

// RUN: not moe-opt %s --spmd-print-graph="function=one part=backward" 2>&1 | FileCheck %s --check-prefix=FORWARD
// FORWARD: print-graph-errors.mlir:[[#@LINE+20]]:1: error: it has no backward pass to draw; help: run moe-differentiate first, or draw part=whole

// RUN: not moe-opt %s --spmd-print-graph=function=blocks 2>&1 | FileCheck %s --check-prefix=BLOCKS
// BLOCKS: print-graph-errors.mlir:[[#@LINE+23]]:1: error: a function of several blocks is not drawn; help: use structured operations

// RUN: not moe-opt %s --spmd-print-graph="function=one output=%t/nowhere/one.dot" 2>&1 | FileCheck %s --check-prefix=WRITE
// WRITE: error: {{.*}}nowhere/one.dot: No such file or directory; help: the folder must exist, be writable and have space left

// RUN: not moe-opt %s --spmd-print-graph="function=one cost-file=%t.none" 2>&1 | FileCheck %s --check-prefix=COSTS
// COSTS: error: cost file {{.*}}: No such file or directory; help: the file must exist and be readable

// RUN: echo '{"version": 1, "axes": {"ep": {}}}' > %t.json
// RUN: not moe-opt %s --spmd-print-graph="function=one cost-file=%t.json" 2>&1 | FileCheck %s --check-prefix=AXES
// AXES: error: cost file {{.*}}: the entry axes.tp.all_reduce is missing; help: add it for this axis

// Nothing was changed or printed before an error.
// RUN: not moe-opt %s --spmd-print-graph=function=lost 2>%t.err | count 0

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
func.func @one(%x: !x) -> !x {
  return %x : !x
}
func.func @two(%x: !x) -> !x {
  return %x : !x
}
func.func @blocks(%x: !x) -> !x {
  cf.br ^end
^end:
  return %x : !x
}
func.func @plain(%x: tensor<8xf32>) {
  return
}

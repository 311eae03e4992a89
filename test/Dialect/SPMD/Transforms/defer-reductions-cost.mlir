// RUN: rm -rf %t && split-file %s %t

// RUN: moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/good.json | FileCheck %s --check-prefix=SUM
// RUN: moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/late.json | FileCheck %s --check-prefix=LATE
// The fast network pays per collective, so two become one.
// SUM: moe.add %arg0, %arg1
// SUM-NEXT: moe.einsum {{.*}}partial<sum>>
// SUM-NEXT: spmd.redistribute
// A slow one pays for bytes: before the value gets wide.
// LATE: %[[T:.*]] = moe.add %arg0, %arg1
// LATE-NEXT: spmd.redistribute %[[T]]
// LATE-NEXT: moe.einsum

// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/none.json 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: cost file {{.*}}none.json: No such file or directory; help: the file must exist and be readable
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/negative.json 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// NEGATIVE: error: cost file {{.*}}negative.json: the entry default.all_reduce[0].alpha_us is -1; help: times and sizes are not negative
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/text.json 2>&1 | FileCheck %s --check-prefix=TEXT
// TEXT: error: cost file {{.*}}text.json: the entry default.all_reduce[0].beta_us_per_mib is "fast", not a number; help: write a number without quotes
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/missing.json 2>&1 | FileCheck %s --check-prefix=MISSING
// MISSING: error: cost file {{.*}}missing.json: the entry default.all_reduce[0].beta_us_per_mib is missing; help: every segment has alpha_us and beta_us_per_mib
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/kind.json 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: error: cost file {{.*}}kind.json: the entry axes.tp.reduce_scatter is missing; help: add it for this axis of the mesh, or default.reduce_scatter for any
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/axis.json 2>&1 | FileCheck %s --check-prefix=AXIS
// AXIS: error: cost file {{.*}}axis.json: the entry axes.tp.all_reduce is missing; help: add it for this axis of the mesh, or default.all_reduce for any
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/unknown.json 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: cost file {{.*}}unknown.json: the entry axes.pp names the axis 'pp', which the mesh does not have; help: its axes are tp
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/bound.json 2>&1 | FileCheck %s --check-prefix=BOUND
// BOUND: the entry default.all_reduce[0].up_to_bytes is there; help: all segments but the last have one
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/broadcast.json 2>&1 | FileCheck %s --check-prefix=BROADCAST
// BROADCAST: the entry default.broadcast is unknown; help: use all_reduce, reduce_scatter, all_gather, all_to_all
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/empty.json 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: the entry default is missing; help: moe-run --calibrate FILE writes a file that has it
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=cost-file=%t/order.json 2>&1 | FileCheck %s --check-prefix=ORDER
// ORDER: the entry default.all_reduce[1].up_to_bytes is out of order; help: segments are for larger and larger messages

// The terms of the wide product are 1920 bytes, those of the sum 64.
// RUN: moe-opt %t/program.mlir --spmd-defer-reductions="cost-file=%t/good.json memory-budget=2000" | FileCheck %s --check-prefix=SUM
// RUN: moe-opt %t/program.mlir --spmd-defer-reductions="cost-file=%t/good.json memory-budget=500" | FileCheck %s --check-prefix=LATE
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=memory-budget=10 2>&1 | FileCheck %s --check-prefix=BUDGET
// BUDGET: error: partial values over the axis 'tp' do not fit in 10 bytes; help: the smallest memory-budget that they fit in is [[#SMALLEST:]]{{$}}
// RUN: not moe-opt %t/program.mlir --spmd-defer-reductions=memory-budget=-7 2>&1 | FileCheck %s --check-prefix=BELOW
// BELOW: error: the memory budget is negative; help: give a number of bytes

//--- program.mlir
#mesh = #spmd.mesh<tp=4>
!R = !spmd.tensor<8x2xf32, #mesh>
!P = !spmd.tensor<8x2xf32, #mesh, tp: partial<sum>>
!Y = !spmd.tensor<8x60xf32, #mesh>
func.func @f(%a: !P, %b: !P, %w: !spmd.tensor<2x60xf32, #mesh>) -> !Y {
  %0 = spmd.redistribute %a : !P -> !R
  %1 = spmd.redistribute %b : !P -> !R
  %2 = moe.add %0, %1 : (!R, !R) -> !R
  %3 = moe.einsum "td,df->tf" %2, %w : (!R, !spmd.tensor<2x60xf32, #mesh>) -> !Y
  return %3 : !Y
}

//--- good.json
{"version": 1,
  "default": {"all_reduce": [{"up_to_bytes": 1000, "alpha_us": 50, "beta_us_per_mib": 1000}, {"alpha_us": 1, "beta_us_per_mib": 1}],
    "reduce_scatter": [{"alpha_us": 50, "beta_us_per_mib": 1000}],
    "all_gather": [{"alpha_us": 50, "beta_us_per_mib": 1000}],
    "all_to_all": [{"alpha_us": 50, "beta_us_per_mib": 1000}]}}
//--- late.json
{"version": 1,
  "axes": {"tp": {"all_reduce": [{"alpha_us": 1, "beta_us_per_mib": 1000}],
    "reduce_scatter": [{"alpha_us": 1, "beta_us_per_mib": 1000}],
    "all_gather": [{"alpha_us": 1, "beta_us_per_mib": 1000}],
    "all_to_all": [{"alpha_us": 1, "beta_us_per_mib": 1000}]}}}
//--- negative.json
{"version": 1,
  "default": {"all_reduce": [{"alpha_us": -1, "beta_us_per_mib": 1}]}}
//--- text.json
{"version": 1,
  "default": {"all_reduce": [{"alpha_us": 1, "beta_us_per_mib": "fast"}]}}
//--- missing.json
{"version": 1,
  "default": {"all_reduce": [{"alpha_us": 1}]}}
//--- kind.json
{"version": 1,
  "default": {"all_reduce": [{"alpha_us": 1, "beta_us_per_mib": 1}],
    "all_gather": [{"alpha_us": 1, "beta_us_per_mib": 1}]}}
//--- order.json
{"version": 1,
  "default": {"all_reduce": [{"up_to_bytes": 10, "alpha_us": 1, "beta_us_per_mib": 1}, {"up_to_bytes": 10, "alpha_us": 1, "beta_us_per_mib": 1}, {"alpha_us": 1, "beta_us_per_mib": 1}]}}
//--- bound.json
{"version": 1,
  "default": {"all_reduce": [{"up_to_bytes": 10, "alpha_us": 1, "beta_us_per_mib": 1}]}}
//--- broadcast.json
{"version": 1,
  "default": {"broadcast": [{"alpha_us": 1, "beta_us_per_mib": 1}]}}
//--- axis.json
{"version": 1,
  "axes": {"dp": {"all_reduce": [{"alpha_us": 0, "beta_us_per_mib": 1}],
    "reduce_scatter": [{"alpha_us": 0, "beta_us_per_mib": 1}],
    "all_gather": [{"alpha_us": 0, "beta_us_per_mib": 1}],
    "all_to_all": [{"alpha_us": 0, "beta_us_per_mib": 1}]}}}
//--- unknown.json
{"version": 1,
  "default": {"all_reduce": [{"alpha_us": 0, "beta_us_per_mib": 1}],
    "reduce_scatter": [{"alpha_us": 0, "beta_us_per_mib": 1}],
    "all_gather": [{"alpha_us": 0, "beta_us_per_mib": 1}],
    "all_to_all": [{"alpha_us": 0, "beta_us_per_mib": 1}]},
  "axes": {"pp": {"all_reduce": [{"alpha_us": 0, "beta_us_per_mib": 1}]}}}
//--- empty.json
{}

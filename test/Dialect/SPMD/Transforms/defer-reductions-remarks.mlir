// RUN: moe-opt %s -mlir-disable-threading --spmd-defer-reductions --remarks-filter=spmd-defer-reductions --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefixes=CHECK,CUT
// RUN: moe-opt %s -mlir-disable-threading --spmd-defer-reductions=policy=boundary --remarks-filter=spmd-defer-reductions --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefixes=CHECK,BOUNDARY
// RUN: moe-opt %s -mlir-disable-threading --spmd-defer-reductions=policy=eager --remarks-filter=spmd-defer-reductions --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefixes=CHECK,EAGER

#mesh = #spmd.mesh<tp=4>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
!S = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>

// An all-reduce of 192 bytes over 4 ranks: each sends 2 * 192 * 3 / 4.
func.func @merge(%a: !P, %b: !P) -> (!R {spmd.name = "grad.x"}) {
  // What all policies are estimated to take: 15.1053 us, and 10.8664 for each MiB.
  // CHECK: remarks.mlir:[[#@LINE - 2]]:1: remark: [Analysis] estimate | {{.*}} Function=merge | axis=tp, us_at_least=15.108, us_boundary=15.108, us_eager=30.217, us_min_cut=15.108
  // CUT: remarks.mlir:[[#@LINE + 12]]:8: remark: [Passed] merged | Category:spmd-defer-reductions | Function=merge | axis=tp, bytes_after=288, bytes_before=288, kind=all_reduce, site=a, to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 18]]:3", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="one reduction in place of 3"
  // CUT: remarks.mlir:[[#@LINE + 12]]:8: remark: [Passed] merged | {{.*}} site=b, to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 17]]:3"
  // CUT: remarks.mlir:[[#@LINE + 14]]:8: remark: [Passed] merged | {{.*}} site=c, to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 16]]:3"
  // BOUNDARY: [Passed] merged | {{.*}} site=a, to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 15]]:3", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="one reduction in place of 3"
  // BOUNDARY: [Passed] merged | {{.*}} site=b
  // BOUNDARY: [Passed] merged | {{.*}} site=c
  // One becomes two, which were there already.
  // EAGER: remarks.mlir:[[#@LINE + 5]]:8: remark: [Analysis] kept | {{.*}} bytes_after=288, bytes_before=288, kind=all_reduce, site=a, us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it becomes partial here"
  // EAGER: remarks.mlir:[[#@LINE + 5]]:8: remark: [Analysis] kept | {{.*}} site=b
  // EAGER: remarks.mlir:[[#@LINE + 7]]:8: remark: [Passed] moved | {{.*}} bytes_after=576, bytes_before=288, kind=all_reduce, site=c, to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 3]]:8", to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 4]]:8", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it becomes partial there"

  // The lines that the remarks name.
  %0 = spmd.redistribute %a at "a" : !P -> !R
  %1 = spmd.redistribute %b at "b" : !P -> !R
  %2 = moe.add %0, %1 : (!R, !R) -> !R
  %3 = moe.add %a, %b : (!P, !P) -> !P
  %4 = spmd.redistribute %3 at "c" : !P -> !R
  %5 = moe.add %2, %4 : (!R, !R) -> !R
  return %5 : !R
}

func.func @scatter(%a: !P) -> !S {
  // CUT: [Passed] moved | {{.*}} Function=scatter | axis=tp, bytes_after=144, bytes_before=288, kind=all_reduce, to="reduce_scatter {{.*}}remarks.mlir:[[#@LINE + 5]]:8", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it costs least there"
  // BOUNDARY: [Passed] moved | {{.*}} to="reduce_scatter {{.*}}", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it cannot be later"
  // EAGER: [Passed] moved | {{.*}} to="reduce_scatter {{.*}}", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it becomes partial there"

  %0 = spmd.redistribute %a : !P -> !R
  %1 = spmd.redistribute %0 : !R -> !S
  return %1 : !S
}

func.func @small(%a: !spmd.tensor<8x2xf32, #mesh, tp: partial<sum>>,
                 %w: !spmd.tensor<2x60xf32, #mesh>) -> !spmd.tensor<8x60xf32, #mesh> {
  // CUT: [Passed] moved | {{.*}} Function=small | axis=tp, bytes_after=96, bytes_before=2880, kind=all_reduce, to="all_reduce {{.*}}remarks.mlir:[[#@LINE + 4]]:8", us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it costs least there"
  // BOUNDARY: [Analysis] kept | {{.*}} Function=small | axis=tp, bytes_after=2880, bytes_before=2880, kind=all_reduce, us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="it leaves as result 0"
  // EAGER: [Passed] moved | {{.*}} Function=small | axis=tp, bytes_after=96

  %0 = moe.einsum "td,df->tf" %a, %w
      : (!spmd.tensor<8x2xf32, #mesh, tp: partial<sum>>, !spmd.tensor<2x60xf32, #mesh>)
      -> !spmd.tensor<8x60xf32, #mesh, tp: partial<sum>>
  %1 = spmd.redistribute %0 : !spmd.tensor<8x60xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<8x60xf32, #mesh>
  return %1 : !spmd.tensor<8x60xf32, #mesh>
}

func.func @nonlinear(%a: !P) -> !R {
  // CHECK: [Analysis] kept | {{.*}} Function=nonlinear | {{.*}} why="'moe.silu' needs it whole"
  %0 = spmd.redistribute %a : !P -> !R
  %1 = moe.silu %0 : (!R) -> !R
  return %1 : !R
}

// A claim is a barrier, also for what comes after.
func.func @barrier(%a: !P) -> !R {
  // CHECK: [Analysis] kept | {{.*}} Function=barrier | {{.*}} why="it leaves as result 0"
  %0 = spmd.claim %a : !P -> !P
  %1 = spmd.redistribute %0 : !P -> !R
  return %1 : !R
}

func.func @unused(%a: !P, %b: !R) -> !R {
  // CHECK: [Passed] removed | {{.*}} Function=unused | axis=tp, bytes_after=0, bytes_before=288, kind=all_reduce, us_after={{[0-9.]+}}, us_before={{[0-9.]+}}, why="nothing needs the sum"
  %0 = spmd.redistribute %a : !P -> !R
  return %b : !R
}

#grid = #spmd.mesh<dp=4, tp=2>
!gp = !spmd.tensor<10x3xf32, #grid, dp: shard<0>, tp: partial<sum>>
!gr = !spmd.tensor<10x3xf32, #grid, dp: shard<0>>

// Of 10 rows a rank of four holds 3 at most, 36 bytes.
func.func @uneven(%a: !gp) -> !gr {
  // CHECK: [Analysis] kept | {{.*}} Function=uneven | axis=tp, bytes_after=36, bytes_before=36, kind=all_reduce

  %0 = spmd.redistribute %a : !gp -> !gr
  return %0 : !gr
}

// No axis of one rank has a reduction.
#one = #spmd.mesh<tp=1>
// CHECK-NOT: remark
func.func @one(%a: !spmd.tensor<8x6xf32, #one, tp: partial<sum>>) -> !spmd.tensor<8x6xf32, #one> {
  %0 = spmd.redistribute %a : !spmd.tensor<8x6xf32, #one, tp: partial<sum>> -> !spmd.tensor<8x6xf32, #one>
  return %0 : !spmd.tensor<8x6xf32, #one>
}

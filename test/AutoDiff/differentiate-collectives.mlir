// RUN: moe-opt %s --moe-check | FileCheck %s
// RUN: moe-run %s --exact --stats | FileCheck %s --check-prefix=EXACT

// Collectives written by hand in the forward program, and a result that leaves as
// terms of a sum: its cotangent arrives whole.

#mesh = #spmd.mesh<dp=2, tp=3>
!R = !spmd.tensor<6x9xf32, #mesh>
!P = !spmd.tensor<6x9xf32, #mesh, tp: partial<sum>>
!S0 = !spmd.tensor<6x9xf32, #mesh, tp: shard<0>>
!S1 = !spmd.tensor<6x9xf32, #mesh, tp: shard<1>>
!W = !spmd.tensor<9x9xf32, #mesh, tp: shard<0>>

// CHECK-LABEL: func.func @collectives.vjp
// CHECK-SAME: %[[DY:[^ ]*]]: !spmd.tensor<6x9xf32, #mesh> {spmd.name = "dy"}
// CHECK-SAME: %[[DZ:[^ ]*]]: !spmd.tensor<6x9xf32, #mesh> {spmd.name = "dz"}
// CHECK-SAME: %[[DP:[^ ]*]]: !spmd.tensor<6x9xf32, #mesh> {spmd.name = "dp"}
// CHECK: %[[CUT:.*]] = spmd.redistribute %[[DZ]] : !spmd.tensor<6x9xf32, #mesh> -> !spmd.tensor<6x9xf32, #mesh, tp: shard<1>>
// CHECK: %[[V:.*]] = moe.silu_vjp %{{.*}}, %[[CUT]]
// CHECK: %[[BACK:.*]] = spmd.redistribute %[[V]] : !spmd.tensor<6x9xf32, #mesh, tp: shard<1>> -> !spmd.tensor<6x9xf32, #mesh, tp: shard<0>>
// CHECK: %[[WHOLE:.*]] = spmd.redistribute %[[BACK]] : !spmd.tensor<6x9xf32, #mesh, tp: shard<0>> -> !spmd.tensor<6x9xf32, #mesh>

// EXACT:      y: exactly equal, sharded and unsharded
// EXACT-NEXT: z: exactly equal
// EXACT-NEXT: p: exactly equal
// EXACT-NEXT: grad.a: exactly equal
// EXACT-NEXT: grad.w: exactly equal
// EXACT:      all_gather tp 2
// EXACT-NEXT: all_reduce tp 1
// EXACT-NEXT: all_to_all tp 2
// EXACT-NEXT: reduce_scatter tp 1
func.func @collectives(%a: !S1 {spmd.name = "a"}, %w: !W {spmd.name = "w"})
    -> (!R {spmd.name = "y"}, !R {spmd.name = "z"}, !P {spmd.name = "p"}) {
  %0 = moe.einsum "td,df->tf" %a, %w : (!S1, !W) -> !P
  %1 = spmd.all_reduce %0 over ["tp"] : !P -> !R
  %2 = spmd.reduce_scatter %0 over "tp" dim 0 : !P -> !S0
  %3 = spmd.all_to_all %2 over "tp" from 0 to 1 : !S0 -> !S1
  %4 = moe.silu %3 : (!S1) -> !S1
  %5 = spmd.all_gather %4 over "tp" dim 1 : !S1 -> !R
  %6 = moe.silu %1 : (!R) -> !R
  return %6, %5, %0 : !R, !R, !P
}

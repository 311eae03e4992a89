// RUN: moe-opt %s --spmd-localize --canonicalize --cse --split-input-file | FileCheck %s

// Of cut tokens each rank counts its own rows. Their sum is that of the counts which
// the exchange of rows gathers anyway: one collective for both.

#mesh = #spmd.mesh<dp=3, tp=2>
!x = !spmd.tensor<8x5xf32, #mesh, tp: shard<0>>
!e = !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
!c = !spmd.tensor<4xi32, #mesh>
!p = !spmd.tensor<4xi32, #mesh, tp: partial<sum>>
!r = !spmd.tensor<16x5xf32, #mesh, tp: ragged<0>>

// CHECK-LABEL: func.func @exchanged
// CHECK-NOT: moert.all_reduce
// CHECK: %[[MINE:.*]] = moert.count_rows {{.*}} tensor<4x2xi32>
// CHECK: %[[ROW:.*]] = tensor.expand_shape %[[MINE]]
// CHECK: %[[ALL:.*]] = moert.all_gather {{.*}} ins(%[[ROW]] : tensor<1x4xi32>) outs(%{{.*}} : tensor<2x4xi32>) {axes = array<i32: 1>
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "reduction"]} ins(%[[ALL]] : tensor<2x4xi32>)
// CHECK: moert.plan_exchange %{{.*}} ins(%[[ALL]]
// CHECK-NOT: moert.all_gather
func.func @exchanged(%x: !x, %e: !e) -> (!c, !r) {
  %0 = moe.count %e : (!e) -> !p
  %1 = spmd.redistribute %0 : !p -> !c
  %2 = moe.dispatch %x, %e of 4 : (!x, !e) -> !r
  return %1, %2 : !c, !r
}

// -----

// Terms that are no counts of cut tokens are reduced.
#mesh = #spmd.mesh<dp=3, tp=2>
!c = !spmd.tensor<4xi32, #mesh>
!p = !spmd.tensor<4xi32, #mesh, tp: partial<sum>>
// CHECK-LABEL: func.func @terms
// CHECK: moert.all_reduce {{.*}} tensor<4xi32>
func.func @terms(%c: !p) -> !c {
  %0 = spmd.redistribute %c : !p -> !c
  return %0 : !c
}

// RUN: moe-opt %s --moe-check | FileCheck %s
// RUN: moe-run %s --exact | FileCheck %s --check-prefix=EXACT

// A letter that an einsum sums away in one operand alone is spread out again over
// ones, also where a mesh axis cuts it.

#mesh = #spmd.mesh<dp=2, tp=3>
!A = !spmd.tensor<6x4xf32, #mesh, dp: shard<1>, tp: shard<0>>
!B = !spmd.tensor<5x7xf32, #mesh, dp: shard<1>>
!Y = !spmd.tensor<4xf32, #mesh, dp: shard<0>>
!Z = !spmd.tensor<6x5xf32, #mesh, tp: shard<0>>
!D_ = !spmd.tensor<4xf32, #mesh, dp: ?, tp: ?>
!F_ = !spmd.tensor<6x5xf32, #mesh, dp: ?, tp: ?>

// CHECK-LABEL: func.func @sums.vjp
// CHECK-SAME: %[[A:.*]]: !spmd.tensor<6x4xf32, #mesh, dp: shard<1>, tp: shard<0>> {spmd.name = "a"}
// CHECK-SAME: %[[B:.*]]: !spmd.tensor<5x7xf32, #mesh, dp: shard<1>> {spmd.name = "b"}
// CHECK-SAME: %[[DY:.*]]: !spmd.tensor<4xf32, #mesh, dp: shard<0>> {spmd.name = "dy"}
// CHECK-SAME: %[[DZ:.*]]: !spmd.tensor<6x5xf32, #mesh, tp: shard<0>> {spmd.name = "dz"}
// CHECK: %[[WHOLE:.*]] = spmd.redistribute %[[B]]
// Contracted first, then spread.
// CHECK: %[[T:.*]] = moe.einsum "tf,fe->t" %{{.*}}, %[[WHOLE]] : {{.*}} -> !spmd.tensor<6xf32, #mesh, tp: shard<0>>
// CHECK: %[[ONES:.*]] = moe.fill_like %[[A]] with 1.0
// CHECK: moe.einsum "t,td->td" %[[T]], %[[ONES]] : {{.*}} -> !spmd.tensor<6x4xf32, #mesh, dp: shard<1>, tp: shard<0>>
// CHECK: %[[F:.*]] = moe.einsum "tf,td->f" %{{.*}}, %[[A]] : {{.*}} -> !spmd.tensor<5xf32, #mesh, dp: partial<sum>, tp: partial<sum>>
// CHECK: moe.einsum "f,fe->fe" %[[F]], %{{.*}} -> !spmd.tensor<5x7xf32, #mesh, dp: partial<sum>, tp: partial<sum>>
// CHECK: moe.einsum "d,td->td"

// EXACT:      y: exactly equal, sharded and unsharded
// EXACT-NEXT: z: exactly equal
// EXACT-NEXT: grad.a: exactly equal
// EXACT-NEXT: grad.b: exactly equal
func.func @sums(%a: !A {spmd.name = "a"}, %b: !B {spmd.name = "b"})
    -> (!Y {spmd.name = "y"}, !Z {spmd.name = "z"}) {
  %0 = moe.einsum "td->d" %a : (!A) -> !D_
  %1 = spmd.redistribute %0 : !D_ -> !Y
  %2 = spmd.redistribute %b : !B -> !spmd.tensor<5x7xf32, #mesh>
  %3 = moe.einsum "td,fe->tf" %a, %2 : (!A, !spmd.tensor<5x7xf32, #mesh>) -> !F_
  %4 = spmd.redistribute %3 : !F_ -> !Z
  return %1, %4 : !Y, !Z
}

// RUN: moe-opt %s --moe-check | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!h_ = !spmd.tensor<8x6xf32, #mesh, tp: ?>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!x_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>

// A private function is a part of those that call it, and has no joint one.
// CHECK-LABEL: func.func private @mlp(
// CHECK-NOT: @mlp.vjp
func.func private @mlp(%x: !x, %w: !w) -> !p {
  %0 = spmd.boundary %x grad claims <tp: partial<sum>> at "x" : !x -> !x
  %1 = moe.einsum "td,fd->tf" %0, %w : (!x, !w) -> !h_
  %2 = moe.silu %1 : (!h_) -> !h_
  %3 = moe.einsum "tf,fd->td" %2, %w : (!h_, !w) -> !p
  return %3 : !p
}

// CHECK-LABEL: func.func @layers(
// CHECK-COUNT-2: call @mlp
// CHECK-LABEL: func.func @layers.vjp(
// CHECK-NOT: call
// CHECK-COUNT-2: moe.silu_vjp
// CHECK: return
func.func @layers(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"},
                  %v: !w {spmd.name = "v"}) -> (!x_ {spmd.name = "y"}) {
  %0 = func.call @mlp(%x, %w) : (!x, !w) -> !p
  %1 = spmd.redistribute %0 : !p -> !x
  %2 = func.call @mlp(%1, %v) : (!x, !w) -> !p
  %3 = spmd.redistribute %2 : !p -> !x
  %4 = spmd.redistribute %3 : !x -> !x_
  return %4 : !x_
}

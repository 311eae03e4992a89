// RUN: moe-opt %s --moe-check | FileCheck %s
// RUN: moe-run %s --exact | FileCheck %s --check-prefix=EXACT

// Forward and backward of two projections, written by hand as a framework's
// compiler would trace them. A function whose name ends in .vjp is joint already:
// it is not differentiated, its placements are inferred and verified. The
// collectives are the program's own.
//
// CHECK-NOT: @mlp.vjp.vjp
// CHECK: moe.einsum "tf,df->td" {{.*}} -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: moe.einsum "td,df->tf" {{.*}} -> !spmd.tensor<8x6xf32, #mesh, tp: shard<1>>

// EXACT: y: exactly equal
// EXACT: grad.x: exactly equal
// EXACT: grad.w2: exactly equal

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!x_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>
!h_ = !spmd.tensor<8x6xf32, #mesh, tp: ?>
!w1 = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!w2 = !spmd.tensor<4x6xf32, #mesh, tp: shard<1>>

func.func @mlp.vjp(%x: !x {spmd.name = "x"}, %w1: !w1 {spmd.name = "w1"},
                   %w2: !w2 {spmd.name = "w2"}, %dy: !x {spmd.name = "dy"})
    -> (!x {spmd.name = "y"}, !x {spmd.name = "grad.x"},
        !w1 {spmd.name = "grad.w1"}, !w2 {spmd.name = "grad.w2"}) {
  %up = moe.einsum "td,fd->tf" %x, %w1 : (!x, !w1) -> !h_
  %hidden = moe.silu %up : (!h_) -> !h_
  %terms = moe.einsum "tf,df->td" %hidden, %w2 : (!h_, !w2) -> !x_
  %y = spmd.all_reduce %terms over ["tp"] : !x_ -> !x

  %dw2 = moe.einsum "td,tf->df" %dy, %hidden : (!x, !h_) -> !w2
  %dhidden = moe.einsum "td,df->tf" %dy, %w2 : (!x, !w2) -> !h_
  %dup = moe.silu_vjp %up, %dhidden : (!h_, !h_) -> !h_
  %dw1 = moe.einsum "tf,td->fd" %dup, %x : (!h_, !x) -> !w1
  %dterms = moe.einsum "tf,fd->td" %dup, %w1 : (!h_, !w1) -> !x_
  %dx = spmd.all_reduce %dterms over ["tp"] : !x_ -> !x
  return %y, %dx, %dw1, %dw2 : !x, !x, !w1, !w2
}

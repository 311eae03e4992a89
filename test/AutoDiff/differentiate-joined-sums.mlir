// RUN: moe-opt %s --moe-check --split-input-file | FileCheck %s

// A value with two uses. The gradient of one is Partial, since einsum sums over what
// tp cuts; that of the other is the same on all ranks.

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, tp: ?>

// Without labels their sum is the compiler's, and the second joins it for nothing.
// CHECK-LABEL: func.func @unlabelled.vjp
// CHECK: %[[P:.*]] = moe.einsum "tf,fd->td" {{.*}} -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: %[[V:.*]] = moe.silu_vjp {{.*}} -> !spmd.tensor<8x4xf32, #mesh>
// CHECK: %[[Q:.*]] = spmd.redistribute %[[V]] : !spmd.tensor<8x4xf32, #mesh> -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: %[[S:.*]] = moe.add %[[P]], %[[Q]] : {{.*}} -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: spmd.redistribute %[[S]] at "x"
func.func @unlabelled(%x: !R {spmd.name = "x"}, %w: !W) -> (!R, !H) {
  %0 = moe.silu %x : (!R) -> !R
  %1 = moe.einsum "td,fd->tf" %x, %w : (!R, !W) -> !H
  return %0, %1 : !R, !H
}

// -----

#mesh = #spmd.mesh<dp=(outer=2, ep=2), tp=4>
!X = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, outer: shard<0>>
!V = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, outer: ?, ep: ?, tp: ?>

// Each axis by itself: here each term joins the other.
// CHECK-LABEL: func.func @two_axes.vjp
// CHECK: moe.add {{.*}} -> !spmd.tensor<8x4xf32, #mesh, outer: partial<sum>, tp: partial<sum>>
func.func @two_axes(%x: !X {spmd.name = "x"}, %w: !W, %v: !V) -> (!H, !H) {
  %0 = moe.einsum "td,fd->tf" %x, %w : (!X, !W) -> !H
  %1 = moe.einsum "td,fd->tf" %x, %v : (!X, !V) -> !H
  return %0, %1 : !H, !H
}

// -----

// The result is a use too, and an argument may be returned as it is.
#mesh = #spmd.mesh<dp=1, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, dp: ?, tp: ?>
// CHECK-LABEL: func.func @returned.vjp
// CHECK: %[[Q:.*]] = spmd.redistribute %[[DY:.*]] : !spmd.tensor<8x4xf32, #mesh> -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: moe.add %[[Q]], %
func.func @returned(%x: !R {spmd.name = "x"}, %w: !W) -> (!R, !H) {
  %0 = moe.einsum "td,fd->tf" %x, %w : (!R, !W) -> !H
  return %x, %0 : !R, !H
}
// CHECK-LABEL: func.func @twice.vjp
// CHECK: moe.add %{{.*}}, %{{.*}} -> !spmd.tensor<8x4xf32, #mesh>
func.func @twice(%x: !R {spmd.name = "x"}) -> (!R, !R) {
  return %x, %x : !R, !R
}

// -----

// Experts that are cut meet rows that are not: their gradient is whole. It is sliced
// before it goes on or meets another that is cut, with labels too.
#mesh = #spmd.mesh<dp=1, tp=2>
!X = !spmd.tensor<12x3xf32, #mesh>
!W = !spmd.tensor<4x3x6xf32, #mesh, tp: shard<0>>
!C = !spmd.tensor<4xi32, #mesh>
!H = !spmd.tensor<12x6xf32, #mesh, dp: ?, tp: ?>
!V = !spmd.tensor<4x3x6xf32, #mesh, dp: ?, tp: ?>
// CHECK-LABEL: func.func @masked.vjp
// CHECK: %[[CUT:.*]] = moe.silu_vjp {{.*}} -> !spmd.tensor<4x3x6xf32, #mesh, tp: shard<0>>
// CHECK: %[[WHOLE:.*]] = moe.grouped_einsum "nh,nd->edh" {{.*}} -> !spmd.tensor<4x3x6xf32, #mesh>
// CHECK: %[[SLICE:.*]] = spmd.redistribute %[[WHOLE]] : {{.*}} -> !spmd.tensor<4x3x6xf32, #mesh, tp: shard<0>>
// CHECK: moe.add %[[CUT]], %[[SLICE]]
func.func @masked(%x: !X {spmd.name = "x"}, %w: !W {spmd.name = "w"}, %c: !C) -> (!H, !V) {
  %0 = spmd.boundary %x grad claims <tp: ?> at "x" : !X -> !X
  %1 = moe.grouped_einsum "nd,edh->nh" %0, %w counts %c : (!X, !W, !C) -> !H
  %2 = moe.silu %w : (!W) -> !V
  return %1, %2 : !H, !V
}

// With labels, test/Dialect/SPMD/Transforms/verify-gradients.mlir has the same sum: it
// is then what the labels are about, and refused.

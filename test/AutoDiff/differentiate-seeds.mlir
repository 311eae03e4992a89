// RUN: moe-opt %s --split-input-file --moe-check --verify-diagnostics | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!l_ = !spmd.tensor<f32, #mesh, tp: ?>

// A loss of which each rank has a term is seeded with the same 1 on all of them.
// CHECK-LABEL: func.func @partial_loss.vjp(
// CHECK-SAME: %{{.*}}: !spmd.tensor<f32, #mesh> {spmd.name = "dloss"})
// CHECK-SAME: -> (!spmd.tensor<f32, #mesh, tp: partial<sum>> {spmd.name = "loss"}, !spmd.tensor<6x4xf32, #mesh, tp: shard<1>> {spmd.name = "grad.x"})
func.func @partial_loss(%x: !x {spmd.name = "x"}) -> (!l_ {spmd.name = "loss"}) {
  %0 = moe.einsum "td,td->" %x, %x : (!x, !x) -> !l_
  return %0 : !l_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!l_ = !spmd.tensor<f32, #mesh, tp: ?>

// Terms of a seed make terms of a gradient, which is reduced at the end.
// CHECK-LABEL: func.func @partial_seed.vjp(
// CHECK-SAME: %[[D:[a-z0-9]+]]: !spmd.tensor<f32, #mesh, tp: partial<sum>> {spmd.name = "dloss"})
// CHECK: %[[G:.*]] = moe.einsum ",td->td" %[[D]], %{{.*}} -> !spmd.tensor<6x4xf32, #mesh, tp: partial<sum>>
// CHECK: %[[R:.*]] = spmd.redistribute %[[G]] at "x" : !spmd.tensor<6x4xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<6x4xf32, #mesh>
// CHECK: return %{{.*}}, %[[R]]
func.func @partial_seed(%x: !x {spmd.name = "x"})
    -> (!l_ {spmd.name = "loss", spmd.grad_placement = #spmd.placements<tp: partial<sum>>}) {
  %0 = moe.einsum "td->" %x : (!x) -> !l_
  return %0 : !l_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!l_ = !spmd.tensor<6x4xf32, #mesh, tp: ?>

// A seed that is believed whole, and is not.
// expected-note @below {{wrong because of it: grad.x}}
func.func @claimed_seed(%x: !x {spmd.name = "x"})
    -> (!l_ {spmd.name = "y", spmd.grad_placement = #spmd.placements<tp: partial<sum>>}) {
  // expected-error @below {{[G1] the gradient at 'y' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'tp' here}}
  // expected-note @below {{help: or reduce it here}}
  %0 = spmd.boundary %x grad claims <> at "y" : !x -> !l_
  // expected-note @below {{it is an argument that is partial over 'tp' from outside}}
  return %0 : !l_
}

// -----

#mesh = #spmd.mesh<tp=2>
!i = !spmd.tensor<6x2xi32, #mesh>

// expected-error @below {{attribute 'spmd.grad_placement' of result 0 is on a tensor of 'i32', which has no gradient}}
func.func @integers(%i: !i) -> (!i {spmd.grad_placement = #spmd.placements<>}) {
  return %i : !i
}

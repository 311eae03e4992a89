// RUN: moe-opt %s --split-input-file --moe-check --verify-diagnostics | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!w = !spmd.tensor<6x8xf32, #mesh, tp: shard<0>>
!p = !spmd.tensor<4x6xf32, #mesh, tp: partial<sum>>

// Its derivative needs what it needs and the cotangent of a conversion, and what
// it declares becomes the gradients' placement.
// CHECK-LABEL: func.func @custom.vjp(
// CHECK-SAME: %[[X:[a-z0-9]+]]: !spmd.tensor<4x8xf32, #mesh> {{[^,]*}}, %[[W:[a-z0-9]+]]: {{.*}}, %[[DY:[a-z0-9]+]]: !spmd.tensor<4x6xf32, #mesh> {spmd.name = "dy"}
// CHECK: %[[DX:.*]] = spmd.opaque "mlp.vjp" %[[X]], %[[W]], %[[DY]] needs [<>, <tp: shard<0>>, <tp: replicate>] operand 0 :
// CHECK-SAME: -> !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>
// CHECK: %[[DW:.*]] = spmd.opaque "mlp.vjp" %[[X]], %[[W]], %[[DY]] needs [<>, <tp: shard<0>>, <tp: replicate>] operand 1 :
// CHECK-SAME: -> !spmd.tensor<6x8xf32, #mesh, tp: shard<0>>
// CHECK: spmd.redistribute %[[DX]] at "x" : !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<4x8xf32, #mesh>
func.func @custom(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}) -> (!p {spmd.name = "y"}) {
  %0 = spmd.opaque "mlp" %x, %w needs [<>, <tp: shard<0>>] grad [<tp: partial<sum>>, <tp: shard<0>>] : (!x, !w) -> !p
  return %0 : !p
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

// The cotangent of a replicated result arrives whole, where terms are needed.
// expected-note @below {{wrong because of it: grad.x}}
func.func @needs_terms(%x: !x {spmd.name = "x"}) -> (!x {spmd.name = "y"}) {
  // expected-note @below {{help: convert an operand with spmd.redistribute}}
  // expected-error @below {{[R7] 'spmd.opaque' (backward) over 'tp': operand 1 is replicate, but it is declared to need partial<sum> [rule 10.17]}}
  %0 = spmd.opaque "f" %x needs [<>] grad [<>] : (!x) -> !x
  // expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @stated(%x: !x {spmd.name = "x"}) -> (!x {spmd.name = "y"}) {
  %0 = spmd.opaque "f" %x needs [<>] grad [<>] dy <> : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @silent(%x: !x {spmd.name = "x"}) -> (!x {spmd.name = "y"}) {
  // expected-error @below {{[A1] 'spmd.opaque' has no derivative, and a gradient has to pass through it; help: declare how its gradients lie (`grad`), or mark the arguments before it spmd.no_grad}}
  %0 = spmd.opaque "f" %x needs [<>] : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @body(%x: !x {spmd.name = "x"}) -> (!x {spmd.name = "y"}) {
  // expected-error @below {{[A1] 'spmd.compute' has no derivative, and a gradient has to pass through it}}
  %0 = spmd.compute %x : (!x) -> !x {
  ^bb0(%a: tensor<4x8xf32>):
    %0 = arith.negf %a : tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !x
}

// RUN: moe-opt %s --split-input-file --verify-diagnostics | moe-opt | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<6x8xf32, #mesh>
!p = !spmd.tensor<4x6xf32, #mesh, tp: partial<sum>>

// CHECK-LABEL: func.func @forms
// CHECK: %[[Y:.*]] = spmd.compute %{{.*}}, %{{.*}} :
// CHECK-SAME: -> !spmd.tensor<4x8xf32, #mesh, tp: shard<1>> {
// CHECK-NEXT: ^bb0(%[[A:.*]]: tensor<4x8xf32>, %[[B:.*]]: tensor<4x8xf32>):
// CHECK-NEXT:   %[[S:.*]] = arith.addf %[[A]], %[[B]] : tensor<4x8xf32>
// CHECK-NEXT:   spmd.yield %[[S]] : tensor<4x8xf32>
// CHECK: spmd.opaque "flash" %{{.*}}, %{{.*}} needs [<tp: shard<1>>, <>] grad [<tp: shard<1>>, <tp: partial<sum>>] dy <tp: partial<avg>> :
// CHECK: spmd.opaque "flash.vjp" %{{.*}} needs [<tp: shard<1>>] operand 1 :
func.func @forms(%x: !x, %w: !w) -> !p {
  %0 = spmd.compute %x, %x : (!x, !x) -> !x {
  ^bb0(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>):
    %s = arith.addf %a, %b : tensor<4x8xf32>
    spmd.yield %s : tensor<4x8xf32>
  }
  %1 = spmd.opaque "flash" %0, %w needs [<tp: shard<1>>, <>] grad [<tp: shard<1>>, <tp: partial<sum>>] dy <tp: partial<avg>>
      : (!x, !w) -> !p
  %2 = spmd.opaque "flash.vjp" %0 needs [<tp: shard<1>>] operand 1 : (!x) -> !p
  return %1 : !p
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @arguments(%x: !x) -> !x {
  // expected-error @below {{(U1) operand 0 is 'tensor<4x8xf32>', but the argument of the body is 'tensor<4x4xf32>'}}
  %0 = spmd.compute %x : (!x) -> !x {
  ^bb0(%a: tensor<4x4xf32>):
    %s = tensor.empty() : tensor<4x8xf32>
    spmd.yield %s : tensor<4x8xf32>
  }
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @number(%x: !x) -> !x {
  // expected-error @below {{(U1) has 1 operands, but its body has 0 arguments}}
  %0 = spmd.compute %x : (!x) -> !x {
    %s = tensor.empty() : tensor<4x8xf32>
    spmd.yield %s : tensor<4x8xf32>
  }
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @yields(%x: !x) -> !x {
  // expected-error @below {{(U2) has to yield one 'tensor<4x8xf32>', not 'tensor<8x4xf32>'}}
  %0 = spmd.compute %x : (!x) -> !x {
  ^bb0(%a: tensor<4x8xf32>):
    %s = tensor.empty() : tensor<8x4xf32>
    spmd.yield %s : tensor<8x4xf32>
  }
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @nothing() -> !x {
  // expected-error @below {{(U3) has no operand; help: a value that is computed from nothing has no mesh to lie on}}
  %0 = spmd.compute : () -> !x {
    %s = tensor.empty() : tensor<4x8xf32>
    spmd.yield %s : tensor<4x8xf32>
  }
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
#other = #spmd.mesh<ep=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!y = !spmd.tensor<4x8xf32, #other>

func.func @meshes(%x: !x, %y: !y) -> !x {
  // expected-error @below {{(U3) has values on two meshes: #spmd.mesh<tp=2> and #spmd.mesh<ep=2>}}
  %0 = spmd.opaque "f" %x, %y needs [<>, <>] : (!x, !y) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @entries(%x: !x) -> !x {
  // expected-error @below {{(O1) has 1 operands, but `needs` has 2 entries}}
  %0 = spmd.opaque "f" %x needs [<>, <>] : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @axes(%x: !x) -> !x {
  // expected-error @below {{(O1) entry 0 of `grad`: the mesh has no axis 'ep'; it has 'tp'}}
  %0 = spmd.opaque "f" %x needs [<>] grad [<ep: shard<0>>] : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @nothing_declared(%x: !x) -> !x {
  // expected-error @below {{(O1) entry 0 of `needs`: `?` declares nothing}}
  %0 = spmd.opaque "f" %x needs [<tp: ?>] : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!x_ = !spmd.tensor<4x8xf32, #mesh, tp: ?>

func.func @result(%x: !x) -> !x_ {
  // expected-error @below {{(O2) says nothing of how its result lies; help: no rule can, state a placement per axis}}
  %0 = spmd.opaque "f" %x needs [<>] : (!x) -> !x_
  return %0 : !x_
}

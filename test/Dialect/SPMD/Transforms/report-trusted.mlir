// RUN: moe-opt %s --split-input-file --spmd-report-trusted --verify-diagnostics | FileCheck %s
// RUN: not moe-opt %s --split-input-file --moe-check --spmd-report-trusted 2>&1 | FileCheck %s --check-prefix=JOINT

#mesh = #spmd.mesh<dp=1, tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>

// Changes nothing, and an axis of one rank is nothing to trust.
// CHECK-LABEL: func.func @opaque
// CHECK: spmd.opaque "flash"

// JOINT: remark: trusted: argument 'x' is replicate over 'tp'
// JOINT: remark: trusted: the gradient of 'x' is left partial<sum> over 'tp'
// JOINT: remark: trusted: argument 'dy' is replicate over 'tp'
// JOINT: remark: trusted: the result of 'flash' is partial<sum> over 'tp'
// JOINT: remark: trusted: the gradient of operand 0 by 'flash.vjp' is partial<sum> over 'tp'
// JOINT: remark: 'opaque.vjp' rests on 5 placements that nothing checks
// JOINT-NOT: remark: 'opaque' rests

// expected-remark @below {{trusted: argument 'x' is replicate over 'tp'}}
// expected-remark @below {{trusted: the gradient of 'x' is left partial<sum> over 'tp'}}
// expected-remark @below {{'opaque' rests on 4 placements that nothing checks}}
func.func @opaque(%x: !x {spmd.name = "x", spmd.grad_placement = #spmd.placements<tp: partial<sum>>}) -> (!p {spmd.name = "y"}) {
  // expected-remark @below {{trusted: the result of 'flash' is partial<sum> over 'tp'}}
  // expected-remark @below {{trusted: the gradient of operand 0 by 'flash' is partial<sum> over 'tp'}}
  %0 = spmd.opaque "flash" %x needs [<>] grad [<tp: partial<sum>>] : (!x) -> !p
  return %0 : !p
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>

// What is not seen is trusted; what is, is not. Nobody else calls a private
// function.
func.func private @unseen(!x) -> !p
// expected-remark @below {{'seen' rests on 0 placements that nothing checks}}
func.func private @seen(%p: !p) -> !p {
  return %p : !p
}
// expected-remark @below {{trusted: argument 'arg0' is replicate over 'tp'}}
// expected-remark @below {{'calls' rests on 2 placements that nothing checks}}
func.func @calls(%x: !x) -> !p {
  // expected-remark @below {{trusted: result 0 of '@unseen' is partial<sum> over 'tp'}}
  %0 = func.call @unseen(%x) : (!x) -> !p
  %1 = func.call @seen(%0) : (!p) -> !p
  return %1 : !p
}

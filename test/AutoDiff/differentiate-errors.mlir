// RUN: moe-opt %s --moe-differentiate --allow-unregistered-dialect -split-input-file -verify-diagnostics

#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>
func.func @no_derivative(%a: !A, %b: !A) -> !A {
  // expected-error @below {{[A1] 'moe.silu_vjp' has no derivative, and a gradient has to pass through it; help: give it DifferentiableOpInterface, or mark the arguments before it spmd.no_grad}}
  %0 = moe.silu_vjp %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// -----

// Nothing wants a gradient here.
#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>
func.func @no_gradient(%a: !A {spmd.no_grad}, %b: !A {spmd.no_grad}) -> !A {
  %0 = moe.silu_vjp %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// -----

#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>
func.func @unknown(%a: !A) -> !spmd.tensor<6x4xf32, #mesh, tp: ?> {
  // expected-error @below {{[A2] its placement is not known yet; help: run spmd-infer-placements first}}
  %0 = moe.silu %a : (!A) -> !spmd.tensor<6x4xf32, #mesh, tp: ?>
  return %0 : !spmd.tensor<6x4xf32, #mesh, tp: ?>
}

// -----

#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>
// expected-error @below {{[A1] cannot differentiate a function with several blocks; help: use structured operations}}
func.func @blocks(%a: !A) -> !A {
  cf.br ^bb1
^bb1:
  return %a : !A
}

// -----

#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>
func.func @end(%a: !A) -> !A {
  // expected-error @below {{[A1] cannot differentiate a function that does not end in func.return; help: end it so}}
  "other.end"(%a) : (!A) -> ()
}

// RUN: moe-opt %s --spmd-check-requirements -split-input-file -verify-diagnostics

#mesh = #spmd.mesh<dp=2, tp=4, pp=1>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
func.func @missing.vjp(%w: !R {spmd.name = "w"}, %a: !P)
    -> (!P {spmd.name = "y"}, !P {spmd.name = "grad.w"}) {
  // expected-error @below {{[Q1] the gradient of 'w' leaves as partial<sum> over 'tp', but has to be replicate: each rank would go on with its own term}}
  // expected-note @below {{help: convert it before it is returned (spmd.redistribute), or say on the argument how its gradient is left (spmd.grad_placement)}}
  %0 = moe.scale %a by 2.0 : (!P) -> !P
  return %0, %0 : !P, !P
}

// -----

// Replicas are their own mean.
#mesh = #spmd.mesh<tp=4>
!R = !spmd.tensor<8x6xf32, #mesh>
func.func @mean.vjp(%w: !R {spmd.name = "w", spmd.grad_placement = #spmd.placements<tp: partial<avg>>}) -> (!R {spmd.name = "grad.w"}) {
  return %w : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4, pp=1>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
!P1 = !spmd.tensor<8x6xf32, #mesh, pp: partial<sum>>
// As the attribute says; over an axis of one rank all is the same; the gradient
// of nothing known; a name of another thing.
func.func @met.vjp(%w: !R {spmd.name = "w", spmd.grad_placement = #spmd.placements<tp: partial<sum>>},
                   %v: !R {spmd.name = "v"}, %a: !P, %b: !P1)
    -> (!P {spmd.name = "grad.w"}, !P1 {spmd.name = "grad.v"}, !P {spmd.name = "grad.u"},
        !P {spmd.name = "v"}, !P {spmd.name = "grad.arg2"}) {
  return %a, %b, %a, %a, %a : !P, !P1, !P, !P, !P
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4, pp=1>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
!S = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
// One error for a gradient, whatever the axes, also of arguments without a name.
func.func @several.vjp(%w: !R {spmd.name = "w", spmd.grad_placement = #spmd.placements<tp: partial<sum>>}, %v: !S)
    -> (!S {spmd.name = "grad.w"}, !P {spmd.name = "grad.arg1"}) {
  // expected-error @below {{[Q1] the gradient of 'w' leaves as shard<0> over 'dp', but has to be replicate, and replicate over 'tp', but has to be partial<sum>}}
  // expected-note @below {{help: convert it}}
  %0 = spmd.redistribute %w : !R -> !S
  // expected-error @below {{[Q1] the gradient of 'arg1' leaves as replicate over 'dp', but has to be shard<0>, and partial<sum> over 'tp', but has to be replicate: each rank would go on with its own term}}
  // expected-note @below {{help: convert it}}
  %1 = spmd.redistribute %w : !R -> !P
  return %0, %1 : !S, !P
}

// -----

#mesh = #spmd.mesh<tp=4>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
func.func @argument.vjp(%w: !R {spmd.name = "w"}, %g: !P) -> (!P {spmd.name = "grad.w"}) {
  // expected-error @below {{[Q1] the gradient of 'w' leaves as partial<sum>}}
  // expected-note @below {{help: convert it}}
  return %g : !P
}

// RUN: moe-opt %s --spmd-defer-reductions -verify-diagnostics

#mesh = #spmd.mesh<tp=2>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>

// expected-error @below {{it makes false claims; help: run spmd-verify-gradients and see its errors}}
func.func @false_claim(%a: !P) -> !R {
  %0 = spmd.claim %a : !P -> !R
  return %0 : !R
}

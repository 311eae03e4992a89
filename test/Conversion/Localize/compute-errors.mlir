// RUN: moe-opt %s --split-input-file --spmd-localize --verify-diagnostics

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @body(%x: !x) -> !x {
  // expected-error @below {{'spmd.compute' is checked, but not compiled; help: write it with operations of moe, or run it with moe-run --backend reference}}
  %0 = spmd.compute %x : (!x) -> !x {
  ^bb0(%a: tensor<4x8xf32>):
    %0 = arith.negf %a : tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>

func.func @opaque(%x: !x) -> !x {
  // expected-error @below {{'spmd.opaque' is checked, but not compiled}}
  %0 = spmd.opaque "f" %x needs [<>] : (!x) -> !x
  return %0 : !x
}

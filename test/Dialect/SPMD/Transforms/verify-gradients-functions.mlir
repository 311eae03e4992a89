// RUN: not moe-opt %s --spmd-verify-gradients=try-repairs=false 2> %t.threads
// RUN: not moe-opt %s --spmd-verify-gradients=try-repairs=false --mlir-disable-threading 2> %t.one
// RUN: diff %t.threads %t.one
// RUN: FileCheck %s --input-file %t.one --implicit-check-not=error:

// Functions are verified at the same time and reported in their order, each
// claim once however many are alike.
#mesh = #spmd.mesh<dp=2, tp=2>
!R = !spmd.tensor<8x12xf32, #mesh>
!P = !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>

func.func @first(%p: !P) -> !R {
  // CHECK: :[[#@LINE+1]]:8: error: [G1] this value is claimed replicate over 'tp', but is partial<sum>
  %0 = spmd.claim %p : !P -> !R
  return %0 : !R
}

func.func @true(%p: !P) -> !P {
  %0 = spmd.claim %p : !P -> !P
  return %0 : !P
}

// What follows from both claims is told of both.
func.func @second(%p: !P) -> (!R, !R) {
  // CHECK: :[[#@LINE+1]]:8: error: [G1] this value is claimed replicate over 'tp', but is partial<sum>
  %0 = spmd.claim %p : !P -> !R
  // CHECK: note: wrong because of it: result 0, result 1
  %1 = spmd.redistribute %0 : !R -> !P
  // CHECK: :[[#@LINE+1]]:8: error: [G1] this value is claimed replicate over 'tp', but is partial<sum>
  %2 = spmd.claim %1 : !P -> !R
  // CHECK: note: wrong because of it: result 1
  return %0, %2 : !R, !R
}

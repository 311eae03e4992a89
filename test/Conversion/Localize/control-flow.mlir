// RUN: not moe-opt %s --spmd-localize --split-input-file 2>/dev/null | FileCheck %s
// RUN: not moe-opt %s --spmd-localize=straight-line --split-input-file 2>&1 | FileCheck %s --check-prefix=STRAIGHT

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!r = !spmd.tensor<8x4xf32, #mesh>

// A private function becomes part of those that call it.
// CHECK-NOT: @twice
func.func private @twice(%x: !x) -> !x {
  %0 = moe.scale %x by 2.0 : (!x) -> !x
  return %0 : !x
}

// CHECK-LABEL: func.func @loop(
// CHECK: scf.for {{.*}} -> (tensor<4x4xf32>)
// CHECK: linalg.generic
// CHECK: scf.if {{.*}} -> (tensor<4x4xf32>)
// CHECK: scf.yield %{{.*}} : tensor<4x4xf32>
// CHECK: moert.all_gather
// STRAIGHT: control-flow.mlir:[[#@LINE + 6]]:8: error: 'scf.for' is compiled for the CPU only; help: unroll it, or use --target cpu
func.func @loop(%x: !x) -> !r {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %three = arith.constant 3 : index
  // Each rank goes on with its own part.
  %0 = scf.for %i = %zero to %three step %one iter_args(%y = %x) -> !x {
    %1 = func.call @twice(%y) : (!x) -> !x
    %2 = arith.cmpi eq, %i, %one : index
    %3 = scf.if %2 -> !x {
      scf.yield %1 : !x
    } else {
      %4 = moe.silu %1 : (!x) -> !x
      scf.yield %4 : !x
    }
    scf.yield %3 : !x
  }
  %5 = spmd.redistribute %0 : !x -> !r
  return %5 : !r
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func private @unseen(!x) -> !x
func.func @call(%x: !x) -> !x {
  // STRAIGHT: control-flow.mlir:[[#@LINE + 1]]:8: error: cannot inline '@unseen': it has no body; help: declare what it does with spmd.opaque
  %0 = func.call @unseen(%x) : (!x) -> !x
  return %0 : !x
}

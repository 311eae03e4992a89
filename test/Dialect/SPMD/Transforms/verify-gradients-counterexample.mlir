// RUN: not moe-opt %s --spmd-verify-gradients=counterexample --split-input-file 2>&1 | FileCheck %s
// RUN: not moe-opt %s --moe-check="counterexample try-repairs=false" --split-input-file 2>&1 | FileCheck %s --implicit-check-not=help:
// RUN: not moe-opt %s --spmd-verify-gradients=try-repairs=false --split-input-file 2>&1 | FileCheck %s --check-prefix=OFF --implicit-check-not=help: --implicit-check-not="note: counterexample"

// OFF: error: [G1]

// What the reference computed, on 2 ranks of the axis at fault.

#mesh = #spmd.mesh<dp=2, tp=4>
!X = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!P = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
!H = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
// CHECK: [G1] this value is claimed replicate over 'tp', but is partial<sum>
// CHECK: note: counterexample on 2 ranks of 'tp': w = {{\[}}[3], [0]], dh = {{\[}}[1, 0]]: rank 0 has {{\[}}[3]], rank 1 has {{\[}}[0]]; as replicate each would have {{\[}}[3]]
func.func @missing.vjp(%w: !W {spmd.name = "w"}, %dh: !H {spmd.name = "dh"}) -> !X {
  %0 = moe.einsum "tf,fd->td" %dh, %w : (!H, !W) -> !P
  %1 = spmd.claim %0 : !P -> !X
  return %1 : !X
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: [G2] this value is claimed partial<sum> over 'tp', but is replicate
// CHECK: note: counterexample on 2 ranks of 'tp': arg0 = {{\[}}[3]]: rank 0 has {{\[}}[3]], rank 1 has {{\[}}[3]]; as partial<sum> they mean {{\[}}[6]], but one device has {{\[}}[3]]
func.func @too_many.vjp(%r: !R) -> !R {
  %0 = spmd.claim %r : !R -> !P
  %1 = spmd.redistribute %0 : !P -> !R
  return %1 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!S0 = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
// CHECK: [G3] this value is claimed shard<1> over 'tp', but is shard<0>
// CHECK: note: counterexample on 2 ranks of 'tp': arg0 = {{.*}}: rank 0 has {{.*}}, rank 1 has {{.*}}; as shard<1> rank 0 would have {{.*}}, rank 1 would have
func.func @otherwise.vjp(%s: !S0) -> !S1 {
  %0 = spmd.claim %s : !S0 -> !S1
  return %0 : !S1
}

// -----

// A sum without meaning, relied on by a conversion.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: [G5]
// CHECK: note: counterexample on 2 ranks of 'tp': r = {{\[}}[{{[123]}}]], other arguments 0: {{.*}}; as partial<sum> they mean
func.func @mixed.vjp(%p: !P {spmd.name = "p"}, %r: !R {spmd.name = "r"}) -> !R {
  %0 = moe.add %r, %p : (!R, !P) -> !P
  %1 = spmd.redistribute %0 : !P -> !R
  return %1 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
// CHECK: [T1]
// CHECK: note: counterexample on 2 ranks of 'tp': {{.*}}; as replicate each would have
func.func @typed.vjp(%x: !spmd.tensor<8x6xf32, #mesh, tp: shard<1>>, %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>) -> !R {
  %0 = moe.einsum "tf,fd->td" %x, %w
      : (!spmd.tensor<8x6xf32, #mesh, tp: shard<1>>, !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>) -> !R
  return %0 : !R
}

// -----

// No data shows what the reference can't place: rows cut by expert.
#mesh = #spmd.mesh<tp=2>
!N = !spmd.tensor<16x4xf32, #mesh, tp: ragged<0>>
!R = !spmd.tensor<16x4xf32, #mesh>
// CHECK: [G3]
// CHECK: note: counterexample on 2 ranks of 'tp': none in 64 runs
func.func @rows.vjp(%n: !N) -> !R {
  %0 = spmd.claim %n : !N -> !R
  return %0 : !R
}

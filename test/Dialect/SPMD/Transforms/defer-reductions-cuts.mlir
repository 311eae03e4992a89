// RUN: moe-opt %s --spmd-defer-reductions | FileCheck %s --check-prefixes=CHECK,CUT
// RUN: moe-opt %s --spmd-defer-reductions=policy=boundary | FileCheck %s --check-prefixes=CHECK,KEPT
// RUN: moe-opt %s --spmd-defer-reductions=policy=eager | FileCheck %s --check-prefixes=CHECK,KEPT

// Values that are cut, and that the program gathers or pads.

#mesh = #spmd.mesh<tp=4>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
!S = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>

// What is gathered and then cut is not gathered.
// CHECK-LABEL: func.func @slice_again
func.func @slice_again(%x: !S) -> !S {
  // CUT-NEXT: %[[Y:.*]] = moe.silu %arg0 : ({{.*}}tp: shard<0>>) -> {{.*}}tp: shard<0>>
  // CUT-NEXT: return %[[Y]]
  // KEPT-NEXT: %[[X:.*]] = spmd.redistribute %arg0
  // KEPT-NEXT: moe.silu %[[X]] : (!spmd.tensor<8x6xf32, #mesh>)
  %0 = spmd.redistribute %x : !S -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = spmd.redistribute %1 : !R -> !S
  return %2 : !S
}

// What is padded and then scattered is neither.
// CHECK-LABEL: func.func @pad
func.func @pad(%x: !S, %a: !S) -> !S {
  // CUT-NEXT: %[[Y:.*]] = moe.add %arg0, %arg1 : {{.*}} -> {{.*}}tp: shard<0>>
  // CUT-NEXT: return %[[Y]]
  %0 = spmd.redistribute %x : !S -> !P
  %1 = spmd.redistribute %a : !S -> !P
  %2 = moe.add %0, %1 : (!P, !P) -> !P
  %3 = spmd.redistribute %2 : !P -> !S
  return %3 : !S
}

// A padded value joins terms that have to be summed.
// CHECK-LABEL: func.func @join
func.func @join(%x: !S, %a: !P) -> !R {
  // CUT: %[[X:.*]] = spmd.redistribute %arg0 : {{.*}}tp: shard<0>> -> {{.*}}partial<sum>>
  // CUT-NEXT: %[[Y:.*]] = moe.add %[[X]], %arg1
  // CUT-NEXT: %[[R:.*]] = spmd.redistribute %[[Y]]
  // CUT-NEXT: return %[[R]]
  // KEPT: spmd.redistribute %arg0
  %0 = spmd.redistribute %x : !S -> !R
  %1 = spmd.redistribute %a : !P -> !R
  %2 = moe.add %0, %1 : (!R, !R) -> !R
  return %2 : !R
}

// The small result is gathered, not the large operand.
// CHECK-LABEL: func.func @late
func.func @late(%x: !spmd.tensor<8192x600xf32, #mesh, tp: shard<0>>,
                %w: !spmd.tensor<128x600xf32, #mesh>) -> !spmd.tensor<8192x128xf32, #mesh> {
  // CUT-NEXT: %[[Y:.*]] = moe.einsum "td,fd->tf" %arg0, %arg1
  // CUT-NEXT: %[[R:.*]] = spmd.redistribute %[[Y]] {{.*}}8192x128xf32, #mesh, tp: shard<0>> ->
  // CUT-NEXT: return %[[R]]
  // KEPT-NEXT: spmd.redistribute %arg0
  %0 = spmd.redistribute %x : !spmd.tensor<8192x600xf32, #mesh, tp: shard<0>> -> !spmd.tensor<8192x600xf32, #mesh>
  %1 = moe.einsum "td,fd->tf" %0, %w : (!spmd.tensor<8192x600xf32, #mesh>, !spmd.tensor<128x600xf32, #mesh>) -> !spmd.tensor<8192x128xf32, #mesh>
  return %1 : !spmd.tensor<8192x128xf32, #mesh>
}

// A sum over the dimension that is cut is reduced in place of its operands being
// gathered.
// CHECK-LABEL: func.func @contract
func.func @contract(%x: !spmd.tensor<80x6xf32, #mesh, tp: shard<0>>,
                    %y: !spmd.tensor<80x4xf32, #mesh, tp: shard<0>>) -> !spmd.tensor<6x4xf32, #mesh> {
  // CUT-NEXT: %[[Z:.*]] = moe.einsum "td,te->de" %arg0, %arg1 : {{.*}} -> {{.*}}partial<sum>>
  // CUT-NEXT: %[[R:.*]] = spmd.redistribute %[[Z]]
  // CUT-NEXT: return %[[R]]
  // KEPT-COUNT-2: spmd.redistribute %arg{{[01]}}
  %0 = spmd.redistribute %x : !spmd.tensor<80x6xf32, #mesh, tp: shard<0>> -> !spmd.tensor<80x6xf32, #mesh>
  %1 = spmd.redistribute %y : !spmd.tensor<80x4xf32, #mesh, tp: shard<0>> -> !spmd.tensor<80x4xf32, #mesh>
  %2 = moe.einsum "td,te->de" %0, %1 : (!spmd.tensor<80x6xf32, #mesh>, !spmd.tensor<80x4xf32, #mesh>) -> !spmd.tensor<6x4xf32, #mesh>
  return %2 : !spmd.tensor<6x4xf32, #mesh>
}

// A claim needs the very value that the program gives it.
// CHECK-LABEL: func.func @claimed
func.func @claimed(%x: !S) -> !S {
  // CHECK: %[[X:.*]] = spmd.redistribute %arg0
  // CHECK: spmd.claim %[[X]]
  %0 = spmd.redistribute %x : !S -> !R
  %1 = spmd.claim %0 at "x" : !R -> !R
  %2 = spmd.redistribute %1 : !R -> !S
  return %2 : !S
}

// Terms that a claim is about stay the padded ones.
// CHECK-LABEL: func.func @claimed_terms
func.func @claimed_terms(%x: !S) -> !S {
  // CHECK: %[[X:.*]] = spmd.redistribute %arg0 : {{.*}} -> {{.*}}partial<sum>>
  // CHECK: %[[Y:.*]] = moe.scale %[[X]]
  // CHECK: %[[C:.*]] = spmd.claim %[[Y]]
  // CHECK: spmd.redistribute %[[C]]
  %0 = spmd.redistribute %x : !S -> !P
  %1 = moe.scale %0 by 2.0 : (!P) -> !P
  %2 = spmd.claim %1 at "x" : !P -> !P
  %3 = spmd.redistribute %2 : !P -> !S
  return %3 : !S
}

// Uneven parts stay gathered where they are.
// CHECK-LABEL: func.func @uneven
func.func @uneven(%x: !spmd.tensor<10x6xf32, #mesh, tp: shard<0>>) -> !spmd.tensor<10x6xf32, #mesh, tp: shard<0>> {
  // CHECK: %[[X:.*]] = spmd.redistribute %arg0
  // CHECK: moe.silu %[[X]] : (!spmd.tensor<10x6xf32, #mesh>)
  %0 = spmd.redistribute %x : !spmd.tensor<10x6xf32, #mesh, tp: shard<0>> -> !spmd.tensor<10x6xf32, #mesh>
  %1 = moe.silu %0 : (!spmd.tensor<10x6xf32, #mesh>) -> !spmd.tensor<10x6xf32, #mesh>
  %2 = spmd.redistribute %1 : !spmd.tensor<10x6xf32, #mesh> -> !spmd.tensor<10x6xf32, #mesh, tp: shard<0>>
  return %2 : !spmd.tensor<10x6xf32, #mesh, tp: shard<0>>
}

// What is whole elsewhere, too, is gathered once.
// CHECK-LABEL: func.func @both
func.func @both(%x: !S) -> (!S, !R) {
  // CUT-DAG: %[[X:.*]] = spmd.redistribute %arg0
  // CUT-DAG: %[[Y:.*]] = moe.silu %arg0
  // CUT: return %[[Y]], %[[X]]
  %0 = spmd.redistribute %x : !S -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = spmd.redistribute %1 : !R -> !S
  return %2, %0 : !S, !R
}

#two = #spmd.mesh<dp=2, tp=4>
!DT = !spmd.tensor<8x12xf32, #two, dp: shard<0>, tp: shard<1>>
!D = !spmd.tensor<8x12xf32, #two, dp: shard<0>>
!W = !spmd.tensor<8x12xf32, #two>

// Each axis for itself: one is gathered, the other is not.
// CHECK-LABEL: func.func @two_axes
func.func @two_axes(%x: !DT) -> !D {
  // CUT-NEXT: %[[Y:.*]] = moe.silu %arg0
  // CUT-NEXT: %[[Z:.*]] = spmd.redistribute %[[Y]] : {{.*}} -> !spmd.tensor<8x12xf32, #mesh{{.*}}, dp: shard<0>>
  // CUT-NEXT: return %[[Z]]
  %0 = spmd.redistribute %x : !DT -> !W
  %1 = moe.silu %0 : (!W) -> !W
  %2 = spmd.redistribute %1 : !W -> !D
  return %2 : !D
}

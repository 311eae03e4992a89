// RUN: moe-opt %s --spmd-defer-reductions | FileCheck %s --check-prefixes=CHECK,CUT
// RUN: moe-opt %s --spmd-defer-reductions=policy=boundary | FileCheck %s --check-prefixes=CHECK,BOUNDARY
// RUN: moe-opt %s --spmd-defer-reductions=policy=eager | FileCheck %s --check-prefixes=CHECK,EAGER
// RUN: not moe-opt %s --spmd-defer-reductions=policy=late 2>&1 | FileCheck %s --check-prefix=POLICY

// POLICY: error: unknown policy 'late'; help: use min-cut, boundary or eager

#mesh = #spmd.mesh<tp=4>
!R = !spmd.tensor<8x6xf32, #mesh>
!P = !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
!S = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>

// Two reductions of terms become one of the sum.
// CHECK-LABEL: func.func @merge
func.func @merge(%a: !P, %b: !P) -> !R {
  // CUT: %[[SUM:.*]] = moe.add %arg0, %arg1 {{.*}} -> !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
  // CUT-NEXT: %[[R:.*]] = spmd.redistribute %[[SUM]] at "b"
  // CUT-NEXT: return %[[R]]
  // BOUNDARY: %[[SUM:.*]] = moe.add %arg0, %arg1
  // BOUNDARY-NEXT: spmd.redistribute %[[SUM]]
  // EAGER-DAG: spmd.redistribute %arg0
  // EAGER-DAG: spmd.redistribute %arg1
  // EAGER: moe.add %{{.*}}, %{{.*}} : (!spmd.tensor<8x6xf32, #mesh>, !spmd.tensor<8x6xf32, #mesh>)
  %0 = spmd.redistribute %a at "a" : !P -> !R
  %1 = spmd.redistribute %b at "b" : !P -> !R
  %2 = moe.add %0, %1 : (!R, !R) -> !R
  %3 = spmd.redistribute %2 at "b" : !R -> !R
  return %3 : !R
}

// What is reduced and then cut is reduced and scattered.
// CHECK-LABEL: func.func @scatter
func.func @scatter(%a: !P) -> !S {
  // CUT: spmd.redistribute %arg0 : {{.*}}partial<sum>> -> {{.*}}shard<0>>
  // CUT-NEXT: return
  // BOUNDARY: spmd.redistribute %arg0 : {{.*}}partial<sum>> -> {{.*}}shard<0>>
  %0 = spmd.redistribute %a : !P -> !R
  %1 = spmd.redistribute %0 : !R -> !S
  return %1 : !S
}

// A replicated term joins the sum on one rank.
// CHECK-LABEL: func.func @join
func.func @join(%a: !P, %b: !R) -> !S {
  // CUT: %[[B:.*]] = spmd.redistribute %arg1 : !spmd.tensor<8x6xf32, #mesh> -> {{.*}}partial<sum>>
  // CUT-NEXT: %[[SUM:.*]] = moe.add %arg0, %[[B]]
  // CUT-NEXT: spmd.redistribute %[[SUM]] : {{.*}}partial<sum>> -> {{.*}}shard<0>>
  %0 = spmd.redistribute %a : !P -> !R
  %1 = moe.add %0, %b : (!R, !R) -> !R
  %2 = spmd.redistribute %1 : !R -> !S
  return %2 : !S
}

// The cheapest place is before the large product, not at its result.
// CHECK-LABEL: func.func @small
func.func @small(%a: !spmd.tensor<8x2xf32, #mesh, tp: partial<sum>>,
                 %w: !spmd.tensor<2x60xf32, #mesh>) -> !spmd.tensor<8x60xf32, #mesh> {
  // CUT: %[[A:.*]] = spmd.redistribute %arg0
  // CUT-NEXT: moe.einsum "td,df->tf" %[[A]], %arg1
  // CUT-NEXT: return
  // BOUNDARY: %[[Y:.*]] = moe.einsum "td,df->tf" %arg0, %arg1
  // BOUNDARY-NEXT: spmd.redistribute %[[Y]]
  %0 = moe.einsum "td,df->tf" %a, %w
      : (!spmd.tensor<8x2xf32, #mesh, tp: partial<sum>>, !spmd.tensor<2x60xf32, #mesh>)
      -> !spmd.tensor<8x60xf32, #mesh, tp: partial<sum>>
  %1 = spmd.redistribute %0 : !spmd.tensor<8x60xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<8x60xf32, #mesh>
  return %1 : !spmd.tensor<8x60xf32, #mesh>
}

// A claim is a barrier: what it says is Partial stays so, and so do its terms.
// CHECK-LABEL: func.func @barrier
func.func @barrier(%a: !P, %b: !P) -> !R {
  // CHECK: %[[SUM:.*]] = moe.add %arg0, %arg1
  // CHECK-NEXT: %[[C:.*]] = spmd.claim %[[SUM]]
  // CHECK-NEXT: %[[R:.*]] = spmd.redistribute %[[C]]
  // CHECK-NEXT: return %[[R]]
  %0 = moe.add %a, %b : (!P, !P) -> !P
  %1 = spmd.claim %0 : !P -> !P
  %2 = spmd.redistribute %1 : !P -> !R
  return %2 : !R
}

// A nonlinear operation needs the reduced value; of a product's two factors one
// may stay partial.
// CHECK-LABEL: func.func @nonlinear
func.func @nonlinear(%a: !P, %b: !P) -> !R {
  // CHECK: %[[A:.*]] = spmd.redistribute %arg0
  // CHECK: moe.silu
  // CHECK: moe.mul
  // CUT-SAME: -> !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
  // BOUNDARY-SAME: -> !spmd.tensor<8x6xf32, #mesh, tp: partial<sum>>
  // EAGER-SAME: (!spmd.tensor<8x6xf32, #mesh>, !spmd.tensor<8x6xf32, #mesh>)
  %0 = spmd.redistribute %a : !P -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = spmd.redistribute %b : !P -> !R
  %3 = moe.mul %0, %2 : (!R, !R) -> !R
  %4 = moe.add %1, %3 : (!R, !R) -> !R
  return %4 : !R
}

// Two axes that are reduced in one place are one collective.
#grid = #spmd.mesh<dp=2, tp=4>
!PP = !spmd.tensor<8x6xf32, #grid, dp: partial<sum>, tp: partial<sum>>
!RR = !spmd.tensor<8x6xf32, #grid>
// CHECK-LABEL: func.func @axes
func.func @axes(%a: !PP, %b: !PP) -> !RR {
  // CUT: %[[SUM:.*]] = moe.add %arg0, %arg1
  // CUT-SAME: -> !spmd.tensor<8x6xf32, #mesh{{1?}}, dp: partial<sum>, tp: partial<sum>>
  // CUT-NEXT: spmd.redistribute %[[SUM]] : {{.*}}dp: partial<sum>, tp: partial<sum>> -> !spmd.tensor<8x6xf32, #mesh1>
  // CUT-NEXT: return
  %0 = moe.add %a, %b : (!PP, !PP) -> !PP
  %1 = spmd.redistribute %0 : !PP -> !spmd.tensor<8x6xf32, #grid, dp: partial<sum>>
  %2 = spmd.redistribute %1 : !spmd.tensor<8x6xf32, #grid, dp: partial<sum>> -> !RR
  return %2 : !RR
}

// What is cut in the end is cut as soon as its terms are summed, and computed so.
!RS = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
// CHECK-LABEL: func.func @cut_early
func.func @cut_early(%a: !P, %b: !R) -> !RS {
  // CUT: %[[A:.*]] = spmd.redistribute %arg0 : {{.*}}partial<sum>> -> {{.*}}shard<0>>
  // CUT-NEXT: %[[B:.*]] = moe.silu %[[A]] : {{.*}} -> !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
  // CUT-NEXT: %[[C:.*]] = spmd.redistribute %arg1 : {{.*}} -> {{.*}}shard<0>>
  // CUT-NEXT: %[[D:.*]] = moe.mul %[[B]], %[[C]]
  // CUT-NEXT: return %[[D]]
  // EAGER: spmd.redistribute %arg0 : {{.*}}partial<sum>> -> !spmd.tensor<8x6xf32, #mesh>
  %0 = spmd.redistribute %a : !P -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = moe.mul %1, %b : (!R, !R) -> !R
  %3 = spmd.redistribute %2 : !R -> !RS
  return %3 : !RS
}

// Cut where that is cheaper, and gathered when it is small.
// CHECK-LABEL: func.func @gather
func.func @gather(%a: !spmd.tensor<8x400000xf32, #mesh, tp: partial<sum>>,
                  %w: !spmd.tensor<400000x20000xf32, #mesh>) -> !spmd.tensor<8x20000xf32, #mesh> {
  // CUT: %[[A:.*]] = spmd.redistribute %arg0 : {{.*}}partial<sum>> -> {{.*}}shard<0>>
  // CUT: %[[Y:.*]] = moe.einsum {{.*}} -> !spmd.tensor<8x20000xf32, #mesh, tp: shard<0>>
  // CUT-NEXT: spmd.redistribute %[[Y]] : {{.*}}shard<0>> -> !spmd.tensor<8x20000xf32, #mesh>
  %0 = spmd.redistribute %a : !spmd.tensor<8x400000xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<8x400000xf32, #mesh>
  %1 = moe.silu %0 : (!spmd.tensor<8x400000xf32, #mesh>) -> !spmd.tensor<8x400000xf32, #mesh>
  %2 = moe.einsum "td,df->tf" %1, %w
      : (!spmd.tensor<8x400000xf32, #mesh>, !spmd.tensor<400000x20000xf32, #mesh>)
      -> !spmd.tensor<8x20000xf32, #mesh>
  return %2 : !spmd.tensor<8x20000xf32, #mesh>
}

// Of a product's factors one may stay partial: the larger the better, but here
// one is needed whole anyway.
// CHECK-LABEL: func.func @product
func.func @product(%a: !P, %b: !P) -> (!R, !R) {
  // CUT: %[[A:.*]] = spmd.redistribute %arg0
  // CUT: %[[M:.*]] = moe.mul %[[A]], %arg1 : {{.*}} -> {{.*}}partial<sum>>
  // CUT: spmd.redistribute %[[M]]
  %0 = spmd.redistribute %a : !P -> !R
  %1 = spmd.redistribute %b : !P -> !R
  %2 = moe.mul %0, %1 : (!R, !R) -> !R
  return %0, %2 : !R, !R
}

// What the body of a loop takes is reduced before it.
// CHECK-LABEL: func.func @captured
func.func @captured(%a: !P, %b: !R, %n: index) -> !R {
  // CHECK: %[[A:.*]] = spmd.redistribute %arg0
  // CHECK: scf.for
  // CHECK-NEXT: moe.add %{{.*}}, %[[A]]
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = spmd.redistribute %a : !P -> !R
  %1 = scf.for %i = %c0 to %n step %c1 iter_args(%s = %b) -> !R {
    %2 = moe.add %s, %0 : (!R, !R) -> !R
    scf.yield %2 : !R
  }
  return %1 : !R
}

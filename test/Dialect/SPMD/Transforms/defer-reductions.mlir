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

// A nonlinear operation needs the reduced value, and so does a product of two.
// CHECK-LABEL: func.func @nonlinear
func.func @nonlinear(%a: !P, %b: !P) -> !R {
  // CHECK: %[[A:.*]] = spmd.redistribute %arg0
  // CHECK: moe.silu %[[A]]
  // CHECK: moe.mul
  // CHECK-SAME: (!spmd.tensor<8x6xf32, #mesh>, !spmd.tensor<8x6xf32, #mesh>)
  %0 = spmd.redistribute %a : !P -> !R
  %1 = moe.silu %0 : (!R) -> !R
  %2 = spmd.redistribute %b : !P -> !R
  %3 = moe.mul %0, %2 : (!R, !R) -> !R
  %4 = moe.add %1, %3 : (!R, !R) -> !R
  return %4 : !R
}

// Each axis on its own.
#grid = #spmd.mesh<dp=2, tp=4>
!PP = !spmd.tensor<8x6xf32, #grid, dp: partial<sum>, tp: partial<sum>>
!RR = !spmd.tensor<8x6xf32, #grid>
// CHECK-LABEL: func.func @axes
func.func @axes(%a: !PP, %b: !PP) -> !RR {
  // CUT: %[[SUM:.*]] = moe.add %arg0, %arg1
  // CUT-SAME: -> !spmd.tensor<8x6xf32, #mesh{{1?}}, dp: partial<sum>, tp: partial<sum>>
  // CUT: spmd.redistribute
  // CUT: spmd.redistribute
  // CUT-NEXT: return
  %0 = moe.add %a, %b : (!PP, !PP) -> !PP
  %1 = spmd.redistribute %0 : !PP -> !spmd.tensor<8x6xf32, #grid, dp: partial<sum>>
  %2 = spmd.redistribute %1 : !spmd.tensor<8x6xf32, #grid, dp: partial<sum>> -> !RR
  return %2 : !RR
}

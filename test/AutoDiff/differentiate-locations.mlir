// RUN: moe-opt %s --moe-differentiate --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s
// RUN: moe-opt %s --moe-differentiate | moe-opt --moe-differentiate | FileCheck %s --check-prefix=AGAIN

#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>

// The backward part says of which forward operation it is.
// CHECK-LABEL: func.func @f.vjp
// CHECK: moe.silu %{{.*}}locations.mlir":[[#SILU:]]:8)
// CHECK: moe.silu_vjp %{{.*}}loc(fused<"vjp">["{{.*}}locations.mlir":[[#SILU]]:8])
func.func @f(%a: !A) -> !A {
  %0 = moe.silu %a : (!A) -> !A
  return %0 : !A
}

// Every function gets a joint one; one that is joint, and one whose joint one is
// there, are left alone.
// AGAIN: func.func @f(
// AGAIN-SAME: spmd.vjp = @f.vjp
// AGAIN: func.func @f.vjp(
// AGAIN: func.func @g(
// AGAIN: func.func @g.vjp(
// AGAIN-NOT: func.func
func.func @g(%a: !A) -> !A {
  return %a : !A
}

// RUN: moe-opt %s --moe-check | FileCheck %s
// RUN: moe-opt %s --moe-check | moe-opt --moe-check | FileCheck %s
// RUN: sed 's/grad claims <tp: partial<sum>>/grad claims <>/' %s | not moe-opt --moe-check -o %t 2>&1 | FileCheck %s --check-prefix=FALSE
// RUN: not ls %t

#mesh = #spmd.mesh<tp=4>
!X = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>

// Inferred, differentiated, inferred again and verified, in one go.
// CHECK-LABEL: func.func @f(
// CHECK: moe.einsum "td,fd->tf" {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
// CHECK-LABEL: func.func @f.vjp(
// CHECK: %[[DX:.*]] = moe.einsum "tf,fd->td" {{.*}} -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// CHECK: %[[DW:.*]] = moe.einsum "tf,td->fd" {{.*}} -> !spmd.tensor<12x4xf32, #mesh, tp: shard<0>>
// CHECK: %[[C:.*]] = spmd.claim %[[DX]] at "x"
// CHECK: spmd.redistribute %[[C]] at "x" : {{.*}}partial<sum>> -> !spmd.tensor<8x4xf32, #mesh>

// FALSE: error: [G1] the gradient at 'x' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing
func.func @f(%x: !X {spmd.name = "x"}, %w: !W {spmd.name = "w"})
    -> (!spmd.tensor<8x12xf32, #mesh, tp: ?> {spmd.name = "y"}) {
  %0 = spmd.boundary %x grad claims <tp: partial<sum>> at "x" : !X -> !X
  %1 = moe.einsum "td,fd->tf" %0, %w : (!X, !W) -> !spmd.tensor<8x12xf32, #mesh, tp: ?>
  return %1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
}

// The stock mlir-opt runs the passes.
// RUN: not mlir-opt %s --load-dialect-plugin=%moe_lib_dir/MoEMLIRPlugin.so --load-pass-plugin=%moe_lib_dir/MoEMLIRPlugin.so --pass-pipeline='builtin.module(moe-check{try-repairs=false})' 2>&1 | FileCheck %s
// RUN: mlir-opt %s --load-dialect-plugin=%moe_lib_dir/MoEMLIRPlugin.so --load-pass-plugin=%moe_lib_dir/MoEMLIRPlugin.so --pass-pipeline='builtin.module(func.func(spmd-infer-placements),moe-differentiate)' | FileCheck %s --check-prefix=VJP
// UNSUPPORTED: asan

#mesh = #spmd.mesh<tp=2>
!X = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>
!Y = !spmd.tensor<8x6xf32, #mesh, tp: ?>

// VJP-LABEL: func.func @project.vjp
// VJP: spmd.claim
func.func @project(%x: !X {spmd.name = "x"}, %w: !W {spmd.name = "w"}) -> (!Y {spmd.name = "y"}) {
  // CHECK: plugin.mlir:[[@LINE+1]]:{{.*}}: error: [G1] the gradient at 'x' is claimed replicate over 'tp', but is partial<sum>
  %0 = spmd.boundary %x grad claims <> at "x" : !X -> !X
  // CHECK: plugin.mlir:[[@LINE+1]]:{{.*}}: note: it became partial over 'tp' here
  %1 = moe.einsum "td,fd->tf" %0, %w : (!X, !W) -> !Y
  return %1 : !Y
}

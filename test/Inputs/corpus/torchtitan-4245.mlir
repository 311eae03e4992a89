// source: https://github.com/pytorch/torchtitan/pull/4245
// fault: gpt-oss adds the whole expert bias on every rank to a term of the output: it counts once per rank
// error: G5 spmd.redistribute
// origin: 'moe.einsum' sums over a dimension that 'tp' cuts
// upstream: adds the bias on one rank's share
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<4x5xf32, #mesh, tp: shard<0>>
!b = !spmd.tensor<6x5xf32, #mesh>
!p = !spmd.tensor<6x5xf32, #mesh, tp: ?>

func.func @expert_bias(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}, %b: !b {spmd.name = "b"})
    -> (!b {spmd.name = "y"}) {
  %0 = moe.einsum "td,df->tf" %x, %w : (!x, !w) -> !p
  %2 = moe.add %0, %b : (!p, !b) -> !p
  %3 = spmd.redistribute %2 : !p -> !b
  return %3 : !b
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!q = !spmd.tensor<6x5xf32, #mesh, tp: partial<sum>>
!x = !spmd.tensor<6x4xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<4x5xf32, #mesh, tp: shard<0>>
!b = !spmd.tensor<6x5xf32, #mesh>
!p = !spmd.tensor<6x5xf32, #mesh, tp: ?>

func.func @expert_bias(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"}, %b: !b {spmd.name = "b"})
    -> (!b {spmd.name = "y"}) {
  %0 = moe.einsum "td,df->tf" %x, %w : (!x, !w) -> !p
  %1 = spmd.redistribute %b : !b -> !q
  %2 = moe.add %0, %1 : (!p, !q) -> !p
  %3 = spmd.redistribute %2 : !p -> !b
  return %3 : !b
}

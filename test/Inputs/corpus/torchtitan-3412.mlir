// source: https://github.com/pytorch/torchtitan/pull/3412
// fault: the buffer that adds up the chunks' gradients is labelled as the activation, whole, and holds terms of a sum
// error: G1 'accumulated'
// origin: 'moe.einsum' \(backward\) sums over a dimension that 'tp' cuts
// upstream: takes the label of the first chunk's gradient
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!h = !spmd.tensor<6x4xf32, #mesh>
!h_ = !spmd.tensor<6x4xf32, #mesh, tp: ?>
!u = !spmd.tensor<4x4xf32, #mesh>
!w = !spmd.tensor<5x4xf32, #mesh, tp: shard<0>>
!l = !spmd.tensor<6x5xf32, #mesh, tp: shard<1>>
!l_ = !spmd.tensor<6x5xf32, #mesh, tp: ?>

func.func @chunked_loss(%x: !h {spmd.name = "x"}, %u: !u {spmd.name = "u"}, %w: !w {spmd.name = "lm_head"})
    -> (!l_ {spmd.name = "first"}, !l_ {spmd.name = "second"}) {
  %0 = moe.einsum "td,ed->te" %x, %u : (!h, !u) -> !h
  %1 = spmd.boundary %0 grad claims <> at "accumulated" : !h -> !h
  %2 = moe.einsum "td,vd->tv" %1, %w : (!h, !w) -> !l_
  %3 = moe.silu %1 : (!h) -> !h
  %4 = moe.einsum "td,vd->tv" %3, %w : (!h, !w) -> !l_
  return %2, %4 : !l_, !l_
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!h = !spmd.tensor<6x4xf32, #mesh>
!h_ = !spmd.tensor<6x4xf32, #mesh, tp: ?>
!u = !spmd.tensor<4x4xf32, #mesh>
!w = !spmd.tensor<5x4xf32, #mesh, tp: shard<0>>
!l = !spmd.tensor<6x5xf32, #mesh, tp: shard<1>>
!l_ = !spmd.tensor<6x5xf32, #mesh, tp: ?>

func.func @chunked_loss(%x: !h {spmd.name = "x"}, %u: !u {spmd.name = "u"}, %w: !w {spmd.name = "lm_head"})
    -> (!l_ {spmd.name = "first"}, !l_ {spmd.name = "second"}) {
  %0 = moe.einsum "td,ed->te" %x, %u : (!h, !u) -> !h
  %1 = spmd.boundary %0 grad claims <tp: partial<sum>> at "accumulated" : !h -> !h
  %2 = moe.einsum "td,vd->tv" %1, %w : (!h, !w) -> !l_
  %3 = moe.silu %1 : (!h) -> !h
  %4 = moe.einsum "td,vd->tv" %3, %w : (!h, !w) -> !l_
  return %2, %4 : !l_, !l_
}

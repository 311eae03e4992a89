// source: https://github.com/huggingface/transformers/issues/48687
// fault: scores of the slots of other ranks' experts are set to zero on each rank, and meet outputs of which each rank has a part: a product of two sums, whose gradient takes in what no rank was routed
// error: R2 moe.einsum
// origin: partial<sum> and operand 1 is partial<sum>
// upstream: #48689 masks the weights' gradient
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!q = !spmd.tensor<6x2xf32, #mesh, tp: partial<sum>>
!x = !spmd.tensor<6x4xf32, #mesh>
!i = !spmd.tensor<6x2xi32, #mesh>
!s = !spmd.tensor<6x2xf32, #mesh>
!w = !spmd.tensor<4x5x4xf32, #mesh, tp: shard<0>>
!n = !spmd.tensor<4xi32, #mesh>
!r_ = !spmd.tensor<12x4xf32, #mesh, tp: ?>
!o_ = !spmd.tensor<12x5xf32, #mesh, tp: partial<sum>>
!p_ = !spmd.tensor<12xf32, #mesh, tp: ?>
!y_ = !spmd.tensor<6x5xf32, #mesh, tp: ?>
!y = !spmd.tensor<6x5xf32, #mesh>

func.func @experts(%x: !x {spmd.no_grad}, %s: !s {spmd.no_grad}, %l: !x {spmd.no_grad},
                   %w: !w {spmd.no_grad}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.redistribute %s : !s -> !q
  %i = moe.top_k %l : (!x) -> !i
  %1 = moe.dispatch %x, %i of 4 : (!x, !i) -> !r_
  %n = moe.count %i : (!i) -> !n
  %2 = moe.grouped_einsum "nd,efd->nf" %1, %w counts %n : (!r_, !w, !n) -> !o_
  %3 = moe.permute %0, %i of 4 : (!q, !i) -> !p_
  %4 = moe.einsum "nf,n->nf" %2, %3 : (!o_, !p_) -> !o_
  %5 = moe.combine %4, %i of 4 : (!o_, !i) -> !y_
  %6 = spmd.redistribute %5 : !y_ -> !y
  return %6 : !y
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x4xf32, #mesh>
!i = !spmd.tensor<6x2xi32, #mesh>
!s = !spmd.tensor<6x2xf32, #mesh>
!w = !spmd.tensor<4x5x4xf32, #mesh, tp: shard<0>>
!n = !spmd.tensor<4xi32, #mesh>
!r_ = !spmd.tensor<12x4xf32, #mesh, tp: ?>
!o_ = !spmd.tensor<12x5xf32, #mesh, tp: ?>
!p_ = !spmd.tensor<12xf32, #mesh, tp: ?>
!y_ = !spmd.tensor<6x5xf32, #mesh, tp: ?>
!y = !spmd.tensor<6x5xf32, #mesh>

func.func @experts(%x: !x {spmd.name = "x"}, %s: !s {spmd.name = "router_scores"}, %l: !x {spmd.no_grad},
                   %w: !w {spmd.name = "w"}) -> (!y {spmd.name = "y"}) {
  %0 = spmd.boundary %s grad converts <> at "router_scores" : !s -> !s
  %i = moe.top_k %l : (!x) -> !i
  %1 = moe.dispatch %x, %i of 4 : (!x, !i) -> !r_
  %n = moe.count %i : (!i) -> !n
  %2 = moe.grouped_einsum "nd,efd->nf" %1, %w counts %n : (!r_, !w, !n) -> !o_
  %3 = moe.permute %0, %i of 4 : (!s, !i) -> !p_
  %4 = moe.einsum "nf,n->nf" %2, %3 : (!o_, !p_) -> !o_
  %5 = moe.combine %4, %i of 4 : (!o_, !i) -> !y_
  %6 = spmd.redistribute %5 : !y_ -> !y
  return %6 : !y
}

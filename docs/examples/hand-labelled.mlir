// RUN: not moe-opt %s --moe-check 2>&1 | FileCheck %s

// An MoE layer with a router and silu experts, written by hand. Experts
// are cut along their hidden dimension over tp, so the rows that leave them are
// terms of a sum, and so is every gradient that comes back through them. The
// label at the logits says that theirs is the same on all ranks: torchtitan's
// label before pull request 2416, and false.
//
// CHECK: error: [G1] the gradient at 'router.gate.output' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing
// CHECK: note: it became partial over 'tp' here: 'moe.grouped_einsum' sums over a dimension that 'tp' cuts
// CHECK: note: wrong because of it: grad.x, grad.router.gate.weight
// CHECK: note: help: claim partial<sum> over 'tp' here

#mesh = #spmd.mesh<tp=2>
!tokens = !spmd.tensor<8x4xf32, #mesh>
!gate = !spmd.tensor<6x4xf32, #mesh>
!w1 = !spmd.tensor<6x10x4xf32, #mesh, tp: shard<1>>
!w2 = !spmd.tensor<6x4x10xf32, #mesh, tp: shard<2>>

// Inferred: the placement on tp is left open.
!tokens_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>
!scores_ = !spmd.tensor<8x6xf32, #mesh, tp: ?>
!chosen_ = !spmd.tensor<8x2xf32, #mesh, tp: ?>
!experts_ = !spmd.tensor<8x2xi32, #mesh, tp: ?>
!counts_ = !spmd.tensor<6xi32, #mesh, tp: ?>
!rows_ = !spmd.tensor<16x4xf32, #mesh, tp: ?>
!hidden_ = !spmd.tensor<16x10xf32, #mesh, tp: ?>
!row_scores_ = !spmd.tensor<16xf32, #mesh, tp: ?>

func.func @layer(%x: !tokens {spmd.name = "x"},
                 %gate: !gate {spmd.name = "router.gate.weight"},
                 %w1: !w1 {spmd.name = "experts.w1"},
                 %w2: !w2 {spmd.name = "experts.w2"})
    -> (!tokens {spmd.name = "y"}) {
  // The router. Each token chooses 2 of 6 experts.
  %logits = moe.einsum "td,ed->te" %x, %gate : (!tokens, !gate) -> !scores_
  %labelled = spmd.boundary %logits grad claims <> at "router.gate.output"
      : !scores_ -> !scores_
  %scores = moe.softmax %labelled : (!scores_) -> !scores_
  %experts = moe.top_k %scores : (!scores_) -> !experts_
  %chosen = moe.gather %scores, %experts : (!scores_, !experts_) -> !chosen_
  %counts = moe.count %experts : (!experts_) -> !counts_

  // One row per token and chosen expert, sorted by expert.
  %rows = moe.dispatch %x, %experts of 6 : (!tokens, !experts_) -> !rows_
  %up = moe.grouped_einsum "nd,efd->nf" %rows, %w1 counts %counts
      : (!rows_, !w1, !counts_) -> !hidden_
  %hidden = moe.silu %up : (!hidden_) -> !hidden_
  %down = moe.grouped_einsum "nf,edf->nd" %hidden, %w2 counts %counts
      : (!hidden_, !w2, !counts_) -> !rows_
  %row_scores = moe.permute %chosen, %experts of 6
      : (!chosen_, !experts_) -> !row_scores_
  %scaled = moe.einsum "nd,n->nd" %down, %row_scores
      : (!rows_, !row_scores_) -> !rows_
  %sum = moe.combine %scaled, %experts of 6 : (!rows_, !experts_) -> !tokens_
  %y = spmd.redistribute %sum : !tokens_ -> !tokens
  return %y : !tokens
}

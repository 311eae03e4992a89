// RUN: moe-opt %s --moe-check | FileCheck %s
// RUN: moe-run %s --exact --stats | FileCheck %s --check-prefix=EXACT

// The layer of hand-labelled.mlir with the first repair that its error names:
// the gradient of the logits is claimed to be terms of a sum. It stays so through
// the router, meets the experts' share of the gradient of x, which is terms of a
// sum too, and is reduced once, where it leaves the layer.
//
// CHECK-LABEL: func.func @layer.vjp
// CHECK: %[[DLOGITS:.*]] = spmd.claim {{.*}} at "router.gate.output"
// CHECK: %[[DGATE:.*]] = moe.einsum "te,td->ed" %[[DLOGITS]]
// CHECK: %[[DX:.*]] = moe.add {{.*}} tp: partial<sum>>
// CHECK: spmd.redistribute %[[DX]] at "x"
// CHECK: spmd.redistribute %[[DGATE]] at "router.gate.weight"

// Run on two simulated ranks it is what one rank computes, bit for bit.
//
// EXACT: grad.x: exactly equal
// EXACT: grad.router.gate.weight: exactly equal
// EXACT: all_reduce {{ *}}tp {{ *}}3

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
  %labelled = spmd.boundary %logits grad claims <tp: partial<sum>> at "router.gate.output"
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

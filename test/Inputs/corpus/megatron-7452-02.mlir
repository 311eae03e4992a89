// source: https://github.com/NVIDIA/Megatron-LM/issues/7452
// fault: reproduction 02: logits that are gathered already enter the cross entropy of a cut vocabulary: the ranks' sums of exponentials are added, and each is the sum of all
// error: G6 'sum of exponentials'
// origin: it is the same on all ranks of 'tp'
// upstream: none
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x8xf32, #mesh>
!s_ = !spmd.tensor<6xf32, #mesh, tp: ?>
!s = !spmd.tensor<6xf32, #mesh>

func.func @sum_of_exponentials(%logits: !x {spmd.no_grad}) -> (!s {spmd.name = "sum"}) {
  %0 = spmd.compute %logits : (!x) -> !x {
  ^bb0(%l: tensor<6x8xf32>):
    %e = math.exp %l : tensor<6x8xf32>
    spmd.yield %e : tensor<6x8xf32>
  }
  %1 = moe.einsum "tv->t" %0 : (!x) -> !s_
  %2 = spmd.all_reduce %1 over ["tp"] at "sum of exponentials" : !s_ -> !s
  return %2 : !s
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<6x8xf32, #mesh, tp: shard<1>>
!s_ = !spmd.tensor<6xf32, #mesh, tp: ?>
!s = !spmd.tensor<6xf32, #mesh>

func.func @sum_of_exponentials(%logits: !x {spmd.no_grad}) -> (!s {spmd.name = "sum"}) {
  %0 = spmd.compute %logits : (!x) -> !x {
  ^bb0(%l: tensor<6x8xf32>):
    %e = math.exp %l : tensor<6x8xf32>
    spmd.yield %e : tensor<6x8xf32>
  }
  %1 = moe.einsum "tv->t" %0 : (!x) -> !s_
  %2 = spmd.all_reduce %1 over ["tp"] at "sum of exponentials" : !s_ -> !s
  return %2 : !s
}

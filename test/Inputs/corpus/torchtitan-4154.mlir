// source: https://github.com/pytorch/torchtitan/pull/4154
// fault: each rank counts its own tokens per expert, and the bias moves by the sign of the difference from the mean: of a count that nobody summed
// error: R1 arith.cmpi
// origin: 'moe.count' sums over a dimension that 'tp' cuts
// upstream: sums the counts first
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
!i = !spmd.tensor<6x2xi32, #mesh, tp: shard<0>>
!c = !spmd.tensor<4xi32, #mesh, tp: ?>
!r = !spmd.tensor<4xi32, #mesh>
!f = !spmd.tensor<4xf32, #mesh>

func.func @routing_bias(%i: !i {spmd.name = "experts"}) -> (!f {spmd.name = "update"}) {
  %0 = moe.count %i : (!i) -> !c
  %2 = spmd.compute %0 : (!c) -> !f {
  ^bb0(%n: tensor<4xi32>):
    %even = arith.constant dense<3> : tensor<4xi32>
    %up = arith.constant dense<1.0e-3> : tensor<4xf32>
    %down = arith.constant dense<-1.0e-3> : tensor<4xf32>
    %few = arith.cmpi slt, %n, %even : tensor<4xi32>
    %step = arith.select %few, %up, %down : tensor<4xi1>, tensor<4xf32>
    spmd.yield %step : tensor<4xf32>
  }
  return %2 : !f
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
!i = !spmd.tensor<6x2xi32, #mesh, tp: shard<0>>
!c = !spmd.tensor<4xi32, #mesh, tp: ?>
!r = !spmd.tensor<4xi32, #mesh>
!f = !spmd.tensor<4xf32, #mesh>

func.func @routing_bias(%i: !i {spmd.name = "experts"}) -> (!f {spmd.name = "update"}) {
  %0 = moe.count %i : (!i) -> !c
  %1 = spmd.redistribute %0 : !c -> !r
  %2 = spmd.compute %1 : (!r) -> !f {
  ^bb0(%n: tensor<4xi32>):
    %even = arith.constant dense<3> : tensor<4xi32>
    %up = arith.constant dense<1.0e-3> : tensor<4xf32>
    %down = arith.constant dense<-1.0e-3> : tensor<4xf32>
    %few = arith.cmpi slt, %n, %even : tensor<4xi32>
    %step = arith.select %few, %up, %down : tensor<4xi1>, tensor<4xf32>
    spmd.yield %step : tensor<4xf32>
  }
  return %2 : !f
}

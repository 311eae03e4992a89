// source: https://github.com/pytorch/torchtitan/pull/2388
// fault: the gate's gradient is declared Partial where #1878 has made it whole already: it comes out once per rank
// error: G6 'router.gate.output'
// origin: 'spmd.redistribute' at 'routed_input' \(backward\) makes partial<sum> replicate
// upstream: closed for #2416
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
module {
  func.func @moe_layer(%x: !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "x"}, %router.gate.weight: !spmd.tensor<4x4xf32, #mesh> {spmd.name = "router.gate.weight"}, %experts.w1: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>> {spmd.name = "experts.w1"}, %experts.w2: !spmd.tensor<4x4x6xf32, #mesh, tp: shard<2>> {spmd.name = "experts.w2"}, %experts.w3: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>> {spmd.name = "experts.w3"}) -> (!spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "y"}) {
    %0 = spmd.redistribute %x : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> -> !spmd.tensor<2x4x4xf32, #mesh>
    %1 = spmd.boundary %0 grad claims <> at "x" : !spmd.tensor<2x4x4xf32, #mesh> -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %2 = moe.fold %1 : (!spmd.tensor<2x4x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %3 = spmd.boundary %router.gate.weight grad claims <> at "router.gate.weight" : !spmd.tensor<4x4xf32, #mesh> -> !spmd.tensor<4x4xf32, #mesh, tp: ?>
    %4 = spmd.boundary %2 grad converts <> at "router.gate.input" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %5 = moe.einsum "td,ed->te" %4, %3 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<4x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %6 = spmd.grad_all_reduce %5 over ["tp"] at "router.gate.output" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %7 = moe.softmax %6 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %8 = moe.top_k %7 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x2xi32, #mesh, tp: ?>
    %9 = moe.gather %7, %8 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<8x2xf32, #mesh, tp: ?>
    %10 = moe.count %8 : (!spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<4xi32, #mesh, tp: ?>
    %11 = moe.permute %9, %8 of 4 : (!spmd.tensor<8x2xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<16xf32, #mesh, tp: ?>
    %12 = moe.dispatch %2, %8 of 4 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %13 = moe.einsum "nd,n->nd" %12, %11 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<16xf32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %14 = spmd.boundary %13 grad converts <> at "routed_input" : !spmd.tensor<16x4xf32, #mesh, tp: ?> -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %15 = moe.grouped_einsum "nd,efd->nf" %14, %experts.w1 counts %10 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>>, !spmd.tensor<4xi32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %16 = moe.grouped_einsum "nd,efd->nf" %14, %experts.w3 counts %10 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>>, !spmd.tensor<4xi32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %17 = moe.silu %15 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %18 = moe.mul %17, %16 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %19 = moe.grouped_einsum "nf,edf->nd" %18, %experts.w2 counts %10 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<4x4x6xf32, #mesh, tp: shard<2>>, !spmd.tensor<4xi32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %20 = moe.combine %19, %8 of 4 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %21 = moe.unfold %20 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %22 = spmd.redistribute %21 : !spmd.tensor<2x4x4xf32, #mesh, tp: ?> -> !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
    return %22 : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
  }
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
module {
  func.func @moe_layer(%x: !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "x"}, %router.gate.weight: !spmd.tensor<4x4xf32, #mesh> {spmd.name = "router.gate.weight"}, %experts.w1: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>> {spmd.name = "experts.w1"}, %experts.w2: !spmd.tensor<4x4x6xf32, #mesh, tp: shard<2>> {spmd.name = "experts.w2"}, %experts.w3: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>> {spmd.name = "experts.w3"}) -> (!spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "y"}) {
    %0 = spmd.redistribute %x : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> -> !spmd.tensor<2x4x4xf32, #mesh>
    %1 = spmd.boundary %0 grad claims <tp: partial<sum>> at "x" : !spmd.tensor<2x4x4xf32, #mesh> -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %2 = moe.fold %1 : (!spmd.tensor<2x4x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %3 = spmd.boundary %2 grad claims <tp: partial<sum>> at "router.gate.input" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %4 = moe.einsum "td,ed->te" %3, %router.gate.weight : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<4x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %5 = spmd.boundary %4 grad claims <tp: partial<sum>> at "router.gate.output" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %6 = moe.softmax %5 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %7 = moe.top_k %6 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x2xi32, #mesh, tp: ?>
    %8 = moe.gather %6, %7 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<8x2xf32, #mesh, tp: ?>
    %9 = moe.count %7 : (!spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<4xi32, #mesh, tp: ?>
    %10 = moe.permute %8, %7 of 4 : (!spmd.tensor<8x2xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<16xf32, #mesh, tp: ?>
    %11 = moe.dispatch %2, %7 of 4 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %12 = moe.einsum "nd,n->nd" %11, %10 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<16xf32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %13 = spmd.boundary %12 grad claims <tp: partial<sum>> at "routed_input" : !spmd.tensor<16x4xf32, #mesh, tp: ?> -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %14 = moe.grouped_einsum "nd,efd->nf" %13, %experts.w1 counts %9 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>>, !spmd.tensor<4xi32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %15 = moe.grouped_einsum "nd,efd->nf" %13, %experts.w3 counts %9 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<1>>, !spmd.tensor<4xi32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %16 = moe.silu %14 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %17 = moe.mul %16, %15 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %18 = moe.grouped_einsum "nf,edf->nd" %17, %experts.w2 counts %9 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<4x4x6xf32, #mesh, tp: shard<2>>, !spmd.tensor<4xi32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %19 = moe.combine %18, %7 of 4 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %20 = moe.unfold %19 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %21 = spmd.redistribute %20 : !spmd.tensor<2x4x4xf32, #mesh, tp: ?> -> !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
    return %21 : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
  }
}

// source: https://github.com/pytorch/torchtitan/issues/2387
// fault: experts spread over the ranks: each rank routes its tokens, so the gate's gradient is of those alone
// error: G1 'router.gate.output'
// origin: 'spmd.redistribute' \(backward\) leaves each rank its own part
// upstream: #2416, and the gate's input left Partial
//--- faulty.mlir
#mesh = #spmd.mesh<tp=2>
module {
  func.func @moe_layer(%x: !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "x"}, %router.gate.weight: !spmd.tensor<4x4xf32, #mesh> {spmd.name = "router.gate.weight"}, %experts.w1: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>> {spmd.name = "experts.w1"}, %experts.w2: !spmd.tensor<4x4x6xf32, #mesh, tp: shard<0>> {spmd.name = "experts.w2"}, %experts.w3: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>> {spmd.name = "experts.w3"}) -> (!spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "y"}) {
    %0 = spmd.redistribute %x : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> -> !spmd.tensor<2x4x4xf32, #mesh>
    %1 = spmd.boundary %0 grad claims <> at "x" : !spmd.tensor<2x4x4xf32, #mesh> -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %2 = moe.fold %1 : (!spmd.tensor<2x4x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %3 = spmd.boundary %router.gate.weight grad claims <> at "router.gate.weight" : !spmd.tensor<4x4xf32, #mesh> -> !spmd.tensor<4x4xf32, #mesh, tp: ?>
    %4 = spmd.boundary %2 grad converts <> at "router.gate.input" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %5 = moe.einsum "td,ed->te" %4, %3 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<4x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %6 = spmd.boundary %5 grad claims <> at "router.gate.output" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %7 = moe.softmax %6 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %8 = moe.top_k %7 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x2xi32, #mesh, tp: ?>
    %9 = moe.gather %7, %8 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<8x2xf32, #mesh, tp: ?>
    %10 = spmd.redistribute %2 : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
    %11 = spmd.redistribute %9 : !spmd.tensor<8x2xf32, #mesh, tp: ?> -> !spmd.tensor<8x2xf32, #mesh, tp: shard<0>>
    %12 = spmd.redistribute %8 : !spmd.tensor<8x2xi32, #mesh, tp: ?> -> !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
    %13 = moe.count %12 : (!spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<4xi32, #mesh, tp: ?>
    %14 = spmd.redistribute %13 : !spmd.tensor<4xi32, #mesh, tp: ?> -> !spmd.tensor<4xi32, #mesh>
    %15 = moe.permute %11, %12 of 4 : (!spmd.tensor<8x2xf32, #mesh, tp: shard<0>>, !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<16xf32, #mesh, tp: ?>
    %16 = moe.dispatch %10, %12 of 4 : (!spmd.tensor<8x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %17 = moe.grouped_einsum "nd,efd->nf" %16, %experts.w1 counts %14 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %18 = moe.grouped_einsum "nd,efd->nf" %16, %experts.w3 counts %14 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %19 = moe.silu %17 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %20 = moe.mul %19, %18 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %21 = moe.grouped_einsum "nf,edf->nd" %20, %experts.w2 counts %14 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<4x4x6xf32, #mesh, tp: shard<0>>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %22 = moe.einsum "nd,n->nd" %21, %15 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<16xf32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %23 = moe.combine %22, %12 of 4 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %24 = spmd.redistribute %23 : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
    %25 = moe.unfold %24 : (!spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>) -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %26 = spmd.redistribute %25 : !spmd.tensor<2x4x4xf32, #mesh, tp: ?> -> !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
    return %26 : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
  }
}
//--- repaired.mlir
#mesh = #spmd.mesh<tp=2>
module {
  func.func @moe_layer(%x: !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "x"}, %router.gate.weight: !spmd.tensor<4x4xf32, #mesh> {spmd.name = "router.gate.weight"}, %experts.w1: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>> {spmd.name = "experts.w1"}, %experts.w2: !spmd.tensor<4x4x6xf32, #mesh, tp: shard<0>> {spmd.name = "experts.w2"}, %experts.w3: !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>> {spmd.name = "experts.w3"}) -> (!spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> {spmd.name = "y"}) {
    %0 = spmd.redistribute %x : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>> -> !spmd.tensor<2x4x4xf32, #mesh>
    %1 = spmd.boundary %0 grad claims <tp: partial<sum>> at "x" : !spmd.tensor<2x4x4xf32, #mesh> -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %2 = moe.fold %1 : (!spmd.tensor<2x4x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %3 = spmd.boundary %2 grad claims <tp: partial<sum>> at "router.gate.input" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %4 = moe.einsum "td,ed->te" %3, %router.gate.weight : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<4x4xf32, #mesh>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %5 = spmd.boundary %4 grad claims <tp: partial<sum>> at "router.gate.output" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %6 = moe.softmax %5 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %7 = moe.top_k %6 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>) -> !spmd.tensor<8x2xi32, #mesh, tp: ?>
    %8 = moe.gather %6, %7 : (!spmd.tensor<8x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: ?>) -> !spmd.tensor<8x2xf32, #mesh, tp: ?>
    %9 = spmd.boundary %2 grad claims <tp: partial<sum>> at "routed_input" : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %10 = spmd.redistribute %9 : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
    %11 = spmd.redistribute %8 : !spmd.tensor<8x2xf32, #mesh, tp: ?> -> !spmd.tensor<8x2xf32, #mesh, tp: shard<0>>
    %12 = spmd.redistribute %7 : !spmd.tensor<8x2xi32, #mesh, tp: ?> -> !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
    %13 = moe.count %12 : (!spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<4xi32, #mesh, tp: ?>
    %14 = spmd.redistribute %13 : !spmd.tensor<4xi32, #mesh, tp: ?> -> !spmd.tensor<4xi32, #mesh>
    %15 = moe.permute %11, %12 of 4 : (!spmd.tensor<8x2xf32, #mesh, tp: shard<0>>, !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<16xf32, #mesh, tp: ?>
    %16 = moe.dispatch %10, %12 of 4 : (!spmd.tensor<8x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %17 = moe.grouped_einsum "nd,efd->nf" %16, %experts.w1 counts %14 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %18 = moe.grouped_einsum "nd,efd->nf" %16, %experts.w3 counts %14 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<4x6x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %19 = moe.silu %17 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %20 = moe.mul %19, %18 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<16x6xf32, #mesh, tp: ?>) -> !spmd.tensor<16x6xf32, #mesh, tp: ?>
    %21 = moe.grouped_einsum "nf,edf->nd" %20, %experts.w2 counts %14 : (!spmd.tensor<16x6xf32, #mesh, tp: ?>, !spmd.tensor<4x4x6xf32, #mesh, tp: shard<0>>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %22 = moe.einsum "nd,n->nd" %21, %15 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<16xf32, #mesh, tp: ?>) -> !spmd.tensor<16x4xf32, #mesh, tp: ?>
    %23 = moe.combine %22, %12 of 4 : (!spmd.tensor<16x4xf32, #mesh, tp: ?>, !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
    %24 = spmd.redistribute %23 : !spmd.tensor<8x4xf32, #mesh, tp: ?> -> !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
    %25 = moe.unfold %24 : (!spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>) -> !spmd.tensor<2x4x4xf32, #mesh, tp: ?>
    %26 = spmd.redistribute %25 : !spmd.tensor<2x4x4xf32, #mesh, tp: ?> -> !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
    return %26 : !spmd.tensor<2x4x4xf32, #mesh, tp: shard<1>>
  }
}

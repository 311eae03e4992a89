// One operation per function, for rule-sweep: it replaces the mesh, places the
// arguments in every way and executes. `rule.experts = E` says that an argument
// holds expert numbers below E, `rule.rows = N` that it holds counts of N rows,
// `rule.code` which einsum opaque code is.
#mesh = #spmd.mesh<a=2>

func.func @einsum_product(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<4x5xf32, #mesh>) {
  %r = moe.einsum "td,ed->te" %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<4x5xf32, #mesh>) -> !spmd.tensor<6x4xf32, #mesh>
  return
}

func.func @einsum_product_even(%x: !spmd.tensor<5x6xf32, #mesh>, %y: !spmd.tensor<6x6xf32, #mesh>) {
  %r = moe.einsum "td,fd->tf" %x, %y : (!spmd.tensor<5x6xf32, #mesh>, !spmd.tensor<6x6xf32, #mesh>) -> !spmd.tensor<5x6xf32, #mesh>
  return
}

func.func @einsum_batched(%x: !spmd.tensor<4x1x6xf32, #mesh>, %y: !spmd.tensor<4x6x5xf32, #mesh>) {
  %r = moe.einsum "tmk,tkd->tmd" %x, %y : (!spmd.tensor<4x1x6xf32, #mesh>, !spmd.tensor<4x6x5xf32, #mesh>) -> !spmd.tensor<4x1x5xf32, #mesh>
  return
}

func.func @einsum_combine_scores(%x: !spmd.tensor<6x3xf32, #mesh>, %y: !spmd.tensor<6x3x4xf32, #mesh>) {
  %r = moe.einsum "tk,tkd->td" %x, %y : (!spmd.tensor<6x3xf32, #mesh>, !spmd.tensor<6x3x4xf32, #mesh>) -> !spmd.tensor<6x4xf32, #mesh>
  return
}

func.func @einsum_outer(%x: !spmd.tensor<6xf32, #mesh>, %y: !spmd.tensor<5xf32, #mesh>) {
  %r = moe.einsum "t,d->td" %x, %y : (!spmd.tensor<6xf32, #mesh>, !spmd.tensor<5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @einsum_elementwise(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.einsum "ab,ab->ab" %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @einsum_inner(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.einsum "ab,ab->" %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<f32, #mesh>
  return
}

func.func @einsum_transpose(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.einsum "ab->ba" %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<5x6xf32, #mesh>
  return
}

func.func @einsum_sum_rows(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.einsum "ab->a" %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh>
  return
}

func.func @einsum_sum_columns(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.einsum "ab->b" %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<5xf32, #mesh>
  return
}

func.func @einsum_sum_all(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.einsum "ab->" %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<f32, #mesh>
  return
}

func.func @einsum_sum_middle(%x: !spmd.tensor<4x3x6xf32, #mesh>) {
  %r = moe.einsum "tkd->td" %x : (!spmd.tensor<4x3x6xf32, #mesh>) -> !spmd.tensor<4x6xf32, #mesh>
  return
}

func.func @grouped_einsum_up(%x: !spmd.tensor<12x3xf32, #mesh>, %y: !spmd.tensor<4x3x6xf32, #mesh>, %c: !spmd.tensor<4xi32, #mesh> {rule.rows = 12 : i64}) {
  %r = moe.grouped_einsum "nd,edh->nh" %x, %y counts %c : (!spmd.tensor<12x3xf32, #mesh>, !spmd.tensor<4x3x6xf32, #mesh>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<12x6xf32, #mesh>
  return
}

func.func @grouped_einsum_down(%x: !spmd.tensor<12x6xf32, #mesh>, %y: !spmd.tensor<4x3x6xf32, #mesh>, %c: !spmd.tensor<4xi32, #mesh> {rule.rows = 12 : i64}) {
  %r = moe.grouped_einsum "nh,edh->nd" %x, %y counts %c : (!spmd.tensor<12x6xf32, #mesh>, !spmd.tensor<4x3x6xf32, #mesh>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<12x3xf32, #mesh>
  return
}

func.func @grouped_einsum_weights(%x: !spmd.tensor<12x3xf32, #mesh>, %y: !spmd.tensor<12x6xf32, #mesh>, %c: !spmd.tensor<4xi32, #mesh> {rule.rows = 12 : i64}) {
  %r = moe.grouped_einsum "nd,nh->edh" %x, %y counts %c : (!spmd.tensor<12x3xf32, #mesh>, !spmd.tensor<12x6xf32, #mesh>, !spmd.tensor<4xi32, #mesh>) -> !spmd.tensor<4x3x6xf32, #mesh>
  return
}

func.func @grouped_einsum_up_parts(%x: !spmd.tensor<16x3xf32, #mesh>, %y: !spmd.tensor<4x3x6xf32, #mesh>, %c: !spmd.tensor<2x4xi32, #mesh> {rule.rows = 16 : i64}) {
  %r = moe.grouped_einsum "nd,edh->nh" %x, %y counts %c : (!spmd.tensor<16x3xf32, #mesh>, !spmd.tensor<4x3x6xf32, #mesh>, !spmd.tensor<2x4xi32, #mesh>) -> !spmd.tensor<16x6xf32, #mesh>
  return
}

func.func @grouped_einsum_down_parts(%x: !spmd.tensor<16x6xf32, #mesh>, %y: !spmd.tensor<4x3x6xf32, #mesh>, %c: !spmd.tensor<2x4xi32, #mesh> {rule.rows = 16 : i64}) {
  %r = moe.grouped_einsum "nh,edh->nd" %x, %y counts %c : (!spmd.tensor<16x6xf32, #mesh>, !spmd.tensor<4x3x6xf32, #mesh>, !spmd.tensor<2x4xi32, #mesh>) -> !spmd.tensor<16x3xf32, #mesh>
  return
}

func.func @grouped_einsum_weights_parts(%x: !spmd.tensor<16x3xf32, #mesh>, %y: !spmd.tensor<16x6xf32, #mesh>, %c: !spmd.tensor<2x4xi32, #mesh> {rule.rows = 16 : i64}) {
  %r = moe.grouped_einsum "nd,nh->edh" %x, %y counts %c : (!spmd.tensor<16x3xf32, #mesh>, !spmd.tensor<16x6xf32, #mesh>, !spmd.tensor<2x4xi32, #mesh>) -> !spmd.tensor<4x3x6xf32, #mesh>
  return
}

func.func @add(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.add %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @sub(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.sub %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @mul(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.mul %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @div(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.div %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @scale(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.scale %x by 3.0 : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @scale_negative(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.scale %x by -0.5 : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @sigmoid(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.sigmoid %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @sigmoid_vjp(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.sigmoid_vjp %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @silu(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.silu %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @silu_vjp(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.silu_vjp %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @softmax(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.softmax %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @softmax_vjp(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.softmax_vjp %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @normalize(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.normalize %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @normalize_vjp(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.normalize_vjp %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @fill_like(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = moe.fill_like %x with 2.0 : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @fold_even(%x: !spmd.tensor<6x4x3xf32, #mesh>) {
  %r = moe.fold %x : (!spmd.tensor<6x4x3xf32, #mesh>) -> !spmd.tensor<24x3xf32, #mesh>
  return
}

func.func @unfold_even(%x: !spmd.tensor<24x3xf32, #mesh>) {
  %r = moe.unfold %x : (!spmd.tensor<24x3xf32, #mesh>) -> !spmd.tensor<6x4x3xf32, #mesh>
  return
}

func.func @fold_uneven(%x: !spmd.tensor<5x3x3xf32, #mesh>) {
  %r = moe.fold %x : (!spmd.tensor<5x3x3xf32, #mesh>) -> !spmd.tensor<15x3xf32, #mesh>
  return
}

func.func @unfold_uneven(%x: !spmd.tensor<15x3xf32, #mesh>) {
  %r = moe.unfold %x : (!spmd.tensor<15x3xf32, #mesh>) -> !spmd.tensor<5x3x3xf32, #mesh>
  return
}

func.func @fold_single(%x: !spmd.tensor<1x6x3xf32, #mesh>) {
  %r = moe.fold %x : (!spmd.tensor<1x6x3xf32, #mesh>) -> !spmd.tensor<6x3xf32, #mesh>
  return
}

func.func @unfold_single(%x: !spmd.tensor<6x3xf32, #mesh>) {
  %r = moe.unfold %x : (!spmd.tensor<6x3xf32, #mesh>) -> !spmd.tensor<1x6x3xf32, #mesh>
  return
}

func.func @fold_short(%x: !spmd.tensor<2x5x3xf32, #mesh>) {
  %r = moe.fold %x : (!spmd.tensor<2x5x3xf32, #mesh>) -> !spmd.tensor<10x3xf32, #mesh>
  return
}

func.func @unfold_short(%x: !spmd.tensor<10x3xf32, #mesh>) {
  %r = moe.unfold %x : (!spmd.tensor<10x3xf32, #mesh>) -> !spmd.tensor<2x5x3xf32, #mesh>
  return
}

func.func @fold_alike(%x: !spmd.tensor<2x2x3xf32, #mesh>) {
  %r = moe.fold %x : (!spmd.tensor<2x2x3xf32, #mesh>) -> !spmd.tensor<4x3xf32, #mesh>
  return
}

func.func @unfold_alike(%x: !spmd.tensor<4x3xf32, #mesh>) {
  %r = moe.unfold %x : (!spmd.tensor<4x3xf32, #mesh>) -> !spmd.tensor<2x2x3xf32, #mesh>
  return
}

func.func @top_k(%s: !spmd.tensor<6x4xf32, #mesh>) {
  %r = moe.top_k %s : (!spmd.tensor<6x4xf32, #mesh>) -> !spmd.tensor<6x2xi32, #mesh>
  return
}

func.func @top_k_bias(%s: !spmd.tensor<6x4xf32, #mesh>, %b: !spmd.tensor<4xf32, #mesh>) {
  %r = moe.top_k %s bias %b : (!spmd.tensor<6x4xf32, #mesh>, !spmd.tensor<4xf32, #mesh>) -> !spmd.tensor<6x2xi32, #mesh>
  return
}

func.func @gather(%s: !spmd.tensor<6x4xf32, #mesh>, %i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.gather %s, %i : (!spmd.tensor<6x4xf32, #mesh>, !spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<6x2xf32, #mesh>
  return
}

func.func @scatter(%s: !spmd.tensor<6x2xf32, #mesh>, %i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.scatter %s, %i : (!spmd.tensor<6x2xf32, #mesh>, !spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<6x4xf32, #mesh>
  return
}

func.func @count(%i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.count %i : (!spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<4xi32, #mesh>
  return
}

func.func @dispatch(%x: !spmd.tensor<6x5xf32, #mesh>, %i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.dispatch %x, %i of 4 : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<12x5xf32, #mesh>
  return
}

func.func @combine(%x: !spmd.tensor<12x5xf32, #mesh>, %i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.combine %x, %i of 4 : (!spmd.tensor<12x5xf32, #mesh>, !spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return
}

func.func @permute(%x: !spmd.tensor<6x2xf32, #mesh>, %i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.permute %x, %i of 4 : (!spmd.tensor<6x2xf32, #mesh>, !spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<12xf32, #mesh>
  return
}

func.func @unpermute(%x: !spmd.tensor<12xf32, #mesh>, %i: !spmd.tensor<6x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.unpermute %x, %i of 4 : (!spmd.tensor<12xf32, #mesh>, !spmd.tensor<6x2xi32, #mesh>) -> !spmd.tensor<6x2xf32, #mesh>
  return
}

func.func @count_parts(%i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.count %i : (!spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<2x4xi32, #mesh>
  return
}

func.func @count_parts_four(%i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.count %i : (!spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<4x4xi32, #mesh>
  return
}

func.func @dispatch_parts(%x: !spmd.tensor<8x5xf32, #mesh>, %i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.dispatch %x, %i of 4 in 2 parts : (!spmd.tensor<8x5xf32, #mesh>, !spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<16x5xf32, #mesh>
  return
}

func.func @dispatch_parts_four(%x: !spmd.tensor<8x5xf32, #mesh>, %i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.dispatch %x, %i of 4 in 4 parts : (!spmd.tensor<8x5xf32, #mesh>, !spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<16x5xf32, #mesh>
  return
}

func.func @combine_parts(%x: !spmd.tensor<16x5xf32, #mesh>, %i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.combine %x, %i of 4 in 2 parts : (!spmd.tensor<16x5xf32, #mesh>, !spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<8x5xf32, #mesh>
  return
}

func.func @combine_parts_four(%x: !spmd.tensor<16x5xf32, #mesh>, %i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.combine %x, %i of 4 in 4 parts : (!spmd.tensor<16x5xf32, #mesh>, !spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<8x5xf32, #mesh>
  return
}

func.func @permute_parts(%x: !spmd.tensor<8x2xf32, #mesh>, %i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.permute %x, %i of 4 in 2 parts : (!spmd.tensor<8x2xf32, #mesh>, !spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<16xf32, #mesh>
  return
}

func.func @unpermute_parts(%x: !spmd.tensor<16xf32, #mesh>, %i: !spmd.tensor<8x2xi32, #mesh> {rule.experts = 4 : i64}) {
  %r = moe.unpermute %x, %i of 4 in 2 parts : (!spmd.tensor<16xf32, #mesh>, !spmd.tensor<8x2xi32, #mesh>) -> !spmd.tensor<8x2xf32, #mesh>
  return
}

func.func @redistribute_replicate(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.redistribute %x : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: replicate>
  return
}

func.func @redistribute_shard(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.redistribute %x : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: shard<1>>
  return
}

func.func @redistribute_partial(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.redistribute %x : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: partial<sum>>
  return
}

func.func @claim(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.claim %x : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: ?>
  return
}

func.func @boundary(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.boundary %x grad claims <> : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: ?>
  return
}

func.func @all_reduce(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.all_reduce %x over ["a"] : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: replicate>
  return
}

func.func @all_gather(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.all_gather %x over "a" dim 1 : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: replicate>
  return
}

func.func @reduce_scatter(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.reduce_scatter %x over "a" dim 0 : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: shard<0>>
  return
}

func.func @all_to_all(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.all_to_all %x over "a" from 0 to 1 : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: shard<1>>
  return
}

func.func @grad_all_reduce(%x: !spmd.tensor<6x5xf32, #mesh, a: ?>) {
  %r = spmd.grad_all_reduce %x over ["a"] : !spmd.tensor<6x5xf32, #mesh, a: ?> -> !spmd.tensor<6x5xf32, #mesh, a: ?>
  return
}

func.func @arith_addf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.addf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_subf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.subf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_mulf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.mulf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_divf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.divf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_maximumf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.maximumf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_minimumf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.minimumf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_maxnumf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.maxnumf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_minnumf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = arith.minnumf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_addi(%x: !spmd.tensor<6x5xi32, #mesh>, %y: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xi32, #mesh>, !spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>, %y_: tensor<6x5xi32>):
    %v = arith.addi %x_, %y_ : tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @arith_subi(%x: !spmd.tensor<6x5xi32, #mesh>, %y: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xi32, #mesh>, !spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>, %y_: tensor<6x5xi32>):
    %v = arith.subi %x_, %y_ : tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @arith_muli(%x: !spmd.tensor<6x5xi32, #mesh>, %y: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xi32, #mesh>, !spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>, %y_: tensor<6x5xi32>):
    %v = arith.muli %x_, %y_ : tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @arith_maxsi(%x: !spmd.tensor<6x5xi32, #mesh>, %y: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xi32, #mesh>, !spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>, %y_: tensor<6x5xi32>):
    %v = arith.maxsi %x_, %y_ : tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @arith_minsi(%x: !spmd.tensor<6x5xi32, #mesh>, %y: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xi32, #mesh>, !spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>, %y_: tensor<6x5xi32>):
    %v = arith.minsi %x_, %y_ : tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @arith_negf(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = arith.negf %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_truncf(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xbf16, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = arith.truncf %x_ : tensor<6x5xf32> to tensor<6x5xbf16>
    spmd.yield %v : tensor<6x5xbf16>
  }
  return
}

func.func @arith_extf(%x: !spmd.tensor<6x5xbf16, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xbf16, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xbf16>):
    %v = arith.extf %x_ : tensor<6x5xbf16> to tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_sitofp(%x: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>):
    %v = arith.sitofp %x_ : tensor<6x5xi32> to tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_fptosi(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = arith.fptosi %x_ : tensor<6x5xf32> to tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @arith_extsi(%x: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi64, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>):
    %v = arith.extsi %x_ : tensor<6x5xi32> to tensor<6x5xi64>
    spmd.yield %v : tensor<6x5xi64>
  }
  return
}

func.func @arith_relu(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %z = arith.constant dense<0.5> : tensor<6x5xf32>
    %v = arith.maximumf %x_, %z : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_add_constant(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %z = arith.constant dense<1.5> : tensor<6x5xf32>
    %v = arith.addf %x_, %z : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_mul_constant(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %z = arith.constant dense<1.5> : tensor<6x5xf32>
    %v = arith.mulf %x_, %z : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_add_zero(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %z = arith.constant dense<0.0> : tensor<6x5xf32>
    %v = arith.addf %x_, %z : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_select(%c: !spmd.tensor<6x5xf32, #mesh>, %x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %c, %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%c_: tensor<6x5xf32>, %x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %z = arith.constant dense<0.5> : tensor<6x5xf32>
    %m = arith.cmpf olt, %c_, %z : tensor<6x5xf32>
    %v = arith.select %m, %x_, %y_ : tensor<6x5xi1>, tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_select_integers(%c: !spmd.tensor<6x5xi32, #mesh>, %x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %c, %x : (!spmd.tensor<6x5xi32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%c_: tensor<6x5xi32>, %x_: tensor<6x5xf32>):
    %z = arith.constant dense<2> : tensor<6x5xi32>
    %k = arith.constant dense<0.0> : tensor<6x5xf32>
    %m = arith.cmpi slt, %c_, %z : tensor<6x5xi32>
    %v = arith.select %m, %x_, %k : tensor<6x5xi1>, tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @arith_divsi(%x: !spmd.tensor<6x5xi32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xi32, #mesh>) -> !spmd.tensor<6x5xi32, #mesh> {
  ^bb0(%x_: tensor<6x5xi32>):
    %z = arith.constant dense<3> : tensor<6x5xi32>
    %v = arith.divsi %x_, %z : tensor<6x5xi32>
    spmd.yield %v : tensor<6x5xi32>
  }
  return
}

func.func @math_absf(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.absf %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_cos(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.cos %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_erf(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.erf %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_exp(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.exp %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_log(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.log %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_rsqrt(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.rsqrt %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_sin(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.sin %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_sqrt(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.sqrt %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_tanh(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = math.tanh %x_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @math_powf(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %v = math.powf %x_, %y_ : tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_matmul(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<5x4xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<5x4xf32, #mesh>) -> !spmd.tensor<6x4xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<5x4xf32>):
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<6x4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<6x4xf32>) -> tensor<6x4xf32>
    %v = linalg.matmul ins(%x_, %y_ : tensor<6x5xf32>, tensor<5x4xf32>) outs(%f : tensor<6x4xf32>) -> tensor<6x4xf32>
    spmd.yield %v : tensor<6x4xf32>
  }
  return
}

func.func @linalg_matmul_start(%x: !spmd.tensor<4x6xf32, #mesh>, %y: !spmd.tensor<6x3xf32, #mesh>, %s: !spmd.tensor<4x3xf32, #mesh>) {
  %r = spmd.compute %x, %y, %s : (!spmd.tensor<4x6xf32, #mesh>, !spmd.tensor<6x3xf32, #mesh>, !spmd.tensor<4x3xf32, #mesh>) -> !spmd.tensor<4x3xf32, #mesh> {
  ^bb0(%x_: tensor<4x6xf32>, %y_: tensor<6x3xf32>, %s_: tensor<4x3xf32>):
    %v = linalg.matmul ins(%x_, %y_ : tensor<4x6xf32>, tensor<6x3xf32>) outs(%s_ : tensor<4x3xf32>) -> tensor<4x3xf32>
    spmd.yield %v : tensor<4x3xf32>
  }
  return
}

func.func @linalg_batch_matmul(%x: !spmd.tensor<4x3x6xf32, #mesh>, %y: !spmd.tensor<4x6x2xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<4x3x6xf32, #mesh>, !spmd.tensor<4x6x2xf32, #mesh>) -> !spmd.tensor<4x3x2xf32, #mesh> {
  ^bb0(%x_: tensor<4x3x6xf32>, %y_: tensor<4x6x2xf32>):
    %f = arith.constant dense<0.0> : tensor<4x3x2xf32>
    %v = linalg.batch_matmul ins(%x_, %y_ : tensor<4x3x6xf32>, tensor<4x6x2xf32>) outs(%f : tensor<4x3x2xf32>) -> tensor<4x3x2xf32>
    spmd.yield %v : tensor<4x3x2xf32>
  }
  return
}

func.func @linalg_matvec(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<5xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<5xf32>):
    %f = arith.constant dense<0.0> : tensor<6xf32>
    %v = linalg.matvec ins(%x_, %y_ : tensor<6x5xf32>, tensor<5xf32>) outs(%f : tensor<6xf32>) -> tensor<6xf32>
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_dot(%x: !spmd.tensor<6xf32, #mesh>, %y: !spmd.tensor<6xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6xf32, #mesh>, !spmd.tensor<6xf32, #mesh>) -> !spmd.tensor<f32, #mesh> {
  ^bb0(%x_: tensor<6xf32>, %y_: tensor<6xf32>):
    %f = arith.constant dense<0.0> : tensor<f32>
    %v = linalg.dot ins(%x_, %y_ : tensor<6xf32>, tensor<6xf32>) outs(%f : tensor<f32>) -> tensor<f32>
    spmd.yield %v : tensor<f32>
  }
  return
}

func.func @linalg_add(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.add ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_sub(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.sub ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_mul(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.mul ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_div(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.div ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_max(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.max ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_min(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.min ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_exp(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.exp ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_negf(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.negf ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_square(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.square ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_transpose(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<5x6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<5x6xf32>
    %v = linalg.transpose ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<5x6xf32>) permutation = [1, 0]
    spmd.yield %v : tensor<5x6xf32>
  }
  return
}

func.func @linalg_broadcast(%x: !spmd.tensor<5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.broadcast ins(%x_ : tensor<5xf32>) outs(%e : tensor<6x5xf32>) dimensions = [0]
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_copy(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.copy ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_reduce_sum(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %f = arith.constant dense<0.0> : tensor<6xf32>
    %v = linalg.reduce { arith.addf } ins(%x_ : tensor<6x5xf32>) outs(%f : tensor<6xf32>) dimensions = [1]
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_reduce_max(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %f = arith.constant dense<0.0> : tensor<6xf32>
    %v = linalg.reduce { arith.maximumf } ins(%x_ : tensor<6x5xf32>) outs(%f : tensor<6xf32>) dimensions = [1]
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_reduce_product(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %f = arith.constant dense<1.0> : tensor<6xf32>
    %v = linalg.reduce { arith.mulf } ins(%x_ : tensor<6x5xf32>) outs(%f : tensor<6xf32>) dimensions = [1]
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_reduce_sum_start(%x: !spmd.tensor<6x5xf32, #mesh>, %s: !spmd.tensor<6xf32, #mesh>) {
  %r = spmd.compute %x, %s : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %s_: tensor<6xf32>):
    %v = linalg.reduce { arith.addf } ins(%x_ : tensor<6x5xf32>) outs(%s_ : tensor<6xf32>) dimensions = [1]
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_reduce_min_start(%x: !spmd.tensor<6x5xf32, #mesh>, %s: !spmd.tensor<6xf32, #mesh>) {
  %r = spmd.compute %x, %s : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %s_: tensor<6xf32>):
    %v = linalg.reduce { arith.minimumf } ins(%x_ : tensor<6x5xf32>) outs(%s_ : tensor<6xf32>) dimensions = [1]
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_reduce_max_start(%x: !spmd.tensor<6x5xf32, #mesh>, %s: !spmd.tensor<6xf32, #mesh>) {
  %r = spmd.compute %x, %s : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %s_: tensor<6xf32>):
    %v = linalg.reduce { arith.maximumf } ins(%x_ : tensor<6x5xf32>) outs(%s_ : tensor<6xf32>) dimensions = [1]
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_softmax(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.softmax dimension(1) ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_softmax_rows(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.softmax dimension(0) ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_map(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %y_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.map { arith.mulf } ins(%x_, %y_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>)
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_generic_bias(%x: !spmd.tensor<6x5xf32, #mesh>, %b: !spmd.tensor<5xf32, #mesh>) {
  %r = spmd.compute %x, %b : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>, %b_: tensor<5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x_, %b_ : tensor<6x5xf32>, tensor<5xf32>) outs(%e : tensor<6x5xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %s = arith.addf %p, %q : f32
      linalg.yield %s : f32
    } -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_generic_swiglu(%g: !spmd.tensor<6x5xf32, #mesh>, %u: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %g, %u : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%g_: tensor<6x5xf32>, %u_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%g_, %u_ : tensor<6x5xf32>, tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %a = math.tanh %p : f32
      %s = arith.mulf %a, %q : f32
      linalg.yield %s : f32
    } -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_generic_squares(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %f = arith.constant dense<0.0> : tensor<6xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x_ : tensor<6x5xf32>) outs(%f : tensor<6xf32>) {
    ^bb1(%p: f32, %o: f32):
      %a = arith.mulf %p, %p : f32
      %s = arith.addf %o, %a : f32
      linalg.yield %s : f32
    } -> tensor<6xf32>
    spmd.yield %v : tensor<6xf32>
  }
  return
}

func.func @linalg_generic_accumulate_cast(%x: !spmd.tensor<6x5xbf16, #mesh>, %y: !spmd.tensor<5x4xbf16, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x5xbf16, #mesh>, !spmd.tensor<5x4xbf16, #mesh>) -> !spmd.tensor<6x4xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xbf16>, %y_: tensor<5x4xbf16>):
    %f = arith.constant dense<0.0> : tensor<6x4xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (k, j)>, affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x_, %y_ : tensor<6x5xbf16>, tensor<5x4xbf16>) outs(%f : tensor<6x4xf32>) {
    ^bb1(%p: bf16, %q: bf16, %o: f32):
      %a = arith.extf %p : bf16 to f32
      %b = arith.extf %q : bf16 to f32
      %m = arith.mulf %a, %b : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    } -> tensor<6x4xf32>
    spmd.yield %v : tensor<6x4xf32>
  }
  return
}

func.func @linalg_generic_diagonal(%x: !spmd.tensor<5x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<5x5xf32, #mesh>) -> !spmd.tensor<5xf32, #mesh> {
  ^bb0(%x_: tensor<5x5xf32>):
    %e = tensor.empty() : tensor<5xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i) -> (i, i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]} ins(%x_ : tensor<5x5xf32>) outs(%e : tensor<5xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<5xf32>
    spmd.yield %v : tensor<5xf32>
  }
  return
}

func.func @linalg_generic_position(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %e = tensor.empty() : tensor<6x5xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%x_ : tensor<6x5xf32>) outs(%e : tensor<6x5xf32>) {
    ^bb1(%p: f32, %o: f32):
      %i = linalg.index 0 : index
      %j = arith.index_cast %i : index to i32
      %k = arith.sitofp %j : i32 to f32
      %h = arith.constant 1.5 : f32
      %m = arith.subf %k, %h : f32
      %s = arith.mulf %p, %m : f32
      linalg.yield %s : f32
    } -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @linalg_generic_window(%x: !spmd.tensor<7xf32, #mesh>, %w: !spmd.tensor<3xf32, #mesh>) {
  %r = spmd.compute %x, %w : (!spmd.tensor<7xf32, #mesh>, !spmd.tensor<3xf32, #mesh>) -> !spmd.tensor<5xf32, #mesh> {
  ^bb0(%x_: tensor<7xf32>, %w_: tensor<3xf32>):
    %f = arith.constant dense<0.0> : tensor<5xf32>
    %v = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i + j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]} ins(%x_, %w_ : tensor<7xf32>, tensor<3xf32>) outs(%f : tensor<5xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %m = arith.mulf %p, %q : f32
      %s = arith.addf %o, %m : f32
      linalg.yield %s : f32
    } -> tensor<5xf32>
    spmd.yield %v : tensor<5xf32>
  }
  return
}

func.func @tensor_extract_slice(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x3xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = tensor.extract_slice %x_[0, 1] [6, 3] [1, 1] : tensor<6x5xf32> to tensor<6x3xf32>
    spmd.yield %v : tensor<6x3xf32>
  }
  return
}

func.func @tensor_extract_row(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = tensor.extract_slice %x_[2, 0] [1, 5] [1, 1] : tensor<6x5xf32> to tensor<5xf32>
    spmd.yield %v : tensor<5xf32>
  }
  return
}

func.func @tensor_extract_strided(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x3xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = tensor.extract_slice %x_[0, 0] [6, 3] [1, 2] : tensor<6x5xf32> to tensor<6x3xf32>
    spmd.yield %v : tensor<6x3xf32>
  }
  return
}

func.func @tensor_insert_slice(%x: !spmd.tensor<6x3xf32, #mesh>, %y: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x3xf32, #mesh>, !spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x3xf32>, %y_: tensor<6x5xf32>):
    %v = tensor.insert_slice %x_ into %y_[0, 1] [6, 3] [1, 1] : tensor<6x3xf32> into tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @tensor_insert_slice_zeros(%x: !spmd.tensor<6x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x3xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x3xf32>):
    %z = arith.constant dense<0.0> : tensor<6x5xf32>
    %v = tensor.insert_slice %x_ into %z[0, 1] [6, 3] [1, 1] : tensor<6x3xf32> into tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @tensor_pad_zero(%x: !spmd.tensor<6x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x3xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x3xf32>):
    %z = arith.constant 0.0 : f32
    %v = tensor.pad %x_ low[0, 1] high[0, 1] {
    ^bb1(%i: index, %j: index):
      tensor.yield %z : f32
    } : tensor<6x3xf32> to tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @tensor_pad_one(%x: !spmd.tensor<6x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x3xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x3xf32>):
    %z = arith.constant 1.0 : f32
    %v = tensor.pad %x_ low[0, 1] high[0, 1] {
    ^bb1(%i: index, %j: index):
      tensor.yield %z : f32
    } : tensor<6x3xf32> to tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @tensor_concat(%x: !spmd.tensor<6x2xf32, #mesh>, %y: !spmd.tensor<6x3xf32, #mesh>) {
  %r = spmd.compute %x, %y : (!spmd.tensor<6x2xf32, #mesh>, !spmd.tensor<6x3xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x2xf32>, %y_: tensor<6x3xf32>):
    %v = tensor.concat dim(1) %x_, %y_ : (tensor<6x2xf32>, tensor<6x3xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @tensor_concat_zeros(%x: !spmd.tensor<6x2xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x2xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x2xf32>):
    %z = arith.constant dense<0.0> : tensor<6x3xf32>
    %v = tensor.concat dim(1) %x_, %z : (tensor<6x2xf32>, tensor<6x3xf32>) -> tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @tensor_collapse_even(%x: !spmd.tensor<6x4x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x4x3xf32, #mesh>) -> !spmd.tensor<24x3xf32, #mesh> {
  ^bb0(%x_: tensor<6x4x3xf32>):
    %v = tensor.collapse_shape %x_ [[0, 1], [2]] : tensor<6x4x3xf32> into tensor<24x3xf32>
    spmd.yield %v : tensor<24x3xf32>
  }
  return
}

func.func @tensor_expand_even(%x: !spmd.tensor<24x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<24x3xf32, #mesh>) -> !spmd.tensor<6x4x3xf32, #mesh> {
  ^bb0(%x_: tensor<24x3xf32>):
    %v = tensor.expand_shape %x_ [[0, 1], [2]] output_shape [6, 4, 3] : tensor<24x3xf32> into tensor<6x4x3xf32>
    spmd.yield %v : tensor<6x4x3xf32>
  }
  return
}

func.func @tensor_collapse_uneven(%x: !spmd.tensor<5x3x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<5x3x3xf32, #mesh>) -> !spmd.tensor<15x3xf32, #mesh> {
  ^bb0(%x_: tensor<5x3x3xf32>):
    %v = tensor.collapse_shape %x_ [[0, 1], [2]] : tensor<5x3x3xf32> into tensor<15x3xf32>
    spmd.yield %v : tensor<15x3xf32>
  }
  return
}

func.func @tensor_expand_uneven(%x: !spmd.tensor<15x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<15x3xf32, #mesh>) -> !spmd.tensor<5x3x3xf32, #mesh> {
  ^bb0(%x_: tensor<15x3xf32>):
    %v = tensor.expand_shape %x_ [[0, 1], [2]] output_shape [5, 3, 3] : tensor<15x3xf32> into tensor<5x3x3xf32>
    spmd.yield %v : tensor<5x3x3xf32>
  }
  return
}

func.func @tensor_collapse_single(%x: !spmd.tensor<1x6x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<1x6x3xf32, #mesh>) -> !spmd.tensor<6x3xf32, #mesh> {
  ^bb0(%x_: tensor<1x6x3xf32>):
    %v = tensor.collapse_shape %x_ [[0, 1], [2]] : tensor<1x6x3xf32> into tensor<6x3xf32>
    spmd.yield %v : tensor<6x3xf32>
  }
  return
}

func.func @tensor_expand_single(%x: !spmd.tensor<6x3xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x3xf32, #mesh>) -> !spmd.tensor<1x6x3xf32, #mesh> {
  ^bb0(%x_: tensor<6x3xf32>):
    %v = tensor.expand_shape %x_ [[0, 1], [2]] output_shape [1, 6, 3] : tensor<6x3xf32> into tensor<1x6x3xf32>
    spmd.yield %v : tensor<1x6x3xf32>
  }
  return
}

func.func @tensor_cast(%x: !spmd.tensor<6x5xf32, #mesh>) {
  %r = spmd.compute %x : (!spmd.tensor<6x5xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  ^bb0(%x_: tensor<6x5xf32>):
    %v = tensor.cast %x_ : tensor<6x5xf32> to tensor<6x5xf32>
    spmd.yield %v : tensor<6x5xf32>
  }
  return
}

func.func @opaque(%x: !spmd.tensor<6x5xf32, #mesh>, %y: !spmd.tensor<4x5xf32, #mesh>)
    attributes {rule.code = "td,ed->te"} {
  %r = spmd.opaque "product" %x, %y needs [<a: shard<1>>, <a: shard<1>>] : (!spmd.tensor<6x5xf32, #mesh>, !spmd.tensor<4x5xf32, #mesh>) -> !spmd.tensor<6x4xf32, #mesh, a: partial<sum>>
  return
}

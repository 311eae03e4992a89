// RUN: moe-opt %s | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | moe-opt | FileCheck %s
// RUN: moe-opt %s --mlir-print-op-generic | FileCheck %s --check-prefix=GENERIC

// T = 10 tokens, D = 12, F = 6, E = 8 experts, K = 3 of them, N = 30 rows.

#mesh = #spmd.mesh<dp=2, tp=4>

!x = !spmd.tensor<10x12xf32, #mesh, dp: shard<0>>
!g = !spmd.tensor<8x12xf32, #mesh>
!s = !spmd.tensor<10x8xf32, #mesh, dp: ?, tp: ?>
!idx = !spmd.tensor<10x3xi32, #mesh, dp: shard<0>>
!q = !spmd.tensor<10x3xf32, #mesh>
!rows = !spmd.tensor<30x12xf32, #mesh, dp: ragged<0>>
!h = !spmd.tensor<30x6xf32, #mesh, dp: ragged<0>, tp: shard<1>>
!row = !spmd.tensor<30xf32, #mesh>
!counts = !spmd.tensor<8xi32, #mesh>

// CHECK-LABEL: func @contractions
func.func @contractions(%x: !x, %g: !g, %rows: !rows, %w: !spmd.tensor<8x6x12xf32, #mesh, dp: shard<0>, tp: shard<1>>, %counts: !counts, %h: !h) {
  // CHECK-NEXT: moe.einsum "td,ed->te" %{{.*}}, %{{.*}} : (!spmd.tensor<10x12xf32, #[[$MESH:mesh[0-9]*]], dp: shard<0>>, !spmd.tensor<8x12xf32, #[[$MESH]]>) -> !spmd.tensor<10x8xf32, #[[$MESH]], dp: ?, tp: ?>
  // GENERIC: "moe.einsum"(%{{.*}}, %{{.*}}) <{equation = "td,ed->te"}>
  %0 = moe.einsum "td,ed->te" %x, %g : (!x, !g) -> !s
  // One operand: a transposition, and a sum to a scalar.
  // CHECK-NEXT: moe.einsum "td->dt" %{{.*}} : (!spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<12x10xf32, #[[$MESH]], dp: shard<1>>
  %1 = moe.einsum "td->dt" %x : (!x) -> !spmd.tensor<12x10xf32, #mesh, dp: shard<1>>
  // CHECK-NEXT: moe.einsum "td->" %{{.*}} {note} : {{.*}} -> !spmd.tensor<f32, #[[$MESH]], dp: partial<sum>>
  %2 = moe.einsum "td->" %x {note} : (!x) -> !spmd.tensor<f32, #mesh, dp: partial<sum>>
  // CHECK-NEXT: moe.grouped_einsum "nd,efd->nf" %{{.*}}, %{{.*}} counts %{{.*}} : (!spmd.tensor<30x12xf32, #[[$MESH]], dp: ragged<0>>, !spmd.tensor<8x6x12xf32, #[[$MESH]], dp: shard<0>, tp: shard<1>>, !spmd.tensor<8xi32, #[[$MESH]]>) -> !spmd.tensor<30x6xf32, #[[$MESH]], dp: ragged<0>, tp: shard<1>>
  // GENERIC: "moe.grouped_einsum"(%{{.*}}, %{{.*}}, %{{.*}}) <{equation = "nd,efd->nf"}>
  %3 = moe.grouped_einsum "nd,efd->nf" %rows, %w counts %counts
      : (!rows, !spmd.tensor<8x6x12xf32, #mesh, dp: shard<0>, tp: shard<1>>, !counts) -> !h
  // The gradient of the weights: `e` is in no operand, rows say it.
  // CHECK-NEXT: moe.grouped_einsum "nf,nd->efd"
  %4 = moe.grouped_einsum "nf,nd->efd" %h, %rows counts %counts
      : (!h, !rows, !counts) -> !spmd.tensor<8x6x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  // Experts first.
  // CHECK-NEXT: moe.grouped_einsum "efd,nf->nd"
  %5 = moe.grouped_einsum "efd,nf->nd" %w, %h counts %counts
      : (!spmd.tensor<8x6x12xf32, #mesh, dp: shard<0>, tp: shard<1>>, !h, !counts) -> !rows
  return
}

// CHECK-LABEL: func @elementwise
// CHECK-SAME: %[[A:[a-z0-9]+]]: !spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>, %[[B:[a-z0-9]+]]:
func.func @elementwise(%a: !x, %b: !x) {
  // CHECK-NEXT: moe.add %[[A]], %[[B]] : (!spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>, !spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>
  // GENERIC: "moe.add"(
  %0 = moe.add %a, %b : (!x, !x) -> !x
  // CHECK-NEXT: moe.sub %[[B]], %[[A]] :
  %1 = moe.sub %b, %a : (!x, !x) -> !x
  // CHECK-NEXT: moe.mul %[[A]], %[[A]] :
  %2 = moe.mul %a, %a : (!x, !x) -> !x
  // CHECK-NEXT: moe.div %[[A]], %[[B]] {note} :
  %3 = moe.div %a, %b {note} : (!x, !x) -> !x
  // CHECK-NEXT: moe.scale %[[A]] by -2.500000e+00 :
  // GENERIC: "moe.scale"(%{{.*}}) <{factor = -2.500000e+00 : f64}>
  %4 = moe.scale %a by -2.5 : (!x) -> !x
  // CHECK-NEXT: moe.sigmoid %[[A]] :
  %5 = moe.sigmoid %a : (!x) -> !x
  // CHECK-NEXT: moe.sigmoid_vjp %[[A]], %[[B]] :
  %6 = moe.sigmoid_vjp %a, %b : (!x, !x) -> !x
  // CHECK-NEXT: moe.silu %[[A]] :
  %7 = moe.silu %a : (!x) -> !x
  // CHECK-NEXT: moe.silu_vjp %[[A]], %[[B]] :
  %8 = moe.silu_vjp %a, %b : (!x, !x) -> !x
  // CHECK-NEXT: moe.softmax %[[A]] :
  %9 = moe.softmax %a : (!x) -> !x
  // CHECK-NEXT: moe.softmax_vjp %[[A]], %[[B]] :
  %10 = moe.softmax_vjp %a, %b : (!x, !x) -> !x
  // CHECK-NEXT: moe.normalize %[[A]] :
  %11 = moe.normalize %a : (!x) -> !x
  // CHECK-NEXT: moe.normalize_vjp %[[A]], %[[B]] :
  %12 = moe.normalize_vjp %a, %b : (!x, !x) -> !x
  // CHECK-NEXT: moe.fill_like %[[A]] with 1.000000e+00 : (!spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<10x12xf32, #[[$MESH]], dp: ?>
  // GENERIC: "moe.fill_like"(%{{.*}}) <{value = 1.000000e+00 : f64}>
  %13 = moe.fill_like %a with 1.0 : (!x) -> !spmd.tensor<10x12xf32, #mesh, dp: ?>
  return
}

// Any rank and any float, scalars too.
// CHECK-LABEL: func @other_tensors
func.func @other_tensors(%a: !spmd.tensor<f64, #mesh, tp: partial<sum>>,
                         %b: !spmd.tensor<2x3x4x5xbf16, #mesh, tp: shard<3>>) {
  // CHECK-NEXT: moe.add %{{.*}}, %{{.*}} : (!spmd.tensor<f64, #[[$MESH]], tp: partial<sum>>,
  %0 = moe.add %a, %a : (!spmd.tensor<f64, #mesh, tp: partial<sum>>, !spmd.tensor<f64, #mesh, tp: partial<sum>>)
      -> !spmd.tensor<f64, #mesh, tp: partial<sum>>
  // CHECK-NEXT: moe.silu %{{.*}} : (!spmd.tensor<2x3x4x5xbf16, #[[$MESH]], tp: shard<3>>)
  %1 = moe.silu %b : (!spmd.tensor<2x3x4x5xbf16, #mesh, tp: shard<3>>)
      -> !spmd.tensor<2x3x4x5xbf16, #mesh, tp: shard<3>>
  return
}

// CHECK-LABEL: func @shapes
func.func @shapes(%x: !spmd.tensor<2x5x12xf32, #mesh, dp: shard<0>>, %y: !spmd.tensor<2x5xf32, #mesh>) {
  // CHECK-NEXT: moe.fold %{{.*}} : (!spmd.tensor<2x5x12xf32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>
  // GENERIC: "moe.fold"(
  %0 = moe.fold %x : (!spmd.tensor<2x5x12xf32, #mesh, dp: shard<0>>) -> !x
  // CHECK-NEXT: moe.unfold %{{.*}} : (!spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<2x5x12xf32, #[[$MESH]], dp: shard<0>>
  %1 = moe.unfold %0 : (!x) -> !spmd.tensor<2x5x12xf32, #mesh, dp: shard<0>>
  // Nothing beside batch and sequence.
  // CHECK-NEXT: moe.fold %{{.*}} : (!spmd.tensor<2x5xf32, #[[$MESH]]>) -> !spmd.tensor<10xf32, #[[$MESH]]>
  %2 = moe.fold %y : (!spmd.tensor<2x5xf32, #mesh>) -> !spmd.tensor<10xf32, #mesh>
  return
}

// CHECK-LABEL: func @routing
func.func @routing(%s: !s, %bias: !spmd.tensor<8xf32, #mesh>, %idx: !idx, %q: !q, %x: !x, %rows: !rows, %row: !row) {
  // CHECK-NEXT: moe.top_k %{{.*}} : (!spmd.tensor<10x8xf32, #[[$MESH]], dp: ?, tp: ?>) -> !spmd.tensor<10x3xi32, #[[$MESH]], dp: shard<0>>
  // Defaults are not printed: one group, which may be chosen.
  // GENERIC: "moe.top_k"(%{{.*}}) <{{.*}}groups = 1 : i64, limited_groups = 1 : i64
  %0 = moe.top_k %s : (!s) -> !idx
  // CHECK-NEXT: moe.top_k %{{.*}} bias %{{.*}} {groups = 4 : i64, limited_groups = 2 : i64} : (!spmd.tensor<10x8xf32, {{.*}}>, !spmd.tensor<8xf32, #[[$MESH]]>) ->
  %1 = moe.top_k %s bias %bias {groups = 4 : i64, limited_groups = 2 : i64}
      : (!s, !spmd.tensor<8xf32, #mesh>) -> !idx
  // CHECK-NEXT: moe.gather %{{.*}}, %{{.*}} : (!spmd.tensor<10x8xf32, {{.*}}>, !spmd.tensor<10x3xi32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<10x3xf32, #[[$MESH]]>
  // GENERIC: "moe.gather"(
  %2 = moe.gather %s, %idx : (!s, !idx) -> !q
  // CHECK-NEXT: moe.scatter %{{.*}}, %{{.*}} : (!spmd.tensor<10x3xf32, {{.*}}>, !spmd.tensor<10x3xi32, {{.*}}>) -> !spmd.tensor<10x8xf32,
  %3 = moe.scatter %q, %idx : (!q, !idx) -> !s
  // CHECK-NEXT: moe.count %{{.*}} : (!spmd.tensor<10x3xi32, #[[$MESH]], dp: shard<0>>) -> !spmd.tensor<8xi32, #[[$MESH]]>
  %4 = moe.count %idx : (!idx) -> !counts
  // CHECK-NEXT: moe.dispatch %{{.*}}, %{{.*}} of 8 : (!spmd.tensor<10x12xf32, {{.*}}>, !spmd.tensor<10x3xi32, {{.*}}>) -> !spmd.tensor<30x12xf32, #[[$MESH]], dp: ragged<0>>
  // GENERIC: "moe.dispatch"(%{{.*}}, %{{.*}}) <{num_experts = 8 : i64, parts = 1 : i64}>
  %5 = moe.dispatch %x, %idx of 8 : (!x, !idx) -> !rows
  // CHECK-NEXT: moe.combine %{{.*}}, %{{.*}} of 8 : (!spmd.tensor<30x12xf32, {{.*}}>, !spmd.tensor<10x3xi32, {{.*}}>) -> !spmd.tensor<10x12xf32, #[[$MESH]], dp: shard<0>>
  %6 = moe.combine %rows, %idx of 8 : (!rows, !idx) -> !x
  // CHECK-NEXT: moe.permute %{{.*}}, %{{.*}} of 8 : (!spmd.tensor<10x3xf32, {{.*}}>, {{.*}}) -> !spmd.tensor<30xf32, #[[$MESH]]>
  %7 = moe.permute %q, %idx of 8 : (!q, !idx) -> !row
  // CHECK-NEXT: moe.unpermute %{{.*}}, %{{.*}} of 8 : (!spmd.tensor<30xf32, {{.*}}>, {{.*}}) -> !spmd.tensor<10x3xf32, #[[$MESH]]>
  %8 = moe.unpermute %row, %idx of 8 : (!row, !idx) -> !q
  return
}

// CHECK-LABEL: func @parts
func.func @parts(%idx: !idx, %q: !q, %x: !x, %w: !spmd.tensor<8x6x12xf32, #mesh>) {
  // CHECK-NEXT: moe.count %{{.*}} : ({{.*}}) -> !spmd.tensor<2x8xi32, #[[$MESH]], dp: shard<0>>
  %0 = moe.count %idx : (!idx) -> !spmd.tensor<2x8xi32, #mesh, dp: shard<0>>
  // CHECK-NEXT: moe.dispatch %{{.*}}, %{{.*}} of 8 in 2 parts : ({{.*}}) -> !spmd.tensor<30x12xf32, #[[$MESH]], dp: shard<0>>
  // GENERIC: "moe.dispatch"(%{{.*}}, %{{.*}}) <{num_experts = 8 : i64, parts = 2 : i64}>
  %1 = moe.dispatch %x, %idx of 8 in 2 parts : (!x, !idx) -> !spmd.tensor<30x12xf32, #mesh, dp: shard<0>>
  // CHECK-NEXT: moe.permute %{{.*}}, %{{.*}} of 8 in 5 parts :
  %2 = moe.permute %q, %idx of 8 in 5 parts : (!q, !idx) -> !row
  // CHECK-NEXT: moe.grouped_einsum "nd,efd->nf" %{{.*}}, %{{.*}} counts %{{.*}} : ({{.*}}, !spmd.tensor<2x8xi32, #[[$MESH]], dp: shard<0>>) ->
  %3 = moe.grouped_einsum "nd,efd->nf" %1, %w counts %0
      : (!spmd.tensor<30x12xf32, #mesh, dp: shard<0>>, !spmd.tensor<8x6x12xf32, #mesh>, !spmd.tensor<2x8xi32, #mesh, dp: shard<0>>)
      -> !spmd.tensor<30x6xf32, #mesh, dp: shard<0>>
  // One part is what there is without.
  // CHECK-NEXT: moe.unpermute %{{.*}}, %{{.*}} of 8 :
  %4 = moe.unpermute %2, %idx of 8 in 1 parts : (!row, !idx) -> !q
  return
}

// RUN: moe-opt %s --spmd-infer-placements | FileCheck %s

// Every rule of the table on a mesh whose axes do different things at once.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x12xf32, #mesh>
!P = !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
!S0 = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
!S1 = !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
!U = !spmd.tensor<8x12xf32, #mesh, dp: ?, tp: ?>

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%r: !R, %p: !P, %q: !P, %s: !S1, %t: !S0) {
  // CHECK: moe.add {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %0 = moe.add %p, %q : (!P, !P) -> !U
  // CHECK: moe.sub {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  %1 = moe.sub %s, %s : (!S1, !S1) -> !U
  // CHECK: moe.mul {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %2 = moe.mul %r, %p : (!R, !P) -> !U
  // CHECK: moe.div {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %3 = moe.div %p, %r : (!P, !R) -> !U
  // CHECK: moe.scale {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %4 = moe.scale %p by 2.5 : (!P) -> !U
  // CHECK: moe.sigmoid {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  %5 = moe.sigmoid %s : (!S1) -> !U
  // CHECK: moe.sigmoid_vjp {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %6 = moe.sigmoid_vjp %r, %p : (!R, !P) -> !U
  // CHECK: moe.silu {{.*}} -> !spmd.tensor<8x12xf32, #mesh>
  %7 = moe.silu %r : (!R) -> !U
  // CHECK: moe.silu_vjp {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  %8 = moe.silu_vjp %s, %s : (!S1, !S1) -> !U
  // CHECK: moe.softmax {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
  %9 = moe.softmax %t : (!S0) -> !U
  // CHECK: moe.softmax_vjp {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %10 = moe.softmax_vjp %r, %p : (!R, !P) -> !U
  // CHECK: moe.normalize {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
  %11 = moe.normalize %t : (!S0) -> !U
  // CHECK: moe.normalize_vjp {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %12 = moe.normalize_vjp %r, %p : (!R, !P) -> !U
  // A constant is the same on every rank, whatever it is shaped after.
  // CHECK: moe.fill_like %arg1 {{.*}} -> !spmd.tensor<8x12xf32, #mesh>
  %13 = moe.fill_like %p with 1.0 : (!P) -> !U
  // CHECK: moe.fill_like %arg3 {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  %14 = moe.fill_like %s with 1.0 : (!S1) -> !U
  return
}

// CHECK-LABEL: func.func @einsum
func.func @einsum(%x: !S1, %w: !spmd.tensor<20x12xf32, #mesh, tp: shard<1>>,
                  %v: !spmd.tensor<20x12xf32, #mesh, tp: shard<0>>, %r: !S0, %p: !P) {
  // A cut dimension that is summed over.
  // CHECK: moe.einsum {{.*}} -> !spmd.tensor<8x20xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %0 = moe.einsum "td,fd->tf" %x, %w
      : (!S1, !spmd.tensor<20x12xf32, #mesh, tp: shard<1>>) -> !spmd.tensor<8x20xf32, #mesh, dp: ?, tp: ?>
  // One that stays.
  // CHECK: moe.einsum {{.*}} -> !spmd.tensor<8x20xf32, #mesh, dp: shard<0>, tp: shard<1>>
  %1 = moe.einsum "td,fd->tf" %r, %v
      : (!S0, !spmd.tensor<20x12xf32, #mesh, tp: shard<0>>) -> !spmd.tensor<8x20xf32, #mesh, dp: ?, tp: ?>
  // One operand.
  // CHECK: moe.einsum {{.*}} -> !spmd.tensor<12xf32, #mesh, dp: partial<sum>, tp: shard<0>>
  %2 = moe.einsum "td->d" %x : (!S1) -> !spmd.tensor<12xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.einsum {{.*}} -> !spmd.tensor<12x8xf32, #mesh, tp: partial<sum>>
  %3 = moe.einsum "td->dt" %p : (!P) -> !spmd.tensor<12x8xf32, #mesh, dp: ?, tp: ?>
  return
}

!N = !spmd.tensor<16x12xf32, #mesh>
!C = !spmd.tensor<4xi32, #mesh>
!UN = !spmd.tensor<16x20xf32, #mesh, dp: ?, tp: ?>
// CHECK-LABEL: func.func @grouped_einsum
func.func @grouped_einsum(%x: !N, %g: !spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>, %c: !C,
    %hidden: !spmd.tensor<4x20x12xf32, #mesh, tp: shard<1>>,
    %experts: !spmd.tensor<4x20x12xf32, #mesh, tp: shard<0>>) {
  // CHECK: moe.grouped_einsum {{.*}} -> !spmd.tensor<16x20xf32, #mesh, tp: shard<1>>
  %0 = moe.grouped_einsum "nd,efd->nf" %x, %hidden counts %c
      : (!N, !spmd.tensor<4x20x12xf32, #mesh, tp: shard<1>>, !C) -> !UN
  // Experts that a rank does not hold give zeros.
  // CHECK: moe.grouped_einsum {{.*}} -> !spmd.tensor<16x20xf32, #mesh, tp: partial<sum>>
  %1 = moe.grouped_einsum "nd,efd->nf" %x, %experts counts %c
      : (!N, !spmd.tensor<4x20x12xf32, #mesh, tp: shard<0>>, !C) -> !UN
  // Rows that lie where their experts do stay there.
  // CHECK: moe.grouped_einsum {{.*}} -> !spmd.tensor<16x20xf32, #mesh, tp: ragged<0>>
  %2 = moe.grouped_einsum "nd,efd->nf" %g, %experts counts %c
      : (!spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>, !spmd.tensor<4x20x12xf32, #mesh, tp: shard<0>>, !C) -> !UN
  // CHECK: moe.grouped_einsum {{.*}} -> !spmd.tensor<4x12x12xf32, #mesh, tp: shard<0>>
  %3 = moe.grouped_einsum "nd,nf->edf" %g, %g counts %c
      : (!spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>, !spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>, !C)
      -> !spmd.tensor<4x12x12xf32, #mesh, dp: ?, tp: ?>
  return
}

!L = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!I = !spmd.tensor<8x2xi32, #mesh, dp: ?, tp: ?>
// CHECK-LABEL: func.func @routing
func.func @routing(%scores: !L, %x: !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>) {
  // CHECK: moe.top_k {{.*}} -> !spmd.tensor<8x2xi32, #mesh, tp: shard<0>>
  %0 = moe.top_k %scores : (!L) -> !I
  // CHECK: moe.gather {{.*}} -> !spmd.tensor<8x2xf32, #mesh, tp: shard<0>>
  %1 = moe.gather %scores, %0 : (!L, !I) -> !spmd.tensor<8x2xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.scatter {{.*}} -> !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
  %2 = moe.scatter %1, %0 : (!spmd.tensor<8x2xf32, #mesh, dp: ?, tp: ?>, !I) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  // Each rank counts its own tokens.
  // CHECK: moe.count {{.*}} -> !spmd.tensor<4xi32, #mesh, tp: partial<sum>>
  %3 = moe.count %0 : (!I) -> !spmd.tensor<4xi32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.dispatch {{.*}} -> !spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>
  %4 = moe.dispatch %x, %0 of 4
      : (!spmd.tensor<8x12xf32, #mesh, tp: shard<0>>, !I) -> !spmd.tensor<16x12xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.silu {{.*}} -> !spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>
  %5 = moe.silu %4 : (!spmd.tensor<16x12xf32, #mesh, dp: ?, tp: ?>) -> !spmd.tensor<16x12xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.permute {{.*}} -> !spmd.tensor<16xf32, #mesh, tp: ragged<0>>
  %6 = moe.permute %1, %0 of 4 : (!spmd.tensor<8x2xf32, #mesh, dp: ?, tp: ?>, !I) -> !spmd.tensor<16xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.einsum {{.*}} -> !spmd.tensor<16x12xf32, #mesh, tp: ragged<0>>
  %7 = moe.einsum "nd,n->nd" %5, %6
      : (!spmd.tensor<16x12xf32, #mesh, dp: ?, tp: ?>, !spmd.tensor<16xf32, #mesh, dp: ?, tp: ?>)
      -> !spmd.tensor<16x12xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.combine {{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>
  %8 = moe.combine %7, %0 of 4 : (!spmd.tensor<16x12xf32, #mesh, dp: ?, tp: ?>, !I) -> !U
  // CHECK: moe.unpermute {{.*}} -> !spmd.tensor<8x2xf32, #mesh, tp: shard<0>>
  %9 = moe.unpermute %6, %0 of 4 : (!spmd.tensor<16xf32, #mesh, dp: ?, tp: ?>, !I) -> !spmd.tensor<8x2xf32, #mesh, dp: ?, tp: ?>
  return
}

// CHECK-LABEL: func.func @shapes
func.func @shapes(%batch: !spmd.tensor<4x6x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>,
                  %one: !spmd.tensor<1x6x12xf32, #mesh, dp: shard<1>, tp: shard<2>>) {
  // CHECK: moe.fold {{.*}} -> !spmd.tensor<24x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %0 = moe.fold %batch : (!spmd.tensor<4x6x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>) -> !spmd.tensor<24x12xf32, #mesh, dp: ?, tp: ?>
  // One batch: a cut sequence is a cut of the tokens.
  // CHECK: moe.fold {{.*}} -> !spmd.tensor<6x12xf32, #mesh, dp: shard<0>, tp: shard<1>>
  %1 = moe.fold %one : (!spmd.tensor<1x6x12xf32, #mesh, dp: shard<1>, tp: shard<2>>) -> !spmd.tensor<6x12xf32, #mesh, dp: ?, tp: ?>
  // CHECK: moe.unfold {{.*}} -> !spmd.tensor<4x6x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %2 = moe.unfold %0 : (!spmd.tensor<24x12xf32, #mesh, dp: ?, tp: ?>) -> !spmd.tensor<4x6x12xf32, #mesh, dp: ?, tp: ?>
  return
}

// What states or moves placements: `?` is the operand's, unless it says so.
// CHECK-LABEL: func.func @placing
func.func @placing(%p: !P) -> !U {
  // CHECK: spmd.redistribute {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %0 = spmd.redistribute %p : !P -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: ?>
  // CHECK: spmd.claim {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
  %1 = spmd.claim %0 : !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: ?> -> !spmd.tensor<8x12xf32, #mesh, dp: ?, tp: replicate>
  // CHECK: spmd.boundary {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
  %2 = spmd.boundary %1 grad claims <> : !spmd.tensor<8x12xf32, #mesh, dp: ?, tp: replicate> -> !U
  // CHECK: spmd.grad_all_reduce {{.*}} -> !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
  %3 = spmd.grad_all_reduce %2 over ["tp"] : !U -> !U
  // CHECK: return %{{.*}} : !spmd.tensor<8x12xf32, #mesh, dp: shard<0>>
  return %3 : !U
}

// What one rank has is the value, whatever it is called.
#one = #spmd.mesh<tp=1>
// CHECK-LABEL: func.func @one_rank
func.func @one_rank(%p: !spmd.tensor<8x12xf32, #one, tp: partial<sum>>) {
  // CHECK: moe.silu {{.*}} -> !spmd.tensor<8x12xf32, #mesh1>
  %0 = moe.silu %p : (!spmd.tensor<8x12xf32, #one, tp: partial<sum>>) -> !spmd.tensor<8x12xf32, #one, tp: ?>
  return
}

// Three ranks get one batch, one and none, and as many of the tokens: two, two and none.
#three = #spmd.mesh<tp=3>
!unfolded = !spmd.tensor<2x2x12xf32, #three, tp: shard<0>>
!folded = !spmd.tensor<4x12xf32, #three, tp: ?>
// CHECK-LABEL: func.func @uneven_batch
func.func @uneven_batch(%batch: !unfolded) {
  // CHECK: moe.fold {{.*}} -> !spmd.tensor<4x12xf32, #mesh2, tp: shard<0>>
  %0 = moe.fold %batch : (!unfolded) -> !folded
  // CHECK: moe.unfold {{.*}} -> !spmd.tensor<2x2x12xf32, #mesh2, tp: shard<0>>
  %1 = moe.unfold %0 : (!folded) -> !spmd.tensor<2x2x12xf32, #three, tp: ?>
  return
}

!Max = !spmd.tensor<8x12xf32, #mesh, tp: partial<max>>

// Alike but for a property, and then but for a type: no rule is taken for another's.
// CHECK-LABEL: func.func @alike
func.func @alike(%m: !Max, %p: !P) {
  // CHECK: moe.scale {{.*}} by 2.0{{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<max>>
  %0 = moe.scale %m by 2.0 : (!Max) -> !U
  // CHECK: moe.scale {{.*}} by -2.0{{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<min>>
  %1 = moe.scale %m by -2.0 : (!Max) -> !U
  // CHECK: moe.scale {{.*}} by 2.0{{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  %2 = moe.scale %p by 2.0 : (!P) -> !U
  // CHECK: moe.scale {{.*}} by 2.0{{.*}} -> !spmd.tensor<8x12xf32, #mesh, tp: partial<max>>
  %3 = moe.scale %m by 2.0 : (!Max) -> !U
  return
}

#whole = #spmd.mesh<dp=2, ep=3, tp=2>
!tokens = !spmd.tensor<12x4xf32, #whole, dp: shard<0>, ep: shard<0>>
!chosen = !spmd.tensor<12x2xi32, #whole, dp: shard<0>, ep: shard<0>>
!weight = !spmd.tensor<6x8x4xf32, #whole, ep: shard<0>, tp: shard<1>>
!rows_ = !spmd.tensor<24x4xf32, #whole, dp: ?, ep: ?, tp: ?>
!hidden_ = !spmd.tensor<24x8xf32, #whole, dp: ?, ep: ?, tp: ?>
!counts_ = !spmd.tensor<2x6xi32, #whole, dp: ?, ep: ?, tp: ?>

// Rows stay within a data-parallel rank, and go to the experts of its ranks.
// CHECK-LABEL: func.func @parts
func.func @parts(%x: !tokens, %idx: !chosen, %w: !weight) {
  // CHECK: moe.count {{.*}} -> !spmd.tensor<2x6xi32, #mesh3, dp: shard<0>, ep: partial<sum>>
  %0 = moe.count %idx : (!chosen) -> !counts_
  // CHECK: spmd.redistribute {{.*}} -> !spmd.tensor<2x6xi32, #mesh3, dp: shard<0>>
  %1 = spmd.redistribute %0 : !counts_ -> !spmd.tensor<2x6xi32, #whole, dp: ?, ep: replicate, tp: ?>
  // CHECK: moe.dispatch {{.*}} in 2 parts {{.*}} -> !spmd.tensor<24x4xf32, #mesh3, dp: shard<0>, ep: ragged<0>>
  %2 = moe.dispatch %x, %idx of 6 in 2 parts : (!tokens, !chosen) -> !rows_
  // CHECK: moe.grouped_einsum "nd,efd->nf" {{.*}} -> !spmd.tensor<24x8xf32, #mesh3, dp: shard<0>, ep: ragged<0>, tp: shard<1>>
  %3 = moe.grouped_einsum "nd,efd->nf" %2, %w counts %1 : (!rows_, !weight, !spmd.tensor<2x6xi32, #whole, dp: ?, ep: replicate, tp: ?>) -> !hidden_
  // The gradient of a weight is one term on each data-parallel rank.
  // CHECK: moe.grouped_einsum "nf,nd->efd" {{.*}} -> !spmd.tensor<6x8x4xf32, #mesh3, dp: partial<sum>, ep: shard<0>, tp: shard<1>>
  %4 = moe.grouped_einsum "nf,nd->efd" %3, %2 counts %1 : (!hidden_, !rows_, !spmd.tensor<2x6xi32, #whole, dp: ?, ep: replicate, tp: ?>) -> !spmd.tensor<6x8x4xf32, #whole, dp: ?, ep: ?, tp: ?>
  // CHECK: moe.combine {{.*}} in 2 parts {{.*}} -> !spmd.tensor<12x4xf32, #mesh3, dp: shard<0>, ep: shard<0>>
  %5 = moe.combine %2, %idx of 6 in 2 parts : (!rows_, !chosen) -> !spmd.tensor<12x4xf32, #whole, dp: ?, ep: ?, tp: ?>
  return
}

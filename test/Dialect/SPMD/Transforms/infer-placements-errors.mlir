// RUN: moe-opt %s --spmd-infer-placements -split-input-file -verify-diagnostics

#mesh = #spmd.mesh<dp=2, tp=4>
// expected-error @below {{[I1] the placement of argument 1 is not given}}
func.func @argument(%a: !spmd.tensor<8x4xf32, #mesh>, %b: !spmd.tensor<8x4xf32, #mesh, tp: ?>) {
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
func.func @nonlinear(%p: !P) {
  // expected-error @below {{[R1] 'moe.silu' over 'tp': operand 0 is partial<sum>, and the operation is not linear in it [rule 29.11]; help: convert an operand with spmd.redistribute}}
  %0 = moe.silu %p : (!P) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
func.func @divisor(%p: !P, %r: !spmd.tensor<8x4xf32, #mesh>) {
  // expected-error @below {{[R1] 'moe.div' over 'tp': operand 1 is partial<sum>}}
  %0 = moe.div %r, %p : (!spmd.tensor<8x4xf32, #mesh>, !P) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
func.func @product(%p: !P) {
  // expected-error @below {{[R2] 'moe.mul' over 'tp': operand 0 is partial<sum> and operand 1 is partial<sum>: the product of two sums is not the sum of the products}}
  %0 = moe.mul %p, %p : (!P, !P) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!M = !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>
func.func @kinds(%p: !P, %m: !M) {
  // expected-error @below {{[R3] 'moe.add' over 'tp': terms of a partial<sum> and of a partial<max> do not add}}
  %0 = moe.add %p, %m : (!P, !M) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!S0 = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
func.func @cuts(%a: !S0, %b: !S1) {
  // expected-error @below {{[R4] 'moe.add' over 'tp': operand 0 is shard<0> and operand 1 is shard<1>: they cut different things}}
  %0 = moe.add %a, %b : (!S0, !S1) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!S0 = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!R = !spmd.tensor<8x4xf32, #mesh>
func.func @whole(%a: !S0, %b: !R) {
  // expected-error @below {{[R4] 'moe.mul' over 'tp': operand 0 is shard<0>, but operand 1, which has the same dimension, is whole}}
  %0 = moe.mul %a, %b : (!S0, !R) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// A cut is no shard of rows.
#mesh = #spmd.mesh<dp=2, tp=4>
func.func @forms(%a: !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>, %b: !spmd.tensor<8x4xf32, #mesh, tp: ragged<0>>) {
  // expected-error @below {{[R4] 'moe.add' over 'tp': operand 0 is shard<0> and operand 1 is ragged<0>: they cut different things}}
  %0 = moe.add %a, %b : (!spmd.tensor<8x4xf32, #mesh, tp: shard<0>>, !spmd.tensor<8x4xf32, #mesh, tp: ragged<0>>) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
func.func @softmax(%a: !S1) {
  // expected-error @below {{[R5] 'moe.softmax' over 'tp': operand 0 is shard<1>, but the operation needs that dimension whole}}
  %0 = moe.softmax %a : (!S1) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// With more than one batch the tokens of a cut sequence are no run.
#mesh = #spmd.mesh<dp=2, tp=4>
func.func @fold(%a: !spmd.tensor<2x8x4xf32, #mesh, tp: shard<1>>) {
  // expected-error @below {{[R5] 'moe.fold' over 'tp': operand 0 is shard<1>}}
  %0 = moe.fold %a : (!spmd.tensor<2x8x4xf32, #mesh, tp: shard<1>>) -> !spmd.tensor<16x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// Two batches of three: three ranks get one batch, one and none, but of six tokens two each.
#mesh = #spmd.mesh<tp=3>
func.func @uneven_batch(%a: !spmd.tensor<2x3x4xf32, #mesh, tp: shard<0>>) {
  // expected-error @below {{[R5] 'moe.fold' over 'tp': operand 0 is shard<0>}}
  %0 = moe.fold %a : (!spmd.tensor<2x3x4xf32, #mesh, tp: shard<0>>) -> !spmd.tensor<6x4xf32, #mesh, tp: ?>
  return
}

// -----

// Two ranks get two batches and one, as they should; inside of each the cut is elsewhere.
#mesh = #spmd.mesh<dp=2, tp=2>
func.func @uneven_inside(%a: !spmd.tensor<3x3x4xf32, #mesh, dp: shard<0>, tp: shard<0>>) {
  // expected-error @below {{[R5] 'moe.fold' over 'dp': operand 0 is shard<0>}}
  %0 = moe.fold %a : (!spmd.tensor<3x3x4xf32, #mesh, dp: shard<0>, tp: shard<0>>) -> !spmd.tensor<9x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// What follows from a claim that contradicts its operand is no fault of its own.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
func.func @doubtful(%r: !R) {
  %0 = spmd.claim %r : !R -> !P
  %1 = moe.silu %0 : (!P) -> !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// What is inferred has to be what a collective moves.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
!U = !spmd.tensor<8x4xf32, #mesh, tp: ?>
func.func @gather(%r: !R) {
  %0 = moe.silu %r : (!R) -> !U
  // expected-error @below {{(L2) expects an operand that is shard<1>, not replicate}}
  %1 = spmd.all_gather %0 over "tp" dim 1 : !U -> !R
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
!U = !spmd.tensor<8x4xf32, #mesh, tp: ?>
func.func @exchange(%s: !S1) {
  %0 = moe.silu %s : (!S1) -> !U
  // expected-error @below {{(L4) expects an operand that is shard<0>, not shard<1>}}
  %1 = spmd.all_to_all %0 over "tp" from 0 to 1 : !U -> !S1
  return
}

// -----

// A claim that is true excuses nothing that follows.
#mesh = #spmd.mesh<tp=2>
!R = !spmd.tensor<8x4xf32, #mesh>
!M = !spmd.tensor<8x4xf32, #mesh, tp: partial<max>>
func.func @true_claim(%x: !R) {
  %0 = spmd.claim %x : !R -> !M
  // expected-error @below {{[R1] 'moe.softmax' over 'tp': operand 0 is partial<max>, and the operation is not linear in it}}
  %1 = moe.softmax %0 : (!M) -> !spmd.tensor<8x4xf32, #mesh, tp: ?>
  return
}

// -----

// Experts are cut over dp and then tp, rows over tp alone: a rank's rows are of other
// experts than those it holds.
#mesh = #spmd.mesh<dp=2, tp=2>
!N = !spmd.tensor<16x3xf32, #mesh, tp: ragged<0>>
!W = !spmd.tensor<4x6x3xf32, #mesh, dp: shard<0>, tp: shard<0>>
!C = !spmd.tensor<4xi32, #mesh>
func.func @experts_outside(%x: !N, %w: !W, %c: !C) {
  // expected-error @below {{[R4] 'moe.grouped_einsum' over 'dp': operand 1 is shard<0>, but operand 0, which has the same dimension, is whole}}
  %0 = moe.grouped_einsum "nd,ehd->nh" %x, %w counts %c : (!N, !W, !C) -> !spmd.tensor<16x6xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// Two parts over three ranks.
#mesh = #spmd.mesh<dp=3, tp=2>
!X = !spmd.tensor<6x4xf32, #mesh, dp: shard<0>>
!I = !spmd.tensor<6x2xi32, #mesh, dp: shard<0>>
func.func @across(%x: !X, %i: !I) {
  // expected-error @below {{[R4] 'moe.dispatch' over 'dp': operand 1 is shard<0>, which does not cut 2 parts of tokens between two of them, outermost axis first [rule 42.14]}}
  %0 = moe.dispatch %x, %i of 4 in 2 parts : (!X, !I) -> !spmd.tensor<12x4xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// One rank has both parts: rows of an expert are two runs.
#mesh = #spmd.mesh<dp=2, tp=2>
!N = !spmd.tensor<12x4xf32, #mesh, tp: ragged<0>>
!W = !spmd.tensor<4x3x4xf32, #mesh, tp: shard<0>>
!C = !spmd.tensor<2x4xi32, #mesh>
func.func @runs(%n: !N, %w: !W, %c: !C) {
  // expected-error @below {{[R4] 'moe.grouped_einsum' over 'tp': operand 0 is ragged<0>, which does not cut 2 parts of tokens between two of them, outermost axis first [rule 21.14]}}
  %0 = moe.grouped_einsum "nd,efd->nf" %n, %w counts %c : (!N, !W, !C) -> !spmd.tensor<12x3xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// Each rank has the rows of its part, and the counts of both.
#mesh = #spmd.mesh<dp=2, tp=2>
!N = !spmd.tensor<12x4xf32, #mesh, dp: shard<0>>
!W = !spmd.tensor<4x3x4xf32, #mesh>
!C = !spmd.tensor<2x4xi32, #mesh>
func.func @counts(%n: !N, %w: !W, %c: !C) {
  // expected-error @below {{[R4] 'moe.grouped_einsum' over 'dp': operand 0 is shard<0>, but operand 2, which has the same dimension, is whole [rule 21.14]}}
  %0 = moe.grouped_einsum "nd,efd->nf" %n, %w counts %c : (!N, !W, !C) -> !spmd.tensor<12x3xf32, #mesh, dp: ?, tp: ?>
  return
}

// -----

// Four parts over two ranks may be cut, but not within one.
#mesh = #spmd.mesh<dp=2, tp=3>
!N = !spmd.tensor<12x4xf32, #mesh, dp: shard<0>, tp: shard<0>>
!W = !spmd.tensor<4x3x4xf32, #mesh>
!C = !spmd.tensor<4x4xi32, #mesh, dp: shard<0>, tp: shard<0>>
func.func @uneven(%n: !N, %w: !W, %c: !C) {
  // expected-error @below {{[R4] 'moe.grouped_einsum' over 'tp': operand 2 is shard<0>, which does not cut 4 parts of tokens between two of them}}
  %0 = moe.grouped_einsum "nd,efd->nf" %n, %w counts %c : (!N, !W, !C) -> !spmd.tensor<12x3xf32, #mesh, dp: ?, tp: ?>
  return
}

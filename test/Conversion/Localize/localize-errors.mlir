// RUN: moe-opt %s --spmd-localize -split-input-file -verify-diagnostics

#mesh = #spmd.mesh<tp=2>
// expected-error @below {{elements of 'f16' are not compiled; help: use f32, bf16 or f64 for numbers, i32 or i64 for integers}}
func.func @half(%x: !spmd.tensor<8x4xf16, #mesh>) -> !spmd.tensor<8x4xf16, #mesh> {
  return %x : !spmd.tensor<8x4xf16, #mesh>
}

// -----

#mesh = #spmd.mesh<dp=2, tp=3>
!w = !spmd.tensor<12x5x4xf32, #mesh, dp: shard<0>, tp: shard<0>>
!n = !spmd.tensor<8x4xf32, #mesh>
!c = !spmd.tensor<12xi32, #mesh>
!h = !spmd.tensor<8x5xf32, #mesh, dp: partial<sum>, tp: partial<sum>>
func.func @experts(%x: !n, %w: !w, %c: !c) -> !h {
  // expected-error @below {{experts that several axes cut are not compiled yet; help: spread them over one axis}}
  // expected-error @below {{failed to legalize}}
  %0 = moe.grouped_einsum "nd,efd->nf" %x, %w counts %c : (!n, !w, !c) -> !h
  return %0 : !h
}

// -----

#mesh = #spmd.mesh<dp=2, tp=3>
!x = !spmd.tensor<12x4xf32, #mesh, dp: shard<0>, tp: shard<0>>
!e = !spmd.tensor<12x2xi32, #mesh, dp: shard<0>, tp: shard<0>>
!r = !spmd.tensor<24x4xf32, #mesh, dp: ragged<0>, tp: ragged<0>>
func.func @tokens(%x: !x, %e: !e) -> !r {
  // expected-error @below {{rows that several axes exchange are not compiled yet; help: cut one part of the tokens over one axis}}
  // expected-error @below {{failed to legalize}}
  %0 = moe.dispatch %x, %e of 4 : (!x, !e) -> !r
  return %0 : !r
}

// -----

#mesh = #spmd.mesh<dp=2, tp=3>
!x = !spmd.tensor<12x4xf32, #mesh, dp: shard<0>>
!e = !spmd.tensor<12x2xi32, #mesh, dp: shard<0>>
!r = !spmd.tensor<24x4xf32, #mesh, dp: shard<0>>
func.func @parts(%x: !x, %e: !e) -> !r {
  // expected-error @below {{ranks that have 2 parts of the tokens are not compiled yet; help: cut the tokens over 2 times as many ranks, or into fewer parts}}
  // expected-error @below {{failed to legalize}}
  %0 = moe.dispatch %x, %e of 4 in 4 parts : (!x, !e) -> !r
  return %0 : !r
}

// -----

#mesh = #spmd.mesh<dp=2, tp=3>
!w = !spmd.tensor<12x5x4xf32, #mesh>
!n = !spmd.tensor<8x4xf32, #mesh>
!c = !spmd.tensor<2x12xi32, #mesh>
!h = !spmd.tensor<8x5xf32, #mesh>
func.func @whole_parts(%x: !n, %w: !w, %c: !c) -> !h {
  // expected-error @below {{ranks that have several parts of the tokens are not compiled yet; help: cut the rows and counts over as many ranks as there are parts}}
  // expected-error @below {{failed to legalize}}
  %0 = moe.grouped_einsum "nd,efd->nf" %x, %w counts %c : (!n, !w, !c) -> !h
  return %0 : !h
}

// -----

#mesh = #spmd.mesh<tp=3>
!r = !spmd.tensor<24x4xf32, #mesh, tp: ragged<0>>
func.func @rows(%x: !r) -> !spmd.tensor<24x4xf32, #mesh> {
  // expected-error @below {{a conversion from ragged<0> to replicate is not compiled yet; help: rows move with moe.dispatch and moe.combine}}
  // expected-error @below {{failed to legalize}}
  %0 = spmd.redistribute %x : !r -> !spmd.tensor<24x4xf32, #mesh>
  return %0 : !spmd.tensor<24x4xf32, #mesh>
}

// -----

#mesh = #spmd.mesh<dp=2, tp=3>
!n = !spmd.tensor<24x4xf32, #mesh, dp: shard<0>, tp: shard<0>>
!i = !spmd.tensor<24x4xf32, #mesh, tp: shard<0>>
func.func @outer(%x: !n) -> !i {
  // expected-error @below {{a conversion from shard<0> to replicate is not compiled yet; help: convert the inner axis of the dimension first}}
  // expected-error @below {{failed to legalize}}
  %0 = spmd.redistribute %x : !n -> !i
  return %0 : !i
}

// -----

#mesh = #spmd.mesh<tp=3>
!m = !spmd.tensor<24x4xf32, #mesh, tp: partial<max>>
!a = !spmd.tensor<24x4xf32, #mesh, tp: partial<avg>>
func.func @kinds(%x: !a) -> !spmd.tensor<24x4xf32, #mesh, tp: partial<sum>> {
  // expected-error @below {{a conversion from partial<avg> to partial<sum> is not compiled yet; help: convert to replicate first}}
  // expected-error @below {{failed to legalize}}
  %0 = spmd.redistribute %x : !a -> !spmd.tensor<24x4xf32, #mesh, tp: partial<sum>>
  return %0 : !spmd.tensor<24x4xf32, #mesh, tp: partial<sum>>
}

// -----

#mesh = #spmd.mesh<tp=2>
!s0 = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!s1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
func.func @claims(%x: !s0) -> !s1 {
  // expected-error @below {{the local value has the type 'tensor<4x4xf32>', claimed is 'tensor<8x2xf32>'; help: claims of another cut are not compiled}}
  // expected-error @below {{failed to legalize}}
  %0 = spmd.claim %x : !s0 -> !s1
  return %0 : !s1
}

// RUN: moe-opt %s --moe-differentiate | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!A = !spmd.tensor<6x4xf32, #mesh>
!R = !spmd.tensor<6xf32, #mesh>
!I = !spmd.tensor<6x2xi32, #mesh>
!Q = !spmd.tensor<6x2xf32, #mesh>
!N = !spmd.tensor<12xf32, #mesh>
!ND = !spmd.tensor<12x4xf32, #mesh>
!C = !spmd.tensor<4xi32, #mesh>

// CHECK-LABEL: func.func @einsum.vjp(
// CHECK: %[[V0:.*]] = moe.einsum "td,fd->tf" %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.einsum "tf,fd->td" %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = moe.einsum "tf,td->fd" %arg2, %arg0
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: %[[V4:.*]] = spmd.redistribute %[[V2]] at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V3]], %[[V4]]
func.func @einsum(%x: !A, %w: !spmd.tensor<5x4xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh> {
  %0 = moe.einsum "td,fd->tf" %x, %w : (!A, !spmd.tensor<5x4xf32, #mesh>) -> !spmd.tensor<6x5xf32, #mesh>
  return %0 : !spmd.tensor<6x5xf32, #mesh>
}

// CHECK-LABEL: func.func @row_scale.vjp(
// CHECK: %[[V0:.*]] = moe.einsum "nd,n->nd" %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.einsum "nd,n->nd" %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = moe.einsum "nd,nd->n" %arg2, %arg0
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: %[[V4:.*]] = spmd.redistribute %[[V2]] at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V3]], %[[V4]]
func.func @row_scale(%x: !ND, %s: !N) -> !ND {
  %0 = moe.einsum "nd,n->nd" %x, %s : (!ND, !N) -> !ND
  return %0 : !ND
}

// CHECK-LABEL: func.func @grouped_einsum.vjp(
// CHECK: %[[V0:.*]] = moe.grouped_einsum "nd,efd->nf" %arg0, %arg1 counts %arg2
// CHECK-NEXT: %[[V1:.*]] = moe.grouped_einsum "nf,efd->nd" %arg3, %arg1 counts %arg2
// CHECK-NEXT: %[[V2:.*]] = moe.grouped_einsum "nf,nd->efd" %arg3, %arg0 counts %arg2
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: %[[V4:.*]] = spmd.redistribute %[[V2]] at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V3]], %[[V4]]
func.func @grouped_einsum(%x: !ND, %w: !spmd.tensor<4x5x4xf32, #mesh>, %c: !C) -> !spmd.tensor<12x5xf32, #mesh> {
  %0 = moe.grouped_einsum "nd,efd->nf" %x, %w counts %c : (!ND, !spmd.tensor<4x5x4xf32, #mesh>, !C) -> !spmd.tensor<12x5xf32, #mesh>
  return %0 : !spmd.tensor<12x5xf32, #mesh>
}

// CHECK-LABEL: func.func @add.vjp(
// CHECK: %[[V0:.*]] = moe.add %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = spmd.redistribute %arg2 at "arg0"
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %arg2 at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V1]], %[[V2]]
func.func @add(%a: !A, %b: !A) -> !A {
  %0 = moe.add %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @sub.vjp(
// CHECK: %[[V0:.*]] = moe.sub %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.scale %arg2 by -1.000000e+00
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %arg2 at "arg0"
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V1]] at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V2]], %[[V3]]
func.func @sub(%a: !A, %b: !A) -> !A {
  %0 = moe.sub %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @mul.vjp(
// CHECK: %[[V0:.*]] = moe.mul %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.mul %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = moe.mul %arg2, %arg0
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: %[[V4:.*]] = spmd.redistribute %[[V2]] at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V3]], %[[V4]]
func.func @mul(%a: !A, %b: !A) -> !A {
  %0 = moe.mul %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @div.vjp(
// CHECK: %[[V0:.*]] = moe.div %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.div %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = moe.mul %[[V1]], %[[V0]]
// CHECK-NEXT: %[[V3:.*]] = moe.scale %[[V2]] by -1.000000e+00
// CHECK-NEXT: %[[V4:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: %[[V5:.*]] = spmd.redistribute %[[V3]] at "arg1"
// CHECK-NEXT: return %[[V0]], %[[V4]], %[[V5]]
func.func @div(%a: !A, %b: !A) -> !A {
  %0 = moe.div %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @scale.vjp(
// CHECK: %[[V0:.*]] = moe.scale %arg0 by 2.500000e+00
// CHECK-NEXT: %[[V1:.*]] = moe.scale %arg1 by 2.500000e+00
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @scale(%a: !A) -> !A {
  %0 = moe.scale %a by 2.5 : (!A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @sigmoid.vjp(
// CHECK: %[[V0:.*]] = moe.sigmoid %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.sigmoid_vjp %[[V0]], %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @sigmoid(%a: !A) -> !A {
  %0 = moe.sigmoid %a : (!A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @silu.vjp(
// CHECK: %[[V0:.*]] = moe.silu %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.silu_vjp %arg0, %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @silu(%a: !A) -> !A {
  %0 = moe.silu %a : (!A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @softmax.vjp(
// CHECK: %[[V0:.*]] = moe.softmax %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.softmax_vjp %[[V0]], %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @softmax(%a: !A) -> !A {
  %0 = moe.softmax %a : (!A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @normalize.vjp(
// CHECK: %[[V0:.*]] = moe.normalize %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.normalize_vjp %arg0, %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @normalize(%a: !A) -> !A {
  %0 = moe.normalize %a : (!A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @fill_like.vjp(
// CHECK: %[[V0:.*]] = moe.fill_like %arg0 with 1.000000e+00
// CHECK-NEXT: %[[V1:.*]] = moe.add %[[V0]], %arg0
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %arg1 at "arg0"
// CHECK-NEXT: return %[[V1]], %[[V2]]
func.func @fill_like(%a: !A) -> !A {
  %0 = moe.fill_like %a with 1.0 : (!A) -> !A
  %1 = moe.add %0, %a : (!A, !A) -> !A
  return %1 : !A
}

// CHECK-LABEL: func.func @fold.vjp(
// CHECK: %[[V0:.*]] = moe.fold %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.unfold %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @fold(%a: !spmd.tensor<2x3x4xf32, #mesh>) -> !A {
  %0 = moe.fold %a : (!spmd.tensor<2x3x4xf32, #mesh>) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @unfold.vjp(
// CHECK: %[[V0:.*]] = moe.unfold %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.fold %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @unfold(%a: !A) -> !spmd.tensor<2x3x4xf32, #mesh> {
  %0 = moe.unfold %a : (!A) -> !spmd.tensor<2x3x4xf32, #mesh>
  return %0 : !spmd.tensor<2x3x4xf32, #mesh>
}

// CHECK-LABEL: func.func @gather.vjp(
// CHECK: %[[V0:.*]] = moe.gather %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.scatter %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @gather(%s: !A, %i: !I) -> !Q {
  %0 = moe.gather %s, %i : (!A, !I) -> !Q
  return %0 : !Q
}

// CHECK-LABEL: func.func @scatter.vjp(
// CHECK: %[[V0:.*]] = moe.scatter %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.gather %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @scatter(%q: !Q, %i: !I) -> !A {
  %0 = moe.scatter %q, %i : (!Q, !I) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @top_k.vjp(
// CHECK: %[[V0:.*]] = moe.top_k %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.gather %arg0, %[[V0]]
// CHECK-NEXT: %[[V2:.*]] = moe.scatter %arg1, %[[V0]]
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V2]] at "arg0"
// CHECK-NEXT: return %[[V1]], %[[V3]]
func.func @top_k(%s: !A) -> !Q {
  %0 = moe.top_k %s : (!A) -> !I
  %1 = moe.gather %s, %0 : (!A, !I) -> !Q
  return %1 : !Q
}

// CHECK-LABEL: func.func @dispatch.vjp(
// CHECK: %[[V0:.*]] = moe.dispatch %arg0, %arg1 of 4
// CHECK-NEXT: %[[V1:.*]] = moe.combine %arg2, %arg1 of 4
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @dispatch(%x: !A, %i: !I) -> !ND {
  %0 = moe.dispatch %x, %i of 4 : (!A, !I) -> !ND
  return %0 : !ND
}

// CHECK-LABEL: func.func @combine.vjp(
// CHECK: %[[V0:.*]] = moe.combine %arg0, %arg1 of 4
// CHECK-NEXT: %[[V1:.*]] = moe.dispatch %arg2, %arg1 of 4
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @combine(%x: !ND, %i: !I) -> !A {
  %0 = moe.combine %x, %i of 4 : (!ND, !I) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @permute.vjp(
// CHECK: %[[V0:.*]] = moe.permute %arg0, %arg1 of 4
// CHECK-NEXT: %[[V1:.*]] = moe.unpermute %arg2, %arg1 of 4
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @permute(%q: !Q, %i: !I) -> !N {
  %0 = moe.permute %q, %i of 4 : (!Q, !I) -> !N
  return %0 : !N
}

// CHECK-LABEL: func.func @unpermute.vjp(
// CHECK: %[[V0:.*]] = moe.unpermute %arg0, %arg1 of 4
// CHECK-NEXT: %[[V1:.*]] = moe.permute %arg2, %arg1 of 4
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg0"
// CHECK-NEXT: return %[[V0]], %[[V2]]
func.func @unpermute(%n: !N, %i: !I) -> !Q {
  %0 = moe.unpermute %n, %i of 4 : (!N, !I) -> !Q
  return %0 : !Q
}

// CHECK-LABEL: func.func @uses.vjp(
// CHECK: %[[V0:.*]] = moe.mul %arg0, %arg0
// CHECK-NEXT: %[[V1:.*]] = moe.silu %arg0
// CHECK-NEXT: %[[V2:.*]] = moe.add %[[V0]], %[[V1]]
// CHECK-NEXT: %[[V3:.*]] = moe.silu_vjp %arg0, %arg1
// CHECK-NEXT: %[[V4:.*]] = moe.mul %arg1, %arg0
// CHECK-NEXT: %[[V5:.*]] = moe.mul %arg1, %arg0
// CHECK-NEXT: %[[V6:.*]] = moe.add %[[V3]], %[[V4]]
// CHECK-NEXT: %[[V7:.*]] = moe.add %[[V6]], %[[V5]]
// CHECK-NEXT: %[[V8:.*]] = spmd.redistribute %[[V7]] at "arg0"
// CHECK-NEXT: return %[[V2]], %[[V8]]
// Cotangents of several uses are added, in the reverse order of the uses.
func.func @uses(%a: !A) -> !A {
  %0 = moe.mul %a, %a : (!A, !A) -> !A
  %1 = moe.silu %a : (!A) -> !A
  %2 = moe.add %0, %1 : (!A, !A) -> !A
  return %2 : !A
}

// CHECK-LABEL: func.func @unused.vjp(
// CHECK: %[[V0:.*]] = spmd.redistribute %arg2 at "arg0"
// CHECK-NEXT: %[[V1:.*]] = moe.fill_like %arg1 with 0.000000e+00
// CHECK-NEXT: %[[V2:.*]] = spmd.redistribute %[[V1]] at "arg1"
// CHECK-NEXT: return %arg0, %[[V0]], %[[V2]]
// What has no influence has the gradient zero.
func.func @unused(%a: !A, %b: !A) -> !A {
  return %a : !A
}

// CHECK-LABEL: func.func @no_grad.vjp(
// CHECK: %[[V0:.*]] = moe.mul %arg0, %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.mul %arg2, %arg1
// CHECK-NEXT: %[[V2:.*]] = moe.mul %arg2, %arg0
// CHECK-NEXT: %[[V3:.*]] = spmd.redistribute %[[V1]] at "a"
// CHECK-NEXT: return %[[V0]], %[[V3]]
func.func @no_grad(%a: !A {spmd.name = "a"}, %b: !A {spmd.name = "b", spmd.no_grad}) -> (!A {spmd.name = "y"}) {
  %0 = moe.mul %a, %b : (!A, !A) -> !A
  return %0 : !A
}

// CHECK-LABEL: func.func @placed.vjp(
// CHECK: %[[V0:.*]] = spmd.redistribute %arg1
// CHECK-NEXT: %[[V1:.*]] = moe.mul %arg0, %[[V0]]
// CHECK-NEXT: %[[V2:.*]] = moe.mul %arg2, %[[V0]]
// CHECK-NEXT: %[[V3:.*]] = moe.mul %arg2, %arg0
// CHECK-NEXT: %[[V4:.*]] = spmd.redistribute %[[V3]]
// CHECK-NEXT: %[[V5:.*]] = spmd.redistribute %[[V2]] at "a"
// CHECK-NEXT: %[[V6:.*]] = spmd.redistribute %[[V4]] at "arg1"
// CHECK-NEXT: return %[[V1]], %[[V5]], %[[V6]]
// A gradient leaves as its argument lies, or as the attribute says.
func.func @placed(%a: !A {spmd.name = "a", spmd.grad_placement = #spmd.placements<tp: partial<sum>>}, %w: !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>) -> !A {
  %0 = spmd.redistribute %w : !spmd.tensor<6x4xf32, #mesh, tp: shard<0>> -> !A
  %1 = moe.mul %a, %0 : (!A, !A) -> !A
  return %1 : !A
}

// CHECK-LABEL: func.func @boundaries.vjp(
// CHECK: %[[V0:.*]] = spmd.boundary %arg0 grad claims <tp: partial<sum>> at "s"
// CHECK-NEXT: %[[V1:.*]] = spmd.boundary %[[V0]] grad converts <>
// CHECK-NEXT: %[[V2:.*]] = spmd.grad_all_reduce %[[V1]] over ["tp"]
// CHECK-NEXT: %[[V3:.*]] = spmd.claim %[[V2]]
// CHECK-NEXT: %[[V4:.*]] = spmd.all_reduce %arg1 over ["tp"]
// CHECK-NEXT: %[[V5:.*]] = spmd.redistribute %[[V4]]
// CHECK-NEXT: %[[V6:.*]] = spmd.claim %[[V5]] at "s"
// CHECK-NEXT: %[[V7:.*]] = spmd.redistribute %[[V6]] at "arg0"
// CHECK-NEXT: return %[[V3]], %[[V7]]
// Labels act on cotangents, the last one first.
func.func @boundaries(%a: !A) -> !A {
  %0 = spmd.boundary %a grad claims <tp: partial<sum>> at "s" : !A -> !A
  %1 = spmd.boundary %0 grad converts <> : !A -> !A
  %2 = spmd.grad_all_reduce %1 over ["tp"] : !A -> !A
  %3 = spmd.claim %2 : !A -> !A
  return %3 : !A
}

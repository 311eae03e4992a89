// RUN: moe-opt %s --spmd-verify-gradients --allow-unregistered-dialect --split-input-file --verify-diagnostics

// What verify-gradients-joint.mlir does not show: each kind of witness, each way
// out, and what has no rule.

// Experts held elsewhere. The leaf of a split axis, and the other one is innocent.

#mesh = #spmd.mesh<dp=(outer=2, ep=4), tp=2>
!N = !spmd.tensor<30x12xf32, #mesh, outer: shard<1>>
!W = !spmd.tensor<8x6x12xf32, #mesh, outer: shard<2>, ep: shard<0>>
!H = !spmd.tensor<30x6xf32, #mesh>
!P = !spmd.tensor<30x6xf32, #mesh, dp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @masked(%x: !N, %w: !W, %counts: !spmd.tensor<8xi32, #mesh>) -> !H {
  // expected-note @below {{it became partial over 'ep' here: 'moe.grouped_einsum' gives zeros for rows of experts that a rank does not hold}}
  %0 = moe.grouped_einsum "nd,efd->nf" %x, %w counts %counts
      : (!N, !W, !spmd.tensor<8xi32, #mesh>) -> !P
  // expected-error @below {{[G1] this value is claimed replicate over 'ep', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'ep' here}}
  // expected-note @below {{help: or reduce it here (spmd.redistribute): an all-reduce over 'ep'; +1 collective, +1.1 KiB per rank; tried: results equal those of one device}}
  %1 = spmd.claim %0 : !P -> !spmd.tensor<30x6xf32, #mesh, outer: partial<sum>>
  %2 = spmd.redistribute %1 : !spmd.tensor<30x6xf32, #mesh, outer: partial<sum>> -> !H
  return %2 : !H
}

// -----

// A conversion made it Partial.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @converted(%x: !R) -> !R {
  // expected-note @below {{it became partial over 'tp' here: 'spmd.redistribute' leaves each rank its own part and zeros elsewhere}}
  // expected-note @below {{help: convert it to replicate over 'tp' here; no communication more; tried: results equal those of one device}}
  %0 = spmd.redistribute %x : !R -> !P
  // expected-error @below {{[G1] the value at 'x' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: or reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %1 = spmd.claim %0 at "x" : !P -> !R
  return %1 : !R
}

// -----

// Another claim made it Partial; the first claim is false, and so is the second.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{wrong because of it: y}}
func.func @claimed(%x: !R) -> (!R {spmd.name = "y"}) {
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but is replicate: a reduction too many}}
  // expected-note @below {{help: claim replicate over 'tp' here}}
  // expected-note @below {{it is partial over 'tp' from here on: 'spmd.claim' says so}}
  // expected-note @below {{help: or convert it here (spmd.redistribute): zeros elsewhere over 'tp'; no communication more; tried, others aside: results equal those of one device}}
  %0 = spmd.claim %x : !R -> !P
  // expected-note @below {{carried on by 'moe.scale'}}
  %1 = moe.scale %0 by 2.0 : (!P) -> !P
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +192 B per rank; tried, others aside: results equal those of one device}}
  %2 = spmd.claim %1 : !P -> !R
  return %2 : !R
}

// -----

// The claim could be a reduce-scatter.
#mesh = #spmd.mesh<dp=2, tp=4>
!S = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @claimed_cut(%p: !P) -> !S {
  // expected-error @below {{[G1] this value is claimed shard<0> over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): a reduce-scatter over 'tp'}}
  %0 = spmd.claim %p : !P -> !S
  return %0 : !S
}

// -----

// All of a value, claimed to be a part of it; and a part, claimed to be all.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!S = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!D = !spmd.tensor<8x4xf32, #mesh, dp: shard<1>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{wrong because of it: result 0}}
// expected-note @below {{wrong because of it: result 1}}
func.func @whole_and_part(%r: !R, %d: !D) -> (!S, !R) {
  // expected-error @below {{[G3] this value is claimed shard<0> over 'tp', but is replicate: it is not cut}}
  // expected-note @below {{help: convert it here (spmd.redistribute): a local slice over 'tp'}}
  %0 = spmd.claim %r : !R -> !S
  // expected-error @below {{[G3] this value is claimed replicate over 'dp', but is shard<1>: it is cut}}
  // expected-note @below {{help: convert it here (spmd.redistribute): an all-gather over 'dp'}}
  %1 = spmd.claim %d : !D -> !R
  return %0, %1 : !S, !R
}

// -----

// Rows cut by expert are not chunks.
#mesh = #spmd.mesh<dp=2, tp=4>
!G = !spmd.tensor<8x4xf32, #mesh, tp: ragged<0>>
!S = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
// expected-note @below {{wrong because of it: result 0}}
func.func @rows(%g: !G) -> !S {
  // expected-error @below {{[G3] this value is claimed shard<0> over 'tp', but is ragged<0>: it is cut otherwise}}
  // expected-note @below {{help: no repair found, of 2 tried}}
  %0 = spmd.claim %g : !G -> !S
  return %0 : !S
}

// -----

// A boundary in the forward program claims as well.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @boundary(%p: !P) -> !P {
  // expected-error @below {{[G1] the value at 'x' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'tp' here}}
  // expected-note @below {{help: or reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  // expected-note @below {{help: or claim partial<sum> over 'tp' here}}
  // expected-note @below {{it is taken as the same on all ranks of 'tp' here: 'spmd.boundary' at 'x' makes partial<sum> replicate}}
  %0 = spmd.boundary %p grad claims <> at "x" : !P -> !R
  // expected-note @below {{carried on by 'moe.scale'}}
  %1 = moe.scale %0 by 0.5 : (!R) -> !R
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but is replicate: a reduction too many}}
  // expected-note @below {{help: convert it here (spmd.redistribute): zeros elsewhere over 'tp'; no communication more; tried}}
  %2 = spmd.claim %1 : !R -> !P
  return %2 : !P
}

// -----

// Nothing was ever Partial.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @never_partial(%x: !R, %y: !R) -> !R {
  // expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
  %0 = moe.mul %x, %y : (!R, !R) -> !R
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but is replicate: a reduction too many}}
  // expected-note @below {{help: claim replicate over 'tp' here}}
  // expected-note @below {{help: or convert it here (spmd.redistribute): zeros elsewhere over 'tp'}}
  %1 = spmd.claim %0 : !R -> !P
  %2 = spmd.redistribute %1 : !P -> !R
  return %2 : !R
}

// -----

// The same, but a partial term is added: only data of that kind fits.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{wrong because of it: result 0}}
func.func @added_to_partial(%r: !R, %p: !P) -> !R {
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but is replicate: a reduction too many}}
  // expected-note @below {{help: convert it here (spmd.redistribute): zeros elsewhere over 'tp'}}
  %0 = spmd.claim %r : !R -> !P
  %1 = moe.add %0, %p : (!P, !P) -> !P
  %2 = spmd.redistribute %1 : !P -> !R
  return %2 : !R
}

// -----

// A sum without meaning: claimed, collected and returned, each refused.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @mixed_claim(%p: !P, %r: !R) -> !R {
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: reduce operand 1 here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +192 B per rank}}
  %0 = moe.sub %r, %p : (!R, !P) -> !P
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but one of its terms is replicate and another partial: a reduction is missing}}
  %1 = spmd.claim %0 : !P -> !R
  return %1 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @mixed_claimed_partial(%p: !P, %r: !R) -> !R {
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute)}}
  %0 = moe.add %r, %p : (!R, !P) -> !P
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but one of its terms is replicate and another partial: a reduction too many}}
  %1 = spmd.claim %0 : !P -> !P
  %2 = spmd.redistribute %1 : !P -> !R
  return %2 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @mixed_collective(%p: !P, %r: !R) -> !R {
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute)}}
  %0 = moe.add %r, %p : (!R, !P) -> !P
  // expected-error @below {{[G6] 'spmd.all_reduce' over 'tp': sums a value that is a mix of replicate and partial, not partial<sum>}}
  %1 = spmd.all_reduce %0 over ["tp"] : !P -> !R
  return %1 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: z}}
func.func @mixed_result(%p: !P, %r: !R) -> (!R {spmd.name = "y"}, !P {spmd.name = "z"}) {
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute)}}
  %0 = moe.add %r, %p : (!R, !P) -> !P
  // expected-error @below {{[G5] 'func.return' over 'tp': returns a sum in which a replicated term met a partial one, as if it were partial<sum>}}
  return %r, %0 : !R, !P
}

// -----

// Each result for itself: a false claim before one excuses no other.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: y}}
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{wrong because of it: z}}
func.func @two_results(%p: !P, %r: !R) -> (!R {spmd.name = "y"}, !P {spmd.name = "z"}) {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %0 = spmd.claim %p : !P -> !R
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute)}}
  %1 = moe.add %r, %p : (!R, !P) -> !P
  // expected-error @below {{[G5] 'func.return' over 'tp': returns a sum in which a replicated term met a partial one, as if it were partial<sum>}}
  return %0, %1 : !R, !P
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @mixed_nonlinear(%p: !P, %r: !R) -> !R {
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: reduce operand 1 here (spmd.redistribute): an all-reduce over 'tp'}}
  %0 = moe.add %r, %p : (!R, !P) -> !P
  // expected-error @below {{[R1] 'moe.silu' over 'tp': operand 0 is a mix of replicate and partial, and the operation is not linear in it}}
  %1 = moe.silu %0 : (!P) -> !R
  return %1 : !R
}

// -----

// Collectives look at what lies there.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!A = !spmd.tensor<8x4xf32, #mesh, tp: partial<avg>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @sum_of_means(%a: !A) -> !R {
  // expected-error @below {{[G6] 'spmd.all_reduce' over 'tp': sums a value that is partial<avg>, not partial<sum>}}
  // expected-note @below {{help: convert it in place of summing it (spmd.redistribute)}}
  %0 = spmd.all_reduce %a over ["tp"] : !A -> !R
  return %0 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, dp: partial<sum>>
!S = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{wrong because of it: result 0}}
func.func @one_axis_too_many(%p: !P) -> !S {
  // expected-error @below {{[G6] 'spmd.all_reduce' over 'tp': sums a value that is already the same on all ranks: the result is that value times the number of ranks}}
  // expected-note @below {{help: remove this reduction}}
  // expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
  %0 = spmd.all_reduce %p over ["dp", "tp"] : !P -> !R
  // expected-error @below {{[G6] 'spmd.reduce_scatter' over 'tp': sums a value that is already the same on all ranks: the result is that value times the number of ranks}}
  // expected-note @below {{help: remove this reduction}}
  %1 = spmd.reduce_scatter %0 over "tp" dim 0 : !R -> !S
  return %1 : !S
}

// -----

// What follows from a false type is no error of its own.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!S0 = !spmd.tensor<8x4xf32, #mesh, tp: shard<0>>
!S1 = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
// expected-note @below {{wrong because of it: result 0, result 1}}
func.func @typed_otherwise(%s: !S1) -> (!R, !S1) {
  // expected-error @below {{[T1] 'moe.scale' is typed shard<0> over 'tp', but is shard<1>}}
  // expected-note @below {{help: write `?` to have the placement inferred, or convert the value with spmd.redistribute}}
  %0 = moe.scale %s by 2.0 : (!S1) -> !S0
  %1 = spmd.all_gather %0 over "tp" dim 0 : !S0 -> !R
  %2 = spmd.all_to_all %0 over "tp" from 0 to 1 : !S0 -> !S1
  return %1, %2 : !R, !S1
}

// -----

// Rules, where no inference has looked before.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!W = !spmd.tensor<4x4xf32, #mesh, tp: shard<0>>
!S = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @rule(%x: !S, %w: !W) -> !R {
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' sums over a dimension that 'tp' cuts, so each rank holds one term of the sum}}
  %0 = moe.einsum "td,df->tf" %x, %w : (!S, !W) -> !P
  // expected-error @below {{[R1] 'moe.silu' over 'tp': operand 0 is partial<sum>, and the operation is not linear in it}}
  // expected-note @below {{help: reduce operand 0 here (spmd.redistribute): an all-reduce over 'tp'}}
  %1 = moe.silu %0 : (!P) -> !R
  return %1 : !R
}

// -----

// Without a rule nothing is known, whatever the type says. Operands, results and
// regions count; what has none of these on placed tensors is nobody's business.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
func.func @foreign(%p: !P, %i: i32) -> (!R, !R, !R) {
  %0 = "other.innocent"(%i) : (i32) -> i32
  // expected-error @below {{[R6] 'other.operand' has no placement rule, so nothing is known of its result; help: give it PlacementOpInterface}}
  %1 = "other.operand"(%p) : (!P) -> !R
  // expected-error @below {{[R6] 'other.result' has no placement rule, so nothing is known of its result; help: give it PlacementOpInterface}}
  %2 = "other.result"() : () -> !R
  // expected-error @below {{[R6] 'other.from_scalar' has no placement rule, so nothing is known of its result; help: give it PlacementOpInterface}}
  %3 = "other.from_scalar"(%i) : (i32) -> !R
  // expected-error @below {{[R6] 'other.no_result' has no placement rule, so nothing is known of its result; help: give it PlacementOpInterface}}
  "other.no_result"(%p) : (!P) -> ()
  // expected-error @below {{[R6] 'other.region' holds placed tensors in a region, and nothing is known of how they pass in and out; help: use scf.for or scf.if}}
  "other.region"() ({
    %4 = spmd.claim %p : !P -> !R
    "other.end"() : () -> ()
  }) : () -> ()
  // expected-error @below {{[R6] 'other.second_result' has no placement rule, so nothing is known of its result; help: give it PlacementOpInterface}}
  %5:2 = "other.second_result"(%i) : (i32) -> (i32, !R)
  %6 = moe.add %2, %3 : (!R, !R) -> !R
  return %1, %6, %5#1 : !R, !R, !R
}

// -----

// Claims in a block that no pass looks at are no claims at all.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-error @below {{[R6] nothing is known of placements that pass between the blocks of a function; help: use structured operations}}
func.func @blocks(%p: !P) -> !R {
  %0 = spmd.redistribute %p : !P -> !R
  return %0 : !R
^bb1:
  %1 = spmd.claim %p : !P -> !R
  return %1 : !R
}

// -----

// An attribute alone excuses nothing: its joint function has to be there.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @stale(%p: !P) -> !R attributes {spmd.vjp = @stale.vjp} {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %0 = spmd.claim %p : !P -> !R
  return %0 : !R
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @another(%p: !P) -> !R attributes {spmd.vjp = @unrelated} {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %0 = spmd.claim %p : !P -> !R
  return %0 : !R
}
func.func @unrelated() { return }

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @declared(%p: !P) -> !R attributes {spmd.vjp = @declared.vjp} {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'}}
  %0 = spmd.claim %p : !P -> !R
  return %0 : !R
}
func.func private @declared.vjp()

// -----

// An axis of one rank: what it has is the value, whatever it is called.
#mesh = #spmd.mesh<dp=1, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, dp: partial<sum>>
func.func @one_rank(%p: !P, %r: !R) -> !R {
  %0 = moe.add %p, %r : (!P, !R) -> !P
  %1 = spmd.claim %0 : !P -> !R
  return %1 : !R
}

// -----

// No mesh axis, nothing to believe.
#mesh = #spmd.mesh<>
!R = !spmd.tensor<8x4xf32, #mesh>
func.func @no_axis(%r: !R) -> !R {
  %0 = spmd.claim %r : !R -> !R
  %1 = moe.silu %0 : (!R) -> !R
  return %1 : !R
}

// -----

// A claim that is false on two axes is one false claim, and takes two edits.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, dp: partial<sum>, tp: shard<0>>
// expected-note @below {{it is an argument that is partial over 'dp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @two_axes(%p: !P) -> !R {
  // expected-error @below {{[G1] the value at 'x' is claimed replicate over 'dp', but is partial<sum>: a reduction is missing; [G3] it is claimed replicate over 'tp', but is shard<0>: it is cut}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'dp', and convert it here (spmd.redistribute): an all-gather over 'tp'; +2 collectives, +128 B per rank; tried: results equal those of one device}}
  %0 = spmd.claim %p at "x" : !P -> !R
  return %0 : !R
}

// -----

// What sums the terms that a false claim takes for the whole is right.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @reduced_later(%p: !P) -> !R {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'tp' here; no communication more; tried: results equal those of one device}}
  %0 = spmd.claim %p : !P -> !R
  %1 = spmd.all_reduce %0 over ["tp"] : !R -> !R
  return %1 : !R
}

// -----

// One sum without meaning, several that rely on it.
#mesh = #spmd.mesh<dp=2, tp=4>
!R = !spmd.tensor<8x4xf32, #mesh>
!P = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0, result 1, result 2}}
func.func @one_mix(%p: !P, %q: !P) -> (!R, !R, !P) {
  // expected-note @below {{it was already made the same on all ranks of 'tp' here: 'spmd.redistribute' makes partial<sum> replicate}}
  // expected-note @below {{help: leave it partial over 'tp' here; -1 collective, -192 B per rank; tried: results equal those of one device}}
  %0 = spmd.redistribute %q : !P -> !R
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 4 times}}
  // expected-note @below {{help: or convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute)}}
  %1 = moe.add %0, %p : (!R, !P) -> !P
  // expected-error @below {{[G5] 'spmd.redistribute' over 'tp': converts a sum in which a replicated term met a partial one, as if it were partial<sum>}}
  %2 = spmd.redistribute %1 : !P -> !R
  %3 = moe.scale %1 by 2.0 : (!P) -> !P
  %4 = spmd.redistribute %3 : !P -> !R
  return %2, %4, %1 : !R, !R, !P
}

// -----

// A sum without meaning that is typed as if it had one.
#mesh = #spmd.mesh<tp=2>
!r = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @typed_mix(%r: !r, %p: !p) -> !r {
  // expected-error @below {{[T1] 'moe.add' is typed replicate over 'tp', but is a mix of replicate and partial [rule 22.6]}}
  // expected-note @below {{help: write `?` to have the placement inferred}}
  %0 = moe.add %r, %p : (!r, !p) -> !r
  return %0 : !r
}

// -----

#mesh = #spmd.mesh<tp=2>
!r = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
// expected-note @below {{wrong because of it: result 0}}
func.func @typed_mix_in_a_body(%r: !r, %p: !p) -> !r {
  // expected-error @below {{[T1] 'spmd.compute' is typed replicate over 'tp', but is a mix of replicate and partial [rule 101.6]}}
  // expected-note @below {{help: write `?` to have the placement inferred}}
  %0 = spmd.compute %r, %p : (!r, !p) -> !r {
  ^bb0(%a: tensor<8x4xf32>, %b: tensor<8x4xf32>):
    %s = arith.addf %a, %b : tensor<8x4xf32>
    spmd.yield %s : tensor<8x4xf32>
  }
  return %0 : !r
}

// -----

// Cut over another axis than claimed, by a conversion that can cut it over this one.
#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x6xf32, #mesh>
!cut = !spmd.tensor<8x6xf32, #mesh, dp: shard<0>>
!part = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
// expected-note @below {{wrong because of it: result 0}}
func.func @other_axis(%x: !x) -> !part {
  // expected-note @below {{it is the same on all ranks of 'tp'}}
  // expected-note @below {{help: convert it to replicate over 'dp' here, and convert it to shard<0> over 'tp' here; no communication more; tried: results equal those of one device}}
  %0 = spmd.redistribute %x : !x -> !cut
  // expected-error @below {{[G3] this value is claimed replicate over 'dp', but is shard<0>: it is cut; [G3] it is claimed shard<0> over 'tp', but is replicate: it is not cut}}
  // expected-note @below {{help: or convert it here (spmd.redistribute): an all-gather over 'dp', and convert it here (spmd.redistribute): a local slice over 'tp'}}
  %1 = spmd.claim %0 : !cut -> !part
  return %1 : !part
}

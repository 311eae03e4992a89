// RUN: moe-opt %s --spmd-infer-placements --spmd-verify-gradients --split-input-file --verify-diagnostics --allow-unregistered-dialect

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!h = !spmd.tensor<8x6xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>

// The witness goes through loops, branches and calls to where a value became
// Partial.
func.func private @term(%x: !x, %w: !w) -> !p {
  %0 = moe.einsum "td,fd->tf" %x, %w : (!x, !w) -> !h
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' sums over a dimension that 'tp' cuts, so each rank holds one term of the sum}}
  %1 = moe.einsum "tf,fd->td" %0, %w : (!h, !w) -> !p
  return %1 : !p
}
// expected-note @below {{wrong because of it: y}}
func.func @through(%x: !x, %w: !w, %c: i1) -> (!x {spmd.name = "y"}) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %two = arith.constant 2 : index
  // expected-note @below {{carried on by 'func.call'}}
  %0 = func.call @term(%x, %w) : (!x, !w) -> !p
  // expected-note @below {{carried on by 'scf.if'}}
  %1 = scf.if %c -> !p {
    scf.yield %0 : !p
  } else {
    %2 = moe.scale %0 by 2.0 : (!p) -> !p
    scf.yield %2 : !p
  }
  // expected-note @below {{carried on by 'scf.for'}}
  %3 = scf.for %i = %zero to %two step %one iter_args(%sum = %1) -> !p {
    // expected-note @below {{carried on by 'moe.add'}}
    %4 = moe.add %sum, %1 : (!p, !p) -> !p
    scf.yield %4 : !p
  }
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +128 B per rank; tried: results equal those of one device}}
  %5 = spmd.claim %3 : !p -> !x
  return %5 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// A false claim in a loop is one error, and reaches what the loop carries in
// later iterations too.
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: later, last}}
func.func @in_loop(%x: !x, %p: !p, %n: index)
    -> (!x {spmd.name = "later"}, !x {spmd.name = "last"}, !x {spmd.name = "right"}) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %0:3 = scf.for %i = %zero to %n step %one iter_args(%a = %x, %b = %x, %c = %x) -> (!x, !x, !x) {
    %1 = moe.silu %b : (!x) -> !x
    // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
    // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +128 B per rank; tried: results equal those of one device}}
    %2 = spmd.claim %p : !p -> !x
    scf.yield %1, %2, %x : !x, !x, !x
  }
  return %0#0, %0#1, %0#2 : !x, !x, !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// One in a function that is called is refused there; where its argument became
// Partial is seen, for nobody else can call it.
// expected-note @below {{wrong because of it: result 0}}
func.func private @inner(%p: !p) -> !x {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: reduce it here (spmd.redistribute): an all-reduce over 'tp'; +1 collective, +128 B per rank; tried: results equal those of one device}}
  %0 = spmd.claim %p : !p -> !x
  return %0 : !x
}
func.func @outer(%x: !x) -> !x {
  // expected-note @below {{it became partial over 'tp' here: 'spmd.redistribute' leaves each rank its own part and zeros elsewhere}}
  %0 = spmd.redistribute %x : !x -> !p
  // expected-note @below {{carried on by 'func.call'}}
  %1 = func.call @inner(%0) : (!p) -> !x
  return %1 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// From code that is not seen.
func.func private @outside(!x) -> !p
// expected-note @below {{wrong because of it: result 0}}
func.func @calls_outside(%x: !x) -> !x {
  // expected-note @below {{it is partial over 'tp' from here on: 'func.call' says so}}
  %0 = func.call @outside(%x) : (!x) -> !p
  // expected-error @below {{[G1] this value is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{not executed: the reference can't run a function without a body}}
  %1 = spmd.claim %0 : !p -> !x
  return %1 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// What was reduced before, through a loop and a call.
func.func private @twice(%x: !x) -> !x {
  // expected-note @below {{carried on by 'moe.scale'}}
  %0 = moe.scale %x by 2.0 : (!x) -> !x
  return %0 : !x
}
// expected-note @below {{wrong because of it: result 0}}
func.func @reduced(%p: !p, %n: index) -> !p {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  // expected-note @below {{it was already made the same on all ranks of 'tp' here: 'spmd.redistribute' makes partial<sum> replicate}}
  %0 = spmd.redistribute %p : !p -> !x
  // expected-note @below {{carried on by 'scf.for'}}
  %1 = scf.for %i = %zero to %n step %one iter_args(%y = %0) -> !x {
    %2 = moe.silu %y : (!x) -> !x
    scf.yield %2 : !x
  }
  // expected-note @below {{carried on by 'func.call'}}
  %3 = func.call @twice(%1) : (!x) -> !x
  // expected-error @below {{[G2] this value is claimed partial<sum> over 'tp', but is replicate: a reduction too many}}
  // expected-note @below {{help}}
  %4 = spmd.claim %3 : !x -> !p
  return %4 : !p
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// A sum without meaning must not pass: each place that passes one is told.
func.func private @callee(%p: !p) -> !p {
  return %p : !p
}
// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
// expected-note @below {{wrong because of it: result 1}}
func.func @mixed(%x: !x, %p: !p, %n: index, %c: i1) -> (!p, !p) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %0 = scf.for %i = %zero to %n step %one iter_args(%sum = %p) -> !p {
    // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 2 times}}
    // expected-note @below {{help}}
    %1 = moe.add %x, %p : (!x, !p) -> !p
    // expected-error @below {{[G5] 'scf.yield' over 'tp': yields a sum in which a replicated term met a partial one, as if it were partial<sum>}}
    scf.yield %1 : !p
  }
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 2 times}}
  // expected-note @below {{help}}
  %2 = moe.add %p, %x : (!p, !x) -> !p
  // expected-error @below {{[G5] 'func.call' over 'tp': passes a sum in which a replicated term met a partial one, as if it were partial<sum>}}
  %3 = func.call @callee(%2) : (!p) -> !p
  return %0, %3 : !p, !p
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
// expected-note @below {{wrong because of it: result 0}}
func.func @mixed_start(%x: !x, %p: !p, %n: index, %c: i1) -> !p {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 2 times}}
  // expected-note @below {{help}}
  %0 = moe.add %x, %p : (!x, !p) -> !p
  // expected-error @below {{[G5] 'scf.for' over 'tp': starts with a sum in which a replicated term met a partial one, as if it were partial<sum>}}
  %1 = scf.for %i = %zero to %n step %one iter_args(%sum = %0) -> !p {
    scf.yield %sum : !p
  }
  return %1 : !p
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

// All ranks go the same way.
func.func private @same(%i: index) -> i1 {
  %one = arith.constant 1 : index
  %0 = arith.cmpi eq, %i, %one : index
  return %0 : i1
}
func.func private @unseen() -> index
func.func @conditions(%x: !x, %n: index) -> !x {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %true = arith.constant true
  %0 = scf.for %i = %zero to %n step %one iter_args(%y = %x) -> !x {
    %1 = func.call @same(%i) : (index) -> i1
    %2 = scf.if %1 -> i1 {
      scf.yield %true : i1
    } else {
      scf.yield %1 : i1
    }
    %3 = scf.if %2 -> !x {
      %4 = moe.silu %y : (!x) -> !x
      scf.yield %4 : !x
    } else {
      scf.yield %y : !x
    }
    scf.yield %3 : !x
  }
  // expected-note @below {{it is computed here}}
  %rank = "other.rank"() : () -> index
  %c = arith.cmpi eq, %rank, %zero : index
  // expected-error @below {{[R8] 'scf.if': its condition may differ between ranks, for 'other.rank' computes it: ranks that go different ways wait for each other in different collectives; help: compute it of constants, of arguments and of what loops count, with arith and math}}
  %5 = scf.if %c -> !x {
    %6 = moe.silu %0 : (!x) -> !x
    scf.yield %6 : !x
  } else {
    scf.yield %0 : !x
  }
  // expected-note @below {{it is computed here}}
  %unseen = func.call @unseen() : () -> index
  // expected-error @below {{[R8] 'scf.for': its upper bound may differ between ranks, for 'func.call' computes it}}
  %7 = scf.for %i = %zero to %unseen step %one iter_args(%y = %5) -> !x {
    scf.yield %y : !x
  }
  // expected-error @below {{[R8] 'func.call': operand 1 may differ between ranks, for 'other.rank' computes it}}
  %8 = func.call @passed(%7, %rank) : (!x, index) -> !x
  return %8 : !x
}
func.func private @passed(%x: !x, %n: index) -> !x {
  return %x : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func private @inner(%x: !x) -> !x {
  %0 = func.call @outer(%x) : (!x) -> !x
  return %0 : !x
}
func.func @outer(%x: !x) -> !x {
  // expected-error @below {{[R9] by this call '@inner' calls itself, and does not end; help: use scf.for}}
  %0 = func.call @inner(%x) : (!x) -> !x
  return %0 : !x
}

// -----

// Rows that are cut by expert: one value is cut in one way.
#mesh = #spmd.mesh<ep=2>
!t = !spmd.tensor<8x4xf32, #mesh, ep: shard<0>>
!k = !spmd.tensor<8x2xi32, #mesh, ep: shard<0>>
!r = !spmd.tensor<16x4xf32, #mesh, ep: ragged<0>>

func.func private @experts(%r: !r) -> !r {
  return %r : !r
}
// expected-note @below {{wrong because of it: result 0, result 2}}
// expected-note @below {{wrong because of it: result 1}}
func.func @rows(%t: !t, %one: !k, %other: !k, %c: i1, %n: index) -> (!r, !r, !r) {
  %zero = arith.constant 0 : index
  %step = arith.constant 1 : index
  %0 = moe.dispatch %t, %one of 4 : (!t, !k) -> !r
  %1 = moe.dispatch %t, %other of 4 : (!t, !k) -> !r
  // expected-error @below {{[R4] 'scf.if' over 'ep': rows that are cut by different expert numbers become one value}}
  // expected-note @below {{help}}
  %2 = scf.if %c -> !r {
    scf.yield %0 : !r
  } else {
    scf.yield %1 : !r
  }
  // expected-error @below {{[R4] 'func.call' over 'ep': rows that are cut by expert pass through a call, and a signature does not say where they are cut}}
  // expected-note @below {{help}}
  %3 = func.call @experts(%0) : (!r) -> !r
  // The same rows in every iteration.
  %4 = scf.for %i = %zero to %n step %step iter_args(%r = %0) -> !r {
    %5 = moe.silu %r : (!r) -> !r
    scf.yield %5 : !r
  }
  %6 = moe.add %4, %2 : (!r, !r) -> !r
  return %2, %3, %6 : !r, !r, !r
}

// RUN: moe-opt %s --moe-check --split-input-file --verify-diagnostics --allow-unregistered-dialect

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!h_ = !spmd.tensor<8x6xf32, #mesh, tp: ?>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>

// A false label in a function that is called is one error, at its place, however
// often it is called.
func.func private @mlp(%x: !x, %w: !w) -> !p {
  // expected-error @below {{[G1] the gradient at 'x' is claimed replicate over 'tp', but is partial<sum>: a reduction is missing}}
  // expected-note @below {{help: claim partial<sum> over 'tp' here; +1 collective, +128 B per rank; tried, others aside: gradients equal those of one device}}
  // expected-note @below {{help: or reduce it here (`grad converts`): an all-reduce over 'tp'; +1 collective, +128 B per rank; tried, others aside: gradients equal those of one device}}
  %0 = spmd.boundary %x grad claims <> at "x" : !x -> !x
  // expected-note @below {{it became partial over 'tp' here: 'moe.einsum' (backward) sums over a dimension that 'tp' cuts}}
  %1 = moe.einsum "td,fd->tf" %0, %w : (!x, !w) -> !h_
  %2 = moe.silu %1 : (!h_) -> !h_
  %3 = moe.einsum "tf,fd->td" %2, %w : (!h_, !w) -> !p
  return %3 : !p
}
// expected-note @below {{wrong because of it: grad.x, grad.w}}
func.func @layers(%x: !x {spmd.name = "x"}, %w: !w {spmd.name = "w"},
                  %v: !w {spmd.name = "v"}) -> (!x {spmd.name = "y"}) {
  %0 = func.call @mlp(%x, %w) : (!x, !w) -> !p
  %1 = spmd.redistribute %0 : !p -> !x
  %2 = func.call @mlp(%1, %v) : (!x, !w) -> !p
  %3 = spmd.redistribute %2 : !p -> !x
  return %3 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>

// What is wrong forward is said where the function is checked, and not again
// where it was inlined.
// expected-note @below {{wrong because of it: result 0}}
func.func private @claims(%p: !p) -> !x {
  // expected-error @below {{[G1] this value is claimed replicate over 'tp'}}
  // expected-note @below {{help}}
  %0 = spmd.claim %p : !p -> !x
  return %0 : !x
}
// expected-note @below {{it is an argument that is partial over 'tp' from outside}}
func.func @calls(%p: !p) -> !x {
  // expected-note @below {{carried on by 'func.call'}}
  %0 = func.call @claims(%p) : (!p) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func @loop(%x: !x, %n: index) -> !x {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  // expected-error @below {{[A1] cannot differentiate through 'scf.for'; help: write the joint function with its loops and branches and end its name in '.vjp'}}
  %0 = scf.for %i = %zero to %n step %one iter_args(%y = %x) -> !x {
    %1 = moe.silu %y : (!x) -> !x
    scf.yield %1 : !x
  }
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func private @branch(%x: !x, %c: i1) -> !x {
  // expected-error @below {{[A1] cannot differentiate through 'scf.if'}}
  %0 = scf.if %c -> !x {
    %1 = moe.silu %x : (!x) -> !x
    scf.yield %1 : !x
  } else {
    scf.yield %x : !x
  }
  return %0 : !x
}
func.func @calls(%x: !x, %c: i1) -> !x {
  %0 = func.call @branch(%x, %c) : (!x, i1) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func private @unseen(!x) -> !x
func.func @calls(%x: !x) -> !x {
  // expected-error @below {{[A1] cannot inline '@unseen': it has no body; help: declare what it does with spmd.opaque}}
  %0 = func.call @unseen(%x) : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func @calls(%x: !x) -> !x {
  // expected-error @below {{[A1] '@calls' calls itself and cannot be inlined; help: use scf.for}}
  %0 = func.call @calls(%x) : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func private @ends(%x: !x) -> !x {
  "other.end"() : () -> ()
}
func.func @calls(%x: !x) -> !x {
  // expected-error @below {{[A1] cannot inline '@ends': it is not one block that ends in func.return; help: use structured operations}}
  %0 = func.call @ends(%x) : (!x) -> !x
  return %0 : !x
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

// Each calls the next one eight times.
func.func private @f0(%x: !x) -> !x {
  %0 = moe.silu %x : (!x) -> !x
  return %0 : !x
}
func.func private @f1(%0: !x) -> !x {
  // expected-error @below {{[A1] cannot inline '@f0': what is called has more than 1000000 operations; help: call less often}}
  %1 = func.call @f0(%0) : (!x) -> !x
  %2 = func.call @f0(%1) : (!x) -> !x
  %3 = func.call @f0(%2) : (!x) -> !x
  %4 = func.call @f0(%3) : (!x) -> !x
  %5 = func.call @f0(%4) : (!x) -> !x
  %6 = func.call @f0(%5) : (!x) -> !x
  %7 = func.call @f0(%6) : (!x) -> !x
  %8 = func.call @f0(%7) : (!x) -> !x
  return %8 : !x
}
func.func private @f2(%0: !x) -> !x {
  %1 = func.call @f1(%0) : (!x) -> !x
  %2 = func.call @f1(%1) : (!x) -> !x
  %3 = func.call @f1(%2) : (!x) -> !x
  %4 = func.call @f1(%3) : (!x) -> !x
  %5 = func.call @f1(%4) : (!x) -> !x
  %6 = func.call @f1(%5) : (!x) -> !x
  %7 = func.call @f1(%6) : (!x) -> !x
  %8 = func.call @f1(%7) : (!x) -> !x
  return %8 : !x
}
func.func private @f3(%0: !x) -> !x {
  %1 = func.call @f2(%0) : (!x) -> !x
  %2 = func.call @f2(%1) : (!x) -> !x
  %3 = func.call @f2(%2) : (!x) -> !x
  %4 = func.call @f2(%3) : (!x) -> !x
  %5 = func.call @f2(%4) : (!x) -> !x
  %6 = func.call @f2(%5) : (!x) -> !x
  %7 = func.call @f2(%6) : (!x) -> !x
  %8 = func.call @f2(%7) : (!x) -> !x
  return %8 : !x
}
func.func private @f4(%0: !x) -> !x {
  %1 = func.call @f3(%0) : (!x) -> !x
  %2 = func.call @f3(%1) : (!x) -> !x
  %3 = func.call @f3(%2) : (!x) -> !x
  %4 = func.call @f3(%3) : (!x) -> !x
  %5 = func.call @f3(%4) : (!x) -> !x
  %6 = func.call @f3(%5) : (!x) -> !x
  %7 = func.call @f3(%6) : (!x) -> !x
  %8 = func.call @f3(%7) : (!x) -> !x
  return %8 : !x
}
func.func private @f5(%0: !x) -> !x {
  %1 = func.call @f4(%0) : (!x) -> !x
  %2 = func.call @f4(%1) : (!x) -> !x
  %3 = func.call @f4(%2) : (!x) -> !x
  %4 = func.call @f4(%3) : (!x) -> !x
  %5 = func.call @f4(%4) : (!x) -> !x
  %6 = func.call @f4(%5) : (!x) -> !x
  %7 = func.call @f4(%6) : (!x) -> !x
  %8 = func.call @f4(%7) : (!x) -> !x
  return %8 : !x
}
func.func private @f6(%0: !x) -> !x {
  %1 = func.call @f5(%0) : (!x) -> !x
  %2 = func.call @f5(%1) : (!x) -> !x
  %3 = func.call @f5(%2) : (!x) -> !x
  %4 = func.call @f5(%3) : (!x) -> !x
  %5 = func.call @f5(%4) : (!x) -> !x
  %6 = func.call @f5(%5) : (!x) -> !x
  %7 = func.call @f5(%6) : (!x) -> !x
  %8 = func.call @f5(%7) : (!x) -> !x
  return %8 : !x
}
func.func private @f7(%0: !x) -> !x {
  %1 = func.call @f6(%0) : (!x) -> !x
  %2 = func.call @f6(%1) : (!x) -> !x
  %3 = func.call @f6(%2) : (!x) -> !x
  %4 = func.call @f6(%3) : (!x) -> !x
  %5 = func.call @f6(%4) : (!x) -> !x
  %6 = func.call @f6(%5) : (!x) -> !x
  %7 = func.call @f6(%6) : (!x) -> !x
  %8 = func.call @f6(%7) : (!x) -> !x
  return %8 : !x
}
func.func @too_much(%x: !x) -> !x {
  %0 = func.call @f7(%x) : (!x) -> !x
  return %0 : !x
}

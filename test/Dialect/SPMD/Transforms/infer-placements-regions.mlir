// RUN: moe-opt %s --spmd-infer-placements --spmd-verify-gradients --split-input-file --verify-diagnostics | FileCheck %s

#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>
!x_ = !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
!h_ = !spmd.tensor<8x6xf32, #mesh, dp: ?, tp: ?>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>

// What a loop carries lies as it starts; what is yielded agrees.
// CHECK-LABEL: func.func @scan(
// CHECK-SAME: -> (!spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>, !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>)
func.func @scan(%x: !x, %w: !w, %n: index) -> (!x_, !x_) {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %nothing = moe.fill_like %x with 0.0 : (!x) -> !x_
  %1 = moe.einsum "td,fd->tf" %x, %w : (!x, !w) -> !h_
  %2 = moe.einsum "tf,fd->td" %1, %w : (!h_, !w) -> !x_
  // CHECK: scf.for {{.*}} iter_args(%[[SUM:.*]] = %{{.*}}, %[[X:.*]] = %{{.*}}) -> (!spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>, !spmd.tensor<8x4xf32, #mesh, dp: shard<0>>)
  %3:2 = scf.for %i = %zero to %n step %one iter_args(%sum = %2, %y = %nothing) -> (!x_, !x_) {
    // CHECK: scf.for {{.*}} -> (!spmd.tensor<8x4xf32, #mesh, dp: shard<0>>)
    %4 = scf.for %j = %zero to %i step %one iter_args(%z = %y) -> !x_ {
      %5 = moe.silu %z : (!x_) -> !x_
      scf.yield %5 : !x_
    }
    %6 = moe.einsum "td,fd->tf" %4, %w : (!x_, !w) -> !h_
    // CHECK: moe.einsum "tf,fd->td" {{.*}} -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
    %7 = moe.einsum "tf,fd->td" %6, %w : (!h_, !w) -> !x_
    %8 = moe.add %sum, %7 : (!x_, !x_) -> !x_
    scf.yield %8, %4 : !x_, !x_
  }
  return %3#0, %3#1 : !x_, !x_
}

// CHECK-LABEL: func.func @branch(
// CHECK-SAME: -> !spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>
func.func @branch(%x: !x, %w: !w, %c: i1) -> !h_ {
  // CHECK: scf.if %{{.*}} -> (!spmd.tensor<8x6xf32, #mesh, dp: shard<0>, tp: shard<1>>)
  %0 = scf.if %c -> !h_ {
    %1 = moe.einsum "td,fd->tf" %x, %w : (!x, !w) -> !h_
    scf.yield %1 : !h_
  } else {
    %1 = moe.einsum "td,fd->tf" %x, %w : (!x, !w) -> !h_
    %2 = moe.silu %1 : (!h_) -> !h_
    scf.yield %2 : !h_
  }
  // A branch that gives nothing.
  scf.if %c {
    %1 = moe.silu %x : (!x) -> !x_
  }
  return %0 : !h_
}

// The signature of what is called says how results lie.
func.func private @outside(!x) -> !x
func.func private @term(%x: !x, %w: !w) -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>> {
  %0 = moe.einsum "td,fd->tf" %x, %w : (!x, !w) -> !h_
  %1 = moe.einsum "tf,fd->td" %0, %w : (!h_, !w) -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  return %1 : !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
}
// CHECK-LABEL: func.func @call(
// CHECK-SAME: -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
func.func @call(%x: !x, %w: !w) -> !x_ {
  %0 = func.call @outside(%x) : (!x) -> !x
  %1 = func.call @term(%0, %w) : (!x, !w) -> !spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>
  %2 = moe.scale %1 by 2.0 : (!spmd.tensor<8x4xf32, #mesh, dp: shard<0>, tp: partial<sum>>) -> !x_
  return %2 : !x_
}

// Loops and branches that have nothing to do with placed tensors are let be, and
// so are scalars.
// CHECK-LABEL: func.func @scalars(
func.func @scalars(%x: !x, %n: index) -> index {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %0 = scf.for %i = %zero to %n step %one iter_args(%sum = %zero) -> index {
    %1 = scf.while (%j = %i) : (index) -> index {
      %c = arith.cmpi slt, %j, %n : index
      scf.condition(%c) %j : index
    } do {
    ^bb0(%j: index):
      %2 = arith.addi %j, %one : index
      scf.yield %2 : index
    }
    %3 = arith.addi %sum, %1 : index
    scf.yield %3 : index
  }
  return %0 : index
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!x_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>
!h_ = !spmd.tensor<8x6xf32, #mesh, tp: ?>
!w = !spmd.tensor<6x4xf32, #mesh, tp: shard<0>>

func.func @grows_partial(%x: !x, %w: !w, %n: index) -> !x_ {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  // expected-note @below {{it is replicate where it starts}}
  %start = moe.silu %x : (!x) -> !x_
  // expected-error @below {{[I3] 'scf.for' over 'tp': carries a value that starts replicate and is yielded partial<sum>; help: convert the one or the other with spmd.redistribute}}
  %0 = scf.for %i = %zero to %n step %one iter_args(%y = %start) -> !x_ {
    %1 = moe.einsum "td,fd->tf" %y, %w : (!x_, !w) -> !h_
    %2 = moe.einsum "tf,fd->td" %1, %w : (!h_, !w) -> !x_
    // expected-note @below {{it is partial<sum> where it is yielded}}
    scf.yield %2 : !x_
  }
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<dp=2, tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!x_ = !spmd.tensor<8x4xf32, #mesh, dp: ?, tp: ?>
!s = !spmd.tensor<8x4xf32, #mesh, tp: shard<1>>

func.func @branches_differ(%x: !x, %s: !s, %c: i1) -> !x_ {
  // expected-error @below {{[I3] 'scf.if' over 'tp': gives a value that one branch has replicate and the other one shard<1>; help: convert the one or the other with spmd.redistribute}}
  %0 = scf.if %c -> !x_ {
    %1 = moe.silu %x : (!x) -> !x_
    // expected-note @below {{it is replicate here}}
    scf.yield %1 : !x_
  } else {
    %1 = moe.silu %s : (!s) -> !x_
    // expected-note @below {{it is shard<1> here}}
    scf.yield %1 : !x_
  }
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!x_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>

func.func private @outside(!x) -> !x_
func.func @call(%x: !x) -> !x_ {
  // expected-error @below {{[I4] how result 0 of '@outside' lies is not given: '!spmd.tensor<8x4xf32, #spmd.mesh<tp=2>, tp: ?>'; help: state it in the function's signature, on which those who call it rely}}
  %0 = func.call @outside(%x) : (!x) -> !x_
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>
!p = !spmd.tensor<8x4xf32, #mesh, tp: partial<sum>>
!x_ = !spmd.tensor<8x4xf32, #mesh, tp: ?>

// A rule that is broken in a loop is reported there, once.
func.func @rule(%p: !p, %n: index) -> !x_ {
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %start = moe.scale %p by 2.0 : (!p) -> !x_
  %0 = scf.for %i = %zero to %n step %one iter_args(%y = %start) -> !x_ {
    // expected-error @below {{[R1] 'moe.silu' over 'tp': operand 0 is partial<sum>, and the operation is not linear in it}}
    %1 = moe.silu %y : (!x_) -> !x_
    scf.yield %1 : !x_
  }
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<8x4xf32, #mesh>

func.func @while(%x: !x, %c: i1) -> !x {
  // expected-error @below {{[R6] 'scf.while' holds placed tensors in a region, and nothing is known of how they pass in and out; help: use scf.for or scf.if}}
  %0 = scf.while (%y = %x) : (!x) -> !x {
    scf.condition(%c) %y : !x
  } do {
  ^bb0(%y: !x):
    scf.yield %y : !x
  }
  return %0 : !x
}

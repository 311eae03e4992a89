// What every rule allows and refuses is executed by rule-sweep; these are the
// ways in which a body and its operations meet the passes.
// RUN: moe-opt %s --split-input-file --spmd-infer-placements --spmd-verify-gradients --verify-diagnostics | FileCheck %s

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
!y_ = !spmd.tensor<4x6xf32, #mesh, tp: ?>

// A product that starts from zeros; the zeros fit.
// CHECK-LABEL: func.func @product
// CHECK: spmd.compute {{.*}} -> !spmd.tensor<4x6xf32, #mesh, tp: partial<sum>>
func.func @product(%x: !x, %w: !w) -> !y_ {
  %0 = spmd.compute %x, %w : (!x, !w) -> !y_ {
  ^bb0(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>):
    %zero = arith.constant 0.0 : f32
    %empty = tensor.empty() : tensor<4x6xf32>
    %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x6xf32>) -> tensor<4x6xf32>
    %y = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x6xf32>) outs(%start : tensor<4x6xf32>) -> tensor<4x6xf32>
    spmd.yield %y : tensor<4x6xf32>
  }
  return %0 : !y_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh, tp: shard<1>>
!w = !spmd.tensor<8x6xf32, #mesh, tp: shard<0>>
!b = !spmd.tensor<4x6xf32, #mesh>
!y_ = !spmd.tensor<4x6xf32, #mesh, tp: ?>

// A bias that every rank adds to its term.
// expected-note @below {{wrong because of it: result 0}}
func.func @bias(%x: !x, %w: !w, %b: !b) -> !b {
  // expected-note @below {{the sum is carried on by 'spmd.compute'}}
  // expected-note @below {{help: convert the replicated term to partial<sum> over 'tp' before it is added here (spmd.redistribute); no communication more; tried: results equal those of one device}}
  %0 = spmd.compute %x, %w, %b : (!x, !w, !b) -> !y_ {
  // expected-note @below {{it is the same on all ranks of 'tp': all that it is computed from is}}
  ^bb0(%a: tensor<4x8xf32>, %c: tensor<8x6xf32>, %d: tensor<4x6xf32>):
    %start = arith.constant dense<0.0> : tensor<4x6xf32>
    // expected-note @below {{it became partial over 'tp' here: 'linalg.matmul' sums over a dimension that 'tp' cuts}}
    %y = linalg.matmul ins(%a, %c : tensor<4x8xf32>, tensor<8x6xf32>) outs(%start : tensor<4x6xf32>) -> tensor<4x6xf32>
    // expected-note @below {{and is added here to a sum that is partial over 'tp': a later reduction counts it 2 times}}
    %s = arith.addf %y, %d : tensor<4x6xf32>
    spmd.yield %s : tensor<4x6xf32>
  }
  // expected-error @below {{[G5] 'spmd.redistribute' over 'tp': converts a sum in which a replicated term met a partial one, as if it were partial<sum>}}
  %1 = spmd.redistribute %0 : !y_ -> !b
  return %1 : !b
}

// -----

#mesh = #spmd.mesh<tp=2>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>
!p_ = !spmd.tensor<4x8xf32, #mesh, tp: ?>

func.func @nonlinear(%x: !p) -> !p_ {
  %0 = spmd.compute %x : (!p) -> !p_ {
  ^bb0(%a: tensor<4x8xf32>):
    // expected-error @below {{[R1] 'math.exp' over 'tp': operand 0 is partial<sum>, and the operation is not linear in it [rule 143.11]; help: convert an operand with spmd.redistribute}}
    %0 = math.exp %a : tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !p_
}

// -----

#mesh = #spmd.mesh<tp=2>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>
!p_ = !spmd.tensor<4x8xbf16, #mesh, tp: ?>

// Rounding the terms is not rounding the sum.
func.func @narrowing(%x: !p) -> !p_ {
  %0 = spmd.compute %x : (!p) -> !p_ {
  ^bb0(%a: tensor<4x8xf32>):
    // expected-error @below {{[R1] 'arith.truncf' over 'tp': operand 0 is partial<sum>, and the operation is not linear in it}}
    %0 = arith.truncf %a : tensor<4x8xf32> to tensor<4x8xbf16>
    spmd.yield %0 : tensor<4x8xbf16>
  }
  return %0 : !p_
}

// -----

#mesh = #spmd.mesh<tp=2>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>
!p_ = !spmd.tensor<4x8xf32, #mesh, tp: ?>

func.func @two_sums(%x: !p) -> !p_ {
  %0 = spmd.compute %x : (!p) -> !p_ {
  ^bb0(%a: tensor<4x8xf32>):
    // expected-error @below {{[R2] 'arith.mulf' over 'tp': operand 0 is partial<sum> and operand 1 is partial<sum>: the product of two sums is not the sum of the products}}
    %0 = arith.mulf %a, %a : tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !p_
}

// -----

#mesh = #spmd.mesh<tp=2>
!p = !spmd.tensor<4x8xf32, #mesh, tp: partial<sum>>
!p_ = !spmd.tensor<4x10xf32, #mesh, tp: ?>

func.func @padding(%x: !p) -> !p_ {
  %0 = spmd.compute %x : (!p) -> !p_ {
  ^bb0(%a: tensor<4x8xf32>):
    %one = arith.constant 1.0 : f32
    // expected-error @below {{[R1] 'tensor.pad' over 'tp': operand 0 is partial<sum>, and the operation adds a constant to every term}}
    %0 = tensor.pad %a low[0, 1] high[0, 1] {
    ^bb1(%i: index, %j: index):
      tensor.yield %one : f32
    } : tensor<4x8xf32> to tensor<4x10xf32>
    spmd.yield %0 : tensor<4x10xf32>
  }
  return %0 : !p_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh, tp: shard<1>>
!x_ = !spmd.tensor<4x8xf32, #mesh, tp: ?>

func.func @softmax(%x: !x) -> !x_ {
  %0 = spmd.compute %x : (!x) -> !x_ {
  ^bb0(%a: tensor<4x8xf32>):
    %empty = tensor.empty() : tensor<4x8xf32>
    // expected-error @below {{[R5] 'linalg.softmax' over 'tp': operand 0 is shard<1>, but the operation needs that dimension whole}}
    %0 = linalg.softmax dimension(1) ins(%a : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) -> tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh>
!x_ = !spmd.tensor<4x8xf32, #mesh, tp: ?>

func.func @unknown(%x: !x) -> !x_ {
  %0 = spmd.compute %x : (!x) -> !x_ {
  ^bb0(%a: tensor<4x8xf32>):
    // expected-error @below {{[R6] 'math.floor' has no placement rule, so nothing is known of its result; help: give it PlacementOpInterface}}
    %0 = math.floor %a : tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4xf32, #mesh>
!x_ = !spmd.tensor<4xf32, #mesh, tp: ?>

func.func @captured(%x: !x) -> !x_ {
  %0 = spmd.compute %x : (!x) -> !x_ {
  ^bb0(%a: tensor<4xf32>):
    %empty = tensor.empty() : tensor<4xf32>
    %0 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
                         iterator_types = ["parallel"]}
        ins(%a : tensor<4xf32>) outs(%empty : tensor<4xf32>) {
    ^bb1(%e: f32, %o: f32):
      %c = arith.constant 0 : index
      // expected-error @below {{[R6] 'tensor.extract' over 'tp': reads or writes something that is no operand; help: give it PlacementOpInterface, or compute it of operands}}
      %f = tensor.extract %a[%c] : tensor<4xf32>
      linalg.yield %f : f32
    } -> tensor<4xf32>
    spmd.yield %0 : tensor<4xf32>
  }
  return %0 : !x_
}

// -----

#mesh = #spmd.mesh<tp=2>
!x = !spmd.tensor<4x8xf32, #mesh, tp: shard<1>>
!y = !spmd.tensor<4x8xf32, #mesh>

func.func @typed(%x: !x) -> !y {
  // expected-error @below {{[T1] 'spmd.compute' is typed replicate over 'tp', but is shard<1>}}
  // expected-note @below {{help: write `?`}}
  // expected-note @-3 {{wrong because of it: result 0}}
  %0 = spmd.compute %x : (!x) -> !y {
  ^bb0(%a: tensor<4x8xf32>):
    %0 = arith.negf %a : tensor<4x8xf32>
    spmd.yield %0 : tensor<4x8xf32>
  }
  return %0 : !y
}

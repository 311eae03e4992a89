// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// (W1) one shape, element type and mesh
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_add(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.add' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.add %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_sub(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.sub' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.sub %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_mul(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.mul' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.mul %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_div(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.div' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.div %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_sigmoid_vjp(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.sigmoid_vjp' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.sigmoid_vjp %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_silu_vjp(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.silu_vjp' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.silu_vjp %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_softmax_vjp(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.softmax_vjp' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.softmax_vjp %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_normalize_vjp(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<12x10xf32, #mesh>) {
  // expected-error @below {{'moe.normalize_vjp' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.normalize_vjp %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<12x10xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_scale(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.scale' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.scale %a by 2.0
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x12xbf16, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_sigmoid(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.sigmoid' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.sigmoid %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x12xbf16, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_silu(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.silu' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.silu %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x12xbf16, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_softmax(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.softmax' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.softmax %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x12xbf16, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_normalize(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.normalize' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.normalize %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x12xbf16, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_fill_like(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.fill_like' op (W1) operands and result must have one shape and element type, not '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.fill_like %a with 0.0
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<10x12xbf16, #mesh>
  return
}

// -----

// The order of the axes counts.
#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<tp=4, dp=2>
func.func @w1_mesh(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<10x12xf32, #other>) {
  // expected-error @below {{'moe.mul' op mixes the meshes #spmd.mesh<dp=2, tp=4> and #spmd.mesh<tp=4, dp=2>}}
  %0 = moe.mul %a, %b
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<10x12xf32, #other>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_integers(%a: !spmd.tensor<10x3xi32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.add' op operand #0 must be placed tensor of floating-point numbers, but got '!spmd.tensor<10x3xi32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.add %a, %b
      : (!spmd.tensor<10x3xi32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_scalar_softmax(%a: !spmd.tensor<f32, #mesh>) {
  // expected-error @below {{'moe.softmax' op (W1) needs a last dimension}}
  %0 = moe.softmax %a
      : (!spmd.tensor<f32, #mesh>)
      -> !spmd.tensor<f32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_scalar_softmax_vjp(%a: !spmd.tensor<f32, #mesh>, %b: !spmd.tensor<f32, #mesh>) {
  // expected-error @below {{'moe.softmax_vjp' op (W1) needs a last dimension}}
  %0 = moe.softmax_vjp %a, %b
      : (!spmd.tensor<f32, #mesh>, !spmd.tensor<f32, #mesh>)
      -> !spmd.tensor<f32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_scalar_normalize(%a: !spmd.tensor<f32, #mesh>) {
  // expected-error @below {{'moe.normalize' op (W1) needs a last dimension}}
  %0 = moe.normalize %a
      : (!spmd.tensor<f32, #mesh>)
      -> !spmd.tensor<f32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w1_scalar_normalize_vjp(%a: !spmd.tensor<f32, #mesh>, %b: !spmd.tensor<f32, #mesh>) {
  // expected-error @below {{'moe.normalize_vjp' op (W1) needs a last dimension}}
  %0 = moe.normalize_vjp %a, %b
      : (!spmd.tensor<f32, #mesh>, !spmd.tensor<f32, #mesh>)
      -> !spmd.tensor<f32, #mesh>
  return
}

// -----

//===----------------------------------------------------------------------===//
// (W2) folding
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w2_fold(%a: !spmd.tensor<2x5x12xf32, #mesh>) {
  // expected-error @below {{'moe.fold' op (W2) '!spmd.tensor<12x10xf32, #spmd.mesh<dp=2, tp=4>>' is not the folding of '!spmd.tensor<2x5x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.fold %a
      : (!spmd.tensor<2x5x12xf32, #mesh>)
      -> !spmd.tensor<12x10xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w2_unfold(%a: !spmd.tensor<10x12xf32, #mesh>) {
  // expected-error @below {{'moe.unfold' op (W2) '!spmd.tensor<10x12xf32, #spmd.mesh<dp=2, tp=4>>' is not the folding of '!spmd.tensor<2x6x12xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.unfold %a
      : (!spmd.tensor<10x12xf32, #mesh>)
      -> !spmd.tensor<2x6x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w2_element_type(%a: !spmd.tensor<2x5x12xf32, #mesh>) {
  // expected-error @below {{(W2) '!spmd.tensor<10x12xf64, #spmd.mesh<dp=2, tp=4>>' is not the folding}}
  %0 = moe.fold %a
      : (!spmd.tensor<2x5x12xf32, #mesh>)
      -> !spmd.tensor<10x12xf64, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w2_no_sequence(%a: !spmd.tensor<10xf32, #mesh>) {
  // expected-error @below {{(W2) needs a batch and a sequence dimension, not '!spmd.tensor<10xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.fold %a
      : (!spmd.tensor<10xf32, #mesh>)
      -> !spmd.tensor<10xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @w2_scalar(%a: !spmd.tensor<10xf32, #mesh>) {
  // expected-error @below {{(W2) needs a batch and a sequence dimension, not '!spmd.tensor<f32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.unfold %a
      : (!spmd.tensor<10xf32, #mesh>)
      -> !spmd.tensor<f32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=8>
func.func @w2_mesh(%a: !spmd.tensor<2x5x12xf32, #mesh>) {
  // expected-error @below {{'moe.fold' op mixes the meshes}}
  %0 = moe.fold %a
      : (!spmd.tensor<2x5x12xf32, #mesh>)
      -> !spmd.tensor<10x12xf32, #other>
  return
}

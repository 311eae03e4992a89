// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_scores(%a: !spmd.tensor<2x5x8xf32, #mesh>) {
  // expected-error @below {{(K1) scores must have rank 2, not '!spmd.tensor<2x5x8xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.top_k %a
      : (!spmd.tensor<2x5x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_result(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K1) the result must have rank 2}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<30xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_tokens(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K1) the number of tokens of the result is 9, but must be 10}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<9x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_too_many(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K1) chooses 9 of 8 experts}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x9xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_none(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K1) chooses 0 of 8 experts}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x0xi32, #mesh>
  return
}

// -----

// One of four groups of two may be chosen from.
#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_too_many_for_the_groups(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K1) chooses 3 of 2 experts}}
  %0 = moe.top_k %a {groups = 4 : i64}
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_no_experts(%a: !spmd.tensor<10x0xf32, #mesh>) {
  // expected-error @below {{(K1) chooses 1 of 0 experts}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x0xf32, #mesh>)
      -> !spmd.tensor<10x1xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_floats(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{'moe.top_k' op result #0 must be placed tensor of i32, but got '!spmd.tensor<10x3xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k1_wide(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{'moe.top_k' op result #0 must be placed tensor of i32}}
  %0 = moe.top_k %a
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi64, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k2_groups(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K2) 3 groups do not divide 8 experts}}
  %0 = moe.top_k %a {groups = 3 : i64, limited_groups = 3 : i64}
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k2_no_groups(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K2) 0 groups do not divide 8 experts}}
  %0 = moe.top_k %a {groups = 0 : i64}
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k2_limited(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K2) limited_groups is 5, but must be between 1 and 4}}
  %0 = moe.top_k %a {groups = 4 : i64, limited_groups = 5 : i64}
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k2_limited_to_none(%a: !spmd.tensor<10x8xf32, #mesh>) {
  // expected-error @below {{(K2) limited_groups is 0, but must be between 1 and 4}}
  %0 = moe.top_k %a {groups = 4 : i64, limited_groups = 0 : i64}
      : (!spmd.tensor<10x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k3_size(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<7xf32, #mesh>) {
  // expected-error @below {{(K3) the size of the bias is 7, but must be 8}}
  %0 = moe.top_k %a bias %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<7xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k3_rank(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<1x8xf32, #mesh>) {
  // expected-error @below {{(K3) the bias must have rank 1, not '!spmd.tensor<1x8xf32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.top_k %a bias %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<1x8xf32, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @k3_element_type(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<8xf64, #mesh>) {
  // expected-error @below {{(E3) mixes the element types 'f32' and 'f64'}}
  %0 = moe.top_k %a bias %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<8xf64, #mesh>)
      -> !spmd.tensor<10x3xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_gather_rank(%a: !spmd.tensor<8xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.gather' op (G) the tensor of all scores must have rank 2}}
  %0 = moe.gather %a, %b
      : (!spmd.tensor<8xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x3xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_gather_result_rank(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.gather' op (G) the tensor of chosen scores must have rank 2}}
  %0 = moe.gather %a, %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_gather_shape(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.gather' op (G) chosen scores and expert numbers differ in shape: '!spmd.tensor<10x2xf32, #spmd.mesh<dp=2, tp=4>>' and '!spmd.tensor<10x3xi32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.gather %a, %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x2xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_gather_tokens(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<9x3xi32, #mesh>) {
  // expected-error @below {{'moe.gather' op (G) the number of tokens is 9, but must be 10}}
  %0 = moe.gather %a, %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<9x3xi32, #mesh>)
      -> !spmd.tensor<9x3xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_gather_element_type(%a: !spmd.tensor<10x8xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.gather' op (E3) mixes the element types 'f32' and 'f64'}}
  %0 = moe.gather %a, %b
      : (!spmd.tensor<10x8xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x3xf64, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_scatter_rank(%a: !spmd.tensor<10x3xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.scatter' op (G) the tensor of all scores must have rank 2}}
  %0 = moe.scatter %a, %b
      : (!spmd.tensor<10x3xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x8x1xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_scatter_shape(%a: !spmd.tensor<10x2xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.scatter' op (G) chosen scores and expert numbers differ in shape}}
  %0 = moe.scatter %a, %b
      : (!spmd.tensor<10x2xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_scatter_tokens(%a: !spmd.tensor<10x3xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.scatter' op (G) the number of tokens is 10, but must be 11}}
  %0 = moe.scatter %a, %b
      : (!spmd.tensor<10x3xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<11x8xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_count_experts(%a: !spmd.tensor<30xi32, #mesh>) {
  // expected-error @below {{'moe.count' op (G) experts must have rank 2}}
  %0 = moe.count %a
      : (!spmd.tensor<30xi32, #mesh>)
      -> !spmd.tensor<8xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_count_result(%a: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.count' op (G) the result must have rank 1, or 2 with parts, not '!spmd.tensor<5x8x1xi32, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = moe.count %a
      : (!spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<5x8x1xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @g_count_parts(%a: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.count' op (G) 10 tokens are no 4 equal parts}}
  %0 = moe.count %a
      : (!spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<4x8xi32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=8>
func.func @g_count_mesh(%a: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.count' op mixes the meshes}}
  %0 = moe.count %a
      : (!spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<8xi32, #other>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_dispatch_rows(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) the number of rows is 29, but must be 30}}
  %0 = moe.dispatch %a, %b of 8
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<29x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_dispatch_tokens(%a: !spmd.tensor<9x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) the number of tokens is 9, but must be 10}}
  %0 = moe.dispatch %a, %b of 8
      : (!spmd.tensor<9x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_dispatch_columns(%a: !spmd.tensor<10x11xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) the second dimension by token is 11, but must be 12}}
  %0 = moe.dispatch %a, %b of 8
      : (!spmd.tensor<10x11xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_combine_rows(%a: !spmd.tensor<29x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.combine' op (D1) the number of rows is 29, but must be 30}}
  %0 = moe.combine %a, %b of 8
      : (!spmd.tensor<29x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_combine_tokens(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.combine' op (D1) the number of tokens is 9, but must be 10}}
  %0 = moe.combine %a, %b of 8
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<9x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_combine_columns(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.combine' op (D1) the second dimension by token is 11, but must be 12}}
  %0 = moe.combine %a, %b of 8
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x11xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_dispatch_rank(%a: !spmd.tensor<2x5x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) the tensor by token must have rank 2}}
  %0 = moe.dispatch %a, %b of 8
      : (!spmd.tensor<2x5x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_combine_rank(%a: !spmd.tensor<30xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.combine' op (D1) the tensor by row must have rank 2}}
  %0 = moe.combine %a, %b of 8
      : (!spmd.tensor<30xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_experts_rank(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<30xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) experts must have rank 2}}
  %0 = moe.dispatch %a, %b of 8
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<30xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_no_experts(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) needs at least one expert, not 0}}
  %0 = moe.dispatch %a, %b of 0
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_negative_experts(%a: !spmd.tensor<30xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.unpermute' op (D1) needs at least one expert, not -8}}
  %0 = moe.unpermute %a, %b of -8
      : (!spmd.tensor<30xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x3xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_permute_rows(%a: !spmd.tensor<10x3xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.permute' op (D1) the number of rows is 31, but must be 30}}
  %0 = moe.permute %a, %b of 8
      : (!spmd.tensor<10x3xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<31xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_permute_chosen(%a: !spmd.tensor<10x2xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.permute' op (D1) the second dimension by token is 2, but must be 3}}
  %0 = moe.permute %a, %b of 8
      : (!spmd.tensor<10x2xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_permute_rank(%a: !spmd.tensor<10x3xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.permute' op (D1) the tensor by row must have rank 1}}
  %0 = moe.permute %a, %b of 8
      : (!spmd.tensor<10x3xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_unpermute_tokens(%a: !spmd.tensor<30xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.unpermute' op (D1) the number of tokens is 11, but must be 10}}
  %0 = moe.unpermute %a, %b of 8
      : (!spmd.tensor<30xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<11x3xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_element_type(%a: !spmd.tensor<10x3xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.permute' op (E3) mixes the element types 'f32' and 'f64'}}
  %0 = moe.permute %a, %b of 8
      : (!spmd.tensor<10x3xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30xf64, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_parts(%a: !spmd.tensor<10x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.dispatch' op (D1) 10 tokens are no 3 equal parts}}
  %0 = moe.dispatch %a, %b of 8 in 3 parts
      : (!spmd.tensor<10x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<30x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @d1_no_parts(%a: !spmd.tensor<30x12xf32, #mesh>, %b: !spmd.tensor<10x3xi32, #mesh>) {
  // expected-error @below {{'moe.combine' op (D1) 10 tokens are no 0 equal parts}}
  %0 = moe.combine %a, %b of 8 in 0 parts
      : (!spmd.tensor<30x12xf32, #mesh>, !spmd.tensor<10x3xi32, #mesh>)
      -> !spmd.tensor<10x12xf32, #mesh>
  return
}

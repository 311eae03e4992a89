// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @other_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>) {
  // expected-error @below {{'spmd.all_reduce' op changes axis 'dp', which it does not name, from shard<0> to replicate}}
  %0 = spmd.all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l1_result(%x: !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>) {
  // expected-error @below {{(L1) gives a result that is replicate, not partial<sum>}}
  %0 = spmd.all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  return
}

// -----

#mesh = #spmd.mesh<dp=(outer=2, ep=2), tp=4>
func.func @l1_result_of_split_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: partial<sum>>) {
  // expected-error @below {{(L1) gives a result that is replicate, not shard<1>}}
  %0 = spmd.all_reduce %x over ["dp"] : !spmd.tensor<8x12xf32, #mesh, dp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh, ep: shard<1>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l2_operand(%x: !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>) {
  // expected-error @below {{(L2) expects an operand that is shard<1>, not shard<0>}}
  %0 = spmd.all_gather %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l2_operand_partial(%x: !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>) {
  // expected-error @below {{(L2) expects an operand that is shard<0>, not partial<sum>}}
  %0 = spmd.all_gather %x over "tp" dim 0 : !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l2_result(%x: !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>) {
  // expected-error @below {{(L2) gives a result that is replicate, not shard<1>}}
  %0 = spmd.all_gather %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l2_dimension(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{(L2) dimension 2 does not exist in a tensor of rank 2}}
  %0 = spmd.all_gather %x over "tp" dim 2 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l2_negative_dimension(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{(L2) dimension -1 does not exist in a tensor of rank 2}}
  %0 = spmd.all_gather %x over "tp" dim -1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l2_other_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: partial<sum>, tp: shard<1>>) {
  // expected-error @below {{'spmd.all_gather' op changes axis 'dp', which it does not name, from partial<sum> to replicate}}
  %0 = spmd.all_gather %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, dp: partial<sum>, tp: shard<1>>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l3_result(%x: !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>) {
  // expected-error @below {{(L3) gives a result that is shard<1>, not shard<0>}}
  %0 = spmd.reduce_scatter %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l3_dimension(%x: !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>) {
  // expected-error @below {{(L3) dimension 5 does not exist in a tensor of rank 2}}
  %0 = spmd.reduce_scatter %x over "tp" dim 5 : !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: ?>
  return
}

// -----

// Not dimension 0.
#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l3_dimension_wraps(%x: !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>) {
  // expected-error @below {{(L3) dimension 65536 does not exist in a tensor of rank 2}}
  %0 = spmd.reduce_scatter %x over "tp" dim 65536 : !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l4_operand(%x: !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>) {
  // expected-error @below {{(L4) expects an operand that is shard<0>, not shard<1>}}
  %0 = spmd.all_to_all %x over "tp" from 0 to 1 : !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l4_result(%x: !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>) {
  // expected-error @below {{(L4) gives a result that is shard<1>, not replicate}}
  %0 = spmd.all_to_all %x over "tp" from 0 to 1 : !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l4_from(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{(L4) dimension -1 does not exist in a tensor of rank 2}}
  %0 = spmd.all_to_all %x over "tp" from -1 to 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, tp: shard<1>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @l4_to(%x: !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>) {
  // expected-error @below {{(L4) dimension 2 does not exist in a tensor of rank 2}}
  %0 = spmd.all_to_all %x over "tp" from 0 to 2 : !spmd.tensor<8x12xf32, #mesh, tp: shard<0>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: ?>
  return
}

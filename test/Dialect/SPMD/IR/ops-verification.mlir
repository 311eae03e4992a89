// RUN: moe-opt %s --split-input-file --verify-diagnostics

//===----------------------------------------------------------------------===//
// (C1) placements change, and nothing else
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @redistribute_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.redistribute' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @redistribute_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.redistribute' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @claim_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.claim' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.claim %x : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @claim_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.claim' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.claim %x : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @boundary_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.boundary' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.boundary %x grad claims <> : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @boundary_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.boundary' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.boundary %x grad claims <> : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @grad_all_reduce_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.grad_all_reduce' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.grad_all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @grad_all_reduce_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.grad_all_reduce' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.grad_all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_reduce_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.all_reduce' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @all_reduce_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.all_reduce' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_gather_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.all_gather' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.all_gather %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @all_gather_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.all_gather' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.all_gather %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @reduce_scatter_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.reduce_scatter' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.reduce_scatter %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @reduce_scatter_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.reduce_scatter' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.reduce_scatter %x over "tp" dim 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_to_all_shape(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.all_to_all' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>' to '!spmd.tensor<12x8xf32, #spmd.mesh<dp=2, tp=4>, tp: ?>'; only placements may differ}}
  %0 = spmd.all_to_all %x over "tp" from 0 to 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<12x8xf32, #mesh, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=4, tp=2>
func.func @all_to_all_mesh(%x: !spmd.tensor<8x12xf32, #mesh, tp: ?>) {
  // expected-error @below {{'spmd.all_to_all' op (C1) changes the mesh from #spmd.mesh<dp=2, tp=4> to #spmd.mesh<dp=4, tp=2>}}
  %0 = spmd.all_to_all %x over "tp" from 0 to 1 : !spmd.tensor<8x12xf32, #mesh, tp: ?>
      -> !spmd.tensor<8x12xf32, #other, tp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @element_type(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.claim' op (C1) changes the tensor from '!spmd.tensor<8x12xf32, #spmd.mesh<dp=2, tp=4>>' to '!spmd.tensor<8x12xbf16, #spmd.mesh<dp=2, tp=4>>'}}
  %0 = spmd.claim %x : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xbf16, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @rank(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.redistribute' op (C1) changes the tensor}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<96xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @grad_all_reduce_placement(%x: !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>) {
  // expected-error @below {{'spmd.grad_all_reduce' op (C1) changes the placement from partial<sum> to replicate, but it is the identity forward}}
  %0 = spmd.grad_all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

//===----------------------------------------------------------------------===//
// redistribute
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c2_cut_by_expert(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(C2) cannot cut rows by expert on axis 'tp' (replicate to ragged<0>); help: dispatch cut tokens with moe.dispatch}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh, tp: ragged<0>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c2_another_dimension(%x: !spmd.tensor<8x12xf32, #mesh, dp: ragged<0>>) {
  // expected-error @below {{(C2) cannot cut rows by expert on axis 'dp' (ragged<0> to ragged<1>); help: dispatch cut tokens with moe.dispatch}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, dp: ragged<0>>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ragged<1>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c2_to_shard(%x: !spmd.tensor<8x12xf32, #mesh, dp: shard<1>, tp: ragged<0>>) {
  // expected-error @below {{(C2) converts ragged<0> to shard<0> on axis 'tp'; rows cut by expert convert to replicate only}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, dp: shard<1>, tp: ragged<0>>
      -> !spmd.tensor<8x12xf32, #mesh, dp: shard<1>, tp: shard<0>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c2_other_cut(%x: !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: ragged<0>>) {
  // expected-error @below {{(C2) changes another cut of rows that axis 'tp' cuts by expert; help: bring them back to their tokens with moe.combine first}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, dp: shard<0>, tp: ragged<0>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: ragged<0>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c2_to_partial(%x: !spmd.tensor<8x12xf32, #mesh, tp: ragged<0>>) {
  // expected-error @below {{(C2) converts ragged<0> to partial<sum> on axis 'tp'; rows cut by expert convert to replicate only}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, tp: ragged<0>>
      -> !spmd.tensor<8x12xf32, #mesh, tp: partial<sum>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c3_replicate_to_max(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(C3) cannot make partial<max> of replicate on axis 'tp'; help: partial<sum> is free}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh, tp: partial<max>>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @c3_sum_to_avg(%x: !spmd.tensor<8x12xf32, #mesh, dp: partial<sum>>) {
  // expected-error @below {{(C3) cannot make partial<avg> of partial<sum> on axis 'dp'; help: partial<sum> is free}}
  %0 = spmd.redistribute %x : !spmd.tensor<8x12xf32, #mesh, dp: partial<sum>>
      -> !spmd.tensor<8x12xf32, #mesh, dp: partial<avg>>
  return
}

// -----

//===----------------------------------------------------------------------===//
// (B1) axes that exist, each once
//===----------------------------------------------------------------------===//

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @boundary_unknown_axis(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.boundary' op (B1) the mesh has no axis 'ep'; it has 'dp', 'tp'}}
  %0 = spmd.boundary %x grad claims <ep: shard<0>> : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=(outer=2, ep=2), tp=4>
func.func @boundary_axis_twice(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.boundary' op (B1) axis 'ep' is placed twice}}
  %0 = spmd.boundary %x grad converts <dp: shard<0>, ep: shard<0>> : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @boundary_dimension(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.boundary' op states an impossible cotangent: (T2) shard<2> cuts a dimension that a tensor of rank 2 does not have}}
  %0 = spmd.boundary %x grad claims <tp: shard<2>> : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @boundary_kinds(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.boundary' op states an impossible cotangent: (T3) one kind of reduction per value, not partial<sum> and partial<min>}}
  %0 = spmd.boundary %x grad claims <dp: partial<sum>, tp: partial<min>> : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @grad_all_reduce_unknown_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: ?>) {
  // expected-error @below {{'spmd.grad_all_reduce' op (B1) the mesh has no axis 'ep'; it has 'dp', 'tp'}}
  %0 = spmd.grad_all_reduce %x over ["dp", "ep"] : !spmd.tensor<8x12xf32, #mesh, dp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_reduce_unknown_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: ?>) {
  // expected-error @below {{'spmd.all_reduce' op (B1) the mesh has no axis 'ep'; it has 'dp', 'tp'}}
  %0 = spmd.all_reduce %x over ["dp", "ep"] : !spmd.tensor<8x12xf32, #mesh, dp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_gather_unknown_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: ?>) {
  // expected-error @below {{'spmd.all_gather' op (B1) the mesh has no axis 'ep'; it has 'dp', 'tp'}}
  %0 = spmd.all_gather %x over "ep" dim 1 : !spmd.tensor<8x12xf32, #mesh, dp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @reduce_scatter_unknown_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: ?>) {
  // expected-error @below {{'spmd.reduce_scatter' op (B1) the mesh has no axis 'ep'; it has 'dp', 'tp'}}
  %0 = spmd.reduce_scatter %x over "ep" dim 1 : !spmd.tensor<8x12xf32, #mesh, dp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_to_all_unknown_axis(%x: !spmd.tensor<8x12xf32, #mesh, dp: ?>) {
  // expected-error @below {{'spmd.all_to_all' op (B1) the mesh has no axis 'ep'; it has 'dp', 'tp'}}
  %0 = spmd.all_to_all %x over "ep" from 0 to 1 : !spmd.tensor<8x12xf32, #mesh, dp: ?>
      -> !spmd.tensor<8x12xf32, #mesh, dp: ?>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_reduce_no_axis(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.all_reduce' op (B1) names no mesh axis}}
  %0 = spmd.all_reduce %x over [] : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @grad_all_reduce_no_axis(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.grad_all_reduce' op (B1) names no mesh axis}}
  %0 = spmd.grad_all_reduce %x over [] : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @all_reduce_axis_twice(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.all_reduce' op (B1) names axis 'tp' twice}}
  %0 = spmd.all_reduce %x over ["tp", "tp"] : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

// The leaf of a split axis that is named already.
#mesh = #spmd.mesh<dp=(outer=2, ep=2), tp=4>
func.func @grad_all_reduce_leaf_twice(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.grad_all_reduce' op (B1) names axis 'ep' twice}}
  %0 = spmd.grad_all_reduce %x over ["dp", "ep"] : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @axes_are_names(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{failed to satisfy constraint: string array attribute}}
  %0 = spmd.all_reduce %x over [1] : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<>
func.func @empty_mesh(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{(B1) the mesh has no axis 'tp'; it has none}}
  %0 = spmd.all_reduce %x over ["tp"] : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

//===----------------------------------------------------------------------===//
// Operands that are no placed tensors
//===----------------------------------------------------------------------===//

func.func @builtin_tensor(%x: tensor<8x12xf32>) {
  // expected-error @below {{'spmd.claim' op operand #0 must be placed tensor, but got 'tensor<8x12xf32>'}}
  %0 = "spmd.claim"(%x) : (tensor<8x12xf32>) -> tensor<8x12xf32>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @no_grad_stated(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{'spmd.boundary' op requires attribute 'grad'}}
  %0 = "spmd.boundary"(%x) : (!spmd.tensor<8x12xf32, #mesh>) -> !spmd.tensor<8x12xf32, #mesh>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @grad_is_placed_twice(%x: !spmd.tensor<8x12xf32, #mesh>) {
  // expected-error @below {{axis 'tp' is placed twice}}
  %0 = spmd.boundary %x grad claims <tp: ?, tp: ?> : !spmd.tensor<8x12xf32, #mesh>
      -> !spmd.tensor<8x12xf32, #mesh>
  return
}

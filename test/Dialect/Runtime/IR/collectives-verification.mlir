// RUN: moe-opt %s -split-input-file -verify-diagnostics

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @right(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // What the operand is part of may be left out.
  %0 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0, 1>, reduction = 0 : i32} -> tensor<8xf32>
  %1 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 1>, global_types = [!spmd.tensor<8xf32, #mesh>], reduction = 0 : i32} -> tensor<8xf32>
  return
}

// -----

func.func @none(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N1) axes must be ascending numbers of axes}}
  %0 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32>, reduction = 0 : i32} -> tensor<8xf32>
  return
}

// -----

func.func @negative(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N1) axes must be ascending numbers of axes}}
  %0 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: -1>, reduction = 0 : i32} -> tensor<8xf32>
  return
}

// -----

func.func @twice(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N1) axes must be ascending numbers of axes}}
  %0 = moert.all_gather %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 1, 1>, dim = 0 : i64} -> tensor<8xf32>
  return
}

// -----

func.func @nothing(%rank: !llvm.ptr) {
  // expected-error @below {{(N2) needs an operand and a destination}}
  "moert.all_reduce"(%rank) <{axes = array<i32: 0>, operandSegmentSizes = array<i32: 1, 0, 0>, reduction = 0 : i32}> : (!llvm.ptr) -> ()
  return
}

// -----

func.func @local(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N3) global_types must be spmd.tensor types of one mesh, is 'tensor<8xf32>'}}
  %0 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, global_types = [tensor<8xf32>], reduction = 0 : i32} -> tensor<8xf32>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
#other = #spmd.mesh<dp=2, tp=2>
func.func @meshes(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N3) global_types must be spmd.tensor types of one mesh}}
  %0 = moert.all_reduce %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!spmd.tensor<4xf32, #mesh>, !spmd.tensor<4xf32, #other>], reduction = 0 : i32} -> tensor<8xf32>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @axis(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N3) the mesh of global_types has no axis 2}}
  %0 = moert.reduce_scatter %rank ins(%x : tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 2>, dim = 0 : i64, global_types = [!spmd.tensor<8xf32, #mesh>], reduction = 0 : i32} -> tensor<8xf32>
  return
}

// -----

#mesh = #spmd.mesh<dp=2, tp=4>
func.func @element(%rank: !llvm.ptr, %x: tensor<8xf32>) {
  // expected-error @below {{(N3) global_types has elements of 'bf16', the operand of 'f32'}}
  %0 = moert.all_to_all %rank ins(%x, %x, %x : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) outs(%x : tensor<8xf32>) {axes = array<i32: 0>, global_types = [!spmd.tensor<8xbf16, #mesh>]} -> tensor<8xf32>
  return
}

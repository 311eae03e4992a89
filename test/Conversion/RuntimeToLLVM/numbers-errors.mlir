// RUN: moe-opt %s --convert-moert-to-llvm -split-input-file -verify-diagnostics

#mesh = #spmd.mesh<tp=2>
#values = {arguments = [{name = "x", type = !spmd.tensor<8xf32, #mesh>}], results = []}
func.func @unnumbered(%rank: !llvm.ptr, %x: memref<8xf32>) attributes {moert.values = #values} {
  // expected-error @below {{its number must be 0, its place among all collectives; help: run moert-number-collectives before}}
  moert.all_reduce %rank ins(%x : memref<8xf32>) outs(%x : memref<8xf32>) {axes = array<i32: 0>, reduction = 0 : i32}
  return
}

// -----

#mesh = #spmd.mesh<tp=2>
#values = {arguments = [{name = "x", type = !spmd.tensor<8xf32, #mesh>}], results = []}
func.func @disorder(%rank: !llvm.ptr, %x: memref<8xf32>) attributes {moert.values = #values} {
  moert.all_reduce %rank ins(%x : memref<8xf32>) outs(%x : memref<8xf32>) {axes = array<i32: 0>, collective = 0 : i32, reduction = 0 : i32}
  // expected-error @below {{its number must be 1, its place among all collectives}}
  moert.all_reduce %rank ins(%x : memref<8xf32>) outs(%x : memref<8xf32>) {axes = array<i32: 0>, collective = 2 : i32, reduction = 0 : i32}
  return
}

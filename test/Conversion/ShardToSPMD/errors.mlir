// RUN: moe-opt %s --convert-shard-to-spmd --split-input-file --verify-diagnostics
// RUN: not moe-opt %s --convert-shard-to-spmd=axes=a,b,c --split-input-file 2>&1 | FileCheck %s

// CHECK: error: has 1 axes, but 3 names are given; help: give as many with axes=

shard.grid @grid(shape = 2)
func.func @halo(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  // expected-error @below {{has halos, for which there is no placement}}
  %s = shard.sharding @grid split_axes = [[0]] halo_sizes = [1, 1] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
func.func @offsets(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  // expected-error @below {{has offsets, but a placement cuts into equal parts}}
  %s = shard.sharding @grid split_axes = [[0]] sharded_dims_offsets = [0, 3, 8] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2x2)
func.func @order(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  // expected-error @below {{cuts dimension 0 in an order of axes that is not the grid's}}
  %s = shard.sharding @grid split_axes = [[1, 0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 3)
func.func @uneven(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  // expected-error @below {{cuts dimension 0 of 'tensor<8x4xf32>' into 3 parts, which are not equal}}
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

// expected-error @below {{has an axis whose size is not known}}
shard.grid @grid(shape = 2x?)
func.func @grid_size(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @one(shape = 2)
shard.grid @two(shape = 2)
func.func @grids(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @one split_axes = [[0]] : !shard.sharding
  // expected-error @below {{lies on '@two', and others of this function on '@one'}}
  %t = shard.sharding @two split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  %1 = shard.shard %0 to %t annotate_for_users : tensor<8x4xf32>
  return %1 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
// expected-error @below {{a value of type 'tensor<?x4xf32>' cannot be placed}}
func.func @sizes(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

shard.grid @grid(shape = 2)
// expected-error @below {{argument 1 is no tensor}}
func.func @scalar(%x: tensor<8x4xf32>, %n: index) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
func.func @partitioned(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  // expected-error @below {{is about the tensors of one rank; help: import the program before it is partitioned}}
  %1 = shard.all_reduce %0 on @grid grid_axes = [0] : tensor<8x4xf32> -> tensor<8x4xf32>
  return %1 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
func.func private @callee(tensor<8x4xf32>) -> tensor<8x4xf32>
func.func @call(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  // expected-error @below {{'func.call' op has no form on placed tensors; help: it must have one result and no effect}}
  %1 = func.call @callee(%0) : (tensor<8x4xf32>) -> tensor<8x4xf32>
  return %1 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
// expected-error @below {{has control flow; help: a program is one block}}
func.func @blocks(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  cf.br ^next
^next:
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
func.func @constant(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  %1 = arith.constant dense<1.0> : tensor<8x4xf32>
  // expected-error @below {{returns what is computed from nothing}}
  return %1 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
func.func @place_constant(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %1 = arith.constant dense<1.0> : tensor<8x4xf32>
  // expected-error @below {{places what is computed from nothing}}
  %0 = shard.shard %1 to %s : tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

shard.grid @grid(shape = 2)
func.func @unknown(%x: tensor<8x4xf32>, %y: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
  %0 = shard.shard %x to %s : tensor<8x4xf32>
  // expected-error @below {{is no sharding that is given here}}
  %t = shard.get_sharding %y : tensor<8x4xf32> -> !shard.sharding
  %1 = shard.shard %0 to %t annotate_for_users : tensor<8x4xf32>
  return %1 : tensor<8x4xf32>
}

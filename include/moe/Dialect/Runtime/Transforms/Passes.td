//===- Passes.td - One rank's program before it becomes code -*- tablegen -*-==//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_RUNTIME_TRANSFORMS_PASSES_TD
#define MOE_DIALECT_RUNTIME_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def BucketCollectives
    : Pass<"moert-bucket-collectives", "::mlir::func::FuncOp"> {
  let summary = "make one all-reduce of several small ones";
  let description = [{
    A small all-reduce costs the meeting of the ranks, not the bytes. Those that
    do not depend on each other and agree in axes, element type, kind of reduction
    and phase (forward or backward) become one on a flat buffer, in the order of
    the program, while the buffer has at most `max-bytes` bytes. It stands where
    the last of them stood; what uses an earlier one moves behind it.

    The pass works on local tensors, after `spmd-localize`: only there it is known
    which conversions are collectives and how large they are. It moves no
    reduction across a claim: which values are reduced does not change, only when.
    Every element is still the sum of the same terms in the order of ranks.

    A large buffer delays its first members and what waits for them. By default
    only what fits into a page is put together, so that the gradient of a layer's
    input, which the layer before waits for, is reduced alone.

    An all-reduce whose size is not known before the program runs stays alone.

    Input:
    ```mlir
    %a = moert.all_reduce %rank ins(%x : tensor<8xf32>) ...
    %b = moert.all_reduce %rank ins(%y : tensor<2x3xf32>) ...
    ```
    Output, besides the copies:
    ```mlir
    %ab = moert.all_reduce %rank ins(%xy : tensor<14xf32>) ...
    ```
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
  let options = [
    Option<"maxBytes", "max-bytes", "int64_t", "4096",
           "Most bytes of a flat buffer; 0 leaves every all-reduce alone">
  ];
}

def NumberCollectives
    : Pass<"moert-number-collectives", "::mlir::func::FuncOp"> {
  let summary = "give every collective its place in the order";
  let description = [{
    Numbers the collectives of a function from 0 in the order of the program. All
    ranks run the same program, so the number names the same collective on every
    rank: in reports, in the runtime's errors, and where ranks check that they
    meet in the same one. No later pass may change the order;
    `convert-moert-to-llvm` refuses it.
  }];
}

def FuseElementwise : Pass<"moert-fuse-elementwise", "::mlir::func::FuncOp"> {
  let summary = "join loops over elements where nothing is computed twice";
  let description = [{
    A loop over elements moves into its readers if each is a loop that visits
    every element once, and so does a small one with several readers: they
    compute it again, and nobody writes or reads it. Into a product or a
    broadcast it does not move, for there it would be computed again for every
    visit. An element that is picked by index, as `moe.combine` does, is computed
    where it is picked if nobody else reads it.

    Numbers narrower than f32 are computed in f32 and rounded where they leave a
    loop: loops that are joined round once.
  }];
}

def SeparateDestinations
    : Pass<"moert-separate-destinations", "::mlir::func::FuncOp"> {
  let summary = "give each operation a destination of its own";
  let description = [{
    A `tensor.empty` or `linalg.fill` that several operations write over becomes
    one for each of them. Bufferization would make one buffer of an empty one,
    needed from the first of them to the last, where `moert-plan-buffers` shares
    memory by itself; a kernel that writes it would wait for a collective that
    reads what it held before. Of a fill it would keep the value and copy it.

    Law: the values are the same; no two operations write over one value.

    Input:
    ```mlir
    %e = tensor.empty() : tensor<8xf32>
    %a = linalg.exp ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    %b = linalg.exp ins(%y : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    ```
    Output:
    ```mlir
    %e = tensor.empty() : tensor<8xf32>
    %a = linalg.exp ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    %f = tensor.empty() : tensor<8xf32>
    %b = linalg.exp ins(%y : tensor<8xf32>) outs(%f : tensor<8xf32>) -> tensor<8xf32>
    ```
  }];
}

def InsertWaits : Pass<"moert-insert-waits", "::mlir::func::FuncOp"> {
  let summary = "say when a collective's buffers are needed again";
  let description = [{
    Collectives of a device program run beside its kernels. Each gets a
    `moert.wait` before the first operation that touches one of
    its buffers, or before the end. Needs buffers, and kernels formed.
  }];
}

def PlanBuffers : Pass<"moert-plan-buffers", "::mlir::func::FuncOp"> {
  let summary = "give each buffer its place in one arena";
  let description = [{
    Buffers that are not needed at the same time share memory: a buffer is needed
    from its first to its last use, and those of a collective until its wait.
    Every `memref.alloc` becomes a `moert.arena` at an offset that is a multiple
    of 256 bytes; larger buffers are placed first, each at the lowest offset that
    is free. `moert.arena_bytes` on the function says how much memory that is.

    A buffer whose size only a run knows takes the most that it can be: sizes are
    bounded by the cuts they come from, and by the tokens there are.

    A buffer without a bound is an error.
  }];
}

#endif // MOE_DIALECT_RUNTIME_TRANSFORMS_PASSES_TD

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

    An all-reduce whose size is not known before the program runs stays alone, and
    so do collectives of other kinds.

    A remark `bucketed` for each one made has its members, bytes, and what they are
    estimated to take each for itself and together.

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
           "Most bytes of a flat buffer; 0 leaves every all-reduce alone">,
    Option<"costFile", "cost-file", "std::string", "\"\"",
           "what collectives cost (docs/Deferral.md), for remarks">
  ];
}

def ScheduleCollectives
    : Pass<"moert-schedule-collectives", "::mlir::func::FuncOp"> {
  let summary = "order a rank's program so that collectives run beside kernels";
  let description = [{
    A device runs collectives on a stream of their own: each starts when the kernels
    before it in the program have ended, and only a kernel that touches one of its
    buffers waits for it (`moert-insert-waits`). So a collective costs nothing where
    enough kernels stand between it and what needs its result. This pass moves them
    there:

    - what stands before a collective that does not need it moves behind it, the
      nearest first: so a collective is issued earlier, and the gradient of a weight
      is computed beside one that others need;
    - what stands behind the kernel that waits for a collective, and needs neither,
      moves before the wait, the nearest first.

    A move is kept if the program is estimated to end earlier, by execution on two
    streams; of equal ends, if it would with collectives that take twice as long.
    Collectives are looked at in the order of the program as it was, up to four
    times, each for 256 operations before and behind.

    Law: the same operations, each after those it needs; hence the same bits. All
    ranks run one program, so collectives have one order on all.

    Nothing passes an operation with effects. What writes over a buffer stays between
    those that use it before and after. Memory: buffers of a collective are needed
    until it is waited for, and a move is kept only if the arena, planned as
    `moert-plan-buffers` does for the tensors that there are, has at most as many
    bytes as before, or `arena-bytes` if that is more.

    Times: collectives by the cost model, kernels by what they compute and move;
    `cost-file` has both (docs/Deferral.md). A remark `schedule` says what the step is
    estimated to take, how long kernels wait for collectives (exposed), and the bytes
    of the arena, before and after. A remark `overlap` for each collective, in their
    order, has its time alone, how much of it is exposed before and after, and the
    kernels beside it.

    Works on tensors, before collectives have numbers. A function of more than one
    block, or of more than 4096 kernels and collectives, stays as it is. An operation
    with a region that has collectives stays where it is, and nothing passes it.

    Input, where the product does not need what is gathered:
    ```mlir
    %a = moert.einsum %rank ins(%x, %w : ...) ...
    %g = moert.all_gather %rank ins(%dy : ...) ...
    %b = moert.einsum %rank ins(%g, %a : ...) ...
    ```
    Output:
    ```mlir
    %g = moert.all_gather %rank ins(%dy : ...) ...
    %a = moert.einsum %rank ins(%x, %w : ...) ...
    %b = moert.einsum %rank ins(%g, %a : ...) ...
    ```
  }];
  let options = [
    Option<"costFile", "cost-file", "std::string", "\"\"",
           "what collectives and kernels cost (docs/Deferral.md); if not given, what "
           "was measured on two H100">,
    Option<"arenaBytes", "arena-bytes", "int64_t", "-1",
           "most bytes of the arena, if more than before; -1: as before">
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

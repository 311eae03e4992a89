//===- RuntimeOps.td - What one rank asks of the runtime ---*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_RUNTIME_IR_RUNTIMEOPS_TD
#define MOE_DIALECT_RUNTIME_IR_RUNTIMEOPS_TD

include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "moe/Dialect/Runtime/IR/RuntimeInterfaces.td"

def MoERT_Dialect : Dialect {
  let name = "moert";
  let cppNamespace = "::moe::rt";
  let summary = "One rank's program: collectives and routing tables";
  let description = [{
    The program of one rank, after `spmd-localize`: builtin tensors of local
    shape, and operations that become calls of `moert.h`. All ranks run the same
    operations in the same order. On tensors they write a destination and have no
    effects, so equal ones merge; on memrefs they write the destination.

    `%rank` is the first argument of the function: this rank.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

class MoERT_Op<string mnemonic, list<Trait> traits = []>
    : Op<MoERT_Dialect, mnemonic, traits>;

/// Writes `outs`, from `ins`.
class MoERT_DestinationOp<string mnemonic, list<Trait> traits = []>
    : MoERT_Op<mnemonic,
        [DestinationStyleOpInterface, AttrSizedOperandSegments,
         DeclareOpInterfaceMethods<MemoryEffectsOpInterface>] # traits> {
  dag baseArguments = (ins LLVM_DefaultPointer:$rank,
      Variadic<AnyShaped>:$inputs, Variadic<AnyShaped>:$outputs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $rank `ins` `(` $inputs `:` type($inputs) `)`
    `outs` `(` $outputs `:` type($outputs) `)` attr-dict (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() {
      return getOutputsMutable();
    }
  }];
}

/// A collective over the groups of ranks that differ on `axes` alone. `site` is
/// the name that the program's author gave the place, `collective` the number in
/// the order of all collectives, `global_types` what the operands are parts of.
class MoERT_CollectiveOp<string mnemonic, list<string> methods = []>
    : MoERT_DestinationOp<mnemonic, [
        DeclareOpInterfaceMethods<MoERT_CollectiveOpInterface,
                                  ["getKind", "getRingBytes"] # methods>]> {
  dag collectiveArguments = (ins DenseI32ArrayAttr:$axes,
      OptionalAttr<StrAttr>:$site, OptionalAttr<I32Attr>:$collective,
      OptionalAttr<TypeArrayAttr>:$global_types);
}

def MoERT_AxisIndexOp : MoERT_Op<"axis_index", [Pure]> {
  let summary = "this rank's coordinate on a mesh axis";
  let description = [{
    Example:
    ```mlir
    %i = moert.axis_index %rank {axis = 0 : i32}
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank, I32Attr:$axis);
  let results = (outs Index:$result);
  let assemblyFormat = "$rank attr-dict";
}

def MoERT_FailIfOp : MoERT_Op<"fail_if", [MemoryEffects<[MemWrite]>]> {
  let summary = "ends the run with an error of this rank";
  let description = [{
    If `condition` holds, with `message` at the operation's place in the file.

    Example:
    ```mlir
    moert.fail_if %rank, %tooMany, "more rows than there are"
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank, I1:$condition,
                       StrAttr:$message);
  let assemblyFormat = "$rank `,` $condition `,` $message attr-dict";
}

def MoERT_AllReduceOp : MoERT_CollectiveOp<"all_reduce"> {
  let summary = "the reduction of all ranks' operands, on every rank";
  let description = [{
    Law: out = reduction over the group of in, in the order of ranks: the same
    bits everywhere. `reduction` is a `moert_reduction`.

    Example:
    ```mlir
    %r = moert.all_reduce %rank ins(%x : tensor<32x64xf32>)
        outs(%init : tensor<32x64xf32>) {axes = array<i32: 0>, reduction = 0 : i32}
        -> tensor<32x64xf32>
    ```
  }];
  let arguments = !con(baseArguments, collectiveArguments,
                       (ins I32Attr:$reduction));
}

def MoERT_AllGatherOp : MoERT_CollectiveOp<"all_gather"> {
  let summary = "the concatenation of all ranks' operands along a dimension";
  let description = [{
    Law: out is cut along `dim` as `torch.chunk` cuts; rank r's operand is chunk
    r.

    Example:
    ```mlir
    %r = moert.all_gather %rank ins(%x : tensor<2x8x64xf32>)
        outs(%init : tensor<2x16x64xf32>) {axes = array<i32: 0>, dim = 1 : i64}
        -> tensor<2x16x64xf32>
    ```
  }];
  let arguments = !con(baseArguments, collectiveArguments, (ins I64Attr:$dim));
}

def MoERT_ReduceScatterOp : MoERT_CollectiveOp<"reduce_scatter"> {
  let summary = "this rank's chunk of the reduction";
  let description = [{
    Law: all_gather(reduce_scatter(x)) = all_reduce(x).

    Example:
    ```mlir
    %r = moert.reduce_scatter %rank ins(%x : tensor<2x16x64xf32>)
        outs(%init : tensor<2x8x64xf32>)
        {axes = array<i32: 0>, dim = 1 : i64, reduction = 0 : i32}
        -> tensor<2x8x64xf32>
    ```
  }];
  let arguments = !con(baseArguments, collectiveArguments,
                       (ins I64Attr:$dim, I32Attr:$reduction));
}

def MoERT_AllToAllOp
    : MoERT_CollectiveOp<"all_to_all", ["dependsOnRouting"]> {
  let summary = "rows to the ranks they belong to";
  let description = [{
    Inputs: the rows, how many of them go to each rank of the group, and how many
    come from each. Law: all_to_all(all_to_all(x, s, r), r, s) = x.

    Example:
    ```mlir
    %r = moert.all_to_all %rank
        ins(%x, %send, %receive : tensor<64x8xf32>, tensor<2xi64>, tensor<2xi64>)
        outs(%init : tensor<?x8xf32>) {axes = array<i32: 0>} -> tensor<?x8xf32>
    ```
  }];
  let arguments = !con(baseArguments, collectiveArguments);
}

def MoERT_TopKOp : MoERT_DestinationOp<"top_k"> {
  let summary = "the experts of each token";
  let description = [{
    `moe.top_k` on local values. Inputs: scores [T, E], perhaps a bias [E];
    output [T, K] of i32.
  }];
  let arguments = !con(baseArguments,
                       (ins I64Attr:$groups, I64Attr:$limited_groups));
}

def MoERT_CountRowsOp : MoERT_DestinationOp<"count_rows"> {
  let summary = "how many rows each expert gets";
  let description = [{
    `moe.count` on local values. Input: experts [T, K]; output [E] of i32.
  }];
  let arguments = baseArguments;
}

def MoERT_SortRowsOp : MoERT_DestinationOp<"sort_rows"> {
  let summary = "the order of rows by (expert, token)";
  let description = [{
    Input: experts [T, K]. Outputs, both [T * K] of i64: for each row the entry
    t * K + k that it is of, and for each entry its row.
  }];
  let arguments = !con(baseArguments, (ins I64Attr:$num_experts));
}

def MoERT_PlanExchangeOp : MoERT_DestinationOp<"plan_exchange"> {
  let summary = "which rows go where, from everybody's counts";
  let description = [{
    Input: counts [ranks, E] of i32, row r being rank r's rows per expert.
    Outputs, of i64: rows to each rank [ranks], rows from each rank [ranks], and
    for the rows as they arrive, ordered by (rank, expert), the permutation to
    (expert, rank): for each row where it arrives, and for each arrival its row.
    A device program leaves out the last two, which a kernel makes. Experts are cut over the ranks as `torch.chunk` cuts.
  }];
  let arguments = !con(baseArguments, (ins I32Attr:$axis));
}

def MoERT_CountReceivedOp : MoERT_Op<"count_received",
    [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "how many rows this rank gets, from everybody's counts";
  let description = [{
    Input: counts [ranks, E] of i32. `max_rows` is the most that there can be.

    Example:
    ```mlir
    %n = moert.count_received %rank, %counts {axis = 0 : i32, max_rows = 64 : i64}
        : tensor<2x8xi32>
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank, AnyShaped:$counts,
                       I32Attr:$axis, I64Attr:$max_rows);
  let results = (outs Index:$result);
  let assemblyFormat = "$rank `,` $counts attr-dict `:` type($counts)";
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

def MoERT_EinsumOp : MoERT_DestinationOp<"einsum"> {
  let summary = "sum of products of local values";
  let description = [{
    `moe.einsum` on local values. Writes the whole output, whatever it held. Sums
    of elements narrower than 32 bits are taken in f32 and rounded once.

    Example:
    ```mlir
    %c = moert.einsum %rank
        ins(%a, %b : tensor<32x64xf32>, tensor<8x64xf32>)
        outs(%init : tensor<32x8xf32>) {equation = "td,ed->te"}
        -> tensor<32x8xf32>
    ```
  }];
  let arguments = !con(baseArguments, (ins StrAttr:$equation));
}

def MoERT_GroupedEinsumOp : MoERT_DestinationOp<"grouped_einsum"> {
  let summary = "einsum in which every local row meets its own expert";
  let description = [{
    `moe.grouped_einsum` on local values: the letter `e` runs over this rank's
    experts, `n` over local rows. The third input, offsets [E + 1] of i64, says
    where the rows of each of them begin: rows offsets[e] up to offsets[e + 1].
    Rows of a result before the first and from the last offset on are zero.
    Sums as in `moert.einsum`.

    Example:
    ```mlir
    %h = moert.grouped_einsum %rank
        ins(%x, %w, %offsets : tensor<64x16xf32>, tensor<8x24x16xf32>, tensor<9xi64>)
        outs(%init : tensor<64x24xf32>) {equation = "nd,efd->nf"}
        -> tensor<64x24xf32>
    ```
  }];
  let arguments = !con(baseArguments, (ins StrAttr:$equation));
}

//===----------------------------------------------------------------------===//
// Device programs
//===----------------------------------------------------------------------===//

def MoERT_LaunchOp : MoERT_Op<"launch", [
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "run a kernel on this rank's device";
  let description = [{
    Runs `kernel`, a `gpu.func`, with a grid of blocks of `block` threads and
    `shared` bytes of dynamic shared memory each. Memrefs are passed as their
    descriptors, element by element, indices as i64. Launches run in order; none
    waits for the one before to end on the host. `flops` and `bytes` are what the
    kernel computes and has to move, for measurements.

    Example:
    ```mlir
    moert.launch %rank @kernels::@add_0 grid(%n, %c1, %c1) block 256 shared 0
        args(%x, %y : memref<32x64xf32>, memref<32x64xf32>) work(%flops, %bytes)
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank, SymbolRefAttr:$kernel,
      Index:$grid_x, Index:$grid_y, Index:$grid_z, I32Attr:$block,
      I32Attr:$shared, Variadic<AnyType>:$arguments, Index:$flops,
      Index:$bytes);
  let assemblyFormat = [{
    $rank $kernel `grid` `(` $grid_x `,` $grid_y `,` $grid_z `)` `block` $block
    `shared` $shared `args` `(` ($arguments^ `:` type($arguments))? `)`
    `work` `(` $flops `,` $bytes `)` attr-dict
  }];
}

def MoERT_ArenaOp : MoERT_Op<"arena", [Pure]> {
  let summary = "a buffer in this rank's arena";
  let description = [{
    Memory that `moert-plan-buffers` has set aside, from byte `offset` on.

    Example:
    ```mlir
    %b = moert.arena %rank [%n] {offset = 4096 : i64} : memref<?x64xf32>
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank, Variadic<Index>:$sizes,
                       I64Attr:$offset);
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$rank `[` $sizes `]` attr-dict `:` type($result)";
}

def MoERT_FaultOp : MoERT_Op<"fault", [Pure]> {
  let summary = "where kernels say what is wrong with their data";
  let description = [{
    Two i32 on the device: the number of a kernel, from 1, and the value that it
    could not work with. Looked at when the step has ended.

    Example:
    ```mlir
    %f = moert.fault %rank
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank);
  let results = (outs LLVM_DefaultPointer:$result);
  let assemblyFormat = "$rank attr-dict";
}

def MoERT_WaitOp : MoERT_Op<"wait",
    [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "wait for a collective before the next kernel";
  let description = [{
    A collective of a device program runs beside the kernels. Kernels launched
    after this one start when collective `collective` has ended.

    Example:
    ```mlir
    moert.wait %rank {collective = 3 : i32}
    ```
  }];
  let arguments = (ins LLVM_DefaultPointer:$rank, I32Attr:$collective);
  let assemblyFormat = "$rank attr-dict";
}

def MoERT_FetchOp : MoERT_DestinationOp<"fetch"> {
  let summary = "copy from the device to the host, and wait for it";
  let description = [{
    Input: a device buffer; output: one of the host, of the same shape. The only
    operation that makes the host wait for the device.
  }];
  let arguments = baseArguments;
}

#endif // MOE_DIALECT_RUNTIME_IR_RUNTIMEOPS_TD

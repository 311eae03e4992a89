//===- Passes.td - From global to local, from local to code -*- tablegen -*-==//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_CONVERSION_PASSES_TD
#define MOE_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def Localize : Pass<"spmd-localize", "::mlir::ModuleOp"> {
  let summary = "turn global functions into one rank's program";
  let description = [{
    Placed tensors become builtin tensors of local shape, conversions become
    collectives (`moert`), operations become loops over local values (`linalg`).
    A dimension that its ranks cut unevenly, and rows whose number only routing
    decides, have dynamic size.

    A function's arguments become the rank and one memref per argument and per
    result, which it writes; `moert.values` keeps their names and global types.
    Every rank runs the same operations in the same order, so collectives have
    one order. A function that has a joint one (`spmd.vjp`) is dropped. What a
    function calls becomes part of it, and private functions are dropped. Loops and
    branches stay, unless `straight-line` says that what comes next has none.

    Placements must be inferred. Claims are the identity here: run
    `spmd-verify-gradients` before.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect",
    "::moe::rt::MoERTDialect"
  ];
  let options = [
    Option<"straightLine", "straight-line", "bool", "false",
           "refuse loops and branches on placed tensors">
  ];
}

def EinsumToLinalg
    : Pass<"convert-moert-einsum-to-linalg", "::mlir::func::FuncOp"> {
  let summary = "products of local values become loops";
  let description = [{
    `moert.einsum` on tensors becomes a `linalg.generic` that sums products;
    `moert.grouped_einsum` a loop over this rank's experts with one such product
    of each one's rows and matrix. Sums of narrow elements are taken in f32 and
    rounded at the end.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
  let options = [
    Option<"keepProducts", "keep-products", "bool", "false",
           "Leave matrix products and grouped ones as they are">
  ];
}

def FormKernels : Pass<"moert-form-kernels", "::mlir::ModuleOp"> {
  let summary = "operations on buffers become kernels and launches";
  let description = [{
    Turns a bufferized rank's program into a device program. Each operation on
    elements, product, choice and sort becomes a kernel of a `gpu.module` and a
    `moert.launch`; collectives and arithmetic on sizes stay where they are. What
    is copied to a result in the end is computed there. The host fetches counts
    only where the number of rows that a rank receives depends on them.

    Products of bf16 whose rows are whole 16-byte words use the tensor cores, all
    others the threads' own arithmetic; both sum in f32, products of f64 in f64.
    No kernel adds floating-point numbers atomically: equal inputs give equal
    bits.

    An operation that has no kernel is an error.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect", "::moe::rt::MoERTDialect"
  ];
}

def ShardToSPMD : Pass<"convert-shard-to-spmd", "::mlir::ModuleOp"> {
  let summary = "import functions that upstream's `shard` dialect annotates";
  let description = [{
    For functions of one block on static tensors, with `shard.shard` on them and
    not yet partitioned. The grid becomes a mesh with the names that `axes` gives,
    or `axis0`, `axis1`. A sharding of an argument becomes its placement, any
    other one a `spmd.redistribute`: in `shard` all of them are wishes, none is a
    claim. Contractions of zeros become `moe.einsum`, sums and products
    `moe.add`, `moe.sub` and `moe.mul`; every other operation stands in a
    `spmd.compute`, with the constants it uses, through which no gradient passes
    (A1). Placements of results are `?`: `spmd-infer-placements` comes next.

    Input:
    ```mlir
    shard.grid @grid(shape = 2)
    func.func @f(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
      %s = shard.sharding @grid split_axes = [[0]] : !shard.sharding
      %0 = shard.shard %x to %s : tensor<8x4xf32>
      %1 = linalg.exp ins(%0 : tensor<8x4xf32>) outs(%0 : tensor<8x4xf32>) -> tensor<8x4xf32>
      return %1 : tensor<8x4xf32>
    }
    ```
    Output: `%x` is `!spmd.tensor<8x4xf32, #spmd.mesh<axis0=2>, axis0: shard<0>>`, and
    `linalg.exp` stands in a `spmd.compute`.

    An error, with its place, is what there is no form for: halos, given offsets,
    dynamic sizes, an order of axes that is not the grid's, cuts into unequal
    parts, collectives, control flow.
  }];
  let dependentDialects = ["::moe::MoEDialect", "::moe::spmd::SPMDDialect"];
  let options = [
    ListOption<"axes", "axes", "std::string", "Names of the grid's axes">
  ];
}

def SPMDToShard : Pass<"convert-spmd-to-shard", "::mlir::ModuleOp"> {
  let summary = "export functions to upstream's `shard` dialect";
  let description = [{
    The reverse of `convert-shard-to-spmd`, for functions whose placements are
    inferred: leaf axes of the mesh become those of a `shard.grid`, placed tensors
    builtin ones, each with a `shard.shard` that says how it lies. A
    `spmd.redistribute` is one for its users. `spmd.compute` gives back its body;
    `moe.einsum`, `moe.add`, `moe.sub` and `moe.mul` become `linalg`.

    Names, and what is required of gradients, are dropped. An error, with its
    place, is what `shard` cannot say: a value that is Partial, rows that only
    routing cuts, cuts into unequal parts, claims, boundaries, collectives; and
    operations of `moe` other than these.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::shard::ShardDialect", "::mlir::tensor::TensorDialect"
  ];
}

def RuntimeToLLVM : Pass<"convert-moert-to-llvm", "::mlir::ModuleOp"> {
  let summary = "operations of the runtime become calls of moert.h";
  let description = [{
    On memrefs with identity layout. Collectives are numbered in order, which is
    the order on every rank. Adds `moert_main`, which makes memrefs of the
    caller's buffers and calls the function, and `moert_program`, which describes
    it. Copies become loops. The module has to have one localized function.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"
  ];
  let options = [
    Option<"target", "target", "std::string", "\"cpu\"",
           "What the description says the program runs on">
  ];
}

#endif // MOE_CONVERSION_PASSES_TD

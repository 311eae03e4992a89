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
    one order. A function that has a joint one (`spmd.vjp`) is dropped.

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

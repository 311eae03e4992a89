//===- SPMDBase.td - Definition of the spmd dialect --------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_SPMDBASE_TD
#define MOE_DIALECT_SPMD_IR_SPMDBASE_TD

include "mlir/IR/OpBase.td"

def SPMD_Dialect : Dialect {
  let name = "spmd";
  let cppNamespace = "::moe::spmd";
  let summary = "Meshes, placements, claims, conversions and collectives";
  let description = [{
    The part of the compiler that knows how values lie over a mesh of ranks and
    nothing of what is computed. A type carries the global shape, the mesh and
    one placement per mesh axis. Four things are kept apart:

    - a **conversion** (`spmd.redistribute`) moves data and is always right;
    - a **claim** (`spmd.claim`) says what its writer believes, moves nothing and
      is a barrier to every pass;
    - a **requirement** is what the outside needs of a value: the result types of
      a function, and `spmd.grad_placement`;
    - **belief and truth**: types hold what is believed. `spmd-verify-gradients`
      recomputes the truth from the operations and compares.

    Why it is so: [SPMD/Rationale.md](SPMD/Rationale.md). Every label in
    parentheses or brackets: [Diagnostics.md](../Diagnostics.md).

    Discardable attributes:

    | attribute | on | value | meaning |
    |---|---|---|---|
    | `spmd.name` | arguments, results | string | the name of the value in messages and files; that of result `y` makes its cotangent `dy`, that of argument `x` its gradient `grad.x` |
    | `spmd.no_grad` | arguments | unit | the argument gets no gradient |
    | `spmd.grad_placement` | arguments | `#spmd.placements` | how the argument's gradient has to leave; else as the argument lies |
    | `spmd.grad_placement` | results | `#spmd.placements` | how the result's cotangent, the seed, arrives; else as the result lies, and whole where that is Partial |
    | `spmd.vjp` | functions | symbol | the joint function that `moe-differentiate` made of this one |
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral kNameAttr = "spmd.name";
    static constexpr ::llvm::StringLiteral kNoGradAttr = "spmd.no_grad";
    static constexpr ::llvm::StringLiteral kGradPlacementAttr =
        "spmd.grad_placement";
    /// On a function: the symbol of its joint forward and backward function.
    static constexpr ::llvm::StringLiteral kVjpAttr = "spmd.vjp";
  }];
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
}

#endif // MOE_DIALECT_SPMD_IR_SPMDBASE_TD

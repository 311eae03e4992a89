//===- Passes.td - Reverse-mode differentiation ------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_AUTODIFF_PASSES_TD
#define MOE_AUTODIFF_PASSES_TD

include "mlir/Pass/PassBase.td"

def Differentiate : Pass<"moe-differentiate", "::mlir::ModuleOp"> {
  let summary = "add the joint forward and backward function";
  let description = [{
    For every function `@f` over placed tensors, adds `@f.vjp`: `@f`'s arguments
    and a cotangent per result; `@f`'s results and a gradient per argument. The
    name of result `y`'s cotangent is `dy`, that of argument `x`'s gradient
    `grad.x`. Arguments marked `spmd.no_grad` and integers have none. Cotangents
    of several uses are added in the reverse order of the uses: as they lie where
    the program has labels, else so that a replicated one joins a Partial sum as
    terms of it. One that is whole, of a value that is cut, is sliced.

    Differentiation is that of the global function: conversions and claims are
    identities there. A boundary becomes a claim on, or a conversion of, the
    cotangent at its use. Each gradient is converted to what the outside requires:
    placed as its argument, or as the argument's `spmd.grad_placement` says.

    A seed arrives as its result lies, and whole where the result is Partial: the
    derivative of a sum of terms by each term is 1, so a loss that is Partial is
    seeded with 1 on every rank. Only a seed that is Partial itself, because the
    result's `spmd.grad_placement` says so, is 1 in sum.

    Placements of `@f` have to be inferred before, those of the backward part
    are `?` after. Locations of the backward part are fused from the forward
    operation's. A function whose name ends in `.vjp` is joint already and left
    alone.

    What a function calls becomes part of its joint one, where operations say in
    their locations by which call they are there. So a private function has no
    joint one of its own. Loops and branches on placed tensors are not
    differentiated (A1): a joint function may be written with them.

    An operation on the way from an argument to a result that has no derivative
    is an error (A1).

    Input:
    ```mlir
    func.func @f(%x: !T {spmd.name = "x"}, %w: !W {spmd.name = "w"})
        -> (!Y {spmd.name = "y"})
    ```
    Output, besides `@f`:
    ```mlir
    func.func @f.vjp(%x: !T {spmd.name = "x"}, %w: !W {spmd.name = "w"},
                     %dy: !Y {spmd.name = "dy"})
        -> (!Y {spmd.name = "y"}, !T {spmd.name = "grad.x"},
            !W {spmd.name = "grad.w"})
    ```
  }];
  let dependentDialects = ["::moe::MoEDialect", "::moe::spmd::SPMDDialect"];
}

#endif // MOE_AUTODIFF_PASSES_TD

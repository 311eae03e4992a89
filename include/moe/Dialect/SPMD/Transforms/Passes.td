//===- Passes.td - Inference and verification of placements -*- tablegen -*-==//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_TRANSFORMS_PASSES_TD
#define MOE_DIALECT_SPMD_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def InferPlacements : Pass<"spmd-infer-placements", "::mlir::func::FuncOp"> {
  let summary = "fill in the placements that are not given";
  let description = [{
    Replaces every `?` of a function by what the operations' rules give, one mesh
    axis at a time, in one sweep from arguments to results. Placements of
    arguments have to be given. A placement that is given stays; whether it is
    true is for `spmd-verify-gradients` to say. So the types that this pass
    leaves are what the program's author believes: a claim is taken at its word,
    and a sum in which a replicated term met a partial one is typed
    `partial<sum>`.

    What a loop (`scf.for`) carries lies as it starts, which is known when the sweep
    comes to the loop, and what is yielded has to lie so too (I3); a branch
    (`scf.if`) gives what both sides yield. So each body is swept once, and a
    placement that is known never changes. How the results of a call (`func.call`)
    lie is what the function's signature says (I4). Any other operation that holds
    placed tensors in a region is an error that names it (R6).

    Input:
    ```mlir
    %h = moe.einsum "td,df->tf" %x, %w
        : (!spmd.tensor<8x4xf32, #mesh, tp: shard<1>>,
           !spmd.tensor<4x6xf32, #mesh, tp: shard<0>>)
        -> !spmd.tensor<8x6xf32, #mesh, tp: ?>
    ```
    Output: the result is `tp: partial<sum>`, for each rank sums over its part of
    `d` only.

    Where a rule forbids what the operands are (labels R1 to R7 and I1 in
    docs/Diagnostics.md) the error says so, unless the operands follow from a
    claim that contradicts them: the claim is the fault then, and the verifier
    reports it.
  }];
}

def VerifyGradients : Pass<"spmd-verify-gradients", "::mlir::ModuleOp"> {
  let summary = "refuse claims and types that are not true, with the reason";
  let description = [{
    Recomputes the truth of every placement from the operations, a claim being
    the identity, and compares it with what is believed:

    - a claim whose operand does not lie as claimed (G1: a reduction is missing;
      G2: one too many; G3: wrong dimension; G4: wrong kind of reduction);
    - a conversion or a result fed with a sum in which a replicated term met a
      partial one (G5), which has no meaning under any placement;
    - a collective that sums what is not partial (G6);
    - an operation typed otherwise than its rule gives (T1), or for which the
      rule allows nothing (R1 to R7);
    - a loop or branch that ranks may not take alike (R8), and a function that
      calls itself (R9).

    What a loop carries, a branch gives, and a function is passed and returns has to
    mean what its type says where it passes. Witnesses go through loops, branches
    and calls. A false claim in a function that is called is one error, at its place.

    After an error the pass goes on with what is believed, so that one false
    claim is one error, and the error lists the function's results that it
    reaches. Notes are the witness: where the value became Partial or was already
    reduced, and every step from there to the claim.

    `help:` names repairs, cheapest first, with what they add to the collectives
    of the program and to the bytes that a rank sends. Each was applied to a copy
    of the program, of the forward function if `moe-differentiate` made the one
    at fault; the copy was differentiated, inferred, verified and executed in the
    reference's prime field: the fault is gone, no other appears, arguments and
    results are placed as before, and the results are those of one device. Sizes
    are reduced for the execution. Where it is not possible the note says why.

    With `counterexample` each false claim gets the smallest data on two ranks on
    which it is wrong: what is given, what the ranks hold at the claim, and what
    they would have to hold. The reference interpreter computed it.

    A function that `moe-differentiate` has made a joint function of is checked
    there only. Changes nothing.
  }];
  let options = [
    Option<"tryRepairs", "try-repairs", "bool", "true",
           "try repairs of what is refused">,
    Option<"counterexample", "counterexample", "bool", "false",
           "show data on which a false claim is wrong">
  ];
}

def DeferReductions : Pass<"spmd-defer-reductions", "::mlir::func::FuncOp"> {
  let summary = "put each reduction where it costs least";
  let description = [{
    A value that is Partial, or was until a conversion reduced it, may be computed
    Partial, cut or replicated by the operations whose rules allow it. The pass
    picks one form for each value, axis by axis, and puts a collective where a form
    is needed that none at hand gives for nothing:

    - `min-cut`: least estimated time, alpha + beta x bytes for each collective;
      `cost-file` gives the numbers. Exact for one axis, within a bound for
      several: docs/Deferral.md has the problem, the proofs and the limits. Ties go
      to the boundary;
    - `boundary`: as late as possible, which is where values leave the function;
    - `eager`: where a value becomes Partial.

    Reductions of one value over several axes become one collective where that
    costs no more. With `memory-budget`, values that are Partial over an axis never
    have more bytes at one time.

    Two conversions of terms of one sum become one of the sum. A replicated term
    joins a Partial sum on one rank only. The terms of what a claim says is
    Partial stay as they are, and no reduction moves across a claim.

    Before, the function must verify. After, it is verified again: every type is
    true and results are placed as they were.

    A remark for each reduction of the program as it was says what became of it:
    `kept`, `moved`, `merged` or `removed`, over which axis, to where, why, and
    how many bytes a rank sends for it by ring algorithms, before and after, and
    the microseconds that it is estimated to take. A remark `estimate` per axis has
    what all reductions are estimated to take under each policy, and what no plan
    is below. They are shown with `--remarks-filter=spmd-defer-reductions
    --remark-format=emitRemark`, and `moe-compile --report` has them.

    Input:
    ```mlir
    %2 = spmd.redistribute %0 : !P -> !R
    %3 = spmd.redistribute %1 : !P -> !R
    %4 = moe.add %2, %3 : (!R, !R) -> !R
    ```
    Output:
    ```mlir
    %2 = moe.add %0, %1 : (!P, !P) -> !P
    %3 = spmd.redistribute %2 : !P -> !R
    ```
  }];
  let options = [
    Option<"policy", "policy", "std::string", "\"min-cut\"",
           "min-cut, boundary or eager">,
    Option<"costFile", "cost-file", "std::string", "\"\"",
           "what collectives cost (docs/Deferral.md); if not given, what was "
           "measured over NVLink on two H100">,
    Option<"memoryBudget", "memory-budget", "int64_t", "-1",
           "most bytes of values that are partial over an axis at a time, with "
           "min-cut; -1: any number">
  ];
}

def CheckRequirements
    : Pass<"spmd-check-requirements", "::mlir::func::FuncOp"> {
  let summary = "refuse gradients that leave otherwise than the outside needs";
  let description = [{
    The gradient of argument `x` is the result named `grad.x`. It has to leave the
    function placed as the argument is, or as the argument's
    `spmd.grad_placement` says (Q1). Joint functions of `moe-differentiate` meet
    this, for it converts every gradient last; one that is written by hand may
    forget a reduction, and be typed so throughout.

    Looks at types alone, so it also says something of a program whose claims are
    not verified. `--moe-check` runs it last, `moe-compile` once more after
    deferral.

    Refused:
    ```mlir
    func.func @f.vjp(%w: !R {spmd.name = "w"}, ...) -> (!P {spmd.name = "grad.w"})
    ```
  }];
}

def ReportTrusted : Pass<"spmd-report-trusted", "::mlir::func::FuncOp"> {
  let summary = "list what nothing checks";
  let description = [{
    What a verified program still rests on, a remark each:

    - how each argument lies, which is up to whoever calls the function, unless
      it is private;
    - how an argument's gradient is left, if `spmd.grad_placement` says so: what
      reduces it outside is not seen;
    - how the results of functions without a body lie;
    - for each `spmd.opaque` how its result lies, and, in a function that is not
      differentiated yet, how the gradients of its operands do.

    A last remark counts them. Where the function has a joint one
    (`moe-differentiate`), that is reported on instead. Changes nothing.

    Output:
    ```
    layer.mlir:9:8: remark: trusted: the result of 'flash_mlp' is partial<sum> over 'tp'
    ```
  }];
}

def PrintGraph : Pass<"spmd-print-graph", "::mlir::ModuleOp"> {
  let summary = "draw a function's backward pass, coloured by placement";
  let description = [{
    Writes the graph of one function in Graphviz's DOT language: operations,
    grouped by the place in the source that they come from; edges with shapes,
    coloured by how values lie over each axis, thick where they are Partial;
    collectives in a shape of their own, with kind, axes, bytes and estimated
    microseconds. A tooltip has the location and the rules by which a result lies
    as it does. docs/Rendering.md says how to read it; `moe-compile --render`
    draws a layer before and after deferral. Changes nothing.

    ```
    $ moe-opt layer.mlir --moe-check --spmd-print-graph=output=layer.dot -o joint.mlir
    $ dot -Tsvg layer.dot -o layer.svg
    ```
  }];
  let options = [
    Option<"output", "output", "std::string", "\"-\"",
           "the file; - is the standard output">,
    Option<"function", "function", "std::string", "\"\"",
           "which function; if not given, the only public one over placed "
           "tensors, a joint function rather than what it is the derivative of">,
    Option<"part", "part", "std::string", "\"\"",
           "backward, or whole: the forward pass too; if not given, backward "
           "where there is a backward pass">,
    Option<"all", "all", "bool", "false",
           "draw what is left out: claims, what only moves elements, and values "
           "from outside the part">,
    Option<"costFile", "cost-file", "std::string", "\"\"",
           "what collectives cost (docs/Deferral.md), as for "
           "spmd-defer-reductions">
  ];
}

#endif // MOE_DIALECT_SPMD_TRANSFORMS_PASSES_TD

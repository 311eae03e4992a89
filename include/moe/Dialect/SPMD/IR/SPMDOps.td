//===- SPMDOps.td - Claims, conversions, boundaries --------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_SPMDOPS_TD
#define MOE_DIALECT_SPMD_IR_SPMDOPS_TD

include "moe/Dialect/SPMD/IR/SPMDTypes.td"
include "moe/Dialect/SPMD/IR/SPMDInterfaces.td"
include "moe/AutoDiff/AutoDiffInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class SPMD_Op<string mnemonic, list<Trait> traits = []>
    : Op<SPMD_Dialect, mnemonic,
         [Pure,
          DeclareOpInterfaceMethods<SPMD_PlacementOpInterface,
                                    ["transferPlacements"]>] # traits> {
  /// PlacementOpInterface::getRuleNumber.
  int rule = ?;
  let extraClassDefinition =
      "unsigned $cppClass::getRuleNumber() { return " # !cast<string>(rule) # "; }";
}

/// An operation from one placed tensor to the same global tensor, placed
/// otherwise.
class SPMD_PlacingOp<string mnemonic, list<Trait> traits = []>
    : SPMD_Op<mnemonic,
        [DeclareOpInterfaceMethods<DifferentiableOpInterface>] # traits> {
  let arguments = (ins SPMD_AnyTensor:$input, OptionalAttr<StrAttr>:$site);
  let results = (outs SPMD_AnyTensor:$result);
  let assemblyFormat = [{
    $input (`at` $site^)? attr-dict `:` qualified(type($input)) `->` qualified(type($result))
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Conversion and claim
//===----------------------------------------------------------------------===//

def SPMD_RedistributeOp : SPMD_PlacingOp<"redistribute"> {
  let rule = 1;
  let summary = "conversion: the same global value, placed otherwise";
  let description = [{
    Moves what data it has to. On the global function it is the identity, and if
    its operand has the meaning of its type, so has its result.

    An axis that is `?` in the result keeps the operand's placement. Where the
    placements of an axis are equal nothing moves. What the others cost:

    | from, to | what happens |
    |---|---|
    | partial, replicate | all-reduce |
    | partial, shard | reduce-scatter |
    | shard, replicate | all-gather |
    | shard, other shard | all-to-all |
    | replicate, shard | local slice |
    | replicate, partial<sum> | zeros on all ranks but the first |
    | partial of another kind, partial<sum> | all-reduce, then those zeros |
    | shard, partial<sum> | local padding with zeros |

    Law: `redistribute(redistribute(x : A -> B) : B -> C) = redistribute(x : A -> C)`.

    Its derivative converts the cotangent to what a conversion hands back for
    nothing: from replicate to partial, from partial to replicate, a cut to
    itself.

    Constraints:
    - (C1) shape, element type and mesh are the operand's;
    - (C2) the result is not ragged where the operand is not, for only
      `moe.dispatch` cuts rows by expert; ragged rows convert to replicate only;
    - (C3) a Partial result of a kind other than sum has a Partial operand of
      the same kind.

    Example:
    ```mlir
    %1 = spmd.redistribute %0
        : !spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>
        -> !spmd.tensor<32x64xf32, #mesh, tp: shard<0>>
    ```
  }];
}

def SPMD_ClaimOp : SPMD_PlacingOp<"claim"> {
  let rule = 2;
  let summary = "claim: what the writer believes of a value";
  let description = [{
    Says that the local values of the operand have the meaning of the result
    type. Moves nothing: locally the identity. It is a barrier: no pass changes
    the local values of its operand or moves a reduction across it.
    `spmd-verify-gradients` refuses a claim that is false (G1 to G4) and goes on
    with what it claims.

    Law: for a true claim, `claim(x) = x`.

    Constraint:
    - (C1) shape, element type and mesh are the operand's.

    Example:
    ```mlir
    %1 = spmd.claim %0
        : !spmd.tensor<32x64xf32, #mesh, tp: ?>
        -> !spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>
    ```
  }];
}

//===----------------------------------------------------------------------===//
// Boundaries of the forward program
//===----------------------------------------------------------------------===//

def SPMD_BoundaryOp : SPMD_Op<"boundary",
    [DeclareOpInterfaceMethods<DifferentiableOpInterface>]> {
  let rule = 3;
  let summary = "what is believed, or done, about a value and its cotangent";
  let description = [{
    Stands on one use of a value, where a framework's code states placements. The
    result type claims the placement of the value itself (an axis that is `?`
    claims nothing). For the cotangent it says one of

    - `grad claims <P>`: it is believed to lie as P (DTensor's
      `to_local(grad_placements=P)`). The backward program gets a `spmd.claim`.
      An axis that is `?` in P claims nothing.
    - `grad converts <P>`: it is converted to P from what it is believed to be
      (DTensor's `from_local(P)`). The backward program gets a
      `spmd.redistribute`; with `<>`, replicate on every axis, this reduces a
      Partial cotangent and leaves a replicated one alone.

    `at "name"` names the site for messages. Several boundaries may stand one
    after the other; the cotangent meets the last one first.

    Law: forward, for a true claim, `boundary(x) = x`.

    Constraints:
    - (C1) shape, element type and mesh are the operand's;
    - (B1) the axes named exist in the mesh;
    - the cotangent's placements make a type: (T2), (T3).

    Example:
    ```mlir
    // Believed replicated; the value is the router's logits.
    %1 = spmd.boundary %0 grad claims <>
        : !spmd.tensor<32x8xf32, #mesh, tp: ?>
        -> !spmd.tensor<32x8xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_AnyTensor:$input, UnitAttr:$converts,
                       SPMD_PlacementsAttr:$grad,
                       OptionalAttr<StrAttr>:$site);
  let results = (outs SPMD_AnyTensor:$result);
  let assemblyFormat = [{
    $input `grad` (`converts` $converts^) : (`claims`)? custom<Placements>($grad)
    (`at` $site^)? attr-dict `:` qualified(type($input)) `->` qualified(type($result))
  }];
  let hasVerifier = 1;
}

def SPMD_GradAllReduceOp : SPMD_Op<"grad_all_reduce",
    [DeclareOpInterfaceMethods<DifferentiableOpInterface>]> {
  let rule = 4;
  let summary = "identity forward, all-reduce backward";
  let description = [{
    The plain form of a boundary that reduces: the cotangent is summed over
    `axes`, whatever it was. Summing one that is not Partial multiplies it by the
    number of ranks: `spmd-verify-gradients` refuses that (G6).

    Law: forward, `grad_all_reduce(x) = x`.

    Constraints:
    - (C1) the result type is the operand's, or `?`;
    - (B1) the axes named, at least one, exist in the mesh, each once.

    Example:
    ```mlir
    %1 = spmd.grad_all_reduce %0 over ["tp"]
        : !spmd.tensor<32x2xf32, #mesh> -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_AnyTensor:$input, StrArrayAttr:$axes,
                       OptionalAttr<StrAttr>:$site);
  let results = (outs SPMD_AnyTensor:$result);
  let assemblyFormat = [{
    $input `over` $axes (`at` $site^)? attr-dict `:` qualified(type($input)) `->`
    qualified(type($result))
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

class SPMD_CollectiveOp<string mnemonic>
    : SPMD_Op<mnemonic,
        [DeclareOpInterfaceMethods<DifferentiableOpInterface>]> {
  let hasVerifier = 1;
  let results = (outs SPMD_AnyTensor:$result);
}

def SPMD_AllReduceOp : SPMD_CollectiveOp<"all_reduce"> {
  let rule = 5;
  let summary = "sums over mesh axes, whatever the operand is believed to be";
  let description = [{
    Every rank gets the sum of the local values along `axes`. Unlike a
    conversion it does not look at the operand's placement: the sum of a
    replicated value is that value times the number of ranks, which
    `spmd-verify-gradients` refuses (G6).

    Law: `all_reduce(x : partial<sum>) = redistribute(x : partial<sum> -> replicate)`.

    Constraints:
    - (C1) shape, element type and mesh are the operand's;
    - (B1) the axes named, at least one, exist in the mesh, each once;
    - (L1) the result is replicate on `axes`, and elsewhere as the operand.

    Example:
    ```mlir
    %1 = spmd.all_reduce %0 over ["tp"]
        : !spmd.tensor<8x64xf32, #mesh, tp: partial<sum>>
        -> !spmd.tensor<8x64xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_AnyTensor:$input, StrArrayAttr:$axes,
                       OptionalAttr<StrAttr>:$site);
  let assemblyFormat = [{
    $input `over` $axes (`at` $site^)? attr-dict `:` qualified(type($input)) `->`
    qualified(type($result))
  }];
}

def SPMD_AllGatherOp : SPMD_CollectiveOp<"all_gather"> {
  let rule = 6;
  let summary = "concatenates the shards along a dimension on every rank";
  let description = [{
    Every rank gets the pieces of all ranks along the axis, in the order of the
    ranks.

    Law: `all_gather(x, d) = redistribute(x : shard<d> -> replicate)`.

    Constraints:
    - (C1) shape, element type and mesh are the operand's;
    - (B1) the axis exists in the mesh;
    - (L2) the operand is `shard<d>` or `?` on it, the result replicate, and d
      exists.

    Example:
    ```mlir
    %1 = spmd.all_gather %0 over "tp" dim 1
        : !spmd.tensor<2x16x64xf32, #mesh, tp: shard<1>>
        -> !spmd.tensor<2x16x64xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_AnyTensor:$input, StrAttr:$axis, I64Attr:$dim);
  let assemblyFormat = [{
    $input `over` $axis `dim` $dim attr-dict `:` qualified(type($input)) `->` qualified(type($result))
  }];
}

def SPMD_ReduceScatterOp : SPMD_CollectiveOp<"reduce_scatter"> {
  let rule = 7;
  let summary = "sums over a mesh axis and keeps one shard on each rank";
  let description = [{
    Each rank gets its piece of the sum of the local values along the axis. As
    `spmd.all_reduce` it sums whatever it is given; what is not Partial is
    refused by `spmd-verify-gradients` (G6).

    Law: `reduce_scatter(x, d) = redistribute(x : partial<sum> -> shard<d>)`.

    Constraints:
    - (C1) shape, element type and mesh are the operand's;
    - (B1) the axis exists in the mesh;
    - (L3) the result is `shard<d>` on it, and d exists.

    Example:
    ```mlir
    %1 = spmd.reduce_scatter %0 over "tp" dim 1
        : !spmd.tensor<2x16x64xf32, #mesh, tp: partial<sum>>
        -> !spmd.tensor<2x16x64xf32, #mesh, tp: shard<1>>
    ```
  }];
  let arguments = (ins SPMD_AnyTensor:$input, StrAttr:$axis, I64Attr:$dim);
  let assemblyFormat = [{
    $input `over` $axis `dim` $dim attr-dict `:` qualified(type($input)) `->` qualified(type($result))
  }];
}

def SPMD_AllToAllOp : SPMD_CollectiveOp<"all_to_all"> {
  let rule = 8;
  let summary = "cuts another dimension instead";
  let description = [{
    Each rank gives every other one a piece of its piece.

    Law: `all_to_all(x, a, b) = redistribute(x : shard<a> -> shard<b>)`.

    Constraints:
    - (C1) shape, element type and mesh are the operand's;
    - (B1) the axis exists in the mesh;
    - (L4) the operand is `shard<from>` or `?` on it, the result `shard<to>`, and
      both dimensions exist.

    Example:
    ```mlir
    %1 = spmd.all_to_all %0 over "tp" from 0 to 1
        : !spmd.tensor<32x64xf32, #mesh, tp: shard<0>>
        -> !spmd.tensor<32x64xf32, #mesh, tp: shard<1>>
    ```
  }];
  let arguments = (ins SPMD_AnyTensor:$input, StrAttr:$axis, I64Attr:$from,
                       I64Attr:$to);
  let assemblyFormat = [{
    $input `over` $axis `from` $from `to` $to attr-dict `:` qualified(type($input)) `->`
    qualified(type($result))
  }];
}

//===----------------------------------------------------------------------===//
// Other code
//===----------------------------------------------------------------------===//

def SPMD_PlacementsArrayAttr
    : TypedArrayAttrBase<SPMD_PlacementsAttr, "list of placements by axis name">;

def SPMD_ComputeOp : SPMD_Op<"compute",
    [IsolatedFromAbove, SingleBlockImplicitTerminator<"YieldOp">]> {
  let rule = 9;
  let summary = "operations of upstream dialects, on global tensors";
  let description = [{
    Upstream operations don't take placed tensors. They stand in the body, which
    sees each operand as a builtin tensor of the *global* shape and yields the
    global result. Each rank executes the body on its local values.

    The placement of the result follows from those of the operands through the
    body, one operation after the other, by the same interface as everywhere:
    `arith` and `math` on tensors, `linalg` named and generic, `tensor` slices,
    pads, casts, reshapes and concatenation
    ([Rules.md](../Rules.md)). An operation that has no rule is an error (R6). A
    tensor of one constant (`arith.constant dense<0.0>`, `linalg.fill`,
    `tensor.empty`) fits whatever cut it meets, and zeros fit a sum.

    Constraints:
    - (U1) the body has one argument per operand, of its shape and element type;
    - (U2) it yields one tensor of the shape and element type of the result;
    - (U3) all operands and the result lie on one mesh, and there is an operand.

    Example:
    ```mlir
    %1 = spmd.compute %x, %bias : (!spmd.tensor<4x8xf32, #mesh, tp: shard<1>>,
                                   !spmd.tensor<4x8xf32, #mesh, tp: shard<1>>)
        -> !spmd.tensor<4x8xf32, #mesh, tp: shard<1>> {
    ^bb0(%a: tensor<4x8xf32>, %b: tensor<4x8xf32>):
      %0 = arith.addf %a, %b : tensor<4x8xf32>
      spmd.yield %0 : tensor<4x8xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<SPMD_AnyTensor>:$inputs);
  let results = (outs SPMD_AnyTensor:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $inputs attr-dict `:` functional-type(operands, results) $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The value of the body that becomes the result.
    ::mlir::Value getYielded();
  }];
}

def SPMD_YieldOp : Op<SPMD_Dialect, "yield",
    [Pure, Terminator, ReturnLike, HasParent<"ComputeOp">]> {
  let summary = "the result of a `spmd.compute`";
  let description = [{
    Example:
    ```mlir
    spmd.yield %0 : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def SPMD_OpaqueOp : SPMD_Op<"opaque",
    [DeclareOpInterfaceMethods<DifferentiableOpInterface,
                               ["hasDerivative"]>]> {
  let rule = 10;
  let summary = "code that the compiler does not see, with declared placements";
  let description = [{
    Stands for a call of a kernel or of a custom autograd function. `needs` says
    how each operand has to lie; an operand that lies otherwise is refused (R7).
    How the result lies is what its type says, and how the gradient of each
    operand comes out of the backward code what `grad` says; nothing can check
    either, so `spmd-report-trusted` lists both. `dy` says how the backward code
    needs the cotangent; left out, as a conversion of the result hands it back for
    nothing: partial for replicate, replicate for partial, a cut as it is.

    Its derivative is the opaque operation called `NAME.vjp`, one for each operand
    that has a gradient, on the operands and the cotangent; `operand` is the
    number of that operand.

    Constraints:
    - (O1) one entry of `needs`, and of `grad` if given, per operand; the axes
      named exist in the mesh and the placements make types (T2), (T3);
    - (O2) the result's placement is given, not `?`;
    - (U3) all operands and the result lie on one mesh, and there is an operand.

    Without `grad` a gradient cannot pass through it (A1).

    Example:
    ```mlir
    %y = spmd.opaque "flash_mlp" %x, %w needs [<>, <tp: shard<0>>]
        grad [<tp: partial<sum>>, <tp: shard<0>>]
        : (!spmd.tensor<32x64xf32, #mesh>,
           !spmd.tensor<96x64xf32, #mesh, tp: shard<0>>)
        -> !spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>
    ```
  }];
  let arguments = (ins StrAttr:$callee, Variadic<SPMD_AnyTensor>:$inputs,
                       SPMD_PlacementsArrayAttr:$needs,
                       OptionalAttr<SPMD_PlacementsArrayAttr>:$grad,
                       OptionalAttr<SPMD_PlacementsAttr>:$dy,
                       OptionalAttr<I64Attr>:$of_operand);
  let results = (outs SPMD_AnyTensor:$result);
  let assemblyFormat = [{
    $callee $inputs `needs` custom<PlacementsList>($needs)
    (`grad` custom<PlacementsList>($grad)^)? (`dy` custom<Placements>($dy)^)?
    (`operand` $of_operand^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif // MOE_DIALECT_SPMD_IR_SPMDOPS_TD

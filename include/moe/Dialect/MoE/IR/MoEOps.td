//===- MoEOps.td - The operations of an MoE layer ----------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_MOE_IR_MOEOPS_TD
#define MOE_DIALECT_MOE_IR_MOEOPS_TD

include "moe/Dialect/SPMD/IR/SPMDTypes.td"
include "moe/Dialect/SPMD/IR/SPMDInterfaces.td"
include "moe/AutoDiff/AutoDiffInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def MoE_Dialect : Dialect {
  let name = "moe";
  let cppNamespace = "::moe";
  let summary = "Tensor operations of a mixture-of-experts layer";
  let description = [{
    What an MoE layer and its backward pass compute, on global tensors. Letters
    in this page: T tokens, D model dimension, F hidden dimension of an expert,
    E experts, K experts per token, N = T * K rows.

    Rows are always sorted by (expert, token): row order and the number of rows
    of each expert follow from the expert numbers of the tokens alone. Tokens may
    be in P equal *parts*, one after the other, whose rows stay apart: they are
    sorted by (part, expert, token), and as every token has K rows, each part has
    N / P. An axis that cuts tokens by part, as data parallelism does, then cuts
    rows into equal chunks, and no row leaves its rank.

    Every operation names the factors of its dimensions and the operands it is
    linear in; its placement rule follows from that
    ([SPMD/Rationale.md](SPMD/Rationale.md), "Rules"). Every operation of the
    forward pass has a derivative; those named `*_vjp` are derivatives and have
    none of their own. All values of an operation lie on one mesh. Labels in
    parentheses: [Diagnostics.md](../Diagnostics.md).
  }];
  let dependentDialects = ["::moe::spmd::SPMDDialect"];
}

class MoE_Op<string mnemonic, list<Trait> traits = [],
             list<string> ruleMethods = ["getPlacementRule"]>
    : Op<MoE_Dialect, mnemonic,
         [Pure,
          DeclareOpInterfaceMethods<SPMD_PlacementOpInterface,
                                    ruleMethods>] # traits> {
  /// PlacementOpInterface::getRuleNumber.
  int rule = ?;
  let extraClassDefinition =
      "unsigned $cppClass::getRuleNumber() { return " # !cast<string>(rule) # "; }";
  let hasVerifier = 1;
}

class MoE_DifferentiableOp<string mnemonic,
                           list<string> ruleMethods = ["getPlacementRule"]>
    : MoE_Op<mnemonic, [DeclareOpInterfaceMethods<DifferentiableOpInterface>],
             ruleMethods>;

/// Its rule is another one on axes that cut tokens by part.
class MoE_PartsOp<string mnemonic>
    : MoE_DifferentiableOp<mnemonic,
                           ["getPlacementRule", "transferPlacements"]>;

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

def MoE_EinsumOp : MoE_DifferentiableOp<"einsum"> {
  let rule = 20;
  let summary = "sum of products over named dimensions";
  let description = [{
    `"td,ed->te"`: one letter per dimension; a letter that the result lacks is
    summed over. Multilinear in its one or two operands. Placement: operands
    that share a cut letter are both cut along it; a cut letter that is summed
    over makes the result partial<sum>.

    Law: `einsum("td,ed->te", x, w)[t, e] = sum_d x[t, d] * w[e, d]`.

    Constraints:
    - (E1) the equation has one term per operand, letters a to z, no letter twice
      in a term, every letter of the result in some operand;
    - (E2) a term has as many letters as its operand has dimensions, and a letter
      has one size;
    - (E3) meshes agree. Element types may differ: sums are taken in the widest
      one, f32 at least, and rounded to the result's once.

    Example:
    ```mlir
    %logits = moe.einsum "td,ed->te" %x, %gate
        : (!spmd.tensor<32x64xf32, #mesh>, !spmd.tensor<8x64xf32, #mesh>)
        -> !spmd.tensor<32x8xf32, #mesh>
    ```
  }];
  let arguments = (ins StrAttr:$equation, Variadic<SPMD_FloatTensor>:$inputs);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $equation $inputs attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_GroupedEinsumOp : MoE_PartsOp<"grouped_einsum"> {
  let rule = 21;
  let summary = "einsum in which every row meets its own expert";
  let description = [{
    An einsum in which the letter `n` runs over rows sorted by expert and the
    letter `e` over experts; `counts[e]` rows belong to expert e, and a term of
    the sum is taken only where row n belongs to expert e. So
    `"nd,efd->nf"` applies expert weights, `"nf,nd->efd"` is their gradient.
    Counts [P, E] are those of each part.

    Law: `grouped_einsum("nd,efd->nf", x, w, counts)[n, f] =
    sum_d x[n, d] * w[expert(n), f, d]`.

    Placement: rows cut by expert (`ragged<0>`) meet experts cut on the same
    axis. Experts that are cut and rows that are not give partial<sum>: a rank
    has zeros for rows of experts it does not hold. Rows and counts that are cut
    by part (`shard<0>`) meet whole experts, whose gradient is partial<sum>. Rows
    are cut by expert inside of that only, where each rank has one part (R4).

    Constraints:
    - (E1) two terms; of these and the result two have `n` and the third has
      `e`; letters as in `moe.einsum`;
    - (E2) as in `moe.einsum`;
    - (E3) element types and meshes agree;
    - (E4) `counts` is [E] or [P, E] of i32, P divides N, and it is replicated or
      cut by part.

    Example:
    ```mlir
    %h = moe.grouped_einsum "nd,efd->nf" %rows, %w1 counts %counts
        : (!spmd.tensor<64x64xf32, #mesh>,
           !spmd.tensor<8x96x64xf32, #mesh, tp: shard<1>>,
           !spmd.tensor<8xi32, #mesh>)
        -> !spmd.tensor<64x96xf32, #mesh, tp: shard<1>>
    ```
  }];
  let arguments = (ins StrAttr:$equation, SPMD_FloatTensor:$lhs,
                       SPMD_FloatTensor:$rhs, SPMD_IndexTensor:$counts);
  let results = (outs SPMD_FloatTensor:$result);
  let extraClassDeclaration = [{
    /// Equal parts of the tokens whose rows stay apart.
    int64_t getParts();
  }];
  let assemblyFormat = [{
    $equation $lhs `,` $rhs `counts` $counts attr-dict `:`
    functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Element-wise
//===----------------------------------------------------------------------===//

class MoE_BinaryOp<string mnemonic> : MoE_DifferentiableOp<mnemonic> {
  let arguments = (ins SPMD_FloatTensor:$lhs, SPMD_FloatTensor:$rhs);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_AddOp : MoE_BinaryOp<"add"> {
  let rule = 22;
  let summary = "sum of two tensors";
  let description = [{
    Linear in both operands at once: Partial plus Partial is Partial, if it is of
    one kind (R3). A replicated term added to a partial<sum> one is counted once
    per rank by whatever reduces the sum later: the local sum has no meaning
    under any placement, and is an error where something relies on it (G1, G5).

    Law: `add(a, b)[i] = a[i] + b[i]`.

    Constraint:
    - (W1) operands and result have one shape, element type and mesh.

    Example:
    ```mlir
    %y = moe.add %routed, %shared
        : (!spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>,
           !spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>)
        -> !spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>
    ```
  }];
}

def MoE_SubOp : MoE_BinaryOp<"sub"> {
  let rule = 23;
  let summary = "difference of two tensors";
  let description = [{
    Linear in both operands at once, placed as `moe.add`. A partial<max> or
    partial<min> subtrahend is refused (R1): negation turns one into the other.

    Law: `sub(a, b)[i] = a[i] - b[i]`.

    Constraint:
    - (W1) operands and result have one shape, element type and mesh.

    Example:
    ```mlir
    %d = moe.sub %a, %b
        : (!spmd.tensor<32x64xf32, #mesh>, !spmd.tensor<32x64xf32, #mesh>)
        -> !spmd.tensor<32x64xf32, #mesh>
    ```
  }];
}

def MoE_MulOp : MoE_BinaryOp<"mul"> {
  let rule = 24;
  let summary = "product, element by element";
  let description = [{
    Multilinear: one of the operands may be Partial, not both (R2), for the
    product of two sums is not the sum of the products.

    Law: `mul(a, b)[i] = a[i] * b[i]`.

    Constraint:
    - (W1) operands and result have one shape, element type and mesh.

    Example:
    ```mlir
    %h = moe.mul %gate, %up
        : (!spmd.tensor<64x96xf32, #mesh, tp: shard<1>>,
           !spmd.tensor<64x96xf32, #mesh, tp: shard<1>>)
        -> !spmd.tensor<64x96xf32, #mesh, tp: shard<1>>
    ```
  }];
}

def MoE_DivOp : MoE_BinaryOp<"div"> {
  let rule = 25;
  let summary = "quotient, element by element";
  let description = [{
    Linear in the dividend only: a Partial divisor is refused (R1).

    Law: `div(a, b)[i] = a[i] / b[i]`.

    Constraint:
    - (W1) operands and result have one shape, element type and mesh.

    Example:
    ```mlir
    %q = moe.div %a, %b
        : (!spmd.tensor<32x2xf32, #mesh>, !spmd.tensor<32x2xf32, #mesh>)
        -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
}

def MoE_ScaleOp : MoE_DifferentiableOp<"scale"> {
  let rule = 26;
  let summary = "product with a constant";
  let description = [{
    Linear: a Partial operand stays Partial.

    Law: `scale(x, c)[i] = c * x[i]`.

    Constraint:
    - (W1) operand and result have one shape, element type and mesh.

    Example:
    ```mlir
    %p = moe.scale %q by 2.5 : (!spmd.tensor<32x2xf32, #mesh>)
        -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_FloatTensor:$input, F64Attr:$factor);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $input `by` $factor attr-dict `:` functional-type(operands, results)
  }];
}

class MoE_UnaryOp<string mnemonic> : MoE_DifferentiableOp<mnemonic> {
  let arguments = (ins SPMD_FloatTensor:$input);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $input attr-dict `:` functional-type(operands, results)
  }];
}

/// The derivative of a unary operation: linear in the cotangent `dy`.
class MoE_UnaryVjpOp<string mnemonic> : MoE_Op<mnemonic> {
  let arguments = (ins SPMD_FloatTensor:$saved, SPMD_FloatTensor:$dy);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $saved `,` $dy attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_SigmoidOp : MoE_UnaryOp<"sigmoid"> {
  let rule = 27;
  let summary = "1 / (1 + exp(-x))";
  let description = [{
    Not linear: a Partial operand is refused (R1).

    Constraint:
    - (W1) operand and result have one shape, element type and mesh.

    Example:
    ```mlir
    %s = moe.sigmoid %logits : (!spmd.tensor<32x8xf32, #mesh>)
        -> !spmd.tensor<32x8xf32, #mesh>
    ```
  }];
}

def MoE_SigmoidVjpOp : MoE_UnaryVjpOp<"sigmoid_vjp"> {
  let rule = 28;
  let summary = "derivative of sigmoid, from its result";
  let description = [{
    `y * (1 - y) * dy`, with y the saved result of the sigmoid. Linear in dy.

    Constraint:
    - (W1) operands and result have one shape, element type and mesh.

    Example:
    ```mlir
    %dl = moe.sigmoid_vjp %s, %ds
        : (!spmd.tensor<32x8xf32, #mesh>,
           !spmd.tensor<32x8xf32, #mesh, tp: partial<sum>>)
        -> !spmd.tensor<32x8xf32, #mesh, tp: partial<sum>>
    ```
  }];
}

def MoE_SiluOp : MoE_UnaryOp<"silu"> {
  let rule = 29;
  let summary = "x * sigmoid(x)";
  let description = [{
    Not linear: a Partial operand is refused (R1).

    Constraint:
    - (W1) operand and result have one shape, element type and mesh.

    Example:
    ```mlir
    %a = moe.silu %g : (!spmd.tensor<64x96xf32, #mesh, tp: shard<1>>)
        -> !spmd.tensor<64x96xf32, #mesh, tp: shard<1>>
    ```
  }];
}

def MoE_SiluVjpOp : MoE_UnaryVjpOp<"silu_vjp"> {
  let rule = 30;
  let summary = "derivative of silu, from its operand";
  let description = [{
    `s * (1 + x * (1 - s)) * dy` with s = sigmoid(x), x the saved operand.
    Linear in dy.

    Constraint:
    - (W1) operands and result have one shape, element type and mesh.

    Example:
    ```mlir
    %dg = moe.silu_vjp %g, %da
        : (!spmd.tensor<64x96xf32, #mesh, tp: shard<1>>,
           !spmd.tensor<64x96xf32, #mesh, tp: shard<1>>)
        -> !spmd.tensor<64x96xf32, #mesh, tp: shard<1>>
    ```
  }];
}

def MoE_SoftmaxOp : MoE_UnaryOp<"softmax"> {
  let rule = 31;
  let summary = "softmax over the last dimension";
  let description = [{
    Not linear: a Partial operand is refused (R1). It needs the whole last
    dimension (R5).

    Law: `softmax(x)[t, e] = exp(x[t, e]) / sum_j exp(x[t, j])`.

    Constraint:
    - (W1) operand and result have one shape, element type and mesh, and a last
      dimension.

    Example:
    ```mlir
    %s = moe.softmax %logits : (!spmd.tensor<32x8xf32, #mesh>)
        -> !spmd.tensor<32x8xf32, #mesh>
    ```
  }];
}

def MoE_SoftmaxVjpOp : MoE_UnaryVjpOp<"softmax_vjp"> {
  let rule = 32;
  let summary = "derivative of softmax, from its result";
  let description = [{
    `y * (dy - sum_j y_j dy_j)` over the last dimension, y the saved result.
    Linear in dy; needs the whole last dimension (R5).

    Constraint:
    - (W1) operands and result have one shape, element type and mesh, and a last
      dimension.

    Example:
    ```mlir
    %dl = moe.softmax_vjp %s, %ds
        : (!spmd.tensor<32x8xf32, #mesh>, !spmd.tensor<32x8xf32, #mesh>)
        -> !spmd.tensor<32x8xf32, #mesh>
    ```
  }];
}

def MoE_NormalizeOp : MoE_UnaryOp<"normalize"> {
  let rule = 33;
  let summary = "division by the sum over the last dimension";
  let description = [{
    `x / (sum_j x_j + 1e-20)`: torchtitan's `route_norm`. Not linear: a Partial
    operand is refused (R1). It needs the whole last dimension (R5).

    Constraint:
    - (W1) operand and result have one shape, element type and mesh, and a last
      dimension.

    Example:
    ```mlir
    %p = moe.normalize %q : (!spmd.tensor<32x2xf32, #mesh>)
        -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
}

def MoE_NormalizeVjpOp : MoE_UnaryVjpOp<"normalize_vjp"> {
  let rule = 34;
  let summary = "derivative of normalize, from its operand";
  let description = [{
    `(dy - sum_j dy_j x_j / S) / S` with S = sum_j x_j + 1e-20, x the saved
    operand. Linear in dy; needs the whole last dimension (R5).

    Constraint:
    - (W1) operands and result have one shape, element type and mesh, and a last
      dimension.

    Example:
    ```mlir
    %dq = moe.normalize_vjp %q, %dp
        : (!spmd.tensor<32x2xf32, #mesh>, !spmd.tensor<32x2xf32, #mesh>)
        -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
}

def MoE_FillLikeOp : MoE_Op<"fill_like",
    [DeclareOpInterfaceMethods<DifferentiableOpInterface>]> {
  let rule = 35;
  let summary = "a constant tensor shaped and cut as another";
  let description = [{
    Every element is `value`. Cut as the operand is; replicated where the operand
    is Partial, since every rank holds the constant itself.

    Constraint:
    - (W1) operand and result have one shape, element type and mesh.

    Example:
    ```mlir
    %ones = moe.fill_like %x with 1.0 : (!spmd.tensor<32x64xf32, #mesh>)
        -> !spmd.tensor<32x64xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_FloatTensor:$input, F64Attr:$value);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $input `with` $value attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

class MoE_FoldingOp<string mnemonic> : MoE_DifferentiableOp<mnemonic> {
  let arguments = (ins SPMD_FloatTensor:$input);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $input attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_FoldOp : MoE_FoldingOp<"fold"> {
  let rule = 36;
  let summary = "batch and sequence become one dimension of tokens";
  let description = [{
    [B, L, ...] to [B * L, ...], token t = b * L + l. A batch that is cut stays a
    cut of the tokens if these are cut at the same places, as when it is cut evenly.
    A cut sequence does only for B = 1: with more than one batch a rank's tokens are
    no contiguous run, hence no shard (R5).

    Law: `unfold(fold(x)) = x`.

    Constraint:
    - (W2) the result has the product of the first two dimensions, then the rest.

    Example:
    ```mlir
    %t = moe.fold %x : (!spmd.tensor<2x16x64xf32, #mesh>)
        -> !spmd.tensor<32x64xf32, #mesh>
    ```
  }];
}

def MoE_UnfoldOp : MoE_FoldingOp<"unfold"> {
  let rule = 37;
  let summary = "tokens become batch and sequence again";
  let description = [{
    [B * L, ...] to [B, L, ...]; the inverse of `moe.fold`, with the same
    condition on cuts (R5).

    Law: `fold(unfold(x)) = x`.

    Constraint:
    - (W2) the operand has the product of the result's first two dimensions.

    Example:
    ```mlir
    %y = moe.unfold %t : (!spmd.tensor<32x64xf32, #mesh>)
        -> !spmd.tensor<2x16x64xf32, #mesh>
    ```
  }];
}

//===----------------------------------------------------------------------===//
// Routing
//===----------------------------------------------------------------------===//

def MoE_TopKOp : MoE_DifferentiableOp<"top_k"> {
  let rule = 38;
  let summary = "the experts of each token";
  let description = [{
    The K experts with the largest score, in descending order; the lower expert
    number wins a tie. A `bias` is added to the scores for the choice only. With
    `groups` > 1 the experts form that many equal groups; a group's score is the
    sum of its two largest scores (of its one, where it has one), and only
    experts of the `limited_groups` best groups may be chosen.

    The choice has no gradient: that of the scores passes through `moe.gather`.
    Needs all experts of a token (R5); scores that are Partial are refused (R1).

    Constraints:
    - (K1) the result is [T, K] of i32, 1 <= K <= the experts that may be chosen;
    - (K2) `groups` divides E, 1 <= limited_groups <= groups;
    - (K3) the bias is [E].

    Example:
    ```mlir
    %idx = moe.top_k %s : (!spmd.tensor<32x8xf32, #mesh>)
        -> !spmd.tensor<32x2xi32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_FloatTensor:$scores,
                       Optional<SPMD_FloatTensor>:$bias,
                       DefaultValuedAttr<I64Attr, "1">:$groups,
                       DefaultValuedAttr<I64Attr, "1">:$limited_groups);
  let results = (outs SPMD_IndexTensor:$experts);
  let assemblyFormat = [{
    $scores (`bias` $bias^)? attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_GatherOp : MoE_DifferentiableOp<"gather"> {
  let rule = 39;
  let summary = "the scores of the chosen experts";
  let description = [{
    Law: `gather(s, experts)[t, k] = s[t, experts[t, k]]`. Linear in s; needs all
    experts of a token.

    Constraint:
    - (G) s is [T, E], experts and result are [T, K].

    Example:
    ```mlir
    %q = moe.gather %s, %idx
        : (!spmd.tensor<32x8xf32, #mesh>, !spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_FloatTensor:$scores, SPMD_IndexTensor:$experts);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $scores `,` $experts attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_ScatterOp : MoE_DifferentiableOp<"scatter"> {
  let rule = 40;
  let summary = "scores of the chosen experts, among all experts";
  let description = [{
    Law: `scatter(q, experts)[t, e] = sum over k with experts[t, k] = e of
    q[t, k]`, the adjoint of `moe.gather`. Linear in q.

    Constraint:
    - (G) q and experts are [T, K], the result is [T, E].

    Example:
    ```mlir
    %ds = moe.scatter %dq, %idx
        : (!spmd.tensor<32x2xf32, #mesh>, !spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<32x8xf32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_FloatTensor:$chosen, SPMD_IndexTensor:$experts);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $chosen `,` $experts attr-dict `:` functional-type(operands, results)
  }];
}

def MoE_CountOp : MoE_PartsOp<"count"> {
  let rule = 41;
  let summary = "how many rows each expert gets";
  let description = [{
    Law: `count(experts)[e]` is the number of (t, k) with `experts[t, k] = e`, and
    `count(experts)[p, e]` that of such t in part p. Tokens that are cut give
    counts that are partial<sum>; those that are cut by part, `shard<0>`.

    Constraint:
    - (G) experts is [T, K], the result is [E] or [P, E] of i32, P divides T.

    Example:
    ```mlir
    %counts = moe.count %idx : (!spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<8xi32, #mesh>
    ```
  }];
  let arguments = (ins SPMD_IndexTensor:$experts);
  let results = (outs SPMD_IndexTensor:$result);
  let extraClassDeclaration = [{
    /// Equal parts of the tokens whose rows stay apart.
    int64_t getParts();
  }];
  let assemblyFormat = [{
    $experts attr-dict `:` functional-type(operands, results)
  }];
}

/// Rows of tokens in `parts` equal parts are sorted by (part, expert, token).
class MoE_RowsOp<string mnemonic> : MoE_PartsOp<mnemonic> {
  let arguments = (ins SPMD_FloatTensor:$input, SPMD_IndexTensor:$experts,
                       I64Attr:$num_experts,
                       DefaultValuedAttr<I64Attr, "1">:$parts);
  let results = (outs SPMD_FloatTensor:$result);
  let assemblyFormat = [{
    $input `,` $experts `of` $num_experts (`in` $parts^ `parts`)? attr-dict `:`
    functional-type(operands, results)
  }];
}

def MoE_DispatchOp : MoE_RowsOp<"dispatch"> {
  let rule = 42;
  let summary = "one row per token and chosen expert, sorted by expert";
  let description = [{
    [T, D] to [N, D]: row i is the token of the i-th (expert, token) pair. Linear
    in the tokens. Placement: tokens and expert numbers that are cut along T give
    `ragged<0>`: each rank gets the rows of its experts (an all-to-all). Outer
    axes that cut P `parts` among them give `shard<0>`: rows stay where their
    tokens are.

    Law: `combine(dispatch(x, experts), experts) = K * x`.

    Constraint:
    - (D1) N = T * K, P divides T; 0 <= experts[t, k] < num_experts, which only a
      run can see.

    Example:
    ```mlir
    %rows = moe.dispatch %x, %idx of 8
        : (!spmd.tensor<32x64xf32, #mesh>, !spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<64x64xf32, #mesh>
    ```
  }];
}

def MoE_CombineOp : MoE_RowsOp<"combine"> {
  let rule = 43;
  let summary = "sum of the rows of each token";
  let description = [{
    [N, D] to [T, D], the adjoint of `moe.dispatch`. Linear in the rows.
    Placement: `ragged<0>` rows and expert numbers cut along T give tokens cut
    along T (an all-to-all), rows that are cut by part their tokens. The rows have
    to be cut by the same expert numbers (R4).

    Law: `combine(r, experts)[t] = sum of r over the K rows of token t`.

    Constraint:
    - (D1) N = T * K, P divides T.

    Example:
    ```mlir
    %y = moe.combine %rows, %idx of 8
        : (!spmd.tensor<64x64xf32, #mesh>, !spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<32x64xf32, #mesh>
    ```
  }];
}

def MoE_PermuteOp : MoE_RowsOp<"permute"> {
  let rule = 44;
  let summary = "the score of each row";
  let description = [{
    [T, K] to [N]: entry (t, k) goes to the row of that pair. Linear; placed as
    `moe.dispatch`.

    Law: `unpermute(permute(p, experts), experts) = p`.

    Constraint:
    - (D1) N = T * K, P divides T.

    Example:
    ```mlir
    %ps = moe.permute %p, %idx of 8
        : (!spmd.tensor<32x2xf32, #mesh>, !spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<64xf32, #mesh>
    ```
  }];
}

def MoE_UnpermuteOp : MoE_RowsOp<"unpermute"> {
  let rule = 45;
  let summary = "a number per row, back by token";
  let description = [{
    [N] to [T, K], the inverse and adjoint of `moe.permute`. Linear; placed as
    `moe.combine`.

    Law: `permute(unpermute(r, experts), experts) = r`.

    Constraint:
    - (D1) N = T * K, P divides T.

    Example:
    ```mlir
    %dp = moe.unpermute %dps, %idx of 8
        : (!spmd.tensor<64xf32, #mesh>, !spmd.tensor<32x2xi32, #mesh>)
        -> !spmd.tensor<32x2xf32, #mesh>
    ```
  }];
}

#endif // MOE_DIALECT_MOE_IR_MOEOPS_TD

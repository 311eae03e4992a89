//===- SPMDTypes.td - The placed tensor --------------------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_SPMDTYPES_TD
#define MOE_DIALECT_SPMD_IR_SPMDTYPES_TD

include "moe/Dialect/SPMD/IR/SPMDAttrs.td"
include "mlir/IR/BuiltinTypeInterfaces.td"

def SPMD_TensorType
    : TypeDef<SPMD_Dialect, "PlacedTensor", [ShapedTypeInterface]> {
  let mnemonic = "tensor";
  let summary = "a global tensor and how it lies over a mesh";
  let description = [{
    The global shape, an element type, the mesh, and per leaf axis, in mesh
    order, a placement. With local values v_r along an axis:

    | placement | meaning |
    |---|---|
    | `?` | not inferred yet |
    | `replicate` | all v_r are equal, and are the value; an axis left out is this |
    | `shard<d>` | the concatenation of v_r along d, cut as `torch.chunk` cuts: each rank but the last ones gets ceil(n / ranks) |
    | `ragged<d>` | the same with cuts known at run time only: rows sorted by expert, cut where the axis cuts the experts |
    | `partial<sum>`, `avg`, `max`, `min` | the reduction of v_r |

    Where several axes cut one dimension, the first in mesh order cuts first. The
    element type is an integer or a float.

    Constraints:
    - (T1) one placement per leaf axis of the mesh;
    - (T2) a cut dimension exists;
    - (T3) one kind of reduction per value;
    - (T4) the shape is static, with fewer than 2^15 dimensions and 2^63
      elements.

    Example:
    ```mlir
    !spmd.tensor<32x64xf32, #mesh, tp: partial<sum>>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape,
                        "::mlir::Type":$elementType, "MeshAttr":$mesh,
                        ArrayRefParameter<"Placement">:$placements);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let builders = [
    TypeBuilderWithInferredContext<(ins "::llvm::ArrayRef<int64_t>":$shape,
        "::mlir::Type":$elementType, "MeshAttr":$mesh,
        "::llvm::ArrayRef<Placement>":$placements), [{
      return $_get(mesh.getContext(), shape, elementType, mesh, placements);
    }]>
  ];
  let extraClassDeclaration = [{
    bool hasRank() const { return true; }
    PlacedTensorType cloneWith(
        std::optional<::llvm::ArrayRef<int64_t>> shape,
        ::mlir::Type elementType) const;
    /// The same tensor placed otherwise.
    PlacedTensorType withPlacements(
        ::llvm::ArrayRef<Placement> placements) const;
    /// The same shape and mesh, every axis `?`.
    PlacedTensorType withUnknownPlacements() const;
    bool hasUnknownPlacement() const;
  }];
}

/// Numbers that have a gradient.
def SPMD_FloatTensor : Type<
    And<[SPMD_TensorType.predicate,
         CPred<"::llvm::isa<::mlir::FloatType>("
               "::llvm::cast<::moe::spmd::PlacedTensorType>($_self)"
               ".getElementType())">]>,
    "placed tensor of floating-point numbers",
    "::moe::spmd::PlacedTensorType">;

/// Expert numbers and token counts.
def SPMD_IndexTensor : Type<
    And<[SPMD_TensorType.predicate,
         CPred<"::llvm::cast<::moe::spmd::PlacedTensorType>($_self)"
               ".getElementType().isInteger(32)">]>,
    "placed tensor of i32", "::moe::spmd::PlacedTensorType">;

def SPMD_AnyTensor : Type<SPMD_TensorType.predicate, "placed tensor",
                          "::moe::spmd::PlacedTensorType">;

#endif // MOE_DIALECT_SPMD_IR_SPMDTYPES_TD

//===- SPMDAttrs.td - Meshes and lists of placements -------*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_SPMDATTRS_TD
#define MOE_DIALECT_SPMD_IR_SPMDATTRS_TD

include "moe/Dialect/SPMD/IR/SPMDBase.td"
include "mlir/IR/AttrTypeBase.td"

class SPMD_Attr<string name, string attrMnemonic>
    : AttrDef<SPMD_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def SPMD_MeshAxisAttr : SPMD_Attr<"MeshAxis", "axis"> {
  let summary = "a named mesh axis, possibly split into nested sub-axes";
  let description = [{
    Written inside a mesh only: `tp=2`, or `dp=(outer=2, ep=4)` for an axis of
    size 8 that is split. The size of a split axis is the product of its
    sub-axes, outermost first. Constraints (M1) and (M3) of the mesh are checked
    here.
  }];
  let parameters = (ins "::mlir::StringAttr":$name, "int64_t":$size,
                        ArrayRefParameter<"MeshAxisAttr">:$subAxes);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def SPMD_MeshAttr : SPMD_Attr<"Mesh", "mesh"> {
  let summary = "a mesh of ranks with named axes";
  let description = [{
    Axes are written outermost first; the last axis varies fastest with the
    rank. An axis may be split into nested sub-axes, because real plans overlap
    (expert parallelism borrows ranks of another axis). Placements are given per
    *leaf* axis, so that overlapping axes are never typed independently; naming a
    split axis where placements are written is short for naming all its leaves.

    The mesh is part of every type that refers to it, not a symbol: it can be
    neither missing nor mistaken for another of the same name.

    Constraints:
    - (M1) every axis has a size of at least 1, and the mesh at most 2^31 - 1
      ranks;
    - (M2) names are unique over the whole mesh, sub-axes included;
    - (M3) a split axis has at least two sub-axes.

    Example:
    ```mlir
    #mesh = #spmd.mesh<dp=(outer=2, ep=4), tp=2>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"MeshAxisAttr">:$axes);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The axes that placements are given for, in mesh order.
    ::llvm::SmallVector<MeshAxisAttr> getLeafAxes() const;
    unsigned getNumLeafAxes() const;
    /// Indices of the leaves of the axis called `name`; empty if there is none.
    ::llvm::SmallVector<unsigned> getLeavesOf(::llvm::StringRef name) const;
    /// The names of the leaf axes, quoted and separated by commas, for messages.
    std::string describeAxes() const;
  }];
}

def SPMD_PlacementsAttr : SPMD_Attr<"Placements", "placements"> {
  let summary = "placements by axis name";
  let description = [{
    An axis left out is `replicate`; `<>` is replicate on every axis. Which axes
    exist is decided by the mesh of the value that the list is applied to.

    Constraint:
    - no axis is named twice, be it as a leaf or through a split axis.

    Example:
    ```mlir
    func.func private @f(!spmd.tensor<8x64xf32, #mesh>
        {spmd.grad_placement = #spmd.placements<tp: partial<sum>>})
    ```
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$axes,
                        ArrayRefParameter<"Placement">:$placements);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The placement of each leaf axis of `mesh`. An axis that `mesh` lacks is
    /// an error, reported through `emitError`.
    ::mlir::FailureOr<::llvm::SmallVector<Placement>>
    resolve(MeshAttr mesh,
            ::llvm::function_ref<::mlir::InFlightDiagnostic()> emitError) const;
  }];
}

#endif // MOE_DIALECT_SPMD_IR_SPMDATTRS_TD

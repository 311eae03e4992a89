//===- SPMDInterfaces.td - What the passes ask of an operation -*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_SPMD_IR_SPMDINTERFACES_TD
#define MOE_DIALECT_SPMD_IR_SPMDINTERFACES_TD

include "mlir/IR/OpBase.td"

def SPMD_PlacementOpInterface : OpInterface<"PlacementOpInterface"> {
  let cppNamespace = "::moe::spmd";
  let description = [{
    How placements pass through an operation. Attach it as an external model to
    operations of other dialects. An operation on placed tensors without it is an
    error (R6), never silently replicated.
  }];
  let methods = [
    StaticInterfaceMethod<[{
      The operation's number in docs/Rules.md, and in what is reported of its
      rules. It is never given to another operation and never changed: scripts of
      users and discussions name rules by it. The operations that one external
      model reads, as those of linalg, share its number.
    }], "unsigned", "getRuleNumber", (ins)>,
    InterfaceMethod<[{
      The factors of the operation's dimensions and the operands it is linear in.
      The default is an empty rule, for operations that state or move placements
      and implement `transferPlacements` instead.
    }], "::moe::spmd::PlacementRule", "getPlacementRule", (ins), [{}], [{
      return {};
    }]>,
    InterfaceMethod<[{
      The placements of the results on leaf axis `axis` of the mesh, given those
      of the operands, which are never `?`. The default applies
      `getPlacementRule`.

      Law: if every operand's local values have the meaning of its placement,
      the local results have that of theirs.
    }], "::moe::spmd::Transfer", "transferPlacements",
    (ins "unsigned":$axis,
         "::llvm::ArrayRef<::moe::spmd::Placement>":$operands), [{}], [{
      // Through the interface: the rule may be that of an external model.
      auto op = ::llvm::cast<::moe::spmd::PlacementOpInterface>(
          $_op.getOperation());
      return ::moe::spmd::applyPlacementRule(op.getPlacementRule(), operands);
    }]>,
  ];
}

#endif // MOE_DIALECT_SPMD_IR_SPMDINTERFACES_TD

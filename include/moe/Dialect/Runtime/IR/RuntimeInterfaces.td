//===- RuntimeInterfaces.td - What collectives have in common -*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_DIALECT_RUNTIME_IR_RUNTIMEINTERFACES_TD
#define MOE_DIALECT_RUNTIME_IR_RUNTIMEINTERFACES_TD

include "mlir/IR/OpBase.td"

def MoERT_CollectiveOpInterface : OpInterface<"CollectiveOpInterface"> {
  let cppNamespace = "::moe::rt";
  let description = [{
    An operation in which all ranks of a group take part: those that differ on
    the axes alone.

    Constraints:
    - (N1) axes are numbers of axes, each once, in ascending order;
    - (N2) there is an operand and a destination;
    - (N3) `global_types` are `spmd.tensor` types of one mesh, which has the axes,
      and of the first operand's element type.
  }];
  let verify = [{ return ::moe::rt::detail::verifyCollective($_op); }];
  let methods = [
    InterfaceMethod<[{
      The leaf axes of the mesh, as numbers.
    }], "::mlir::DenseI32ArrayAttr", "getAxesAttr">,
    InterfaceMethod<[{
      Where the program's author named the value, if anywhere.
    }], "::mlir::StringAttr", "getSiteAttr">,
    InterfaceMethod<[{
      The place in the one order of all collectives, the same on every rank.
    }], "::mlir::IntegerAttr", "getCollectiveAttr">,
    InterfaceMethod<[{
      Sets that place.
    }], "void", "setCollectiveAttr", (ins "::mlir::IntegerAttr":$number)>,
    InterfaceMethod<[{
      What the operands are parts of: an `spmd.tensor` each.
    }], "::mlir::ArrayAttr", "getGlobalTypesAttr">,
    InterfaceMethod<[{
      The bytes that the rank at `place` of a group of `ranks` sends by a ring
      algorithm, when its operand has `bytes` bytes.
    }], "int64_t", "getRingBytes",
       (ins "int64_t":$bytes, "int64_t":$ranks, "int64_t":$place)>,
    InterfaceMethod<[{
      The kind by which a cost model prices it.
    }], "::moe::spmd::CollectiveKind", "getKind">,
    InterfaceMethod<[{
      Whether only the data says how much of the operand is sent: `getRingBytes`
      is a bound then.
    }], "bool", "dependsOnRouting", (ins), [{}], [{ return false; }]>,
  ];
}

#endif // MOE_DIALECT_RUNTIME_IR_RUNTIMEINTERFACES_TD

//===- AutoDiffInterfaces.td - Derivatives of operations ---*- tablegen -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_AUTODIFF_AUTODIFFINTERFACES_TD
#define MOE_AUTODIFF_AUTODIFFINTERFACES_TD

include "mlir/IR/OpBase.td"

def DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::moe";
  let description = [{
    The vector-Jacobian product of an operation on the *global* function: a
    conversion or a claim is an identity there. Results that the method creates
    have placements `?`, except where the operation states them.
  }];
  let methods = [
    InterfaceMethod<[{
      Emits the operations that compute the cotangent of every operand from
      `cotangents`, one per result, null where no gradient flows. Appends one
      value per operand to `operandCotangents`; null where the operand has no
      gradient (indices, counts). There is no default.

      Law: for all cotangents dy and tangents dx of the operands,
      `<dy, J dx> = <J^T dy, dx>`.
    }], "void", "buildVjp",
    (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$cotangents,
         "::llvm::SmallVectorImpl<::mlir::Value> &":$operandCotangents)>,
    InterfaceMethod<[{
      Whether this very operation can be differentiated; one that cannot is an
      error where a gradient has to pass (A1).
    }], "bool", "hasDerivative", (ins), [{}], [{ return true; }]>,
  ];
}

#endif // MOE_AUTODIFF_AUTODIFFINTERFACES_TD

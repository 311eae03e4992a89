//===- ProgramDescription.h - What a compiled program says of itself ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_CONVERSION_RUNTIMETOLLVM_PROGRAMDESCRIPTION_H
#define MOE_LIB_CONVERSION_RUNTIMETOLLVM_PROGRAMDESCRIPTION_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include <string>

namespace moe {

/// The JSON of runtime/include/moert/moert.h for a localized function and its
/// collectives, in order.
std::string
describeProgram(mlir::func::FuncOp function,
                llvm::ArrayRef<rt::CollectiveOpInterface> collectives,
                llvm::StringRef target);

} // namespace moe

#endif // MOE_LIB_CONVERSION_RUNTIMETOLLVM_PROGRAMDESCRIPTION_H

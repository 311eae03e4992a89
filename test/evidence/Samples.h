//===- Samples.h - Programs and data that the sweeps draw -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the sweeps of this folder share: placements to try, arguments to execute
// a function with, and the truth about its values, which is the unsharded run.
//
//===----------------------------------------------------------------------===//

#ifndef MOE_TEST_EVIDENCE_SAMPLES_H
#define MOE_TEST_EVIDENCE_SAMPLES_H

#include "moe/Reference/Interpreter.h"
#include "moe/Reference/Kernels.h"
#include "llvm/ADT/STLExtras.h"
#include <map>

namespace moe::evidence {

inline spmd::PlacedTensorType typeOf(mlir::Value value) {
  return llvm::cast<spmd::PlacedTensorType>(value.getType());
}

inline bool isInteger(spmd::PlacedTensorType type) {
  return llvm::isa<mlir::IntegerType>(type.getElementType());
}

/// Whether `placements` make a type of the shape and mesh of `type`.
bool makesType(spmd::PlacedTensorType type,
               llvm::ArrayRef<spmd::Placement> placements);

/// Every placement on all axes that makes a type; `ragged` as well if wanted.
std::vector<std::vector<spmd::Placement>>
allPlacements(spmd::PlacedTensorType type, bool ragged);

/// Maps every size, numbers of experts and rows included: a prime factor p
/// becomes `primes[p]` if it is there. Products of sizes stay what they are
/// products of.
void resize(mlir::Operation *root, const std::map<int64_t, int64_t> &primes);

template <typename T>
struct Arguments {
  std::vector<reference::Value<T>> globals;
  /// Rows of each expert, in each part of the tokens, where an argument says
  /// it: one with `rule.experts = E` holds expert numbers below E, one with
  /// `rule.rows = N` counts of N rows.
  reference::IndexTensor counts;
};

/// The equal parts of tokens whose rows the first operation keeps apart.
inline int64_t partsOf(mlir::func::FuncOp function) {
  mlir::Operation &op = function.getBody().front().front();
  auto parts = op.getAttrOfType<mlir::IntegerAttr>("parts");
  return parts ? parts.getInt() : 1;
}

/// Random arguments; `sample` gives the numbers.
template <typename T>
mlir::FailureOr<Arguments<T>> drawArguments(mlir::func::FuncOp function,
                                            reference::Random &random,
                                            llvm::function_ref<T()> sample) {
  using namespace reference;
  Arguments<T> arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    spmd::PlacedTensorType type = typeOf(function.getArgument(i));
    auto experts =
        function.getArgAttrOfType<mlir::IntegerAttr>(i, "rule.experts");
    auto rows = function.getArgAttrOfType<mlir::IntegerAttr>(i, "rule.rows");
    if (!isInteger(type)) {
      Tensor<T> tensor(type.getShape());
      for (T &element : tensor.data)
        element = sample();
      arguments.globals.emplace_back(std::move(tensor));
      continue;
    }
    IndexTensor tensor(type.getShape());
    if (rows) {
      // Uneven, and one expert is empty; parts of the tokens have equally many.
      int64_t experts = type.getShape().back();
      int64_t parts = tensor.size() / experts;
      for (int64_t k = 0; k < rows.getInt(); ++k)
        ++tensor.data[k * parts / rows.getInt() * experts +
                      random() % (experts - 1)];
      arguments.counts = tensor;
    } else {
      for (int64_t &element : tensor.data)
        element = experts ? int64_t(random() % experts.getInt())
                          : int64_t(random() % 19) - 9;
    }
    if (experts) {
      std::string error;
      auto counted =
          count(tensor, {experts.getInt(), partsOf(function)}, error);
      if (mlir::failed(counted))
        return function.emitError(error);
      arguments.counts = *counted;
    }
    arguments.globals.emplace_back(std::move(tensor));
  }
  return arguments;
}

/// The values of a function as one rank computes them.
template <typename T>
using Truth = llvm::DenseMap<mlir::Value, reference::Value<T>>;

template <typename T>
mlir::FailureOr<Truth<T>>
runUnsharded(mlir::func::FuncOp function, const reference::RankMesh &mesh,
             llvm::ArrayRef<reference::Value<T>> arguments) {
  using namespace reference;
  Truth<T> truth;
  std::vector<LocalValues<T>> locals;
  for (auto [argument, value] :
       llvm::zip_equal(function.getArguments(), arguments)) {
    locals.push_back({value});
    truth[argument] = value;
  }
  Interpreter<T> single(mesh.unsharded());
  single.setAfterOp(
      [&](mlir::Operation *op, llvm::MutableArrayRef<LocalValues<T>> results) {
        for (auto [value, locals] : llvm::zip_equal(op->getResults(), results))
          truth[value] = locals.front();
        return mlir::success();
      });
  if (mlir::failed(single.run(function, locals)))
    return mlir::failure();
  return truth;
}

/// Local values of all arguments, as the function's types place them.
template <typename T>
mlir::FailureOr<std::vector<reference::LocalValues<T>>>
placeArguments(mlir::func::FuncOp function, const reference::RankMesh &mesh,
               llvm::ArrayRef<reference::Value<T>> globals,
               reference::Random &random) {
  std::vector<reference::LocalValues<T>> arguments;
  for (auto [argument, global] :
       llvm::zip_equal(function.getArguments(), globals)) {
    std::string error;
    auto locals = reference::place(
        global, mesh, typeOf(argument).getPlacements(), random, {}, error);
    if (mlir::failed(locals))
      return function.emitError(error);
    arguments.push_back(std::move(*locals));
  }
  return arguments;
}

/// The global values that the results mean on ranks, null where they mean
/// nothing.
template <typename T>
mlir::FailureOr<std::vector<std::optional<reference::Value<T>>>>
runOnRanks(mlir::func::FuncOp function, const reference::RankMesh &mesh,
           llvm::ArrayRef<reference::LocalValues<T>> arguments) {
  auto results = reference::Interpreter<T>(mesh).run(function, arguments);
  if (mlir::failed(results))
    return mlir::failure();
  std::vector<std::optional<reference::Value<T>>> values;
  mlir::Operation *ret = function.getBody().front().getTerminator();
  for (auto [result, locals] : llvm::zip_equal(ret->getOperands(), *results))
    values.push_back(reference::denote(locals, mesh, typeOf(result).getShape(),
                                       typeOf(result).getPlacements())
                         .global);
  return values;
}

} // namespace moe::evidence

#endif // MOE_TEST_EVIDENCE_SAMPLES_H

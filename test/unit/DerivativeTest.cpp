//===- DerivativeTest.cpp - Derivatives beside differences ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The gradient of <dy, f(x)> along a random direction is compared with a
// central difference of f, in float64, where f is one operation of the forward
// pass.
//
//===----------------------------------------------------------------------===//

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "moe/AutoDiff/Passes.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Reference/Interpreter.h"
#include "gtest/gtest.h"

using namespace moe;
using namespace moe::reference;

namespace {

using Values = std::vector<LocalValues<double>>;

struct Operation {
  const char *name;
  /// The function's body; `!A` is 6x4, `!B` 5x4, `!I` 6x2 of i32, `!Q` 6x2,
  /// `!N` 12, `!M` 12x4, `!E` 4x5x4, `!C` 4 of i32.
  const char *signature;
  const char *body;
};

class DerivativeTest : public ::testing::TestWithParam<Operation> {
protected:
  DerivativeTest() {
    context
        .loadDialect<mlir::func::FuncDialect, spmd::SPMDDialect, MoEDialect>();
  }

  /// Positive data away from zero, so that every operation is smooth; expert
  /// numbers that differ within a token, and the counts that follow from them.
  LocalValues<double> draw(spmd::PlacedTensorType type) {
    if (type.getElementType().isInteger(32)) {
      IndexTensor tensor(type.getShape());
      for (int64_t i = 0; i < tensor.size(); ++i)
        tensor.data[i] = type.getRank() == 1 ? 3 : (i * 3 + i / 4) % 4;
      return {Value<double>(std::move(tensor))};
    }
    Tensor<double> tensor(type.getShape());
    for (double &x : tensor.data)
      x = 0.75 + Numerics<double>::sample(random) / 2;
    return {Value<double>(std::move(tensor))};
  }

  Values run(llvm::StringRef name, const Values &arguments) {
    auto function = module->lookupSymbol<mlir::func::FuncOp>(name);
    std::string error;
    RankMesh mesh = *RankMesh::get(*getMesh(function), error);
    auto results =
        Interpreter<double>(mesh.unsharded()).run(function, arguments);
    return mlir::succeeded(results) ? *results : Values();
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Random random{11};
};

double dot(const Value<double> &lhs, const Value<double> &rhs) {
  double sum = 0;
  for (int64_t i = 0; i < lhs.floats().size(); ++i)
    sum += lhs.floats().data[i] * rhs.floats().data[i];
  return sum;
}

TEST_P(DerivativeTest, EqualsDifference) {
  std::string source = "#mesh = #spmd.mesh<tp=1>\n";
  for (auto [name, type] : {std::pair("A", "6x4xf32"),
                            {"B", "5x4xf32"},
                            {"I", "6x2xi32"},
                            {"Q", "6x2xf32"},
                            {"N", "12xf32"},
                            {"M", "12x4xf32"},
                            {"E", "4x5x4xf32"},
                            {"C", "4xi32"},
                            {"T", "2x3x4xf32"},
                            {"D", "4xf32"},
                            {"H", "6xf32"},
                            {"K", "4x6xf32"},
                            {"F", "6x5xf32"},
                            {"G", "12x5xf32"}})
    source +=
        std::string("!") + name + " = !spmd.tensor<" + type + ", #mesh>\n";
  source += std::string("func.func @f") + GetParam().signature + " {\n" +
            GetParam().body + "\n}\n";
  module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
  ASSERT_TRUE(module);
  mlir::PassManager pm(&context);
  pm.addPass(createDifferentiate());
  ASSERT_TRUE(mlir::succeeded(pm.run(*module)));
  auto function = module->lookupSymbol<mlir::func::FuncOp>("f");
  auto joint = module->lookupSymbol<mlir::func::FuncOp>("f.vjp");
  ASSERT_TRUE(joint);

  Values arguments;
  for (mlir::Type type : joint.getArgumentTypes())
    arguments.push_back(draw(llvm::cast<spmd::PlacedTensorType>(type)));
  Value<double> dy = arguments.back().front();
  Values results = run("f.vjp", arguments);
  ASSERT_EQ(results.size(), joint.getNumResults());
  arguments.pop_back();

  unsigned next = 1;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    if (arguments[i].front().isIndex())
      continue;
    const Value<double> &gradient = results[next++].front();
    Value<double> direction =
        draw(llvm::cast<spmd::PlacedTensorType>(function.getArgumentTypes()[i]))
            .front();
    constexpr double step = 1e-6;
    double values[2];
    for (int side : {0, 1}) {
      Values moved = arguments;
      Tensor<double> &tensor = moved[i].front().floats();
      for (int64_t k = 0; k < tensor.size(); ++k)
        tensor.data[k] += (side ? step : -step) * direction.floats().data[k];
      Values outcome = run("f", moved);
      ASSERT_FALSE(outcome.empty());
      values[side] = dot(dy, outcome[0].front());
    }
    double difference = (values[1] - values[0]) / (2 * step);
    EXPECT_NEAR(dot(gradient, direction), difference,
                1e-7 * (1 + std::abs(difference)))
        << "argument " << i;
  }
}

const Operation operations[] = {
    {"einsum", "(%a: !A, %b: !B) -> !F",
     "%0 = moe.einsum \"td,fd->tf\" %a, %b : (!A, !B) -> !F\nreturn %0 : !F"},
    {"sum_of_rows", "(%a: !A) -> !D",
     "%0 = moe.einsum \"td->d\" %a : (!A) -> !D\nreturn %0 : !D"},
    {"sum_of_columns", "(%a: !A) -> !H",
     "%0 = moe.einsum \"td->t\" %a : (!A) -> !H\nreturn %0 : !H"},
    // One letter is summed away in each operand alone.
    {"product_of_sums", "(%a: !A, %b: !B) -> !F",
     "%0 = moe.einsum \"td,fe->tf\" %a, %b : (!A, !B) -> !F\nreturn %0 : !F"},
    {"product_with_sum", "(%a: !A, %b: !D) -> !H",
     "%0 = moe.einsum \"td,e->t\" %a, %b : (!A, !D) -> !H\nreturn %0 : !H"},
    {"transposition", "(%a: !A) -> !K",
     "%0 = moe.einsum \"td->dt\" %a : (!A) -> !K\nreturn %0 : !K"},
    {"row_scale", "(%a: !M, %b: !N) -> !M",
     "%0 = moe.einsum \"nd,n->nd\" %a, %b : (!M, !N) -> !M\nreturn %0 : !M"},
    {"grouped_einsum", "(%a: !M, %w: !E, %c: !C) -> !G",
     "%0 = moe.grouped_einsum \"nd,efd->nf\" %a, %w counts %c : (!M, !E, !C) "
     "-> "
     "!G\nreturn %0 : !G"},
    {"add", "(%a: !A, %b: !A) -> !A",
     "%0 = moe.add %a, %b : (!A, !A) -> !A\nreturn %0 : !A"},
    {"sub", "(%a: !A, %b: !A) -> !A",
     "%0 = moe.sub %a, %b : (!A, !A) -> !A\nreturn %0 : !A"},
    {"mul", "(%a: !A, %b: !A) -> !A",
     "%0 = moe.mul %a, %b : (!A, !A) -> !A\nreturn %0 : !A"},
    {"square", "(%a: !A) -> !A",
     "%0 = moe.mul %a, %a : (!A, !A) -> !A\nreturn %0 : !A"},
    {"div", "(%a: !A, %b: !A) -> !A",
     "%0 = moe.div %a, %b : (!A, !A) -> !A\nreturn %0 : !A"},
    {"scale", "(%a: !A) -> !A",
     "%0 = moe.scale %a by 2.5 : (!A) -> !A\nreturn %0 : !A"},
    {"sigmoid", "(%a: !A) -> !A",
     "%0 = moe.sigmoid %a : (!A) -> !A\nreturn %0 : !A"},
    {"silu", "(%a: !A) -> !A", "%0 = moe.silu %a : (!A) -> !A\nreturn %0 : !A"},
    {"softmax", "(%a: !A) -> !A",
     "%0 = moe.softmax %a : (!A) -> !A\nreturn %0 : !A"},
    {"normalize", "(%a: !A) -> !A",
     "%0 = moe.normalize %a : (!A) -> !A\nreturn %0 : !A"},
    {"fold", "(%a: !T) -> !A", "%0 = moe.fold %a : (!T) -> !A\nreturn %0 : !A"},
    {"unfold", "(%a: !A) -> !T",
     "%0 = moe.unfold %a : (!A) -> !T\nreturn %0 : !T"},
    {"gather", "(%a: !A, %i: !I) -> !Q",
     "%0 = moe.gather %a, %i : (!A, !I) -> !Q\nreturn %0 : !Q"},
    {"scatter", "(%a: !Q, %i: !I) -> !A",
     "%0 = moe.scatter %a, %i : (!Q, !I) -> !A\nreturn %0 : !A"},
    {"dispatch", "(%a: !A, %i: !I) -> !M",
     "%0 = moe.dispatch %a, %i of 4 : (!A, !I) -> !M\nreturn %0 : !M"},
    {"combine", "(%a: !M, %i: !I) -> !A",
     "%0 = moe.combine %a, %i of 4 : (!M, !I) -> !A\nreturn %0 : !A"},
    {"permute", "(%a: !Q, %i: !I) -> !N",
     "%0 = moe.permute %a, %i of 4 : (!Q, !I) -> !N\nreturn %0 : !N"},
    {"unpermute", "(%a: !N, %i: !I) -> !Q",
     "%0 = moe.unpermute %a, %i of 4 : (!N, !I) -> !Q\nreturn %0 : !Q"},
};

INSTANTIATE_TEST_SUITE_P(Operations, DerivativeTest,
                         ::testing::ValuesIn(operations),
                         [](const auto &info) { return info.param.name; });

} // namespace

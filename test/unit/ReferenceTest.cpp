//===- ReferenceTest.cpp - Tests of the reference interpreter -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "mlir/Parser/Parser.h"
#include "moe/Dialect/MoE/IR/MoE.h"
#include "moe/Reference/Interpreter.h"
#include "moe/Reference/Kernels.h"
#include "gtest/gtest.h"
#include <cmath>

using namespace moe;
using namespace moe::reference;
using moe::spmd::Placement;
using moe::spmd::ReductionKind;

namespace {

using Placements = llvm::SmallVector<Placement>;
const Placement R = Placement::replicate();
const Placement P = Placement::partial();
Placement S(unsigned dim) { return Placement::shard(dim); }

RankMesh makeMesh(llvm::ArrayRef<int64_t> sizes) {
  RankMesh mesh;
  mesh.sizes.assign(sizes.begin(), sizes.end());
  for (size_t axis = 0; axis < sizes.size(); ++axis)
    mesh.names.push_back(std::string(1, char('a' + axis)));
  return mesh;
}

/// Random data: no two elements are equal, so no mix-up goes unnoticed.
template <typename T>
Tensor<T> sampleTensor(llvm::ArrayRef<int64_t> shape, uint64_t seed = 5) {
  Random random(seed);
  Tensor<T> tensor(shape);
  for (T &x : tensor.data)
    x = Numerics<T>::sample(random);
  return tensor;
}

template <typename U>
Tensor<U> make(llvm::ArrayRef<int64_t> shape, std::vector<U> data) {
  return Tensor<U>(shape, std::move(data));
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

TEST(FieldTest, Arithmetic) {
  Field minusOne(-1);
  EXPECT_EQ(minusOne.getResidue(), Field::prime - 1);
  EXPECT_EQ(minusOne * minusOne, Field(1));
  EXPECT_EQ(Field(7) / Field(7), Field(1));
  EXPECT_EQ(Field(6) / Field(3), Field(2));
  EXPECT_EQ(Field(6) / Field(0), Field(0));
  EXPECT_EQ(Field(3) - Field(5), Field(-2));
  EXPECT_EQ(minusOne.getSigned(), -1);
  EXPECT_TRUE(minusOne < Field(0) && Field(0) < Field(1));
  Random random(1);
  for (int i = 0; i < 100; ++i) {
    Field a = Numerics<Field>::sample(random),
          b = Numerics<Field>::sample(random);
    EXPECT_EQ(a / b * b, a);
    EXPECT_EQ((a + b) * (a - b), a * a - b * b);
  }
}

TEST(FieldTest, FromDouble) {
  EXPECT_EQ(Field::fromDouble(2.5) * Field(2), Field(5));
  EXPECT_EQ(Field::fromDouble(-0.75) * Field(4), Field(-3));
  EXPECT_EQ(Field::fromDouble(0), Field(0));
  EXPECT_EQ(Field::fromDouble(0x1p70) * Field::fromDouble(0x1p-70), Field(1));
  EXPECT_EQ(Field::fromDouble(std::nan("")), Field(0));
  EXPECT_EQ(Field::fromDouble(INFINITY), Field(0));
}

TEST(NumericsTest, DerivativesInDoubles) {
  using N = Numerics<double>;
  const double h = 1e-6;
  for (double x : {-3.0, -0.4, 0.0, 1.7}) {
    EXPECT_NEAR(N::siluVjp(x), (N::silu(x + h) - N::silu(x - h)) / (2 * h),
                1e-8);
    EXPECT_NEAR(N::sigmoidVjp(N::sigmoid(x)),
                (N::sigmoid(x + h) - N::sigmoid(x - h)) / (2 * h), 1e-8);
  }
}

/// d/dx of a cubic polynomial from four points is exact in the field.
TEST(NumericsTest, SiluDerivativeInField) {
  using N = Numerics<Field>;
  Field x(12345), h(77);
  auto difference = [&](Field step) {
    return (N::silu(x + step) - N::silu(x - step)) / (step + step);
  };
  // f'(x) + h^2 f'''/6 with f''' = 6.
  EXPECT_EQ(difference(h) - h * h, N::siluVjp(x));
}

//===----------------------------------------------------------------------===//
// Placing
//===----------------------------------------------------------------------===//

TEST(RankMeshTest, ChunksAsTorch) {
  llvm::SmallVector<int64_t> sizes;
  for (int i = 0; i < 4; ++i)
    sizes.push_back(chunk({0, 5}, 4, i).size());
  EXPECT_EQ(sizes, (llvm::SmallVector<int64_t>{2, 2, 1, 0}));
}

TEST(RankMeshTest, Groups) {
  RankMesh mesh = makeMesh({2, 3, 2});
  EXPECT_EQ(mesh.group(7, 1), (llvm::SmallVector<int64_t>{7, 9, 11}));
  EXPECT_EQ(mesh.group(7, {0, 2}), (llvm::SmallVector<int64_t>{0, 1, 6, 7}));
  EXPECT_EQ(mesh.group(7, {}), (llvm::SmallVector<int64_t>{7}));
}

TEST(PlacingTest, FirstAxisCutsFirst) {
  // 7 over 2 is 4 + 3; over 3 each: 2 2 0 and 1 1 1.
  RankMesh mesh = makeMesh({2, 3});
  llvm::SmallVector<int64_t> sizes;
  for (int64_t rank = 0; rank < 6; ++rank)
    sizes.push_back(localShape(mesh, {7}, {S(0), S(0)}, rank)[0]);
  EXPECT_EQ(sizes, (llvm::SmallVector<int64_t>{2, 2, 0, 1, 1, 1}));
}

/// All placements of a matrix on one axis.
Placements allPlacements(bool allReductions) {
  Placements all = {R, S(0), S(1), P};
  if (allReductions)
    for (ReductionKind kind :
         {ReductionKind::Avg, ReductionKind::Max, ReductionKind::Min})
      all.push_back(Placement::partial(kind));
  return all;
}

bool mixesReductions(llvm::ArrayRef<Placement> placements) {
  const Placement *first = nullptr;
  for (const Placement &placement : placements) {
    if (!placement.isPartial())
      continue;
    if (first && first->reduction != placement.reduction)
      return true;
    first = &placement;
  }
  return false;
}

TEST(PlacingTest, DenoteInvertsPlace) {
  RankMesh mesh = makeMesh({2, 3});
  Value<Field> global = sampleTensor<Field>({5, 4});
  for (Placement first : allPlacements(true))
    for (Placement second : allPlacements(true)) {
      Placements placements = {first, second};
      if (mixesReductions(placements))
        continue;
      Random random(3);
      std::string error;
      auto locals = place(global, mesh, placements, random, {}, error);
      ASSERT_TRUE(mlir::succeeded(locals)) << error;
      Denotation<Field> back = denote(*locals, mesh, {5, 4}, placements);
      ASSERT_TRUE(back.global) << first.str() << second.str() << back.reason;
      EXPECT_TRUE(back.global->hasSameBits(global))
          << first.str() << ' ' << second.str();
    }
}

TEST(PlacingTest, IndicesAndDoubles) {
  RankMesh mesh = makeMesh({3});
  Random random(3);
  std::string error;
  Value<double> counts = make<int64_t>({4}, {7, 0, 2, 5});
  auto terms = place(counts, mesh, {P}, random, {}, error);
  EXPECT_TRUE(denote(*terms, mesh, {4}, {P}).global->hasSameBits(counts));

  Value<double> x = sampleTensor<double>({4, 2});
  auto locals = place(x, mesh, {P}, random, {}, error);
  EXPECT_FALSE((*locals)[0].hasSameBits((*locals)[1]));
  Value<double> sum = *denote(*locals, mesh, {4, 2}, {P}).global;
  for (int i = 0; i < 8; ++i)
    EXPECT_NEAR(sum.floats().data[i], x.floats().data[i], 1e-14);
}

TEST(PlacingTest, RaggedRows) {
  RankMesh mesh = makeMesh({2, 2});
  Placements placements = {Placement::ragged(0), S(1)};
  Value<Field> rows = sampleTensor<Field>({6, 3});
  IndexTensor counts({3}, {1, 0, 5});
  Random random(1);
  std::string error;
  auto locals = place(rows, mesh, placements, random, counts, error);
  ASSERT_TRUE(mlir::succeeded(locals)) << error;
  // Three experts over two ranks: 2 + 1.
  EXPECT_EQ((*locals)[1].shape(), llvm::ArrayRef<int64_t>({1, 1}));
  EXPECT_EQ((*locals)[2].shape(), llvm::ArrayRef<int64_t>({5, 2}));
  auto back = denote(*locals, mesh, {6, 3}, placements, counts);
  EXPECT_TRUE(back.global && back.global->hasSameBits(rows)) << back.reason;
  EXPECT_TRUE(denote(*locals, mesh, {6, 3}, placements).global);
  EXPECT_FALSE(
      denote(*locals, mesh, {6, 3}, placements, IndexTensor({3}, {0, 0, 6}))
          .global);
  EXPECT_TRUE(mlir::failed(
      place(rows, mesh, placements, random, IndexTensor({2}, {1, 2}), error)));
}

TEST(PlacingTest, RaggedRowsOfParts) {
  RankMesh mesh = makeMesh({2, 2});
  Placements placements = {S(0), Placement::ragged(0)};
  Value<Field> rows = sampleTensor<Field>({6, 3});
  IndexTensor counts({2, 3}, {1, 0, 2, 0, 3, 0});
  Random random(1);
  std::string error;
  auto locals = place(rows, mesh, placements, random, counts, error);
  ASSERT_TRUE(mlir::succeeded(locals)) << error;
  // Three experts over two ranks, in each part.
  llvm::SmallVector<int64_t> sizes;
  for (const auto &local : *locals)
    sizes.push_back(local.shape()[0]);
  EXPECT_EQ(sizes, (llvm::SmallVector<int64_t>{1, 2, 3, 0}));
  auto back = denote(*locals, mesh, {6, 3}, placements, counts);
  EXPECT_TRUE(back.global && back.global->hasSameBits(rows)) << back.reason;
  // Within several parts those of an expert are no run; the last part has other
  // rows than the chunk.
  EXPECT_TRUE(mlir::failed(
      place(rows, mesh, {R, Placement::ragged(0)}, random, counts, error)));
  EXPECT_TRUE(mlir::failed(
      place(rows, mesh, {Placement::ragged(0), S(0)}, random, counts, error)));
  IndexTensor uneven({2, 3}, {1, 0, 1, 0, 4, 0});
  EXPECT_TRUE(
      mlir::failed(place(rows, mesh, placements, random, uneven, error)));
}

TEST(PlacingTest, DenotationRefusesNonsense) {
  RankMesh mesh = makeMesh({2, 2});
  Value<Field> a = sampleTensor<Field>({2}, 1), b = sampleTensor<Field>({2}, 2);
  auto differ = denote<Field>({a, b, a, b}, mesh, {2}, {P, R});
  EXPECT_FALSE(differ.global);
  EXPECT_EQ(differ.rankA, 0);
  EXPECT_EQ(differ.rankB, 1);
  EXPECT_TRUE((denote<Field>({a, b, a, b}, mesh, {2}, {R, P}).global));
  auto shape = denote<Field>({a, a, a, a}, mesh, {2}, {S(0), R});
  EXPECT_FALSE(shape.global);
  EXPECT_EQ(shape.rankA, -1);
  EXPECT_FALSE((denote<Field>({a, a}, mesh, {2}, {R, R}).global));
}

//===----------------------------------------------------------------------===//
// Redistribution
//===----------------------------------------------------------------------===//

bool convertible(Placement from, Placement to) {
  if (!to.isPartial() || from == to)
    return true;
  return to.reduction == ReductionKind::Sum && !from.isPartial();
}

TEST(RedistributeTest, KeepsTheGlobalValue) {
  for (llvm::SmallVector<int64_t> sizes :
       {llvm::SmallVector<int64_t>{2, 3}, {3, 2}, {1, 4}}) {
    RankMesh mesh = makeMesh(sizes);
    Value<Field> global = sampleTensor<Field>({5, 7});
    int conversions = 0;
    for (Placement f0 : allPlacements(true))
      for (Placement f1 : allPlacements(true))
        for (Placement t0 : allPlacements(true))
          for (Placement t1 : allPlacements(true)) {
            Placements from = {f0, f1}, to = {t0, t1};
            if (mixesReductions(from) || mixesReductions(to) ||
                !convertible(f0, t0) || !convertible(f1, t1))
              continue;
            Random random(9);
            std::string error;
            auto locals = place(global, mesh, from, random, {}, error);
            auto moved = redistribute(*locals, mesh, {5, 7}, from, to, error);
            std::string what =
                f0.str() + " " + f1.str() + " to " + t0.str() + " " + t1.str();
            ASSERT_TRUE(mlir::succeeded(moved)) << what << ": " << error;
            auto back = denote(*moved, mesh, {5, 7}, to);
            ASSERT_TRUE(back.global) << what << ": " << back.reason;
            EXPECT_TRUE(back.global->hasSameBits(global)) << what;
            ++conversions;
          }
    EXPECT_GT(conversions, 200);
  }
}

TEST(RedistributeTest, UnknownKeepsAndShapesAreChecked) {
  RankMesh mesh = makeMesh({2});
  Value<double> a = sampleTensor<double>({4}, 1);
  std::string error;
  auto same = redistribute<double>({a, a}, mesh, {8}, {S(0)},
                                   {Placement::unknown()}, error);
  EXPECT_TRUE((*same)[1].hasSameBits(a));
  // A false claim: what is believed a shard of 4 is a shard of 8.
  EXPECT_TRUE(mlir::failed(
      redistribute<double>({a, a}, mesh, {4}, {S(0)}, {R}, error)));
  EXPECT_FALSE(error.empty());
  Value<double> b = sampleTensor<double>({3}, 1);
  EXPECT_TRUE(
      mlir::failed(redistribute<double>({a, b}, mesh, {4}, {P}, {R}, error)));
  EXPECT_TRUE(mlir::failed(redistribute<double>(
      {a, a}, mesh, {8}, {Placement::ragged(0)}, {R}, error)));
  EXPECT_TRUE(mlir::failed(redistribute<double>(
      {a, a}, mesh, {4}, {R}, {Placement::ragged(0)}, error)));
}

TEST(RedistributeTest, WhatMoves) {
  RankMesh mesh = makeMesh({2});
  Value<double> a = make<double>({2}, {1, 2}), b = make<double>({2}, {10, 20});
  std::string error;
  CollectiveStatistics statistics;
  auto run = [&](Placement from, Placement to, llvm::ArrayRef<int64_t> shape) {
    return *redistribute<double>({a, b}, mesh, shape, {from}, {to}, error,
                                 &statistics);
  };
  auto data = [](const Value<double> &value) { return value.floats().data; };
  EXPECT_EQ(data(run(P, R, {2})[1]), (std::vector<double>{11, 22}));
  EXPECT_EQ(data(run(P, S(0), {2})[1]), (std::vector<double>{22}));
  EXPECT_EQ(data(run(S(0), R, {4})[1]), (std::vector<double>{1, 2, 10, 20}));
  EXPECT_EQ(data(run(S(0), P, {4})[1]), (std::vector<double>{0, 0, 10, 20}));
  EXPECT_EQ(data(run(R, P, {2})[1]), (std::vector<double>{0, 0}));
  EXPECT_EQ(data(run(R, S(0), {2})[1]), (std::vector<double>{20}));
  EXPECT_EQ(data(run(Placement::partial(ReductionKind::Avg), R, {2})[0]),
            (std::vector<double>{5.5, 11}));
  EXPECT_EQ(data(run(Placement::partial(ReductionKind::Max), P, {2})[0]),
            (std::vector<double>{10, 20}));
  EXPECT_EQ(data(run(Placement::partial(ReductionKind::Max), P, {2})[1]),
            (std::vector<double>{0, 0}));
  EXPECT_EQ((statistics.entries[{"all_reduce", "a"}].count), 4);
  EXPECT_EQ((statistics.entries[{"all_reduce", "a"}].bytes), 64);
  EXPECT_EQ((statistics.entries[{"reduce_scatter", "a"}].count), 1);
  EXPECT_EQ((statistics.entries[{"all_gather", "a"}].count), 1);
  EXPECT_EQ(statistics.entries.size(), 3u);
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

TEST(KernelTest, Einsum) {
  auto x = make<double>({2, 3}, {1, 2, 3, 4, 5, 6});
  auto w = make<double>({2, 3}, {1, 0, 1, 0, 2, 0});
  std::string error;
  auto y = einsum<double>("td,ed->te", x, &w, error);
  EXPECT_EQ(y->data, (std::vector<double>{4, 4, 10, 10}));
  EXPECT_EQ(einsum<double>("td->dt", x, nullptr, error)->data,
            (std::vector<double>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(einsum<double>("td->t", x, nullptr, error)->data,
            (std::vector<double>{6, 15}));
  auto v = make<double>({2}, {1, 1});
  EXPECT_TRUE(mlir::failed(einsum<double>("td,d->t", x, &v, error)));
  Tensor<double> none({0, 3});
  EXPECT_EQ(einsum<double>("td,ed->te", none, &w, error)->shape,
            (llvm::SmallVector<int64_t>{0, 2}));
}

TEST(KernelTest, GroupedEinsum) {
  // Rows 0, 1 belong to expert 0, row 2 to expert 2.
  auto x = make<double>({3, 1}, {1, 2, 3});
  auto w = make<double>({3, 1, 1}, {10, 100, 1000});
  auto counts = make<int64_t>({3}, {2, 0, 1});
  Range all{0, 3};
  std::string error;
  EXPECT_EQ(groupedEinsum<double>("nd,efd->nf", x, w, counts,
                                  {all, all, all, all}, error)
                ->data,
            (std::vector<double>{10, 20, 3000}));
  EXPECT_EQ(groupedEinsum<double>("nd,nf->efd", x, x, counts,
                                  {all, all, all, all}, error)
                ->data,
            (std::vector<double>{5, 0, 9}));
  // Only experts 1 and 2 are here: rows of expert 0 give zeros.
  auto held = make<double>({2, 1, 1}, {100, 1000});
  EXPECT_EQ(groupedEinsum<double>("nd,efd->nf", x, held, counts,
                                  {all, all, {1, 3}, all}, error)
                ->data,
            (std::vector<double>{0, 0, 3000}));
  // Only their rows are here.
  auto row = make<double>({1, 1}, {3});
  EXPECT_EQ(groupedEinsum<double>("nd,efd->nf", row, held, counts,
                                  {{1, 3}, all, {1, 3}, all}, error)
                ->data,
            (std::vector<double>{3000}));
  EXPECT_TRUE(mlir::failed(groupedEinsum<double>("nd,efd->nf", row, w, counts,
                                                 {all, all, all, all}, error)));
}

TEST(KernelTest, TopK) {
  std::string error;
  auto scores = make<double>({2, 4}, {1, 3, 3, 2, 5, 1, 4, 4});
  EXPECT_EQ(topK<double>(scores, nullptr, 1, 1, 3, error)->data,
            (std::vector<int64_t>{1, 2, 3, 0, 2, 3}));
  auto bias = make<double>({4}, {9, 0, 0, 0});
  EXPECT_EQ(topK<double>(scores, &bias, 1, 1, 2, error)->data,
            (std::vector<int64_t>{0, 1, 0, 2}));
  // Groups {0, 1} and {2, 3}: 4 < 5 and 6 < 8.
  EXPECT_EQ(topK<double>(scores, nullptr, 2, 1, 2, error)->data,
            (std::vector<int64_t>{2, 3, 2, 3}));
  EXPECT_TRUE(mlir::failed(topK<double>(scores, nullptr, 2, 1, 3, error)));
  auto nan = make<double>({2, 2}, {1, 2, NAN, 2});
  EXPECT_TRUE(mlir::failed(topK<double>(nan, nullptr, 1, 1, 1, error)));
  EXPECT_EQ(error, "the scores of this rank's token 1 have no order: not all "
                   "are finite numbers");
  // The first group's sum is no number.
  auto infinite = make<double>({1, 4}, {-INFINITY, INFINITY, 1, 2});
  EXPECT_TRUE(mlir::failed(topK<double>(infinite, nullptr, 2, 1, 1, error)));
  EXPECT_EQ(topK<double>(infinite, nullptr, 1, 1, 2, error)->data,
            (std::vector<int64_t>{1, 3}));
}

TEST(KernelTest, RowsAndTheirLaws) {
  std::string error;
  auto experts = make<int64_t>({3, 2}, {2, 0, 0, 1, 2, 1});
  EXPECT_EQ(*rowOrder(experts, {3}, error),
            (std::vector<int64_t>{1, 2, 3, 5, 0, 4}));
  EXPECT_EQ(count(experts, {4}, error)->data,
            (std::vector<int64_t>{2, 2, 2, 0}));
  auto x = sampleTensor<Field>({3, 4});
  auto back = combine<Field>(*dispatch<Field>(x, experts, {3}, error), experts,
                             {3}, error);
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(back->data[i], Field(2) * x.data[i]);
  auto p = sampleTensor<Field>({3, 2});
  EXPECT_TRUE(unpermute<Field>(*permute<Field>(p, experts, {3}, error), experts,
                               {3}, error)
                  ->hasSameBits(p));
  // Two parts: rows of tokens 0 and 1, then those of 2 and 3.
  auto parted = make<int64_t>({4, 1}, {1, 0, 2, 0});
  EXPECT_EQ(*rowOrder(parted, {3, 2}, error),
            (std::vector<int64_t>{1, 0, 3, 2}));
  EXPECT_TRUE(count(parted, {3, 2}, error)
                  ->hasSameBits(make<int64_t>({2, 3}, {1, 1, 0, 1, 0, 1})));
  EXPECT_TRUE(mlir::failed(rowOrder(parted, {3, 3}, error)));
  auto q = scatter<Field>(p, experts, 4, error);
  EXPECT_TRUE(gather<Field>(*q, experts, error)->hasSameBits(p));
  EXPECT_TRUE(mlir::failed(dispatch<Field>(x, experts, {2}, error)));
  auto negative = make<int64_t>({3, 1}, {0, -1, 0});
  EXPECT_TRUE(mlir::failed(gather<Field>(x, negative, error)));
}

/// Compares a row-wise derivative with difference quotients.
template <typename Forward, typename Vjp>
void checkRowDerivative(Forward forward, Vjp vjp) {
  Tensor<double> x = sampleTensor<double>({2, 3}, 4);
  for (double &value : x.data)
    value = std::abs(value) + 0.5;
  Tensor<double> dy = sampleTensor<double>({2, 3}, 6);
  Tensor<double> have = vjp(x, dy);
  for (int i = 0; i < 6; ++i) {
    const double h = 1e-6;
    Tensor<double> above = x, below = x;
    above.data[i] += h;
    below.data[i] -= h;
    Tensor<double> upper = forward(above), lower = forward(below);
    double want = 0;
    for (int k = 0; k < 6; ++k)
      want += dy.data[k] * (upper.data[k] - lower.data[k]) / (2 * h);
    EXPECT_NEAR(have.data[i], want, 1e-8);
  }
}

TEST(KernelTest, RowDerivatives) {
  std::string error;
  checkRowDerivative(softmax<double>, [&](auto x, auto dy) {
    return *softmaxVjp<double>(softmax<double>(x), dy, error);
  });
  checkRowDerivative(normalize<double>, [&](auto x, auto dy) {
    return *normalizeVjp<double>(x, dy, error);
  });
}

//===----------------------------------------------------------------------===//
// The interpreter
//===----------------------------------------------------------------------===//

class InterpreterTest : public testing::Test {
protected:
  InterpreterTest() {
    context
        .loadDialect<mlir::func::FuncDialect, spmd::SPMDDialect, MoEDialect>();
  }

  mlir::func::FuncOp parse(llvm::StringRef source) {
    module = mlir::parseSourceString<mlir::ModuleOp>(source, &context);
    return module ? *module->getOps<mlir::func::FuncOp>().begin() : nullptr;
  }

  /// Runs sharded and unsharded on random data and compares the results.
  void expectTruth(llvm::StringRef source, bool expectEqual = true) {
    mlir::func::FuncOp function = parse(source);
    ASSERT_TRUE(function);
    std::string error;
    RankMesh mesh = *RankMesh::get(*getMesh(function), error);
    Random random(8);
    std::vector<LocalValues<Field>> sharded, unsharded;
    uint64_t seed = 0;
    for (mlir::Type type : function.getArgumentTypes()) {
      auto placed = llvm::cast<spmd::PlacedTensorType>(type);
      Value<Field> global = sampleTensor<Field>(placed.getShape(), ++seed);
      auto locals =
          place(global, mesh, placed.getPlacements(), random, {}, error);
      ASSERT_TRUE(mlir::succeeded(locals)) << error;
      sharded.push_back(*locals);
      unsharded.push_back({global});
    }
    Interpreter<Field> ranks(mesh), single(mesh.unsharded());
    auto have = ranks.run(function, sharded);
    auto want = single.run(function, unsharded);
    ASSERT_TRUE(mlir::succeeded(have) && mlir::succeeded(want));
    EXPECT_TRUE(single.getStatistics().entries.empty());
    bool equal = true;
    for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
      auto placed = llvm::cast<spmd::PlacedTensorType>(type);
      auto global =
          denote((*have)[i], mesh, placed.getShape(), placed.getPlacements());
      equal &= global.global && global.global->hasSameBits((*want)[i][0]);
    }
    EXPECT_EQ(equal, expectEqual);
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

TEST_F(InterpreterTest, TensorParallelExperts) {
  expectTruth(R"(
#mesh = #spmd.mesh<tp=2>
func.func @f(%x: !spmd.tensor<5x4xf32, #mesh>,
             %gate: !spmd.tensor<3x4xf32, #mesh>,
             %w1: !spmd.tensor<3x5x4xf32, #mesh, tp: shard<1>>,
             %w2: !spmd.tensor<3x4x5xf32, #mesh, tp: shard<2>>)
    -> !spmd.tensor<5x4xf32, #mesh, tp: shard<1>> {
  %l = moe.einsum "td,ed->te" %x, %gate : (!spmd.tensor<5x4xf32, #mesh>, !spmd.tensor<3x4xf32, #mesh>) -> !spmd.tensor<5x3xf32, #mesh>
  %s = moe.softmax %l : (!spmd.tensor<5x3xf32, #mesh>) -> !spmd.tensor<5x3xf32, #mesh>
  %i = moe.top_k %s : (!spmd.tensor<5x3xf32, #mesh>) -> !spmd.tensor<5x2xi32, #mesh>
  %c = moe.count %i : (!spmd.tensor<5x2xi32, #mesh>) -> !spmd.tensor<3xi32, #mesh>
  %r = moe.dispatch %x, %i of 3 : (!spmd.tensor<5x4xf32, #mesh>, !spmd.tensor<5x2xi32, #mesh>) -> !spmd.tensor<10x4xf32, #mesh>
  %h = moe.grouped_einsum "nd,efd->nf" %r, %w1 counts %c : (!spmd.tensor<10x4xf32, #mesh>, !spmd.tensor<3x5x4xf32, #mesh, tp: shard<1>>, !spmd.tensor<3xi32, #mesh>) -> !spmd.tensor<10x5xf32, #mesh, tp: shard<1>>
  %a = moe.silu %h : (!spmd.tensor<10x5xf32, #mesh, tp: shard<1>>) -> !spmd.tensor<10x5xf32, #mesh, tp: shard<1>>
  %o = moe.grouped_einsum "nf,edf->nd" %a, %w2 counts %c : (!spmd.tensor<10x5xf32, #mesh, tp: shard<1>>, !spmd.tensor<3x4x5xf32, #mesh, tp: shard<2>>, !spmd.tensor<3xi32, #mesh>) -> !spmd.tensor<10x4xf32, #mesh, tp: partial<sum>>
  %y = moe.combine %o, %i of 3 : (!spmd.tensor<10x4xf32, #mesh, tp: partial<sum>>, !spmd.tensor<5x2xi32, #mesh>) -> !spmd.tensor<5x4xf32, #mesh, tp: partial<sum>>
  %z = spmd.redistribute %y : !spmd.tensor<5x4xf32, #mesh, tp: partial<sum>> -> !spmd.tensor<5x4xf32, #mesh, tp: shard<1>>
  return %z : !spmd.tensor<5x4xf32, #mesh, tp: shard<1>>
})");
}

/// Tokens and experts over nested axes, uneven, one rank without a token.
TEST_F(InterpreterTest, ExchangedTokens) {
  for (llvm::StringRef axes : {"a=1, b=2", "a=2, b=3", "a=4, b=1"}) {
    std::string source = ("#mesh = #spmd.mesh<" + axes + R"(>
!x = !spmd.tensor<7x4xf32, #mesh, a: shard<0>, b: shard<0>>
!w = !spmd.tensor<5x3x4xf32, #mesh, a: shard<0>, b: shard<0>>
!s = !spmd.tensor<7x5xf32, #mesh, a: shard<0>, b: shard<0>>
!i = !spmd.tensor<7x2xi32, #mesh, a: shard<0>, b: shard<0>>
!p = !spmd.tensor<7x2xf32, #mesh, a: shard<0>, b: shard<0>>
!cp = !spmd.tensor<5xi32, #mesh, a: partial<sum>, b: partial<sum>>
!c = !spmd.tensor<5xi32, #mesh>
!r = !spmd.tensor<14x4xf32, #mesh, a: ragged<0>, b: ragged<0>>
!h = !spmd.tensor<14x3xf32, #mesh, a: ragged<0>, b: ragged<0>>
!q = !spmd.tensor<14xf32, #mesh, a: ragged<0>, b: ragged<0>>
!y = !spmd.tensor<7x3xf32, #mesh, a: shard<0>, b: shard<0>>
func.func @f(%x: !x, %s: !s, %w: !w) -> (!y, !w, !p, !c) {
  %i = moe.top_k %s : (!s) -> !i
  %p = moe.gather %s, %i : (!s, !i) -> !p
  %cp = moe.count %i : (!i) -> !cp
  %c = spmd.all_reduce %cp over ["a", "b"] : !cp -> !c
  %r = moe.dispatch %x, %i of 5 : (!x, !i) -> !r
  %q = moe.permute %p, %i of 5 : (!p, !i) -> !q
  %h = moe.grouped_einsum "nd,efd->nf" %r, %w counts %c : (!r, !w, !c) -> !h
  %g = moe.einsum "nf,n->nf" %h, %q : (!h, !q) -> !h
  %y = moe.combine %g, %i of 5 : (!h, !i) -> !y
  %dw = moe.grouped_einsum "nd,nf->efd" %r, %g counts %c : (!r, !h, !c) -> !w
  %back = moe.unpermute %q, %i of 5 : (!q, !i) -> !p
  return %y, %dw, %back, %c : !y, !w, !p, !c
})")
                             .str();
    expectTruth(source);
  }
}

TEST_F(InterpreterTest, MaskedExperts) {
  expectTruth(R"(
#mesh = #spmd.mesh<ep=2>
!x = !spmd.tensor<4x3xf32, #mesh>
!w = !spmd.tensor<3x2x3xf32, #mesh, ep: shard<0>>
!s = !spmd.tensor<4x3xf32, #mesh>
!i = !spmd.tensor<4x1xi32, #mesh>
!c = !spmd.tensor<3xi32, #mesh>
!h = !spmd.tensor<4x2xf32, #mesh, ep: partial<sum>>
func.func @f(%x: !x, %s: !s, %w: !w) -> !h {
  %i = moe.top_k %s : (!s) -> !i
  %c = moe.count %i : (!i) -> !c
  %r = moe.dispatch %x, %i of 3 : (!x, !i) -> !x
  %h = moe.grouped_einsum "nd,efd->nf" %r, %w counts %c : (!x, !w, !c) -> !h
  return %h : !h
})");
}

TEST_F(InterpreterTest, CollectivesIgnoreTypes) {
  llvm::StringRef source = R"(
#mesh = #spmd.mesh<dp=(outer=2, inner=2)>
!r = !spmd.tensor<4x4xf32, #mesh>
func.func @f(%x: !r) -> !r {
  %y = spmd.all_reduce %x over ["dp"] : !r -> !r
  return %y : !r
})";
  // The sum of four equal values is not the value.
  expectTruth(source, /*expectEqual=*/false);
  mlir::func::FuncOp function = parse(source);
  Value<double> x = sampleTensor<double>({4, 4});
  auto results = runFunction<double>(function, {{x, x, x, x}});
  ASSERT_TRUE(mlir::succeeded(results));
  EXPECT_EQ((*results)[0][3].floats().data[5], 4 * x.floats().data[5]);
}

TEST_F(InterpreterTest, ClaimMovesNothing) {
  mlir::func::FuncOp function = parse(R"(
#mesh = #spmd.mesh<tp=2>
!p = !spmd.tensor<2xf32, #mesh, tp: partial<sum>>
!r = !spmd.tensor<2xf32, #mesh>
func.func @f(%x: !p) -> !r {
  %y = spmd.claim %x : !p -> !r
  return %y : !r
})");
  ASSERT_TRUE(function);
  Value<double> a = make<double>({2}, {1, 2}), b = make<double>({2}, {3, 4});
  auto results = runFunction<double>(function, {{a, b}});
  ASSERT_TRUE(mlir::succeeded(results));
  EXPECT_TRUE((*results)[0][0].hasSameBits(a));
  EXPECT_TRUE((*results)[0][1].hasSameBits(b));
}

TEST_F(InterpreterTest, FoldedShapesAreLocal) {
  expectTruth(R"(
#mesh = #spmd.mesh<dp=2>
!x = !spmd.tensor<3x2x4xf32, #mesh, dp: shard<0>>
!g = !spmd.tensor<1x5x4xf32, #mesh, dp: shard<1>>
!t = !spmd.tensor<5x4xf32, #mesh, dp: shard<0>>
func.func @f(%x: !g) -> !g {
  %t = moe.fold %x : (!g) -> !t
  %u = moe.scale %t by -0.375 : (!t) -> !t
  %y = moe.unfold %u : (!t) -> !g
  return %y : !g
})");
}

TEST_F(InterpreterTest, HookSeesAndReplacesResults) {
  mlir::func::FuncOp function = parse(R"(
#mesh = #spmd.mesh<tp=2>
!r = !spmd.tensor<2xf32, #mesh>
func.func @f(%x: !r) -> !r {
  %y = moe.add %x, %x : (!r, !r) -> !r
  %z = moe.add %y, %y : (!r, !r) -> !r
  return %z : !r
})");
  ASSERT_TRUE(function);
  std::string error;
  Interpreter<double> interpreter(*RankMesh::get(*getMesh(function), error));
  int seen = 0;
  interpreter.setAfterOp(
      [&](mlir::Operation *, llvm::MutableArrayRef<LocalValues<double>> all) {
        if (seen++ == 0)
          all[0][1].floats().data[0] = 100;
        return mlir::success();
      });
  Value<double> x = make<double>({2}, {1, 2});
  std::vector<LocalValues<double>> args = {{x, x}};
  auto results = interpreter.run(function, args);
  ASSERT_TRUE(mlir::succeeded(results));
  EXPECT_EQ(seen, 2);
  EXPECT_EQ((*results)[0][0].floats().data, (std::vector<double>{4, 8}));
  EXPECT_EQ((*results)[0][1].floats().data, (std::vector<double>{200, 8}));
}

TEST_F(InterpreterTest, HookReplacesFailures) {
  mlir::func::FuncOp function = parse(R"(
#mesh = #spmd.mesh<tp=2>
!r = !spmd.tensor<2xf32, #mesh>
!s = !spmd.tensor<2xf32, #mesh, tp: shard<0>>
func.func @f(%x: !r, %y: !s) -> !s {
  %c = spmd.claim %x : !r -> !s
  %z = moe.add %c, %y : (!s, !s) -> !s
  return %z : !s
})");
  ASSERT_TRUE(function);
  std::string error;
  Interpreter<double> interpreter(*RankMesh::get(*getMesh(function), error));
  Value<double> two = make<double>({2}, {1, 2}), one = make<double>({1}, {3});
  interpreter.setOnFailure(
      [&](mlir::Operation *op,
          llvm::StringRef why) -> mlir::FailureOr<LocalValues<double>> {
        EXPECT_TRUE(llvm::isa<AddOp>(op));
        EXPECT_TRUE(why.contains("local shapes 2 and 1"));
        return LocalValues<double>{one, one};
      });
  std::vector<LocalValues<double>> args = {{two, two}, {one, one}};
  auto results = interpreter.run(function, args);
  ASSERT_TRUE(mlir::succeeded(results));
  EXPECT_EQ((*results)[0][1].floats().data, (std::vector<double>{3}));
}

TEST_F(InterpreterTest, FailuresAreErrors) {
  std::vector<std::string> messages;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &d) {
    messages.push_back(d.str());
    return mlir::success();
  });
  // The claim is false, so that the sum meets local shapes 2 and 1.
  mlir::func::FuncOp function = parse(R"(
#mesh = #spmd.mesh<tp=2>
!r = !spmd.tensor<2xf32, #mesh>
!s = !spmd.tensor<2xf32, #mesh, tp: shard<0>>
func.func @f(%x: !r, %y: !s) -> !s {
  %c = spmd.claim %x : !r -> !s
  %z = moe.add %c, %y : (!s, !s) -> !s
  return %z : !s
})");
  ASSERT_TRUE(function);
  Value<double> two = make<double>({2}, {1, 2}), one = make<double>({1}, {3});
  std::vector<LocalValues<double>> args = {{two, two}, {one, one}};
  EXPECT_TRUE(mlir::failed(runFunction<double>(function, args)));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_NE(messages[0].find("local shapes 2 and 1"), std::string::npos);
  EXPECT_TRUE(mlir::failed(runFunction<double>(function, {})));

  function = parse(R"(
#mesh = #spmd.mesh<tp=100000>
func.func @f(%x: !spmd.tensor<2xf32, #mesh>) { return })");
  ASSERT_TRUE(function);
  EXPECT_TRUE(mlir::failed(runFunction<double>(function, {})));
  function = parse(R"(
#mesh = #spmd.mesh<tp=2>
func.func @f(%x: !spmd.tensor<2000000000x4000000000xf32, #mesh>) { return })");
  ASSERT_TRUE(function);
  EXPECT_TRUE(mlir::failed(runFunction<double>(function, {})));
}

} // namespace

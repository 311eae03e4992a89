//===- CostModelTest.cpp - What collectives are taken to cost -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moe/Dialect/SPMD/IR/CostModel.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace moe::spmd;

namespace {

constexpr CollectiveKind kKinds[] = {
    CollectiveKind::AllReduce, CollectiveKind::ReduceScatter,
    CollectiveKind::AllGather, CollectiveKind::AllToAll};

class CostModelTest : public ::testing::Test {
protected:
  CostModelTest() { context.loadDialect<SPMDDialect>(); }

  MeshAttr mesh(std::initializer_list<std::pair<llvm::StringRef, int64_t>> of) {
    SmallVector<MeshAxisAttr> axes;
    for (auto [name, size] : of)
      axes.push_back(MeshAxisAttr::get(
          &context, StringAttr::get(&context, name), size, {}));
    return MeshAttr::get(&context, axes);
  }

  CostModel parse(llvm::StringRef text) {
    llvm::Expected<CostModel> model = CostModel::parse(text, "costs.json");
    EXPECT_TRUE(bool(model));
    return std::move(*model);
  }

  MLIRContext context;
};

// The measured file is what moe-run --calibrate wrote.
TEST_F(CostModelTest, DefaultsAreWhatWasMeasured) {
  llvm::Expected<CostModel> measured = CostModel::load(MOE_MEASURED_COSTS);
  ASSERT_TRUE(bool(measured));
  CostModel defaults = CostModel::nvlink();
  MeshAttr pair = mesh({{"tp", 2}});
  for (CollectiveKind kind : kKinds)
    for (int64_t bytes = 64; bytes < (int64_t(1) << 30); bytes *= 2)
      for (int64_t more : {-1, 0, 1})
        EXPECT_EQ(defaults.get(kind, pair, 0u, bytes + more),
                  measured->get(kind, pair, 0u, bytes + more))
            << "of kind " << unsigned(kind) << " at " << bytes + more;
}

constexpr llvm::StringLiteral kTopology = R"({
  "default": {"all_reduce": [{"alpha_us": 1, "beta_us_per_mib": 1}]},
  "axes": {"dp": {"all_reduce": [{"alpha_us": 50, "beta_us_per_mib": 40}]},
           "tp": {"all_reduce": [{"up_to_bytes": 2097152, "alpha_us": 5,
                                  "beta_us_per_mib": 2},
                                 {"alpha_us": 7, "beta_us_per_mib": 0}]}%s}})";

// An axis across hosts, one within a host, a third that the file leaves out.
TEST_F(CostModelTest, GroupsArePricedByEntryMeshOrSlowestAxis) {
  std::string text = kTopology.str();
  size_t place = text.find("%s");
  CostModel axes = parse(std::string(text).replace(place, 2, ""));
  MeshAttr three = mesh({{"dp", 2}, {"ep", 3}, {"tp", 4}});
  int64_t mib = 1 << 20;
  auto cost = [&](const CostModel &model, ArrayRef<unsigned> of) {
    return double(model.get(CollectiveKind::AllReduce, three, of, mib)) / 1e6;
  };
  // Sent: 2 (n - 1) / n MiB.
  EXPECT_DOUBLE_EQ(cost(axes, {0}), 50 + 40 * 1.0);
  EXPECT_DOUBLE_EQ(cost(axes, {2}), 5 + 2 * 1.5);
  EXPECT_NEAR(cost(axes, {1}), 1 + 4 / 3.0, 1e-5);
  // Eight ranks send 1.75 MiB each, at the pace of dp.
  EXPECT_DOUBLE_EQ(cost(axes, {0, 2}), 50 + 40 * 1.75);
  // ep takes the default; tp is slower.
  EXPECT_NEAR(cost(axes, {1, 2}), 5 + 2 * 11 / 6.0, 1e-5);
  // The whole mesh.
  EXPECT_NEAR(cost(axes, {0, 1, 2}), 1 + 23 / 12.0, 1e-5);
  CostModel group =
      parse(std::string(text).replace(place, 2, R"(, "dp,tp": {"all_reduce": [
                     {"alpha_us": 20, "beta_us_per_mib": 8}]})"));
  EXPECT_DOUBLE_EQ(cost(group, {0, 2}), 20 + 8 * 1.75);
  EXPECT_DOUBLE_EQ(cost(group, {0}), 50 + 40 * 1.0);
}

} // namespace

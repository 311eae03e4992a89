//===- ProgramTest.cpp - What a compiled layer says of itself -------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/Program.h"
#include "gtest/gtest.h"
#include <cstring>
#include <fstream>
#include <numeric>

#include <unistd.h>

using namespace moert;

namespace {

std::string replaceIn(std::string text, const std::string &what,
                      const std::string &with) {
  size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

const std::string description =
    R"({"abi": 3, "target": "cpu", "function": "f.vjp",
        "mesh": [{"name": "dp", "size": 2}, {"name": "tp", "size": 3}],
        "arguments": [{"name": "x", "dtype": "F32", "shape": [4, 5],
                       "placements": ["replicate", "shard<1>"]}],
        "results": [{"name": "y", "dtype": "I64", "shape": [],
                     "placements": ["partial<sum>", "replicate"]}],
        "collectives": [{"kind": "all_reduce", "axes": [1], "site": "x",
                         "location": "a.mlir:1:2", "phase": "forward"}]})";

TEST(ProgramInfoTest, ReadsADescription) {
  ProgramInfo info;
  std::string error;
  ASSERT_TRUE(ProgramInfo::parse(description, info, error)) << error;
  EXPECT_EQ(info.target, "cpu");
  EXPECT_EQ(info.function, "f.vjp");
  EXPECT_EQ(info.numRanks(), 6);
  EXPECT_EQ(info.coordinates(4), (std::vector<int64_t>{1, 1}));
  ASSERT_EQ(info.arguments.size(), 1u);
  EXPECT_EQ(info.localShape(info.arguments[0], 2),
            (std::vector<int64_t>{4, 1}));
  EXPECT_EQ(info.arguments[0].placements[1], (Placement{Placement::Shard, 1}));
  EXPECT_EQ(info.results[0].placements[0].kind, Placement::Partial);
  EXPECT_EQ(info.collectives[0].site, "x");
}

TEST(ProgramInfoTest, KnowsTargets) {
  ProgramInfo info;
  std::string error;
  EXPECT_TRUE(ProgramInfo::parse(description, info, error));
  EXPECT_FALSE(info.isForGPU());
  std::string device = R"("cuda:sm_90a", "hash": "5c", "arena_bytes": 768,
      "capturable": true, "kernels": [
        {"name": "scale_0", "op": "moe.scale", "location": "l.mlir:2:3",
         "phase": "forward", "shared": 65536},
        {"name": "mul_0", "op": "moe.mul", "location": "l.mlir:3:3",
         "phase": "backward"}])";
  std::string forGPU = replaceIn(description, R"("cpu")", device);
  EXPECT_TRUE(ProgramInfo::parse(forGPU, info, error)) << error;
  EXPECT_TRUE(info.isForGPU());
  EXPECT_EQ(info.target, "cuda:sm_90a");
  EXPECT_EQ(info.hash, "5c");
  EXPECT_EQ(info.arenaBytes, 768);
  EXPECT_TRUE(info.capturable);
  ASSERT_EQ(info.kernels.size(), 2u);
  EXPECT_EQ(info.kernels[0].op, "moe.scale");
  EXPECT_EQ(info.kernels[0].shared, 65536);
  EXPECT_EQ(info.kernels[1].phase, "backward");
  EXPECT_EQ(info.kernels[1].shared, 0);
  EXPECT_FALSE(ProgramInfo::parse(replaceIn(forGPU, "768", "-1"), info, error));
  EXPECT_EQ(error, "its arena has less than no bytes");
  EXPECT_FALSE(ProgramInfo::parse(
      replaceIn(description, R"("cpu")", R"("cuda:sm_90a")"), info, error));
  EXPECT_NE(error.find("arena_bytes"), std::string::npos) << error;
}

TEST(ProgramInfoTest, RefusesOtherDescriptions) {
  auto complaint = [](const std::string &text) {
    ProgramInfo info;
    std::string error;
    EXPECT_FALSE(ProgramInfo::parse(text, info, error)) << text;
    return error;
  };
  EXPECT_EQ(complaint(replaceIn(description, R"("abi": 3)", R"("abi": 1)")),
            "it is of version 1, this runtime of version 3");
  EXPECT_EQ(complaint(replaceIn(description, R"("cpu")", R"("tpu")")),
            "it runs on \"tpu\", which this runtime does not know");
  EXPECT_EQ(complaint(replaceIn(description, R"("size": 3)", R"("size": 0)")),
            "its mesh has more than 4096 ranks");
  EXPECT_EQ(
      complaint(replaceIn(description, R"("size": 3)", R"("size": 4000)")),
      "its mesh has more than 4096 ranks");
  EXPECT_EQ(complaint(replaceIn(description, "shard<1>", "shard<2>")),
            "'shard<2>' is no placement of an argument or result");
  EXPECT_EQ(complaint(replaceIn(description, "shard<1>", "ragged")),
            "'ragged' is no placement of an argument or result");
  EXPECT_EQ(complaint(replaceIn(description, R"("replicate", "shard<1>")",
                                R"("replicate")")),
            "'x' has not one placement per axis");
  EXPECT_EQ(complaint(replaceIn(description, "[4, 5]", "[4, -5]")),
            "'x' has an impossible type");
  EXPECT_EQ(complaint(replaceIn(description, "[4, 5]", "[33554432, 33554432]")),
            "'x' has an impossible type");
  EXPECT_EQ(complaint(replaceIn(description, "F32", "F31")),
            "'x' has an impossible type");
  EXPECT_EQ(complaint(replaceIn(description, "[1]", "[2]")),
            "a collective names an axis that the mesh lacks");
  for (const char *text : {"", "{", "[]", "{\"abi\": 3}", "7", "\"abi\""})
    EXPECT_EQ(complaint(text).substr(0, 30), "its description is malformed: ");
}

//===----------------------------------------------------------------------===//
// Local and global values
//===----------------------------------------------------------------------===//

/// A tensor of the numbers from 0.
Tensor countTo(const std::vector<int64_t> &shape) {
  std::vector<int32_t> numbers(*elementCount(shape));
  std::iota(numbers.begin(), numbers.end(), 0);
  Tensor tensor{"I32", shape, {}};
  tensor.data.resize(numbers.size() * 4);
  std::memcpy(tensor.data.data(), numbers.data(), tensor.data.size());
  return tensor;
}

std::vector<int32_t> numbersOf(const Tensor &tensor) {
  std::vector<int32_t> numbers(tensor.data.size() / 4);
  std::memcpy(numbers.data(), tensor.data.data(), tensor.data.size());
  return numbers;
}

class PartsTest : public testing::Test {
protected:
  void SetUp() override { info.mesh = {{"dp", 2}, {"tp", 3}}; }

  std::vector<Tensor> sliceAll(const ValueInfo &value, const Tensor &global) {
    std::vector<Tensor> locals;
    for (int64_t rank = 0; rank < info.numRanks(); ++rank)
      locals.push_back(slice(info, value, global.data.data(), rank));
    return locals;
  }
  bool gatherAll(const ValueInfo &value, const std::vector<Tensor> &locals) {
    std::vector<const Tensor *> pointers;
    for (const Tensor &local : locals)
      pointers.push_back(&local);
    error.clear();
    return gather(info, value, pointers, gathered, error);
  }

  ProgramInfo info;
  Tensor gathered;
  std::string error;
};

TEST_F(PartsTest, AreCutUnevenlyAndGathered) {
  Placement replicate, rows{Placement::Shard, 0}, columns{Placement::Shard, 1};
  for (const std::vector<Placement> &placements :
       {std::vector{replicate, replicate}, std::vector{rows, columns},
        std::vector{columns, rows}, std::vector{replicate, columns},
        // Both cut one dimension, the first one outermost.
        std::vector{rows, rows}}) {
    ValueInfo value{"x", "I32", {5, 4}, placements};
    Tensor global = countTo({5, 4});
    std::vector<Tensor> locals = sliceAll(value, global);
    for (int64_t rank = 0; rank < 6; ++rank)
      EXPECT_EQ(locals[rank].shape, info.localShape(value, rank));
    ASSERT_TRUE(gatherAll(value, locals)) << error;
    EXPECT_EQ(numbersOf(gathered), numbersOf(global));
  }
  // Rows 3 and 4 of columns 2 and 3.
  ValueInfo value{"x", "I32", {5, 4}, {rows, columns}};
  EXPECT_EQ(numbersOf(slice(info, value, countTo({5, 4}).data.data(), 4)),
            (std::vector<int32_t>{14, 15, 18, 19}));
}

TEST_F(PartsTest, ThatAreReplicasMustAgree) {
  ValueInfo value{"x", "I32", {6}, {{}, {Placement::Shard, 0}}};
  EXPECT_EQ(firstReplica(info, value, 5), 2);
  std::vector<Tensor> locals = sliceAll(value, countTo({6}));
  locals[5].data[0] ^= std::byte(1);
  EXPECT_FALSE(gatherAll(value, locals));
  EXPECT_EQ(error, "the replicas of ranks 2 and 5 differ");
}

TEST_F(PartsTest, ThatAreTermsAreAdded) {
  ValueInfo value{"x", "F64", {2}, {{Placement::Partial, 0}, {}}};
  Tensor global;
  ASSERT_TRUE(fromDoubles("F64", {2}, {1.5, -2}, global, error));
  std::vector<Tensor> locals = sliceAll(value, global);
  std::vector<double> numbers;
  // The first rank of dp holds all, the other zeros.
  ASSERT_TRUE(toDoubles(locals[1], numbers, error));
  EXPECT_EQ(numbers, (std::vector<double>{1.5, -2}));
  ASSERT_TRUE(toDoubles(locals[3], numbers, error));
  EXPECT_EQ(numbers, (std::vector<double>{0, 0}));
  for (int64_t rank : {3, 4, 5})
    ASSERT_TRUE(fromDoubles("F64", {2}, {0.25, 1}, locals[rank], error));
  ASSERT_TRUE(gatherAll(value, locals)) << error;
  ASSERT_TRUE(toDoubles(gathered, numbers, error));
  EXPECT_EQ(numbers, (std::vector<double>{1.75, -1}));
  ASSERT_TRUE(fromDoubles("F64", {2}, {0.5, 1}, locals[4], error));
  EXPECT_FALSE(gatherAll(value, locals));
  EXPECT_EQ(error, "the replicas of ranks 3 and 4 differ");
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

/// What loading a file of these bytes complains about. Whole artifacts are
/// tested with moe-run.
std::string complaintAbout(const std::string &bytes) {
  std::string path =
      testing::TempDir() + "ProgramTest." + std::to_string(::getpid()) + ".so";
  std::ofstream(path, std::ios::binary) << bytes;
  Program program;
  std::string error;
  EXPECT_FALSE(program.load(path, error));
  ::unlink(path.c_str());
  size_t quote = error.rfind('\'', error.find(".so' ") + 3);
  return error.substr(quote + 2);
}

TEST(ProgramTest, RefusesOtherFiles) {
  EXPECT_EQ(complaintAbout(""), "is no shared object");
  EXPECT_EQ(complaintAbout("#!/bin/sh\n"), "is no shared object");
  std::string bytes;
  {
    std::ifstream self("/proc/self/exe", std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(self), {});
  }
  // A program, if it is position-independent a shared object too.
  EXPECT_EQ(complaintAbout(bytes).substr(0, 3), "is ");
  for (size_t size : {4, 10, 63, 64, 100, 5000})
    EXPECT_EQ(complaintAbout(bytes.substr(0, size)).substr(0, 13),
              "is truncated:")
        << size;
  Program program;
  std::string error;
  EXPECT_FALSE(program.load("/dev/null", error));
  EXPECT_EQ(error, "'/dev/null' is not a regular file");
  EXPECT_FALSE(program.load("none.so", error));
  EXPECT_EQ(error, "'none.so' cannot be opened: No such file or directory");
}

/// Nothing but errors, whatever the headers say.
TEST(ProgramTest, SurvivesDamagedHeaders) {
  std::string bytes;
  {
    std::ifstream self("/proc/self/exe", std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(self), {});
  }
  bytes.resize(std::min<size_t>(bytes.size(), 1 << 16));
  for (size_t position = 16; position < 64; ++position)
    for (int value : {0, 1, 0x7f, 0xff}) {
      std::string damaged = bytes;
      damaged[position] = char(value);
      EXPECT_EQ(complaintAbout(damaged).substr(0, 3), "is ");
    }
}

} // namespace

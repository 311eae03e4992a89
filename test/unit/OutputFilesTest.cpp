//===- OutputFilesTest.cpp - Files that appear together -------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/OutputFiles.h"
#include "gtest/gtest.h"
#include <filesystem>
#include <fstream>

#include <unistd.h>

using namespace moert;
namespace fs = std::filesystem;

namespace {

class OutputFilesTest : public testing::Test {
protected:
  void SetUp() override {
    folder = fs::temp_directory_path() /
             ("OutputFilesTest." + std::to_string(::getpid()));
    fs::create_directory(folder);
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string at(const std::string &name) const { return folder / name; }
  std::string read(const std::string &name) const {
    std::ifstream file(at(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  auto countEntries() const {
    return std::distance(fs::directory_iterator(folder),
                         fs::directory_iterator());
  }

  fs::path folder;
  std::string error;
};

TEST_F(OutputFilesTest, AppearWithTheCommit) {
  std::ofstream(at("a")) << "old";
  OutputFiles files;
  ASSERT_TRUE(files.add(at("a"), "new", error)) << error;
  ASSERT_TRUE(files.add(at("b"), TensorMap{{"t", {"I32", {0}, {}}}}, error));
  EXPECT_EQ(read("a"), "old");
  EXPECT_FALSE(fs::exists(at("b")));
  ASSERT_TRUE(files.commit(error)) << error;
  EXPECT_EQ(read("a"), "new");
  TensorMap tensors;
  EXPECT_TRUE(readSafeTensors(at("b"), tensors, error)) << error;
  EXPECT_EQ(countEntries(), 2);
}

TEST_F(OutputFilesTest, DisappearWithoutOne) {
  std::ofstream(at("a")) << "old";
  {
    OutputFiles files;
    ASSERT_TRUE(files.add(at("a"), "new", error));
    ASSERT_TRUE(files.add(at("b"), "new", error));
    EXPECT_EQ(countEntries(), 3);
  }
  EXPECT_EQ(read("a"), "old");
  EXPECT_EQ(countEntries(), 1);
}

TEST_F(OutputFilesTest, AreRefusedWhereAFolderLies) {
  fs::create_directory(at("b"));
  {
    OutputFiles files;
    ASSERT_TRUE(files.add(at("a"), "new", error));
    EXPECT_FALSE(files.add(at("b"), "new", error));
    EXPECT_NE(error.find("it is a directory"), std::string::npos) << error;
  }
  EXPECT_EQ(countEntries(), 1);
}

TEST_F(OutputFilesTest, AreAllTakenBackIfOneCannotBePlaced) {
  OutputFiles files;
  ASSERT_TRUE(files.add(at("a"), "new", error));
  ASSERT_TRUE(files.add(at("b"), "new", error));
  // Too late to be refused.
  fs::create_directories(at("a") + "/x");
  EXPECT_FALSE(files.commit(error));
  EXPECT_NE(error.find(at("a")), std::string::npos) << error;
  EXPECT_FALSE(fs::exists(at("b")));
}

TEST_F(OutputFilesTest, CanBeRetracted) {
  OutputFiles files;
  ASSERT_TRUE(files.add(at("a"), "new", error));
  ASSERT_TRUE(files.commit(error));
  files.retract();
  EXPECT_EQ(countEntries(), 0);
}

TEST_F(OutputFilesTest, NeedAFolder) {
  OutputFiles files;
  EXPECT_FALSE(files.add(at("none/a"), "new", error));
  EXPECT_NE(error.find("No such file"), std::string::npos) << error;
}

TEST_F(OutputFilesTest, RefuseInconsistentTensors) {
  OutputFiles files;
  EXPECT_FALSE(files.add(at("a"), TensorMap{{"t", {"F32", {2}, {}}}}, error));
  EXPECT_EQ(countEntries(), 0);
}

} // namespace

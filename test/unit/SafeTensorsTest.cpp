//===- SafeTensorsTest.cpp - Tests of the safetensors reader and writer ---===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/SafeTensors.h"

#include "gtest/gtest.h"

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace moert;
namespace fs = std::filesystem;

namespace {

/// Each test gets an empty directory.
class SafeTensorsTest : public testing::Test {
protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/safetensors-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory = name;
    path = name + "/file.safetensors";
  }

  void TearDown() override { fs::remove_all(directory); }

  /// Writes a file of exactly these bytes.
  void writeBytes(const std::string &bytes) {
    std::ofstream stream(path, std::ios::binary);
    stream << bytes;
  }

  std::string readBytes() {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  /// Writes a file with this header and `dataBytes` bytes of data.
  void writeFile(const std::string &header, size_t dataBytes) {
    writeBytes(lengthField(header.size()) + header +
               std::string(dataBytes, '\0'));
  }

  static std::string lengthField(uint64_t length) {
    std::string bytes;
    for (int i = 0; i < 8; ++i)
      bytes += static_cast<char>(length >> (8 * i));
    return bytes;
  }

  /// Expects the file to be rejected with a message that names the file and
  /// says `message`, in one line and with a remedy after a semicolon.
  void expectRejected(const std::string &message) {
    TensorMap out = {{"kept", {"F32", {0}, {}}}};
    std::string error;
    EXPECT_FALSE(readSafeTensors(path, out, error));
    EXPECT_EQ(error.find(path + ": "), 0u) << error;
    EXPECT_NE(error.find(message), std::string::npos) << error;
    EXPECT_NE(error.find("; "), std::string::npos) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
    EXPECT_EQ(out.count("kept"), 1u) << "out changed on failure";
  }

  /// The same for a file with this header and data.
  void expectRejected(const std::string &header, size_t dataBytes,
                      const std::string &message) {
    SCOPED_TRACE(header.substr(0, 200));
    writeFile(header, dataBytes);
    expectRejected(message);
  }

  size_t filesInDirectory() {
    return std::distance(fs::directory_iterator(directory),
                         fs::directory_iterator());
  }

  fs::path directory;
  std::string path;
};

Tensor makeTensor(const std::string &dtype, std::vector<int64_t> shape) {
  Tensor tensor{dtype, shape, {}};
  tensor.data.resize(dtypeSize(dtype) * *elementCount(shape));
  for (size_t i = 0; i < tensor.data.size(); ++i)
    tensor.data[i] = static_cast<std::byte>(i * 7 + 3);
  return tensor;
}

void expectEqual(const TensorMap &a, const TensorMap &b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto &[name, tensor] : a) {
    ASSERT_EQ(b.count(name), 1u) << name;
    EXPECT_EQ(tensor.dtype, b.at(name).dtype) << name;
    EXPECT_EQ(tensor.shape, b.at(name).shape) << name;
    EXPECT_EQ(tensor.data, b.at(name).data) << name;
  }
}

std::vector<double> convert(const std::string &dtype,
                            const std::vector<double> &values) {
  std::string error;
  Tensor tensor;
  std::vector<double> result;
  EXPECT_TRUE(fromDoubles(dtype, {static_cast<int64_t>(values.size())}, values,
                          tensor, error))
      << error;
  EXPECT_TRUE(toDoubles(tensor, result, error)) << error;
  return result;
}

//===----------------------------------------------------------------------===//
// Types and shapes
//===----------------------------------------------------------------------===//

TEST_F(SafeTensorsTest, Sizes) {
  EXPECT_EQ(dtypeSize("BF16"), 2u);
  EXPECT_EQ(dtypeSize("F32"), 4u);
  EXPECT_EQ(dtypeSize("I32"), 4u);
  EXPECT_EQ(dtypeSize("F64"), 8u);
  EXPECT_EQ(dtypeSize("I64"), 8u);
  EXPECT_EQ(dtypeSize("U64"), 8u);
  EXPECT_EQ(dtypeSize("F16"), 0u);
  EXPECT_EQ(dtypeSize(""), 0u);

  EXPECT_EQ(elementCount({}), 1);
  EXPECT_EQ(elementCount({2, 3}), 6);
  EXPECT_EQ(elementCount({2, 0}), 0);
  EXPECT_EQ(elementCount({-1}), std::nullopt);
  EXPECT_EQ(elementCount({1LL << 32, 1LL << 32}), std::nullopt);
}

//===----------------------------------------------------------------------===//
// Round trips
//===----------------------------------------------------------------------===//

TEST_F(SafeTensorsTest, RoundTrip) {
  TensorMap tensors;
  for (const char *dtype : {"BF16", "F32", "F64", "I32", "I64", "U64"})
    tensors[std::string("a ") + dtype] = makeTensor(dtype, {3, 5});
  tensors["scalar"] = makeTensor("F32", {});
  tensors["empty"] = makeTensor("F64", {4, 0, 2});
  tensors["nicht \"ASCII\"/\xc3\xa4\n"] = makeTensor("BF16", {1});
  tensors[""] = makeTensor("I32", {1});
  std::string error;
  ASSERT_TRUE(writeSafeTensors(path, tensors, error)) << error;
  TensorMap out = {{"old", makeTensor("F32", {1})}};
  ASSERT_TRUE(readSafeTensors(path, out, error)) << error;
  expectEqual(tensors, out);
  EXPECT_EQ(filesInDirectory(), 1u);
}

TEST_F(SafeTensorsTest, RoundTripOfNothing) {
  std::string error;
  ASSERT_TRUE(writeSafeTensors(path, {}, error)) << error;
  TensorMap out = {{"old", makeTensor("F32", {1})}};
  ASSERT_TRUE(readSafeTensors(path, out, error)) << error;
  EXPECT_TRUE(out.empty());
}

TEST_F(SafeTensorsTest, WritesTheFormat) {
  TensorMap tensors = {{"b", makeTensor("BF16", {1})},
                       {"f", makeTensor("F32", {2})}};
  std::string error;
  ASSERT_TRUE(writeSafeTensors(path, tensors, error)) << error;
  // Wide types first, whatever the names; data aligned to 8 bytes.
  std::string header =
      R"({"b":{"data_offsets":[8,10],"dtype":"BF16","shape":[1]},)"
      R"("f":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string data;
  for (const char *name : {"f", "b"})
    for (std::byte byte : tensors[name].data)
      data += static_cast<char>(byte);
  EXPECT_EQ(readBytes(), lengthField(header.size()) + header + data);
}

TEST_F(SafeTensorsTest, ReadsTensorsInAnyOrder) {
  std::string header =
      R"({"__metadata__":{"a":"1"},)"
      R"("late":{"shape":[1],"dtype":"I32","data_offsets":[4,8]},)"
      R"("none":{"shape":[0],"dtype":"I32","data_offsets":[4,4]},)"
      R"("early":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )";
  writeBytes(lengthField(header.size()) + header + "abcdefgh");
  TensorMap out;
  std::string error;
  ASSERT_TRUE(readSafeTensors(path, out, error)) << error;
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(std::memcmp(out["early"].data.data(), "abcd", 4), 0);
  EXPECT_EQ(std::memcmp(out["late"].data.data(), "efgh", 4), 0);
  EXPECT_TRUE(out["none"].data.empty());
}

//===----------------------------------------------------------------------===//
// Malformed files
//===----------------------------------------------------------------------===//

TEST_F(SafeTensorsTest, RejectsWhatIsNoFile) {
  expectRejected("No such file");
  path = directory.string();
  expectRejected("not a regular file");
  path += "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expectRejected("not a regular file");
}

TEST_F(SafeTensorsTest, RejectsBadHeaderLengths) {
  writeBytes("");
  expectRejected("only 0 bytes");
  writeBytes("1234567");
  expectRejected("only 7 bytes");
  writeBytes(lengthField(3) + "{}");
  expectRejected("claims 3 bytes, but only 2 follow");
  writeBytes(lengthField(100'000'001) + "{}");
  expectRejected("limit of 100000000");
  writeBytes(lengthField(~0ull) + "{}");
  expectRejected("claims 18446744073709551615 bytes");
  writeBytes(lengthField(~0ull - 7) + "{}");
  expectRejected("limit of 100000000");
}

TEST_F(SafeTensorsTest, RejectsEveryTruncation) {
  TensorMap tensors = {{"a", makeTensor("F32", {3})},
                       {"b", makeTensor("F64", {2})}};
  std::string error;
  ASSERT_TRUE(writeSafeTensors(path, tensors, error)) << error;
  std::string bytes = readBytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    writeBytes(bytes.substr(0, size));
    expectRejected("");
  }
}

TEST_F(SafeTensorsTest, RejectsBadJson) {
  expectRejected("", 0, "not valid JSON");
  expectRejected("{", 0, "not valid JSON");
  expectRejected("{}}", 0, "not valid JSON");
  expectRejected(std::string("{}\0", 3), 0, "not valid JSON");
  expectRejected("{\"\xff\":1}", 0, "not valid JSON at its byte 3");
  expectRejected("{\"a\":1e999}", 0, "out of range");
  expectRejected("[]", 0, "not a JSON object");
  expectRejected("1", 0, "not a JSON object");
  expectRejected(R"({"a":[[[[[]]]]]})", 0, "nested too deeply");
  expectRejected(std::string(1'000'000, '['), 0, "nested too deeply");
}

TEST_F(SafeTensorsTest, RejectsDuplicates) {
  std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  expectRejected("{" + a + "," + a + "}", 4, "tensor 'a' occurs twice");
  expectRejected(
      R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      4, "key 'dtype' occurs twice");
  expectRejected(R"({"__metadata__":{"k":"1","k":"2"}})", 0,
                 "key 'k' occurs twice");
}

TEST_F(SafeTensorsTest, RejectsBadMetadata) {
  expectRejected(R"({"__metadata__":1})", 0, "__metadata__");
  expectRejected(R"({"__metadata__":["a"]})", 0, "__metadata__");
  expectRejected(R"({"__metadata__":{"k":1}})", 0, "__metadata__");
}

TEST_F(SafeTensorsTest, RejectsBadEntries) {
  expectRejected(R"({"a":1})", 0, "tensor 'a' is not described by an object");
  expectRejected(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4,
                 "tensor 'a' has no string dtype");
  expectRejected(R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}})", 4,
                 "tensor 'a' has no string dtype");
  expectRejected(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4,
                 "tensor 'a' has the unknown dtype 'F16'");
  expectRejected(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4,
                 "tensor 'a' has no list as its shape");
  expectRejected(R"({"a":{"dtype":"F32","shape":[1]}})", 4,
                 "tensor 'a' has no two non-negative integers");
  expectRejected(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4,
      "tensor 'a' has the unknown key 'x'");
}

TEST_F(SafeTensorsTest, RejectsBadShapes) {
  for (const char *size : {"-1", "1.0", "\"1\"", "null", "[1]",
                           "9223372036854775808", "18446744073709551616"})
    expectRejected(std::string(R"({"a":{"dtype":"F32","shape":[)") + size +
                       R"(],"data_offsets":[0,4]}})",
                   4, "tensor 'a' has a dimension in its shape");
  // 2^64 elements, and 2^62 elements of 8 bytes: 0 bytes if it wrapped around.
  expectRejected(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],)"
                 R"("data_offsets":[0,0]}})",
                 0, "tensor 'a' has a shape with");
  expectRejected(R"({"a":{"dtype":"F64","shape":[4611686018427387904],)"
                 R"("data_offsets":[0,0]}})",
                 0, "tensor 'a' has a shape with");
  expectRejected(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                 "tensor 'a' has 4 bytes of data, but its dtype and shape need "
                 "8");
}

TEST_F(SafeTensorsTest, RejectsBadOffsets) {
  for (const char *offsets :
       {"0", "[]", "[0]", "[0,4,4]", "[-4,0]", "[0.0,4.0]", "[\"0\",\"4\"]"})
    expectRejected(
        std::string(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)") +
            offsets + "}}",
        4, "tensor 'a' has no two non-negative integers");
  expectRejected(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4,
                 "descending order, 4 to 0");
  expectRejected(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3,
                 "only 3 bytes of data");
  expectRejected(R"({"a":{"dtype":"F32","shape":[2305843009213693951],)"
                 R"("data_offsets":[0,9223372036854775804]}})",
                 4, "only 4 bytes of data");
}

TEST_F(SafeTensorsTest, RejectsOverlapsAndHoles) {
  auto two = [](const std::string &a, const std::string &b) {
    return R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + a +
           R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}";
  };
  expectRejected(two("[0,4]", "[2,6]"), 6, "tensor 'b' overlaps tensor 'a'");
  expectRejected(two("[0,4]", "[0,4]"), 4, "overlaps tensor");
  expectRejected(two("[0,4]", "[5,9]"), 9,
                 "tensor 'b' comes after a hole of 1");
  expectRejected(two("[1,5]", "[5,9]"), 9,
                 "tensor 'a' comes after a hole of 1");
  expectRejected(two("[0,4]", "[4,8]"), 9, "last 1 bytes of the file");
  expectRejected("{}", 1, "last 1 bytes of the file");
}

TEST_F(SafeTensorsTest, QuotesNamesHarmlessly) {
  expectRejected(R"({"a\n\u001b[31m":1})", 0, "tensor 'a\\x0a\\x1b[31m'");
  expectRejected("{\"" + std::string(5000, 'n') + "\":1}", 0, "nnn...'");
}

//===----------------------------------------------------------------------===//
// Failed writes
//===----------------------------------------------------------------------===//

TEST_F(SafeTensorsTest, RejectsInconsistentTensors) {
  struct Case {
    const char *name;
    Tensor tensor;
    const char *message;
  };
  const Case cases[] = {
      {"a", {"F16", {0}, {}}, "tensor 'a' has the unknown dtype 'F16'"},
      {"a", {"F32", {1}, {}}, "tensor 'a' holds 0 bytes"},
      {"a", {"F32", {-1}, {}}, "tensor 'a' has a shape with"},
      {"__metadata__", {"F32", {0}, {}}, "may be called __metadata__"},
      {"\xff", {"F32", {0}, {}}, "not UTF-8"},
  };
  for (const Case &item : cases) {
    std::string error;
    EXPECT_FALSE(writeSafeTensors(path, {{item.name, item.tensor}}, error));
    EXPECT_EQ(error.find(path + ": "), 0u) << error;
    EXPECT_NE(error.find(item.message), std::string::npos) << error;
    EXPECT_EQ(filesInDirectory(), 0u);
  }
}

TEST_F(SafeTensorsTest, FailedWriteKeepsTheOldFile) {
  std::string error;
  ASSERT_TRUE(writeSafeTensors(path, {{"a", makeTensor("F32", {1})}}, error));
  std::string before = readBytes();
  EXPECT_FALSE(writeSafeTensors(path, {{"a", {"F32", {1}, {}}}}, error));
  EXPECT_EQ(readBytes(), before);
  EXPECT_EQ(filesInDirectory(), 1u);
}

TEST_F(SafeTensorsTest, FailedRenameLeavesNothing) {
  // The target is a directory, which the complete file cannot replace.
  fs::create_directory(path);
  std::string error;
  EXPECT_FALSE(writeSafeTensors(path, {{"a", makeTensor("F32", {1})}}, error));
  EXPECT_NE(error.find("cannot put the new file in place"), std::string::npos)
      << error;
  EXPECT_EQ(filesInDirectory(), 1u);
  EXPECT_TRUE(fs::is_directory(path));
}

TEST_F(SafeTensorsTest, MissingDirectory) {
  std::string error;
  std::string target = directory.string() + "/missing/file.safetensors";
  EXPECT_FALSE(writeSafeTensors(target, {}, error));
  EXPECT_NE(error.find("cannot create a file in its directory"),
            std::string::npos)
      << error;
  EXPECT_EQ(filesInDirectory(), 0u);
}

TEST_F(SafeTensorsTest, FullDiskLeavesNothing) {
  // A limit on the size of files stands in for a full disk. In a child process,
  // since it would hold for the rest of the tests.
  auto writeToFullDisk = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = {4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::string error;
    bool written =
        writeSafeTensors(path, {{"a", makeTensor("F32", {4096})}}, error);
    bool right = !written && filesInDirectory() == 0 &&
                 error.find("writing failed") != std::string::npos;
    std::_Exit(right ? 0 : 1);
  };
  EXPECT_EXIT(writeToFullDisk(), testing::ExitedWithCode(0), "");
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

TEST_F(SafeTensorsTest, ConvertsExactValues) {
  double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = {0,        -0.0,     1,        -2.5,
                                0x1p-130, infinity, -infinity};
  for (const char *dtype : {"F64", "F32", "BF16"}) {
    std::vector<double> result = convert(dtype, values);
    EXPECT_EQ(result, values) << dtype;
    EXPECT_TRUE(std::signbit(result[1])) << dtype;
    EXPECT_TRUE(std::isnan(convert(dtype, {std::nan("")})[0])) << dtype;
  }
}

TEST_F(SafeTensorsTest, RoundsOnceToNearestEven) {
  double infinity = std::numeric_limits<double>::infinity();
  // BF16 has 8 significant bits: near 1 the step is 2^-7.
  std::vector<double> values = {
      1 + 0x1p-8,               // a tie, to even: down
      1 + 3 * 0x1p-8,           // a tie, to even: up
      1 + 0x1p-8 + 0x1p-40,     // above a tie by less than a float can tell
      1 + 3 * 0x1p-8 - 0x1p-40, // below one
      0x1.ffp127,               // a tie with the next power of two: overflows
      0x1.fep127,               // the largest value
      0x1.feffffp127,           // rounds down to it
      1e300,
      -1e300,
      0x1p-134,            // a tie with 0
      0x1p-134 + 0x1p-180, // above it: the smallest subnormal
      5e-324};
  std::vector<double> expected = {1,         1 + 0x1p-6, 1 + 0x1p-7, 1 + 0x1p-7,
                                  infinity,  0x1.fep127, 0x1.fep127, infinity,
                                  -infinity, 0,          0x1p-133,   0};
  EXPECT_EQ(convert("BF16", values), expected);
  EXPECT_EQ(convert("F32", {1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-50, 1e300}),
            (std::vector<double>{1, 1 + 0x1p-23, infinity}));
}

TEST_F(SafeTensorsTest, RejectsBadConversions) {
  std::string error;
  std::vector<double> values = {7};
  EXPECT_FALSE(toDoubles(makeTensor("I64", {1}), values, error));
  EXPECT_NE(error.find("'I64' is not floating point"), std::string::npos);
  EXPECT_FALSE(toDoubles({"F32", {2}, {}}, values, error));
  EXPECT_NE(error.find("holds 0 bytes"), std::string::npos) << error;
  EXPECT_EQ(values, std::vector<double>{7});

  Tensor out = makeTensor("U64", {1});
  EXPECT_FALSE(fromDoubles("U64", {1}, {1}, out, error));
  EXPECT_FALSE(fromDoubles("F32", {2}, {1}, out, error));
  EXPECT_NE(error.find("has 2 elements, but there are 1 values"),
            std::string::npos)
      << error;
  EXPECT_FALSE(fromDoubles("F32", {1LL << 60}, {1}, out, error));
  EXPECT_FALSE(fromDoubles("F32", {-1}, {1}, out, error));
  EXPECT_EQ(out.dtype, "U64");
}

} // namespace

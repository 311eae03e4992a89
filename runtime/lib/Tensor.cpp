//===- Tensor.cpp - Element types, shapes and conversions -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TensorChecks.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

using namespace moert;

//===----------------------------------------------------------------------===//
// Types and shapes
//===----------------------------------------------------------------------===//

size_t moert::dtypeSize(const std::string &dtype) {
  if (dtype == "BF16")
    return 2;
  if (dtype == "F32" || dtype == "I32")
    return 4;
  if (dtype == "F64" || dtype == "I64" || dtype == "U64")
    return 8;
  return 0;
}

std::optional<int64_t> moert::elementCount(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(count, size, &count))
      return std::nullopt;
  return count;
}

uint64_t moert::byteCount(const std::string &subject, const std::string &dtype,
                          const std::vector<int64_t> &shape) {
  uint64_t elementBytes = dtypeSize(dtype);
  if (elementBytes == 0)
    throw FormatError(subject + " has the unknown dtype " + quote(dtype) +
                      "; convert it to one of " + knownTypes);
  std::optional<int64_t> count = elementCount(shape);
  uint64_t bytes;
  if (!count || __builtin_mul_overflow(static_cast<uint64_t>(*count),
                                       elementBytes, &bytes))
    throw FormatError(subject + " has a shape with a negative dimension or "
                                "more than 2^63 elements or 2^64 bytes; write "
                                "it with its true shape");
  return bytes;
}

void moert::checkSize(const std::string &subject, const Tensor &tensor) {
  uint64_t bytes = byteCount(subject, tensor.dtype, tensor.shape);
  if (bytes != tensor.data.size())
    throw FormatError(subject + " holds " + std::to_string(tensor.data.size()) +
                      " bytes, but its dtype and shape need " +
                      std::to_string(bytes) + "; make the two agree");
}

//===----------------------------------------------------------------------===//
// Messages
//===----------------------------------------------------------------------===//

std::string moert::quote(std::string_view text) {
  constexpr size_t limit = 120;
  std::string result = "'";
  for (char c : text.substr(0, limit)) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      result += c;
      continue;
    }
    constexpr char digits[] = "0123456789abcdef";
    result += "\\x";
    result += digits[byte >> 4];
    result += digits[byte & 15];
  }
  result += text.size() > limit ? "...'" : "'";
  return result;
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

static double fromBF16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// Rounds to bfloat16, to nearest, ties to even. Going through a float that is
/// itself rounded to nearest would round twice and miss ties; the float in
/// between is rounded to odd, which keeps the information whether the value
/// was above or below it.
static uint16_t toBF16(double value) {
  if (std::isnan(value))
    return std::signbit(value) ? 0xffc0 : 0x7fc0;
  float nearest = static_cast<float>(value);
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  if (!std::isinf(value) && static_cast<double>(nearest) != value) {
    if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
      --bits; // Toward zero; from infinity to the largest finite value.
    bits |= 1;
  }
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

/// Throws FormatError unless `dtype` has a conversion to and from double.
static void checkFloating(const std::string &dtype) {
  if (dtype != "F32" && dtype != "F64" && dtype != "BF16")
    throw FormatError("dtype " + quote(dtype) +
                      " is not floating point; use BF16, F32 or F64");
}

template <typename Element, typename Convert>
static void load(const std::vector<std::byte> &data,
                 std::vector<double> &values, Convert convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    // Copied: the bytes need not be aligned for Element.
    Element element;
    std::memcpy(&element, data.data() + i * sizeof(Element), sizeof(Element));
    values[i] = convert(element);
  }
}

template <typename Element, typename Convert>
static void store(const std::vector<double> &values,
                  std::vector<std::byte> &data, Convert convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    Element element = convert(values[i]);
    std::memcpy(data.data() + i * sizeof(Element), &element, sizeof(Element));
  }
}

bool moert::toDoubles(const Tensor &tensor, std::vector<double> &values,
                      std::string &error) {
  return guarded("", error, [&] {
    checkFloating(tensor.dtype);
    checkSize("the tensor", tensor);
    std::vector<double> result(tensor.data.size() / dtypeSize(tensor.dtype));
    if (tensor.dtype == "F64")
      load<double>(tensor.data, result, [](double x) { return x; });
    else if (tensor.dtype == "F32")
      load<float>(tensor.data, result, [](float x) { return double(x); });
    else
      load<uint16_t>(tensor.data, result, fromBF16);
    values = std::move(result);
  });
}

bool moert::fromDoubles(const std::string &dtype,
                        const std::vector<int64_t> &shape,
                        const std::vector<double> &values, Tensor &out,
                        std::string &error) {
  return guarded("", error, [&] {
    checkFloating(dtype);
    Tensor result{dtype, shape, {}};
    // Before the memory for the data: the shape may be absurd.
    uint64_t bytes = byteCount("the tensor", dtype, shape);
    if (bytes / dtypeSize(dtype) != values.size())
      throw FormatError(
          "the shape has " + std::to_string(bytes / dtypeSize(dtype)) +
          " elements, but there are " + std::to_string(values.size()) +
          " values; make the two agree");
    result.data.resize(bytes);
    if (dtype == "F64")
      store<double>(values, result.data, [](double x) { return x; });
    else if (dtype == "F32")
      store<float>(values, result.data, [](double x) { return float(x); });
    else
      store<uint16_t>(values, result.data, toBF16);
    out = std::move(result);
  });
}

//===- SafeTensors.cpp - Read and write safetensors files -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/SafeTensors.h"

#include "Descriptor.h"
#include "TensorChecks.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace moert;
using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little,
              "tensor data is copied between file and memory as it is");

/// The length field before the header, in bytes.
static constexpr uint64_t lengthBytes = 8;
/// The format's own limit on the header, in bytes.
static constexpr uint64_t maxHeaderBytes = 100'000'000;
static constexpr const char *metadataKey = "__metadata__";

static std::string tensorName(std::string_view name) {
  return "tensor " + quote(name);
}

//===----------------------------------------------------------------------===//
// The reader
//===----------------------------------------------------------------------===//

/// Fills `size` bytes from the file at `offset`.
static void readAt(const Descriptor &file, void *to, size_t size,
                   uint64_t offset) {
  char *position = static_cast<char *>(to);
  while (size > 0) {
    ssize_t got = ::pread(file.get(), position, size, offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw FormatError("reading failed: " + describeSystemError(errno) +
                        "; check the disk");
    if (got == 0)
      throw FormatError("the file became shorter while it was read; do not "
                        "write to it during the run");
    position += got;
    size -= got;
    offset += got;
  }
}

namespace {
/// What the header says of one tensor; offsets count from the end of the
/// header, in bytes.
struct Entry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};
} // namespace

/// Returns the error for a header with a syntax error at its byte `position`,
/// counted from 1.
static FormatError invalidJson(size_t position) {
  return FormatError("the header is not valid JSON at its byte " +
                     std::to_string(position) +
                     "; the file is damaged or not safetensors, write it "
                     "again");
}

/// Parses the header. Duplicate keys, which the JSON library would silently
/// merge, and nesting deeper than the format has are rejected.
static Json parseHeader(const std::string &text) {
  // The format has three levels: header, tensor, shape or data_offsets. One
  // more is let through, for a message that names the tensor.
  constexpr int maxDepth = 4;
  // The JSON library would take a NUL for the end and ignore the rest.
  if (size_t nul = text.find('\0'); nul != std::string::npos)
    throw invalidJson(nul + 1);
  std::vector<std::set<std::string>> keys;
  Json::parser_callback_t check = [&](int depth, Json::parse_event_t event,
                                      Json &parsed) {
    switch (event) {
    case Json::parse_event_t::object_start:
      keys.emplace_back();
      [[fallthrough]];
    case Json::parse_event_t::array_start:
      if (depth >= maxDepth)
        throw FormatError("the header is nested too deeply for safetensors; "
                          "write the file again");
      break;
    case Json::parse_event_t::object_end:
      keys.pop_back();
      break;
    case Json::parse_event_t::key: {
      const std::string &key = parsed.get_ref<const std::string &>();
      if (keys.back().insert(key).second)
        break;
      if (depth == 1)
        throw FormatError(tensorName(key) +
                          " occurs twice in the header; rename or drop one");
      throw FormatError("the key " + quote(key) +
                        " occurs twice in one object of the header; write the "
                        "file again");
    }
    default:
      break;
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::parse_error &exception) {
    // The library's own message quotes the file, which may be binary.
    throw invalidJson(exception.byte);
  } catch (const Json::exception &) {
    throw FormatError("the header holds a number that is out of range; write "
                      "the file again");
  }
}

static void checkMetadata(const Json &metadata) {
  bool valid = metadata.is_object() &&
               std::all_of(metadata.begin(), metadata.end(),
                           [](const Json &value) { return value.is_string(); });
  if (!valid)
    throw FormatError("__metadata__ is not an object of strings; write every "
                      "value of it as a string");
}

/// Reads the header's description of the tensor `name` and checks all that can
/// be checked without the other tensors.
static Entry parseEntry(const std::string &name, const Json &json,
                        uint64_t dataBytes) {
  std::string subject = tensorName(name);
  if (!json.is_object())
    throw FormatError(subject + " is not described by an object; give it "
                                "dtype, shape and data_offsets");
  for (const auto &[key, value] : json.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      throw FormatError(subject + " has the unknown key " + quote(key) +
                        "; keep only dtype, shape and data_offsets");

  Entry entry;
  entry.name = name;

  auto dtype = json.find("dtype");
  if (dtype == json.end() || !dtype->is_string())
    throw FormatError(subject + " has no string dtype; add one of " +
                      knownTypes);
  entry.dtype = dtype->get<std::string>();

  auto shape = json.find("shape");
  if (shape == json.end() || !shape->is_array())
    throw FormatError(subject + " has no list as its shape; add the list of "
                                "its dimension sizes");
  constexpr uint64_t maxSize = std::numeric_limits<int64_t>::max();
  for (const Json &size : *shape) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > maxSize)
      throw FormatError(subject + " has a dimension in its shape that is not "
                                  "an integer from 0 to 2^63 - 1; write it "
                                  "with its true shape");
    entry.shape.push_back(size.get<int64_t>());
  }

  auto offsets = json.find("data_offsets");
  if (offsets == json.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned())
    throw FormatError(subject + " has no two non-negative integers as its "
                                "data_offsets; add where its data begins and "
                                "ends");
  entry.begin = (*offsets)[0].get<uint64_t>();
  entry.end = (*offsets)[1].get<uint64_t>();

  std::string range =
      std::to_string(entry.begin) + " to " + std::to_string(entry.end);
  uint64_t bytes = byteCount(subject, entry.dtype, entry.shape);
  if (entry.begin > entry.end)
    throw FormatError(subject + " has data_offsets in descending order, " +
                      range + "; write the file again");
  if (entry.end > dataBytes)
    throw FormatError(subject + " lies at bytes " + range +
                      ", but the file has only " + std::to_string(dataBytes) +
                      " bytes of data; the file is truncated, copy or write "
                      "it again");
  if (entry.end - entry.begin != bytes)
    throw FormatError(subject + " has " +
                      std::to_string(entry.end - entry.begin) +
                      " bytes of data, but its dtype and shape need " +
                      std::to_string(bytes) + "; write it with its true shape");
  return entry;
}

/// Sorts the tensors by position and checks that they cover the `dataBytes`
/// bytes of data without overlaps or holes.
static void checkLayout(std::vector<Entry> &entries, uint64_t dataBytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry &a, const Entry &b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t end = 0;
  const Entry *previous = nullptr;
  for (const Entry &entry : entries) {
    if (entry.begin < end)
      throw FormatError(tensorName(entry.name) + " overlaps " +
                        tensorName(previous->name) +
                        " in the file; write the "
                        "file again");
    if (entry.begin > end)
      throw FormatError(
          tensorName(entry.name) + " comes after a hole of " +
          std::to_string(entry.begin - end) +
          " bytes that belong to no tensor; write the file again");
    end = entry.end;
    previous = &entry;
  }
  if (end != dataBytes)
    throw FormatError("the last " + std::to_string(dataBytes - end) +
                      " bytes of the file belong to no tensor; write the file "
                      "again");
}

static TensorMap read(const std::string &path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.isOpen())
    throw FormatError("cannot open it: " + describeSystemError(errno) +
                      "; check the path and its permissions");
  struct stat status;
  if (::fstat(file.get(), &status) != 0)
    throw FormatError("cannot examine it: " + describeSystemError(errno) +
                      "; check the disk");
  if (!S_ISREG(status.st_mode))
    throw FormatError("it is not a regular file; name a safetensors file");

  uint64_t fileBytes = status.st_size;
  if (fileBytes < lengthBytes)
    throw FormatError("it has only " + std::to_string(fileBytes) +
                      " bytes, too few for a header length; the file is "
                      "truncated or not safetensors, copy or write it again");
  uint64_t headerBytes;
  readAt(file, &headerBytes, lengthBytes, 0);
  if (headerBytes > maxHeaderBytes)
    throw FormatError("its header claims " + std::to_string(headerBytes) +
                      " bytes, more than the format's limit of " +
                      std::to_string(maxHeaderBytes) +
                      "; the file is damaged or not safetensors");
  if (headerBytes > fileBytes - lengthBytes)
    throw FormatError("its header claims " + std::to_string(headerBytes) +
                      " bytes, but only " +
                      std::to_string(fileBytes - lengthBytes) +
                      " follow; the file is truncated, copy or write it again");

  std::string text(headerBytes, '\0');
  readAt(file, text.data(), text.size(), lengthBytes);
  Json header = parseHeader(text);
  if (!header.is_object())
    throw FormatError("the header is not a JSON object; the file is not "
                      "safetensors, write it again");

  uint64_t dataStart = lengthBytes + headerBytes;
  uint64_t dataBytes = fileBytes - dataStart;
  std::vector<Entry> entries;
  for (const auto &[name, json] : header.items()) {
    if (name == metadataKey)
      checkMetadata(json);
    else
      entries.push_back(parseEntry(name, json, dataBytes));
  }
  checkLayout(entries, dataBytes);

  TensorMap tensors;
  for (Entry &entry : entries) {
    Tensor &tensor = tensors[entry.name];
    tensor.dtype = std::move(entry.dtype);
    tensor.shape = std::move(entry.shape);
    tensor.data.resize(entry.end - entry.begin);
    readAt(file, tensor.data.data(), tensor.data.size(),
           dataStart + entry.begin);
  }
  return tensors;
}

bool moert::readSafeTensors(const std::string &path, TensorMap &out,
                            std::string &error) {
  return guarded(path + ": ", error, [&] { out = read(path); });
}

//===----------------------------------------------------------------------===//
// The writer
//===----------------------------------------------------------------------===//

/// The length field and the header for tensors stored in this order.
static std::string
makeHeader(const std::vector<const TensorMap::value_type *> &order) {
  Json json = Json::object();
  uint64_t offset = 0;
  for (const TensorMap::value_type *item : order) {
    const auto &[name, tensor] = *item;
    uint64_t end = offset + tensor.data.size();
    // Built as arrays: an initializer list of a string and a number could
    // become an object.
    json[name] = {{"dtype", tensor.dtype},
                  {"shape", Json(tensor.shape)},
                  {"data_offsets", Json::array({offset, end})}};
    offset = end;
  }
  std::string text = json.dump();
  // Padded, as the format asks, so that the data starts at a multiple of 8.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > maxHeaderBytes)
    throw FormatError("the header would exceed the format's limit of " +
                      std::to_string(maxHeaderBytes) +
                      " bytes; write fewer tensors into one file");
  uint64_t size = text.size();
  std::string result(lengthBytes, '\0');
  std::memcpy(result.data(), &size, lengthBytes);
  return result + text;
}

std::string moert::layOutSafeTensors(const TensorMap &tensors,
                                     std::vector<const Tensor *> &data) {
  std::vector<const TensorMap::value_type *> order;
  for (const TensorMap::value_type &item : tensors) {
    if (item.first == metadataKey)
      throw FormatError("no tensor may be called __metadata__; rename it");
    checkSize(tensorName(item.first), item.second);
    order.push_back(&item);
  }
  // Wide types first keeps every tensor aligned for readers that map the file.
  std::sort(order.begin(), order.end(), [](auto *a, auto *b) {
    size_t sizeA = dtypeSize(a->second.dtype);
    size_t sizeB = dtypeSize(b->second.dtype);
    return sizeA != sizeB ? sizeA > sizeB : a->first < b->first;
  });
  for (const TensorMap::value_type *item : order)
    data.push_back(&item->second);
  try {
    return makeHeader(order);
  } catch (const Json::exception &) {
    throw FormatError("the name of a tensor is not UTF-8; rename it");
  }
}

//===- Program.cpp - What a compiled layer says of itself -----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "moert/Program.h"
#include "Artifact.h"
#include <algorithm>
#include <dlfcn.h>
#include <nlohmann/json.hpp>

using namespace moert;
using Json = nlohmann::json;

Chunk::Chunk(int64_t size, int64_t parts, int64_t index) {
  int64_t most = (size + parts - 1) / parts;
  begin = std::min(size, index * most);
  end = std::min(size, begin + most);
}

bool ValueInfo::isReplicated() const {
  return std::ranges::all_of(placements, [](const Placement &placement) {
    return placement.kind == Placement::Replicate;
  });
}

int64_t ProgramInfo::numRanks() const {
  int64_t ranks = 1;
  for (const MeshAxis &axis : mesh)
    ranks *= axis.size;
  return ranks;
}

std::vector<int64_t> ProgramInfo::coordinates(int64_t rank) const {
  std::vector<int64_t> result(mesh.size());
  for (size_t axis = mesh.size(); axis-- > 0;) {
    result[axis] = rank % mesh[axis].size;
    rank /= mesh[axis].size;
  }
  return result;
}

std::vector<int64_t> ProgramInfo::localShape(const ValueInfo &value,
                                             int64_t rank) const {
  std::vector<int64_t> shape = value.shape, at = coordinates(rank);
  for (size_t axis = 0; axis < mesh.size(); ++axis)
    if (value.placements[axis].kind == Placement::Shard) {
      int64_t &size = shape[value.placements[axis].dim];
      size = Chunk(size, mesh[axis].size, at[axis]).size();
    }
  return shape;
}

//===----------------------------------------------------------------------===//
// The description
//===----------------------------------------------------------------------===//

namespace {
/// Thrown and caught in this file only.
struct Malformed {
  std::string what;
};
} // namespace

static Placement parsePlacement(const std::string &text, size_t rank) {
  if (text == "replicate")
    return {};
  if (text == "partial<sum>")
    return {Placement::Partial, 0};
  if (text.size() == 8 && text.starts_with("shard<") && text.ends_with(">") &&
      text[6] >= '0' && size_t(text[6] - '0') < rank)
    return {Placement::Shard, text[6] - '0'};
  throw Malformed{"'" + text + "' is no placement of an argument or result"};
}

static std::vector<ValueInfo> parseValues(const Json &list, size_t numAxes) {
  std::vector<ValueInfo> values;
  for (const Json &entry : list) {
    ValueInfo value{entry.at("name"), entry.at("dtype"), entry.at("shape"), {}};
    for (const Json &text : entry.at("placements"))
      value.placements.push_back(parsePlacement(text, value.shape.size()));
    if (value.placements.size() != numAxes)
      throw Malformed{"'" + value.name + "' has not one placement per axis"};
    constexpr int64_t most = int64_t(1) << 50;
    if (!dtypeSize(value.dtype) ||
        elementCount(value.shape).value_or(most) >= most)
      throw Malformed{"'" + value.name + "' has an impossible type"};
    values.push_back(std::move(value));
  }
  return values;
}

static void parseDevice(const Json &json, ProgramInfo &info) {
  info.arenaBytes = json.at("arena_bytes");
  info.capturable = json.at("capturable");
  info.hash = json.at("hash");
  if (info.arenaBytes < 0)
    throw Malformed{"its arena has less than no bytes"};
  for (const Json &entry : json.at("kernels"))
    info.kernels.push_back(
        {entry.at("name"), entry.at("op"), entry.at("location"),
         entry.at("phase"), entry.value("shared", int64_t(0)),
         entry.value("fault", ""), entry.value("fault_help", "")});
}

bool ProgramInfo::parse(const std::string &text, ProgramInfo &info,
                        std::string &error) {
  try {
    Json json = Json::parse(text);
    if (json.at("abi") != MOERT_ABI_VERSION)
      throw Malformed{"it is of version " + json.at("abi").dump() +
                      ", this runtime of version " +
                      std::to_string(MOERT_ABI_VERSION)};
    ProgramInfo parsed;
    parsed.target = json.at("target");
    if (parsed.target != "cpu" && !parsed.target.starts_with("cuda:sm_"))
      throw Malformed{"it runs on " + json.at("target").dump() +
                      ", which this runtime does not know"};
    parsed.function = json.at("function");
    int64_t ranks = 1;
    for (const Json &axis : json.at("mesh")) {
      parsed.mesh.push_back({axis.at("name"), axis.at("size")});
      int64_t size = parsed.mesh.back().size;
      if (size < 1 || size > (1 << 12) || (ranks *= size) > (1 << 12))
        throw Malformed{"its mesh has more than 4096 ranks"};
    }
    parsed.arguments = parseValues(json.at("arguments"), parsed.mesh.size());
    parsed.results = parseValues(json.at("results"), parsed.mesh.size());
    for (const Json &entry : json.at("collectives")) {
      CollectiveInfo collective{entry.at("kind"), entry.at("axes"),
                                entry.value("site", ""), entry.at("location"),
                                entry.at("phase")};
      for (int64_t axis : collective.axes)
        if (axis < 0 || axis >= int64_t(parsed.mesh.size()))
          throw Malformed{"a collective names an axis that the mesh lacks"};
      parsed.collectives.push_back(std::move(collective));
    }
    if (parsed.isForGPU())
      parseDevice(json, parsed);
    info = std::move(parsed);
    return true;
  } catch (const Malformed &malformed) {
    error = malformed.what;
  } catch (const Json::exception &exception) {
    error = std::string("its description is malformed: ") + exception.what();
  }
  return false;
}

//===----------------------------------------------------------------------===//
// The shared object
//===----------------------------------------------------------------------===//

Program::~Program() {
  if (handle)
    ::dlclose(handle);
}

bool Program::load(const std::string &path, std::string &error) {
  std::string text;
  if (!readArtifact(path, text, fingerprint, error))
    return false;
  if (!ProgramInfo::parse(text, info, error)) {
    error = "'" + path + "': " + error;
    return false;
  }
  // Without a slash the system would search its own folders.
  std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle)
    main = reinterpret_cast<Main>(::dlsym(handle, "moert_main"));
  if (!main) {
    error = "'" + path + "' cannot be loaded: " + ::dlerror();
    return false;
  }
  deviceCode =
      static_cast<const unsigned char *>(::dlsym(handle, "moert_device_code"));
  if (info.isForGPU() && !deviceCode) {
    error = "'" + path + "' is compiled for " + info.target +
            ", but has no moert_device_code";
    return false;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Local and global values
//===----------------------------------------------------------------------===//

/// Where a rank's part begins in each dimension.
static std::vector<int64_t> offsetsOf(const ProgramInfo &info,
                                      const ValueInfo &value, int64_t rank) {
  std::vector<int64_t> offsets(value.shape.size()), sizes = value.shape;
  std::vector<int64_t> at = info.coordinates(rank);
  for (size_t axis = 0; axis < info.mesh.size(); ++axis)
    if (value.placements[axis].kind == Placement::Shard) {
      int64_t dim = value.placements[axis].dim;
      Chunk chunk(sizes[dim], info.mesh[axis].size, at[axis]);
      offsets[dim] += chunk.begin;
      sizes[dim] = chunk.size();
    }
  return offsets;
}

/// Calls `copy(globalByte, localByte, bytes)` for each run of the local part.
template <typename Copy>
static void forEachRun(const ProgramInfo &info, const ValueInfo &value,
                       int64_t rank, Copy copy) {
  std::vector<int64_t> shape = info.localShape(value, rank);
  std::vector<int64_t> offsets = offsetsOf(info, value, rank);
  int64_t width = dtypeSize(value.dtype);
  int64_t elements = *elementCount(shape);
  if (elements == 0)
    return;
  int64_t run = shape.empty() ? 1 : shape.back();
  for (int64_t first = 0; first < elements; first += run) {
    int64_t rest = first, stride = 1, position = 0;
    for (size_t dim = shape.size(); dim-- > 0;) {
      position += (offsets[dim] + rest % shape[dim]) * stride;
      rest /= shape[dim];
      stride *= value.shape[dim];
    }
    copy(position * width, first * width, run * width);
  }
}

/// Whether a rank comes first on every axis that holds terms of a sum.
static bool holdsTerms(const ProgramInfo &info, const ValueInfo &value,
                       int64_t rank) {
  std::vector<int64_t> at = info.coordinates(rank);
  for (size_t axis = 0; axis < at.size(); ++axis)
    if (value.placements[axis].kind == Placement::Partial && at[axis] != 0)
      return false;
  return true;
}

int64_t moert::firstReplica(const ProgramInfo &info, const ValueInfo &value,
                            int64_t rank) {
  std::vector<int64_t> at = info.coordinates(rank);
  int64_t first = 0;
  for (size_t axis = 0; axis < at.size(); ++axis)
    first =
        first * info.mesh[axis].size +
        (value.placements[axis].kind == Placement::Replicate ? 0 : at[axis]);
  return first;
}

std::optional<int64_t> moert::findPiece(const ProgramInfo &info,
                                        const ValueInfo &value, int64_t rank) {
  if (std::ranges::any_of(value.placements, [](const Placement &placement) {
        return placement.kind == Placement::Partial;
      }))
    return std::nullopt;
  std::vector<int64_t> shape = info.localShape(value, rank);
  std::vector<int64_t> offsets = offsetsOf(info, value, rank);
  if (*elementCount(shape) == 0)
    return 0;
  // Below the outermost dimension of more than one row all must be whole.
  int64_t position = 0;
  bool several = false;
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    if (several && shape[dim] != value.shape[dim])
      return std::nullopt;
    several |= shape[dim] > 1;
    position = position * value.shape[dim] + offsets[dim];
  }
  return position * int64_t(dtypeSize(value.dtype));
}

Tensor moert::slice(const ProgramInfo &info, const ValueInfo &value,
                    const std::byte *global, int64_t rank) {
  Tensor local{value.dtype, info.localShape(value, rank), {}};
  local.data.resize(*elementCount(local.shape) * dtypeSize(value.dtype));
  if (holdsTerms(info, value, rank))
    forEachRun(info, value, rank, [&](int64_t from, int64_t to, int64_t bytes) {
      std::copy_n(global + from, bytes, local.data.begin() + to);
    });
  return local;
}

bool moert::gather(const ProgramInfo &info, const ValueInfo &value,
                   const std::vector<const Tensor *> &locals, Tensor &global,
                   std::string &error) {
  // The first rank of each group of replicas gives the value.
  for (int64_t rank = 0; rank < info.numRanks(); ++rank) {
    int64_t first = firstReplica(info, value, rank);
    if (locals[rank]->data == locals[first]->data)
      continue;
    error = "the replicas of ranks " + std::to_string(first) + " and " +
            std::to_string(rank) + " differ";
    return false;
  }
  Tensor result{value.dtype, value.shape, {}};
  int64_t bytes = *elementCount(value.shape) * int64_t(dtypeSize(value.dtype));
  result.data.resize(bytes);
  bool partial = std::ranges::any_of(value.placements, [](const Placement &p) {
    return p.kind == Placement::Partial;
  });
  if (partial) {
    std::vector<double> sum(*elementCount(value.shape)), terms;
    for (int64_t rank = 0; rank < info.numRanks(); ++rank) {
      if (firstReplica(info, value, rank) != rank)
        continue;
      if (!toDoubles(*locals[rank], terms, error))
        return false;
      int64_t width = dtypeSize(value.dtype);
      forEachRun(info, value, rank,
                 [&](int64_t to, int64_t from, int64_t size) {
                   for (int64_t i = 0; i < size / width; ++i)
                     sum[to / width + i] += terms[from / width + i];
                 });
    }
    return fromDoubles(value.dtype, value.shape, sum, global, error);
  }
  for (int64_t rank = 0; rank < info.numRanks(); ++rank)
    if (firstReplica(info, value, rank) == rank)
      forEachRun(info, value, rank,
                 [&](int64_t to, int64_t from, int64_t size) {
                   std::copy_n(locals[rank]->data.begin() + from, size,
                               result.data.begin() + to);
                 });
  global = std::move(result);
  return true;
}

//===- Calibrate.cpp - What collectives cost on this machine --------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The collectives are those of compiled layers: the program below calls the
// functions of moert.h as a layer does, and the back ends record it.
//
//===----------------------------------------------------------------------===//

#include "Calibrate.h"
#include "Compiled.h"
#include "CostFit.h"
#include "Errors.h"
#include "Reports.h"
#include "moert/OutputFiles.h"
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

using namespace moert;
using Json = nlohmann::ordered_json;

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

namespace {
constexpr std::array kinds = {"all_reduce", "all_gather", "reduce_scatter",
                              "all_to_all"};

/// A collective of `kinds[kind]` on `elements` f32 over `ranks` ranks.
struct Call {
  size_t kind = 0;
  int64_t elements = 0;
  int64_t ranks = 0;
  /// Else it gives the host the time to start the next ones.
  bool isMeasured = true;
};

struct Calls {
  std::vector<Call> calls;
  bool onGPU = false;
};
} // namespace

/// Of `perform`, which gets nothing but buffers.
static Calls program;

/// moert_main: one collective after the other.
static int32_t perform(moert_context *context, void *const *buffers) {
  const void *in = buffers[0];
  void *out = buffers[1];
  int32_t number = 0;
  for (const Call &call : program.calls) {
    std::vector<int64_t> rows(call.ranks, call.elements / call.ranks);
    switch (call.kind) {
    case 0:
      moert_all_reduce(context, number, MOERT_F32, MOERT_SUM, in, out,
                       call.elements);
      break;
    case 1:
      moert_all_gather(context, number, MOERT_F32, in, out, 1, call.elements,
                       1);
      break;
    case 2:
      moert_reduce_scatter(context, number, MOERT_F32, MOERT_SUM, in, out, 1,
                           call.elements, 1);
      break;
    default:
      moert_all_to_all(context, number, MOERT_F32, in, rows.data(), out,
                       rows.data(), 1);
    }
    if (program.onGPU)
      moert_wait(context, number);
    ++number;
  }
  return 0;
}

namespace {
class ProgramBuilder {
public:
  ProgramBuilder(const std::vector<MeshAxis> &mesh, bool onGPU, int64_t largest)
      : largest(largest) {
    // Without kernels, hence for any GPU.
    info.target = onGPU ? "cuda" : "cpu";
    info.function = "calibrate";
    info.mesh = mesh;
    program = {{}, onGPU};
  }

  /// Each kind and size over each set of axes, in that order.
  ProgramInfo build() {
    std::vector<int64_t> all(info.mesh.size());
    std::iota(all.begin(), all.end(), 0);
    addGroup(all, all);
    if (all.size() > 1)
      for (int64_t axis : all)
        addGroup({axis}, all);
    std::vector<Placement> everywhere(info.mesh.size());
    info.arguments = {{"in", "F32", {longest}, everywhere}};
    info.results = {{"out", "F32", {longest}, everywhere}};
    return std::move(info);
  }

private:
  void addGroup(const std::vector<int64_t> &axes,
                const std::vector<int64_t> &all) {
    for (size_t kind = 0; kind < kinds.size(); ++kind)
      for (int64_t bytes = 1024; bytes <= largest; bytes *= 4) {
        // To start a collective takes a host several times as long as a small
        // one takes the GPU. These keep the GPU busy until the next is there,
        // as a graph or large kernels do in a layer.
        if (program.onGPU)
          for (int i = 0; i < 3; ++i)
            add(0, all, largest, /*isMeasured=*/false);
        add(kind, axes, bytes, /*isMeasured=*/true);
      }
  }

  void add(size_t kind, const std::vector<int64_t> &axes, int64_t bytes,
           bool isMeasured) {
    int64_t ranks = 1;
    for (int64_t axis : axes)
      ranks *= info.mesh[axis].size;
    int64_t piece = (bytes / 4 + ranks - 1) / ranks;
    program.calls.push_back({kind, piece * ranks, ranks, isMeasured});
    info.collectives.push_back({kinds[kind], axes,
                                std::to_string(bytes) + " bytes",
                                "moe-run --calibrate", "forward"});
    longest = std::max(longest, piece * ranks);
  }

  ProgramInfo info;
  /// In bytes, and of elements.
  int64_t largest, longest = 0;
};
} // namespace

//===----------------------------------------------------------------------===//
// The command line
//===----------------------------------------------------------------------===//

/// Reads "dp=2,tp=4". Returns Success or the exit code, having printed the
/// error.
static int readMesh(const std::string &text, std::vector<MeshAxis> &mesh) {
  size_t begin = 0;
  while (begin <= text.size()) {
    size_t end = std::min(text.find(',', begin), text.size());
    std::string axis = text.substr(begin, end - begin);
    size_t equals = std::min(axis.find('='), axis.size());
    std::string name = axis.substr(0, equals);
    std::optional<int32_t> size;
    if (equals < axis.size())
      size = parseNumber<int32_t>(axis.substr(equals + 1));
    if (name.empty() || !size || *size < 2)
      return fail(
          UsageError,
          "--mesh has '" + axis + "', which is no axis of several ranks",
          "write names and sizes of at least 2, as in --mesh dp=2,tp=4");
    if (std::ranges::any_of(
            mesh, [&](const MeshAxis &other) { return other.name == name; }))
      return fail(UsageError, "--mesh has two axes '" + name + "'",
                  "give each axis a name of its own");
    mesh.push_back({name, *size});
    begin = end + 1;
  }
  return Success;
}

static int findMesh(const Options &options, const Launch &launch,
                    std::vector<MeshAxis> &mesh) {
  if (std::optional<std::string> text = options.text("--mesh"))
    if (int code = readMesh(*text, mesh))
      return code;
  int64_t ranks = launch.numRanks;
  if (std::optional<int64_t> number = options.number<int64_t>("--ranks"))
    ranks = *number;
  if (mesh.empty())
    mesh.push_back({"ranks", ranks});
  int64_t product = 1;
  for (const MeshAxis &axis : mesh)
    product *= axis.size;
  if (product < 2)
    return fail(
        UsageError, "one rank has nobody to send anything to",
        "say how many ranks there are with --ranks N or --mesh dp=2,.., "
        "or use torchrun --no-python, mpirun or srun");
  bool stated = options.has("--ranks") || launch.kind == Launch::Launched;
  if (stated && product != ranks)
    return fail(UsageError,
                "--mesh has " + std::to_string(product) +
                    " ranks, but there are " + std::to_string(ranks),
                "start as many, or change the mesh");
  return Success;
}

//===----------------------------------------------------------------------===//
// Measuring
//===----------------------------------------------------------------------===//

namespace {
struct Measurement {
  const CollectiveInfo *collective = nullptr;
  CostSample sample;

  bool isOfOneKindWith(const Measurement &other) const {
    return collective->kind == other.collective->kind &&
           collective->axes == other.collective->axes;
  }
};
} // namespace

/// The median over steps of the time that a collective takes once all ranks are
/// there, which is what the last of them sees.
static std::vector<Measurement>
measure(const ProgramInfo &info, const std::vector<std::vector<Span>> &spans) {
  // By collective and step: time and bytes.
  std::map<std::pair<int32_t, int32_t>, std::pair<int64_t, int64_t>> calls;
  for (const std::vector<Span> &rank : spans)
    for (const Span &span : rank) {
      if (span.collective < 0 || !program.calls[span.collective].isMeasured)
        continue;
      auto [call, isNew] = calls.try_emplace({span.collective, span.step},
                                             span.end - span.ready, span.sent);
      if (!isNew) {
        call->second.first =
            std::min(call->second.first, span.end - span.ready);
        call->second.second = std::max(call->second.second, span.sent);
      }
    }
  // In microseconds; no clock is finer than a nanosecond.
  std::map<int32_t, std::vector<double>> times;
  std::map<int32_t, int64_t> bytes;
  for (const auto &[key, call] : calls) {
    times[key.first].push_back(double(std::max<int64_t>(call.first, 1)) / 1e3);
    bytes[key.first] = call.second;
  }
  std::vector<Measurement> measurements;
  measurements.reserve(times.size());
  for (const auto &[collective, all] : times)
    measurements.push_back({&info.collectives[collective],
                            {double(bytes[collective]), median(all)}});
  return measurements;
}

static Json writeSegments(const std::vector<CostSegment> &segments) {
  auto rounded = [](double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6g", value);
    return std::strtod(text, nullptr);
  };
  Json list = Json::array();
  for (const CostSegment &segment : segments) {
    Json entry;
    if (segment.upToBytes)
      entry["up_to_bytes"] = int64_t(*segment.upToBytes);
    entry["alpha_us"] = rounded(segment.alpha);
    entry["beta_us_per_mib"] = rounded(segment.beta * (1 << 20));
    list.push_back(std::move(entry));
  }
  return list;
}

/// Prints what was measured, and returns the file.
static Json explain(const ProgramInfo &info,
                    const std::vector<Measurement> &measurements,
                    const std::string &source) {
  Json file = {{"version", 1}, {"source", source}, {"default", Json::object()}};
  std::printf("%-16s %-12s %14s %12s %8s %12s\n", "collective", "axis",
              "bytes sent", "median us", "GB/s", "model us");
  double worst = 0;
  for (size_t begin = 0, end; begin < measurements.size(); begin = end) {
    const CollectiveInfo &collective = *measurements[begin].collective;
    std::string axes = describeAxes(info, collective);
    std::vector<CostSample> samples;
    for (end = begin; end < measurements.size() &&
                      measurements[end].isOfOneKindWith(measurements[begin]);
         ++end)
      samples.push_back(measurements[end].sample);
    std::vector<CostSegment> segments = fitCosts(samples);
    for (auto [bytes, time] : samples) {
      double model = costOf(segments, bytes);
      worst = std::max(worst, std::abs(model / time - 1));
      std::printf("%-16s %-12s %14.0f %12.2f %8.2f %12.2f\n",
                  collective.kind.c_str(), axes.c_str(), bytes, time,
                  bytes / time / 1e3, model);
    }
    Json list = writeSegments(segments);
    if (collective.axes.size() == info.mesh.size())
      file["default"][collective.kind] = std::move(list);
    else
      file["axes"][axes][collective.kind] = std::move(list);
  }
  std::printf("the model is off by %.0f %% at most\n", worst * 100);
  return file;
}

int calibrate(const Options &options, const Launch &launch) {
  std::vector<MeshAxis> mesh;
  if (int code = findMesh(options, launch, mesh))
    return code;
  bool onGPU = options.text("--backend") == "cuda";
  if (onGPU && launch.kind == Launch::Processes)
    return fail(UsageError, "--processes does not start ranks on GPUs",
                "leave it out, or use torchrun --no-python, mpirun or srun");
  int64_t largest =
      options.number<int64_t>("--largest").value_or(onGPU ? 64 << 20 : 4 << 20);
  if (largest < 4096)
    return fail(UsageError,
                "--largest is " + std::to_string(largest) +
                    " bytes, too few for two sizes",
                "give at least 4096");
  const std::string path = *options.text("--calibrate");
  if (int code = launch.rank == 0 ? checkPlace(path, "--calibrate") : Success)
    return code;
  Program program(ProgramBuilder(mesh, onGPU, largest).build(), perform);
  const ProgramInfo &info = program.getInfo();

  cuda::Options runOptions;
  runOptions.timeout =
      options.number<double>("--timeout").value_or(runOptions.timeout);
  runOptions.warmup = 5;
  runOptions.steps = options.number<int64_t>("--steps").value_or(20);
  runOptions.record = true;
  Rendezvous others(launch.endpoint, launch.rank, launch.numRanks,
                    runOptions.timeout);
  cuda::Report report;
  if (launch.numRanks > 1 && !others.meet(program.getFingerprint(), report))
    return explainFailure(report);
  Tensor zeros{"F32", info.arguments[0].shape, {}};
  zeros.data.resize(size_t(info.arguments[0].shape[0]) * 4);
  std::vector<LocalTensors> arguments(info.numRanks(), LocalTensors{zeros});
  std::vector<LocalTensors> results;
  report = runRanks(program, launch, others, arguments, results, runOptions);
  if (report.outcome != RunReport::Finished) {
    int code = explainFailure(report);
    // Ranks may still use what this function has.
    std::fflush(nullptr);
    std::_Exit(code);
  }
  if (launch.rank != 0)
    return Success;
  std::string source = std::to_string(info.numRanks()) + " ranks, " +
                       launch.describe() +
                       (onGPU ? "; GPUs: " + report.transport : "");
  std::printf("%s\n", source.c_str());
  Json file = explain(info, measure(info, report.spans),
                      "moe-run --calibrate: " + source);
  OutputFiles files;
  std::string error;
  if (!files.add(
          path, file.dump(1, ' ', false, Json::error_handler_t::replace) + "\n",
          error) ||
      !files.commit(error))
    return fail(RuntimeFailure, error,
                "choose a file in a writable directory with --calibrate");
  return Success;
}

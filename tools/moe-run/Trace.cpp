//===- Trace.cpp - A run in the format of Chrome's tracing ----------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The format:
// docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
//
//===----------------------------------------------------------------------===//

#include "Reports.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace moert;
using Json = nlohmann::json;

namespace {
/// Makes the events of one rank.
class RankTrace {
public:
  RankTrace(const ProgramInfo &info, int64_t rank, int64_t origin, Json &events)
      : info(info), rank(rank), origin(origin), events(events) {}

  /// Collectives and what is between them, on the CPU.
  void add(const std::vector<Span> &spans);
  void add(const std::vector<Span> &spans,
           const std::vector<cuda::KernelSpan> &kernels);

private:
  /// The streams of a GPU are shown as threads.
  enum Thread { Main = 0, Communication = 1 };

  void addNames();
  void addEvent(const std::string &name, const char *category, int64_t begin,
                int64_t end, Json arguments, Thread thread = Main);
  Json describeCollective(const Span &span) const;
  void addCollective(const Span &span);
  void addCompute(int64_t begin, int64_t end, const std::string &from,
                  const std::string &to);
  double microseconds(int64_t time) const { return double(time) / 1e3; }

  const ProgramInfo &info;
  int64_t rank, origin;
  Json &events;
};
} // namespace

void RankTrace::addEvent(const std::string &name, const char *category,
                         int64_t begin, int64_t end, Json arguments,
                         Thread thread) {
  events.push_back({{"ph", "X"},
                    {"name", name},
                    {"cat", category},
                    {"pid", rank},
                    {"tid", thread},
                    {"ts", microseconds(begin - origin)},
                    {"dur", microseconds(end - begin)},
                    {"args", std::move(arguments)}});
}

Json RankTrace::describeCollective(const Span &span) const {
  const CollectiveInfo &collective = info.collectives[span.collective];
  return {
      {"collective", span.collective}, {"axes", describeAxes(info, collective)},
      {"site", collective.site},       {"location", collective.location},
      {"phase", collective.phase},     {"count", span.count},
      {"bytes", span.bytes},           {"sent", span.sent}};
}

static std::string nameOf(const CollectiveInfo &collective) {
  std::string name = collective.kind;
  if (!collective.site.empty())
    name += " '" + collective.site + "'";
  return name;
}

void RankTrace::addCollective(const Span &span) {
  Json arguments = describeCollective(span);
  arguments["waiting_us"] = microseconds(span.ready - span.begin);
  arguments["moving_us"] = microseconds(span.end - span.ready);
  addEvent(nameOf(info.collectives[span.collective]), "collective", span.begin,
           span.end, std::move(arguments));
  addEvent("wait", "wait", span.begin, span.ready, Json::object());
  addEvent("move", "move", span.ready, span.end, Json::object());
}

void RankTrace::addCompute(int64_t begin, int64_t end, const std::string &from,
                           const std::string &to) {
  // Between a collective of the one and one of the other there is both.
  if (end > begin)
    addEvent("compute", "compute", begin, end,
             {{"phase", from == to ? from : from + ", " + to}});
}

void RankTrace::addNames() {
  std::string name = "rank " + std::to_string(rank);
  std::vector<int64_t> at = info.coordinates(rank);
  for (size_t axis = 0; axis < at.size(); ++axis)
    name += (axis == 0 ? " (" : ", ") + info.mesh[axis].name + "=" +
            std::to_string(at[axis]) + (axis + 1 == at.size() ? ")" : "");
  events.push_back({{"ph", "M"},
                    {"name", "process_name"},
                    {"pid", rank},
                    {"args", {{"name", name}}}});
  events.push_back({{"ph", "M"},
                    {"name", "process_sort_index"},
                    {"pid", rank},
                    {"args", {{"sort_index", rank}}}});
}

void RankTrace::add(const std::vector<Span> &spans,
                    const std::vector<cuda::KernelSpan> &kernels) {
  addNames();
  for (auto [thread, name] :
       {std::pair(Main, "kernels"), std::pair(Communication, "collectives")})
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", rank},
                      {"tid", thread},
                      {"args", {{"name", name}}}});
  for (const Span &span : spans)
    if (span.collective < 0)
      addEvent("step " + std::to_string(span.step), "step", span.begin,
               span.end, Json::object());
    else
      addEvent(nameOf(info.collectives[span.collective]), "collective",
               span.begin, span.end, describeCollective(span), Communication);
  for (const cuda::KernelSpan &span : kernels) {
    const KernelInfo &kernel = info.kernels[span.kernel];
    addEvent(kernel.op, "kernel", span.begin, span.end,
             {{"kernel", kernel.name},
              {"location", kernel.location},
              {"phase", kernel.phase},
              {"operations", span.operations},
              {"bytes", span.bytes}});
  }
}

void RankTrace::add(const std::vector<Span> &spans) {
  addNames();
  // A step's span comes after those of its collectives.
  bool joint = info.function.ends_with(".vjp");
  size_t first = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    const Span &step = spans[i];
    if (step.collective >= 0)
      continue;
    addEvent("step " + std::to_string(step.step), "step", step.begin, step.end,
             Json::object());
    int64_t begin = step.begin;
    std::string phase = "forward";
    for (; first < i; ++first) {
      const std::string &next = info.collectives[spans[first].collective].phase;
      addCompute(begin, spans[first].begin, phase, next);
      addCollective(spans[first]);
      begin = spans[first].end;
      phase = next;
    }
    addCompute(begin, step.end, phase, joint ? "backward" : phase);
    first = i + 1;
  }
}

std::string makeTrace(const ProgramInfo &info, const cuda::Report &report) {
  int64_t origin = INT64_MAX;
  for (const std::vector<Span> &rank : report.spans)
    for (const Span &span : rank)
      origin = std::min(origin, span.begin);
  Json events = Json::array();
  for (size_t rank = 0; rank < report.spans.size(); ++rank) {
    RankTrace trace(info, int64_t(rank), origin, events);
    if (info.isForGPU())
      trace.add(report.spans[rank], report.ranks[rank].kernels);
    else
      trace.add(report.spans[rank]);
  }
  Json trace = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
  // Names come from the program's text, which need not be UTF-8.
  return trace.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

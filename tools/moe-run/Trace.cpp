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

  void add(const std::vector<Span> &spans);

private:
  void addEvent(const std::string &name, const char *category, int64_t begin,
                int64_t end, Json arguments);
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
                         int64_t begin, int64_t end, Json arguments) {
  events.push_back({{"ph", "X"},
                    {"name", name},
                    {"cat", category},
                    {"pid", rank},
                    {"tid", 0},
                    {"ts", microseconds(begin - origin)},
                    {"dur", microseconds(end - begin)},
                    {"args", std::move(arguments)}});
}

void RankTrace::addCollective(const Span &span) {
  const CollectiveInfo &collective = info.collectives[span.collective];
  std::string name = collective.kind;
  if (!collective.site.empty())
    name += " '" + collective.site + "'";
  addEvent(name, "collective", span.begin, span.end,
           {{"collective", span.collective},
            {"axes", describeAxes(info, collective)},
            {"site", collective.site},
            {"location", collective.location},
            {"phase", collective.phase},
            {"count", span.count},
            {"bytes", span.bytes},
            {"sent", span.sent},
            {"waiting_us", microseconds(span.ready - span.begin)},
            {"moving_us", microseconds(span.end - span.ready)}});
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

void RankTrace::add(const std::vector<Span> &spans) {
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

std::string makeTrace(const ProgramInfo &info,
                      const std::vector<std::vector<Span>> &spans) {
  int64_t origin = INT64_MAX;
  for (const std::vector<Span> &rank : spans)
    for (const Span &span : rank)
      origin = std::min(origin, span.begin);
  Json events = Json::array();
  for (size_t rank = 0; rank < spans.size(); ++rank)
    RankTrace(info, int64_t(rank), origin, events).add(spans[rank]);
  Json trace = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
  // Names come from the program's text, which need not be UTF-8.
  return trace.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

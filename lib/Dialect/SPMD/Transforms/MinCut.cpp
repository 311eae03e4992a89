//===- MinCut.cpp - Minimum cut of a network ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MinCut.h"
#include <algorithm>

using namespace moe::spmd;

void MinCut::clear() {
  numNodes = 2;
  edges.clear();
}

void MinCut::sortArcs() {
  begins.assign(numNodes + 1, 0);
  for (const Edge &edge : edges) {
    ++begins[edge.from + 1];
    ++begins[edge.to + 1];
  }
  for (unsigned i = 0; i < numNodes; ++i)
    begins[i + 1] += begins[i];
  arcs.resize(2 * edges.size());
  next.assign(begins.begin(), begins.end() - 1);
  for (const Edge &edge : edges) {
    unsigned there = next[edge.from]++, back = next[edge.to]++;
    arcs[there] = {edge.to, back, edge.capacity};
    arcs[back] = {edge.from, there, 0};
  }
}

/// Distances to the sink, of the nodes no further away than the source.
bool MinCut::findLevels() {
  constexpr unsigned unknown = ~0u;
  levels.assign(numNodes, unknown);
  levels[sink] = 0;
  queue.assign(1, sink);
  for (size_t i = 0; i < queue.size() && levels[source] == unknown; ++i) {
    unsigned node = queue[i];
    for (unsigned k = begins[node]; k < begins[node + 1]; ++k) {
      const Arc &arc = arcs[k];
      if (arcs[arc.reverse].capacity > 0 && levels[arc.to] == unknown) {
        levels[arc.to] = levels[node] + 1;
        queue.push_back(arc.to);
      }
    }
  }
  return levels[source] != unknown;
}

/// A flow that leaves no shortest way to the sink.
int64_t MinCut::push() {
  next.assign(begins.begin(), begins.end() - 1);
  int64_t total = 0;
  // Not by recursion: programs are deep.
  path.clear();
  unsigned node = source;
  while (true) {
    if (node == sink) {
      int64_t flow = infinity;
      for (unsigned arc : path)
        flow = std::min(flow, arcs[arc].capacity);
      size_t full = path.size();
      for (size_t i = path.size(); i-- > 0;) {
        Arc &arc = arcs[path[i]];
        arc.capacity -= flow;
        arcs[arc.reverse].capacity += flow;
        if (arc.capacity == 0)
          full = i;
      }
      total = std::min(total + flow, infinity);
      if (total >= infinity)
        return total;
      // On from the first node that has no way left there.
      node = arcs[arcs[path[full]].reverse].to;
      path.resize(full);
      continue;
    }
    unsigned &arc = next[node];
    while (arc < begins[node + 1] && (arcs[arc].capacity == 0 ||
                                      levels[arcs[arc].to] + 1 != levels[node]))
      ++arc;
    if (arc < begins[node + 1]) {
      path.push_back(arc);
      node = arcs[arc].to;
      continue;
    }
    if (path.empty())
      return total;
    node = arcs[arcs[path.back()].reverse].to;
    path.pop_back();
    ++next[node];
  }
}

int64_t MinCut::solve() {
  sortArcs();
  int64_t total = 0;
  while (total < infinity && findLevels())
    total = std::min(total + push(), infinity);
  // The largest source side leaves out only what still reaches the sink: what
  // has a level, now that the source has none.
  sinkSide.assign(numNodes, false);
  for (unsigned node : queue)
    sinkSide[node] = true;
  return total;
}

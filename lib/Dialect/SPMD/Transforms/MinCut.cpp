//===- MinCut.cpp - Minimum cut of a small network ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MinCut.h"
#include <algorithm>
#include <deque>

using namespace moe::spmd;

unsigned MinCut::addNode() {
  edges.emplace_back();
  return edges.size() - 1;
}

void MinCut::addEdge(unsigned from, unsigned to, int64_t capacity) {
  edges[from].push_back({to, unsigned(edges[to].size()), capacity});
  edges[to].push_back({from, unsigned(edges[from].size() - 1), 0});
}

bool MinCut::findLevels() {
  levels.assign(edges.size(), -1);
  levels[source] = 0;
  std::deque<unsigned> queue{source};
  while (!queue.empty()) {
    unsigned node = queue.front();
    queue.pop_front();
    for (const Edge &edge : edges[node])
      if (edge.capacity > 0 && levels[edge.to] < 0) {
        levels[edge.to] = levels[node] + 1;
        queue.push_back(edge.to);
      }
  }
  return levels[sink] >= 0;
}

int64_t MinCut::push(unsigned node, int64_t limit) {
  if (node == sink)
    return limit;
  for (size_t &i = next[node]; i < edges[node].size(); ++i) {
    Edge &edge = edges[node][i];
    if (edge.capacity == 0 || levels[edge.to] != levels[node] + 1)
      continue;
    int64_t flow = push(edge.to, std::min(limit, edge.capacity));
    if (flow == 0)
      continue;
    edge.capacity -= flow;
    edges[edge.to][edge.reverse].capacity += flow;
    return flow;
  }
  return 0;
}

int64_t MinCut::solve() {
  int64_t total = 0;
  while (findLevels()) {
    next.assign(edges.size(), 0);
    while (int64_t flow = push(source, infinity))
      total += flow;
  }
  // The largest source side leaves out only what still reaches the sink.
  sinkSide.assign(edges.size(), false);
  sinkSide[sink] = true;
  std::deque<unsigned> queue{sink};
  while (!queue.empty()) {
    unsigned node = queue.front();
    queue.pop_front();
    for (const Edge &edge : edges[node])
      if (edges[edge.to][edge.reverse].capacity > 0 && !sinkSide[edge.to]) {
        sinkSide[edge.to] = true;
        queue.push_back(edge.to);
      }
  }
  return total;
}

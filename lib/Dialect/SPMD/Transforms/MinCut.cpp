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

int64_t MinCut::push() {
  // Not by recursion: programs are deep.
  path.clear();
  unsigned node = source;
  while (node != sink) {
    size_t &i = next[node];
    if (i == edges[node].size()) {
      if (path.empty())
        return 0;
      node = path.back();
      path.pop_back();
      ++next[node];
      continue;
    }
    const Edge &edge = edges[node][i];
    if (edge.capacity > 0 && levels[edge.to] == levels[node] + 1) {
      path.push_back(node);
      node = edge.to;
    } else {
      ++i;
    }
  }
  int64_t flow = infinity;
  for (unsigned from : path)
    flow = std::min(flow, edges[from][next[from]].capacity);
  for (unsigned from : path) {
    Edge &edge = edges[from][next[from]];
    edge.capacity -= flow;
    edges[edge.to][edge.reverse].capacity += flow;
  }
  return flow;
}

int64_t MinCut::solve() {
  int64_t total = 0;
  while (total < infinity && findLevels()) {
    next.assign(edges.size(), 0);
    while (int64_t flow = push())
      total = std::min(total + flow, infinity);
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

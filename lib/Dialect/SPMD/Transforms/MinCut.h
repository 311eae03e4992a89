//===- MinCut.h - Minimum cut of a network ----------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef MOE_LIB_DIALECT_SPMD_TRANSFORMS_MINCUT_H
#define MOE_LIB_DIALECT_SPMD_TRANSFORMS_MINCUT_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moe::spmd {

/// A directed network with capacities. Dinic's algorithm: O(V^2 E), far less on
/// what programs give. The result depends on the order of edges only.
class MinCut {
public:
  static constexpr int64_t infinity = INT64_C(1) << 60;
  static constexpr unsigned source = 0, sink = 1;

  /// Removes all nodes and edges, but keeps the memory.
  void clear();
  unsigned addNode() { return numNodes++; }
  /// Costs `capacity` if `from` is on the source's side and `to` is not.
  void addEdge(unsigned from, unsigned to, int64_t capacity) {
    edges.push_back({from, to, capacity});
  }
  /// Computes the cut whose source side is largest; returns what it costs.
  int64_t solve();
  bool isOnSinkSide(unsigned node) const { return sinkSide[node]; }

private:
  struct Edge {
    unsigned from, to;
    int64_t capacity;
  };
  /// An edge, or one turned round, as seen from the node that it leaves.
  struct Arc {
    unsigned to;
    unsigned reverse;
    int64_t capacity;
  };
  void sortArcs();
  bool findLevels();
  int64_t push();

  unsigned numNodes = 2;
  std::vector<Edge> edges;
  /// Those of each node, one node after the other.
  std::vector<Arc> arcs;
  std::vector<unsigned> begins, next, levels, queue, path;
  std::vector<bool> sinkSide;
};

} // namespace moe::spmd

#endif // MOE_LIB_DIALECT_SPMD_TRANSFORMS_MINCUT_H

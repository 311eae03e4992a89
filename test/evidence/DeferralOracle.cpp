//===- DeferralOracle.cpp - Plans of reductions by exhaustive search ------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Shares no code with the compiler. Draws programs of up to 14 operations with
// their cost model, has moe-opt place the reductions, and searches all plans
// for one that costs less. No placement rule is known here: local values are
// executed in the prime field 2^61 - 1 on every rank, and what a result is
// follows from comparing it with the value that one device computes.
//
// A value has 4 rows, one element each; its width counts for bytes only. Along
// an axis of the mesh it may be partial, cut by rows or whole; it is cut over
// one axis at most.
//
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <queue>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

//===----------------------------------------------------------------------===//
// The field
//===----------------------------------------------------------------------===//

constexpr uint64_t prime = (UINT64_C(1) << 61) - 1;

uint64_t add(uint64_t a, uint64_t b) { return (a + b) % prime; }
uint64_t mul(uint64_t a, uint64_t b) {
  return uint64_t((unsigned __int128)a * b % prime);
}
/// Stands for a function that is not linear.
uint64_t bend(uint64_t x) { return add(mul(mul(x, x), x), add(mul(7, x), 5)); }

constexpr int rows = 4;

//===----------------------------------------------------------------------===//
// Forms, by axis: 0 partial, 1 cut, 2 whole
//===----------------------------------------------------------------------===//

struct Mesh {
  std::vector<int> sizes;
  int ranks() const {
    int number = 1;
    for (int size : sizes)
      number *= size;
    return number;
  }
  int coordinate(int rank, int axis) const {
    for (int i = int(sizes.size()) - 1; i > axis; --i)
      rank /= sizes[i];
    return rank % sizes[axis];
  }
  /// The rank with another coordinate.
  int moved(int rank, int axis, int to) const {
    int step = 1;
    for (int i = int(sizes.size()) - 1; i > axis; --i)
      step *= sizes[i];
    return rank + (to - coordinate(rank, axis)) * step;
  }
};

using Form = std::array<int, 2>;
using Rows = std::array<uint64_t, rows>;
using Data = std::vector<Rows>;

int numberOf(Form form) { return form[0] + 3 * form[1]; }
Form formOf(int number) { return {number % 3, number / 3}; }
/// Cut over one axis at most; along one that is not there it is whole.
bool exists(Form form, int axes = 2) {
  return (form[0] != 1 || form[1] != 1) && (axes == 2 || form[1] == 2);
}
/// Whether `to` costs nothing once `from` is there.
bool gives(Form from, Form to) { return from[0] >= to[0] && from[1] >= to[1]; }
bool holds(const Mesh &mesh, int rank, int axis, int row) {
  int size = mesh.sizes[axis];
  return row / (rows / size) == mesh.coordinate(rank, axis);
}

Data convert(const Mesh &mesh, Data data, Form &from, int axis, int to) {
  int now = from[axis];
  from[axis] = to;
  if (axis >= int(mesh.sizes.size()) || now == to)
    return data;
  int ranks = mesh.ranks();
  if (to > now) {
    // What is not held is zero: the sum is the union.
    Data summed(ranks);
    for (int r = 0; r < ranks; ++r)
      for (int c = 0; c < mesh.sizes[axis]; ++c)
        for (int row = 0; row < rows; ++row)
          summed[r][row] =
              add(summed[r][row], data[mesh.moved(r, axis, c)][row]);
    data = summed;
    now = 2;
  }
  for (int r = 0; r < ranks; ++r)
    for (int row = 0; row < rows; ++row)
      if ((to == 1 && !holds(mesh, r, axis, row)) ||
          (to == 0 && now == 2 && mesh.coordinate(r, axis) != 0))
        data[r][row] = 0;
  return data;
}

/// Whether `data` in `form` means `truth`.
bool means(const Mesh &mesh, const Data &data, Form form, const Rows &truth) {
  int ranks = mesh.ranks();
  std::array<uint64_t, rows> sum = {};
  for (int r = 0; r < ranks; ++r) {
    bool first = true;
    for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
      if (form[axis] == 2) {
        first &= mesh.coordinate(r, axis) == 0;
        if (data[r] != data[mesh.moved(r, axis, 0)])
          return false;
      }
    if (first)
      for (int row = 0; row < rows; ++row)
        sum[row] = add(sum[row], data[r][row]);
  }
  return sum == truth;
}

//===----------------------------------------------------------------------===//
// Cost
//===----------------------------------------------------------------------===//

struct Price {
  int64_t alpha = 0, perByte = 0;
};

/// Kinds: all_reduce, reduce_scatter, all_gather. Index 2 of an axis is the
/// group of both.
struct Costs {
  Price prices[3][3];
  bool hasGroup = false;
};

int64_t bytesIn(const Mesh &mesh, Form form, int width) {
  int64_t bytes = int64_t(rows) * width * 4;
  for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
    if (form[axis] == 1)
      bytes /= mesh.sizes[axis];
  return bytes;
}

int64_t collective(const Mesh &mesh, const Costs &costs, int from, int to,
                   int axis, int64_t bytes) {
  int64_t n = mesh.sizes[axis];
  int kind = from == 1 ? 2 : to == 1 ? 1 : 0;
  int64_t sent = kind == 2   ? bytes * (n - 1)
                 : kind == 1 ? bytes * (n - 1) / n
                             : 2 * bytes * (n - 1) / n;
  return costs.prices[kind][axis].alpha +
         sent * costs.prices[kind][axis].perByte;
}

int64_t reduceBoth(const Mesh &mesh, const Costs &costs, int64_t bytes) {
  int64_t n = mesh.ranks(), sent = 2 * bytes * (n - 1) / n;
  auto of = [&](int axis) {
    return costs.prices[0][axis].alpha + sent * costs.prices[0][axis].perByte;
  };
  return costs.hasGroup ? of(2) : std::max(of(0), of(1));
}

/// Sets of forms that collectives make of one form, none worse in all than
/// another.
using Offers = std::vector<std::pair<int, int64_t>>;

Offers findOffers(const Mesh &mesh, const Costs &costs, Form start, int width) {
  auto close = [&](int mask, Form form) {
    for (int g = 0; g < 9; ++g)
      if (exists(formOf(g), mesh.sizes.size()) && gives(form, formOf(g)))
        mask |= 1 << g;
    return mask;
  };
  std::map<int, int64_t> best;
  using Entry = std::pair<int64_t, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  auto reach = [&](int mask, int64_t cost) {
    auto [entry, isNew] = best.try_emplace(mask, cost);
    if (isNew || cost < entry->second) {
      entry->second = cost;
      queue.push({cost, mask});
    }
  };
  // States are the forms that were computed or that collectives have made. What
  // is sliced off them is there for operations and results; no collective takes
  // it, to make one axis carry what another one has to.
  auto closureOf = [&](int made) {
    int mask = 0;
    for (int f = 0; f < 9; ++f)
      if (made >> f & 1)
        mask = close(mask, formOf(f));
    return mask;
  };
  reach(1 << numberOf(start), 0);
  int axes = mesh.sizes.size();
  while (!queue.empty()) {
    auto [cost, mask] = queue.top();
    queue.pop();
    if (best[mask] < cost)
      continue;
    for (int f = 0; f < 9; ++f) {
      if (!(mask >> f & 1))
        continue;
      Form form = formOf(f);
      int64_t bytes = bytesIn(mesh, form, width);
      for (int axis = 0; axis < axes; ++axis)
        for (int to = form[axis] + 1; to <= 2; ++to) {
          Form made = form;
          made[axis] = to;
          if (exists(made))
            reach(mask | 1 << numberOf(made),
                  cost + collective(mesh, costs, form[axis], to, axis, bytes));
        }
      if (axes == 2 && form == Form{0, 0})
        reach(mask | 1 << numberOf({2, 2}),
              cost + reduceBoth(mesh, costs, bytes));
    }
  }
  std::map<int, int64_t> sets;
  for (auto [made, cost] : best) {
    auto [entry, isNew] = sets.try_emplace(closureOf(made), cost);
    entry->second = std::min(entry->second, cost);
  }
  Offers offers;
  for (auto [mask, cost] : sets) {
    bool worse = false;
    for (auto [other, less] : sets)
      worse |= other != mask && (other & mask) == mask && less <= cost;
    if (!worse)
      offers.push_back({mask, cost});
  }
  std::sort(offers.begin(), offers.end(),
            [](auto a, auto b) { return a.second < b.second; });
  return offers;
}

//===----------------------------------------------------------------------===//
// Programs
//===----------------------------------------------------------------------===//

struct Node {
  enum Kind { Argument, Scale, Map, Bend, Add, Multiply, Contract } kind;
  std::vector<int> operands;
  int width;
  uint64_t factor = 0;
  /// By axis, whether it is computed from anything that is not whole there, and
  /// whether it may have terms that more than padding makes.
  std::array<bool, 2> open = {}, terms = {};
  /// Of an argument; whether one that is cut is written as padded, then summed.
  Form form = {2, 2};
  bool padded = false;
};

struct Sink {
  int node;
  Form form;
};

struct Graph {
  std::vector<Node> nodes;
  std::vector<Sink> sinks;
  int operations = 0;
  // Filled by `prepare`.
  std::vector<Rows> truth;
  std::vector<Data> arguments;
};

Graph draw(const Mesh &mesh, std::mt19937_64 &random) {
  auto below = [&](int bound) { return int(random() % bound); };
  Graph graph;
  static constexpr int widths[] = {1, 2, 3, 5, 8, 12, 20, 40};
  int common = widths[below(8)];
  auto width = [&] { return below(3) ? common : widths[below(8)]; };
  int sources = 1 + below(5);
  for (int i = 0; i < sources; ++i) {
    Node node{Node::Argument, {}, width()};
    for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
      node.form[axis] = below(4) ? 0 : 2;
    if (i == 0)
      node.form[below(mesh.sizes.size())] = 0;
    else if (below(4) == 0)
      node.form[below(mesh.sizes.size())] = 1;
    node.padded = below(2);
    for (int axis = 0; axis < 2; ++axis) {
      node.open[axis] = node.form[axis] != 2;
      node.terms[axis] = node.form[axis] == 0;
    }
    graph.nodes.push_back(node);
  }
  int wanted = 4 + below(11);
  while (graph.operations < wanted) {
    int count = graph.nodes.size();
    // Rather something late, for depth; what is early has several uses.
    int x = below(2) ? count - 1 - below(std::min(count, 3)) : below(count);
    Node node{Node::Scale, {x}, graph.nodes[x].width, 2 + random() % 1000};
    int form = below(100);
    if (form < 15) {
    } else if (form < 40) {
      node.kind = Node::Map;
      node.width = width();
    } else if (form < 52) {
      node.kind = Node::Bend;
    } else {
      node.kind = form < 78   ? Node::Add
                  : form < 90 ? Node::Multiply
                              : Node::Contract;
      std::vector<int> fitting;
      for (int i = 0; i < count; ++i)
        if (graph.nodes[i].width == node.width)
          fitting.push_back(i);
      int y = fitting[below(fitting.size())];
      if (y == x && below(4))
        continue;
      node.operands.push_back(y);
    }
    for (int axis = 0; axis < 2; ++axis) {
      node.terms[axis] =
          node.kind == Node::Contract && graph.nodes[x].open[axis];
      for (int operand : node.operands) {
        node.open[axis] |= graph.nodes[operand].open[axis];
        node.terms[axis] |=
            node.kind != Node::Bend && graph.nodes[operand].terms[axis];
      }
    }
    graph.nodes.push_back(node);
    ++graph.operations;
  }
  std::vector<bool> used(graph.nodes.size());
  for (const Node &node : graph.nodes)
    for (int operand : node.operands)
      used[operand] = true;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (used[i] && below(8))
      continue;
    Form form = {2, 2};
    if (below(2))
      form[below(mesh.sizes.size())] = 1;
    graph.sinks.push_back({int(i), form});
  }
  return graph;
}

/// A row of the result; of a contraction the first operand's rows are summed.
uint64_t evaluate(const Node &node, const std::vector<const Rows *> &operands,
                  int row) {
  uint64_t x = (*operands[0])[row], y = (*operands.back())[row];
  switch (node.kind) {
  case Node::Scale:
  case Node::Map:
    return mul(node.factor, x);
  case Node::Bend:
    return bend(x);
  case Node::Add:
    return add(x, y);
  case Node::Multiply:
    return mul(x, y);
  case Node::Contract: {
    uint64_t sum = 0;
    for (uint64_t of : *operands[0])
      sum = add(sum, of);
    return mul(sum, y);
  }
  case Node::Argument:
    break;
  }
  std::abort();
}

void prepare(Graph &graph, const Mesh &mesh, std::mt19937_64 &random) {
  for (const Node &node : graph.nodes) {
    Rows truth = {};
    Data data;
    if (node.kind == Node::Argument) {
      // Random terms; on an axis where it is whole, those of the first rank.
      data.resize(mesh.ranks());
      for (int r = 0; r < mesh.ranks(); ++r) {
        int from = r;
        for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
          if (node.form[axis] == 2)
            from = mesh.moved(from, axis, 0);
        for (int row = 0; row < rows; ++row) {
          data[r][row] = from == r ? random() % prime : data[from][row];
          for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
            if (node.form[axis] == 1 && !holds(mesh, r, axis, row))
              data[r][row] = 0;
        }
        for (int row = 0; row < rows && from == r; ++row)
          truth[row] = add(truth[row], data[r][row]);
      }
    } else {
      std::vector<const Rows *> operands;
      for (int operand : node.operands)
        operands.push_back(&graph.truth[operand]);
      for (int row = 0; row < rows; ++row)
        truth[row] = evaluate(node, operands, row);
    }
    graph.truth.push_back(truth);
    graph.arguments.push_back(data);
  }
}

/// Every rank applies the operation to what it holds. Nothing if the local
/// shapes differ; those of a contraction need not.
bool execute(const Graph &graph, const Mesh &mesh, int number,
             const std::vector<const Data *> &operands,
             const std::vector<Form> &forms, Data &result, Form &cut) {
  const Node &node = graph.nodes[number];
  bool contracts = node.kind == Node::Contract;
  for (int axis = 0; axis < 2; ++axis) {
    bool first = forms[0][axis] == 1, last = forms.back()[axis] == 1;
    if (contracts ? first && last : first != last)
      return false;
    cut[axis] = last;
  }
  result.assign(mesh.ranks(), {});
  for (int r = 0; r < mesh.ranks(); ++r) {
    std::vector<const Rows *> locals;
    for (const Data *data : operands)
      locals.push_back(&(*data)[r]);
    for (int row = 0; row < rows; ++row) {
      bool held = true;
      for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
        held &= !cut[axis] || holds(mesh, r, axis, row);
      if (held)
        result[r][row] = evaluate(node, locals, row);
    }
  }
  return true;
}

/// The furthest form that local values mean; false if none.
bool recognize(const Graph &graph, const Mesh &mesh, int number,
               const Data &data, Form cut, Form &form) {
  for (int a = 2; a >= 0; a -= 2)
    for (int b = 2; b >= 0; b -= 2) {
      form = {cut[0] ? 1 : a, cut[1] ? 1 : b};
      if (means(mesh, data, form, graph.truth[number]))
        return true;
    }
  return false;
}

//===----------------------------------------------------------------------===//
// The search
//===----------------------------------------------------------------------===//

class Search {
public:
  Search(const Graph &graph, const Mesh &mesh, const Costs &costs,
         int64_t bound)
      : graph(graph), mesh(mesh), costs(costs), best(bound) {
    size_t count = graph.nodes.size();
    lastUse.assign(count, 0);
    for (size_t i = 0; i < count; ++i)
      for (int operand : graph.nodes[i].operands)
        lastUse[operand] = i;
    needed.assign(count, 0);
    for (const Sink &sink : graph.sinks)
      needed[sink.node] |= 1 << numberOf(sink.form);
    masks.assign(count, 0);
    starts.assign(count, {2, 2});
    data.resize(count);
  }

  /// The least cost below the bound, or the bound.
  int64_t run() {
    visit(0, 0);
    return best;
  }
  bool finished() const { return steps < maxSteps; }

private:
  static constexpr int64_t maxSteps = 3'000'000;

  Data dataOf(int node, Form to) const {
    Form form = starts[node];
    Data local = data[node];
    // A cut over one axis is undone before another one is made.
    for (int axis = 0; axis < 2; ++axis)
      if (to[axis] != 1)
        local = convert(mesh, local, form, axis, to[axis]);
    for (int axis = 0; axis < 2; ++axis)
      local = convert(mesh, local, form, axis, to[axis]);
    return local;
  }

  /// Whether the result is partial of nothing but padded operands: no plan
  /// computes on padding to reduce it.
  bool padsAlone(const Node &node, const std::vector<Form> &forms,
                 Form form) const {
    for (size_t axis = 0; axis < mesh.sizes.size(); ++axis) {
      bool terms = node.kind == Node::Contract && forms[0][axis] == 1 &&
                   graph.nodes[node.operands[0]].open[axis];
      for (size_t k = 0; k < forms.size(); ++k)
        terms |=
            forms[k][axis] == 0 && graph.nodes[node.operands[k]].terms[axis];
      if (form[axis] == 0 && !terms)
        return true;
    }
    return false;
  }

  void offer(size_t number, Form form, int64_t cost) {
    starts[number] = form;
    auto [entry, isNew] =
        offers.try_emplace({numberOf(form), graph.nodes[number].width});
    if (isNew)
      entry->second = findOffers(mesh, costs, form, graph.nodes[number].width);
    // The reference would not survive what is found further on.
    Offers list = entry->second;
    for (auto [mask, price] : list) {
      if ((mask & needed[number]) != needed[number] || cost + price >= best)
        continue;
      masks[number] = mask;
      visit(number + 1, cost + price);
    }
  }

  void visit(size_t number, int64_t cost) {
    if (cost >= best || ++steps >= maxSteps)
      return;
    if (number == graph.nodes.size()) {
      best = cost;
      return;
    }
    std::string key(1, char(number));
    for (size_t i = 0; i < number; ++i)
      if (size_t(lastUse[i]) >= number) {
        key += char(masks[i] & 0xff);
        key += char(masks[i] >> 8);
      }
    auto [entry, isNew] = seen.try_emplace(key, cost);
    if (!isNew && entry->second <= cost)
      return;
    entry->second = cost;

    const Node &node = graph.nodes[number];
    if (node.kind == Node::Argument) {
      data[number] = graph.arguments[number];
      return offer(number, node.form, cost);
    }
    // Which forms the operation can have: by execution.
    std::map<int, Data> results;
    int x = node.operands[0], y = node.operands.back();
    bool binary = node.operands.size() == 2;
    for (int f = 0; f < 9; ++f) {
      if (!(masks[x] >> f & 1))
        continue;
      for (int g = 0; g < (binary ? 9 : 1); ++g) {
        if (binary && !(masks[y] >> g & 1))
          continue;
        std::vector<Form> forms = {formOf(f)};
        std::vector<Data> locals = {dataOf(x, formOf(f))};
        if (binary) {
          forms.push_back(formOf(g));
          locals.push_back(dataOf(y, formOf(g)));
        }
        std::vector<const Data *> operands;
        for (const Data &local : locals)
          operands.push_back(&local);
        Data result;
        Form cut, form;
        if (execute(graph, mesh, number, operands, forms, result, cut) &&
            recognize(graph, mesh, number, result, cut, form) &&
            !padsAlone(node, forms, form))
          results.try_emplace(numberOf(form), result);
      }
    }
    for (auto &[form, local] : results) {
      bool worse = false;
      for (auto &[other, unused] : results)
        worse |= other != form && gives(formOf(other), formOf(form));
      if (worse)
        continue;
      data[number] = local;
      offer(number, formOf(form), cost);
    }
  }

  const Graph &graph;
  const Mesh &mesh;
  const Costs &costs;
  int64_t best;
  int64_t steps = 0;
  std::vector<int> lastUse, needed, masks;
  std::vector<Form> starts;
  std::vector<Data> data;
  std::map<std::pair<int, int>, Offers> offers;
  std::unordered_map<std::string, int64_t> seen;
};

//===----------------------------------------------------------------------===//
// As text, and back
//===----------------------------------------------------------------------===//

const char *axisNames[] = {"a", "b"};

std::string typeOf(const Mesh &mesh, int width, Form form) {
  std::string text = "!spmd.tensor<4x" + std::to_string(width) + "xf32, #mesh";
  for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
    if (form[axis] != 2)
      text += std::string(", ") + axisNames[axis] +
              (form[axis] == 0 ? ": partial<sum>" : ": shard<0>");
  return text + ">";
}

/// The program as it might be written: all is reduced at once.
std::string print(const Graph &graph, const Mesh &mesh, int number) {
  std::ostringstream arguments, body, results, types;
  std::string comma;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node &node = graph.nodes[i];
    std::string whole = typeOf(mesh, node.width, {2, 2});
    std::string name = "%v" + std::to_string(i);
    auto operand = [&](int k) {
      return "%v" + std::to_string(node.operands[k]);
    };
    if (node.kind == Node::Argument) {
      std::string type = typeOf(mesh, node.width, node.form);
      arguments << comma << "%a" << i << ": " << type;
      std::string value = "%a" + std::to_string(i);
      Form padded = node.form;
      for (int &form : padded)
        form = form == 1 ? 0 : form;
      if (node.padded && padded != node.form) {
        std::string sum = typeOf(mesh, node.width, padded);
        body << "  %p" << i << " = spmd.redistribute " << value << " : " << type
             << " -> " << sum << "\n";
        value = "%p" + std::to_string(i);
        type = sum;
      }
      body << "  " << name << " = spmd.redistribute " << value << " : " << type
           << " -> " << whole << "\n";
      comma = ", ";
      continue;
    }
    if (node.kind == Node::Scale) {
      body << "  " << name << " = moe.scale " << operand(0) << " by "
           << node.factor << ".0 : (" << whole << ") -> " << whole << "\n";
    } else if (node.kind == Node::Map) {
      int from = graph.nodes[node.operands[0]].width;
      std::string weight = "!spmd.tensor<" + std::to_string(from) + "x" +
                           std::to_string(node.width) + "xf32, #mesh>";
      arguments << comma << "%w" << i << ": " << weight;
      comma = ", ";
      body << "  " << name << " = moe.einsum \"td,df->tf\" " << operand(0)
           << ", %w" << i << " : (" << typeOf(mesh, from, {2, 2}) << ", "
           << weight << ") -> " << whole << "\n";
    } else if (node.kind == Node::Bend) {
      body << "  " << name << " = moe.silu " << operand(0) << " : (" << whole
           << ") -> " << whole << "\n";
    } else if (node.kind == Node::Contract) {
      body << "  " << name << " = moe.einsum \"rw,sw->sw\" " << operand(0)
           << ", " << operand(1) << " : (" << whole << ", " << whole << ") -> "
           << whole << "\n";
    } else {
      body << "  " << name
           << (node.kind == Node::Add ? " = moe.add " : " = moe.mul ")
           << operand(0) << ", " << operand(1) << " : (" << whole << ", "
           << whole << ") -> " << whole << "\n";
    }
  }
  comma.clear();
  for (size_t i = 0; i < graph.sinks.size(); ++i) {
    const Sink &sink = graph.sinks[i];
    int width = graph.nodes[sink.node].width;
    std::string type = typeOf(mesh, width, sink.form);
    std::string value = "%v" + std::to_string(sink.node);
    if (sink.form != Form{2, 2}) {
      body << "  %s" << i << " = spmd.redistribute " << value << " : "
           << typeOf(mesh, width, {2, 2}) << " -> " << type << "\n";
      value = "%s" + std::to_string(i);
    }
    results << comma << value;
    types << comma << type;
    comma = ", ";
  }
  return "func.func @f" + std::to_string(number) + "(" + arguments.str() +
         ") -> (" + types.str() + ") {\n" + body.str() + "  return " +
         results.str() + " : " + types.str() + "\n}\n";
}

/// The forms of all placed types in a line, in order.
std::vector<Form> formsIn(const std::string &line, std::vector<int> &widths) {
  std::vector<Form> forms;
  const std::string start = "!spmd.tensor<";
  for (size_t at = line.find(start); at != std::string::npos;
       at = line.find(start, at + 1)) {
    size_t end = at + start.size();
    for (int depth = 1; depth > 0; ++end)
      depth += line[end] == '<' ? 1 : line[end] == '>' ? -1 : 0;
    std::string type = line.substr(at, end - at);
    Form form = {2, 2};
    for (int axis = 0; axis < 2; ++axis) {
      std::string name = std::string(", ") + axisNames[axis] + ": ";
      size_t found = type.find(name);
      if (found != std::string::npos)
        form[axis] =
            type.compare(found + name.size(), 7, "partial") == 0 ? 0 : 1;
    }
    forms.push_back(form);
    widths.push_back(std::atoi(type.c_str() + type.find('x') + 1));
  }
  return forms;
}

std::vector<std::string> namesIn(const std::string &text) {
  std::vector<std::string> names;
  for (size_t at = text.find('%'); at != std::string::npos;
       at = text.find('%', at + 1)) {
    size_t end = at + 1;
    while (end < text.size() && (std::isalnum(text[end]) || text[end] == '_'))
      ++end;
    names.push_back(text.substr(at, end - at));
  }
  return names;
}

struct Verdict {
  bool right = true;
  int64_t cost = 0;
  std::string why;
};

/// Executes what the compiler made of a graph, and adds up its collectives.
/// `drop` leaves out the first conversion that communicates.
Verdict judge(const Graph &graph, const Mesh &mesh, const Costs &costs,
              const std::vector<std::string> &lines, bool drop) {
  struct Local {
    Data data;
    Form form;
    int node;
  };
  Verdict verdict;
  std::map<std::string, Local> values;
  auto wrong = [&](const std::string &why) {
    verdict.right = false;
    verdict.why = why;
    return verdict;
  };
  std::vector<int> widths;
  // Arguments come in the order of the nodes that take them.
  size_t next = 0;
  std::vector<int> computed;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node &node = graph.nodes[i];
    if (node.kind == Node::Argument)
      values["%arg" + std::to_string(next++)] = {graph.arguments[i], node.form,
                                                 int(i)};
    else {
      next += node.kind == Node::Map;
      computed.push_back(i);
    }
  }
  size_t done = 0;
  for (const std::string &line : lines) {
    std::vector<std::string> names = namesIn(line.substr(0, line.find(" : ")));
    widths.clear();
    std::vector<Form> forms = formsIn(line, widths);
    if (line.find("return") != std::string::npos) {
      for (size_t i = 0; i < graph.sinks.size(); ++i) {
        const Sink &sink = graph.sinks[i];
        auto found = values.find(names[i]);
        if (found == values.end() || forms[i] != sink.form ||
            found->second.node != sink.node ||
            !means(mesh, found->second.data, sink.form, graph.truth[sink.node]))
          return wrong("result " + std::to_string(i) + " is wrong");
      }
      return verdict;
    }
    if (line.find("spmd.redistribute") != std::string::npos) {
      auto found = values.find(names[1]);
      if (found == values.end())
        return wrong("unknown operand: " + line);
      Local local = found->second;
      Form from = forms[0], to = forms[1];
      int64_t bytes = bytesIn(mesh, from, widths[0]);
      bool moves = false;
      if (mesh.sizes.size() == 2 && from == Form{0, 0} && to == Form{2, 2}) {
        verdict.cost += reduceBoth(mesh, costs, bytes);
        moves = true;
      } else {
        for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
          if (to[axis] > from[axis]) {
            verdict.cost +=
                collective(mesh, costs, from[axis], to[axis], axis, bytes);
            moves = true;
          }
      }
      if (drop && moves) {
        drop = false;
        local.form = to;
      } else {
        Form form = from;
        for (size_t axis = 0; axis < mesh.sizes.size(); ++axis)
          local.data = convert(mesh, local.data, form, axis, to[axis]);
        local.form = to;
      }
      values[names[0]] = local;
      continue;
    }
    if (line.find("moe.") == std::string::npos)
      continue;
    if (done == computed.size())
      return wrong("an operation too many: " + line);
    int number = computed[done++];
    std::vector<const Data *> operands;
    std::vector<Form> operandForms;
    for (size_t k = 0; k < graph.nodes[number].operands.size(); ++k) {
      auto found = values.find(names[k + 1]);
      if (found == values.end() ||
          found->second.node != graph.nodes[number].operands[k])
        return wrong("another operand: " + line);
      operands.push_back(&found->second.data);
      operandForms.push_back(found->second.form);
    }
    Local result;
    Form cut;
    result.node = number;
    result.form = forms.back();
    if (!execute(graph, mesh, number, operands, operandForms, result.data, cut))
      return wrong("local shapes differ: " + line);
    values[names[0]] = result;
  }
  return wrong("no return");
}

std::string costFile(const Mesh &mesh, const Costs &costs) {
  std::ostringstream text;
  text.precision(12);
  static const char *kinds[] = {"all_reduce", "reduce_scatter", "all_gather"};
  auto entry = [&](const char *name, const Price &price) {
    text << "\"" << name << "\": [{\"alpha_us\": " << double(price.alpha) / 1e6
         << ", \"beta_us_per_mib\": " << double(price.perByte) * 1048576 / 1e6
         << "}], ";
  };
  text << "{\"version\": 1, \"axes\": {";
  for (size_t axis = 0; axis < mesh.sizes.size(); ++axis) {
    text << (axis ? ", \"" : "\"") << axisNames[axis] << "\": {";
    for (int kind = 0; kind < 3; ++kind)
      entry(kinds[kind], costs.prices[kind][axis]);
    text << "\"all_to_all\": [{\"alpha_us\": 6, \"beta_us_per_mib\": 9}]}";
  }
  if (costs.hasGroup) {
    text << ", \"a,b\": {";
    entry(kinds[0], costs.prices[0][2]);
    text << "\"all_to_all\": [{\"alpha_us\": 6, \"beta_us_per_mib\": 9}]}";
  }
  text << "}}\n";
  return text.str();
}

Costs drawCosts(const Mesh &mesh, std::mt19937_64 &random) {
  static constexpr int perByte[] = {1000, 2000, 500, 250};
  Costs costs;
  int64_t alpha = int64_t(random() % 4) * int64_t(random() % 4);
  for (int axis = 0; axis < 3; ++axis) {
    int speed = perByte[random() % 4];
    for (int kind = 0; kind < 3; ++kind)
      costs.prices[kind][axis] = {alpha * 1000000, speed};
    // Kinds may differ, with an all-reduce between one and two of the others.
    if (random() % 3 == 0)
      costs.prices[1][axis].alpha += 1000000;
    if (random() % 3 == 0)
      costs.prices[2][axis].alpha += 1000000;
    if (random() % 2)
      alpha = random() % 8;
  }
  costs.hasGroup = mesh.sizes.size() == 2 && random() % 2;
  if (costs.hasGroup) {
    // A group is no slower than its axes one after the other, no faster than
    // either.
    Price &both = costs.prices[0][2];
    both.alpha = std::max(costs.prices[0][0].alpha, costs.prices[0][1].alpha);
    both.perByte =
        std::max(costs.prices[0][0].perByte, costs.prices[0][1].perByte);
  }
  return costs;
}

std::map<int, std::vector<std::string>> split(const std::string &text) {
  std::map<int, std::vector<std::string>> functions;
  std::istringstream in(text);
  std::vector<std::string> *now = nullptr;
  for (std::string line; std::getline(in, line);) {
    size_t at = line.find("func.func @f");
    if (at != std::string::npos)
      now = &functions[std::atoi(line.c_str() + at + 12)];
    else if (now)
      now->push_back(line);
  }
  return functions;
}

} // namespace

int main(int argc, char **argv) {
  std::string compiler, directory, wrong;
  uint64_t seed = 1;
  int graphs = 10000, axes = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--moe-opt")
      compiler = value;
    else if (flag == "--directory")
      directory = value;
    else if (flag == "--seed")
      seed = std::stoull(value);
    else if (flag == "--graphs")
      graphs = std::stoi(value);
    else if (flag == "--axes")
      axes = std::stoi(value);
    else if (flag == "--wrong")
      wrong = value;
    else
      return std::cerr << "unknown option " << flag << "\n", 1;
  }
  if (compiler.empty() || directory.empty())
    return std::cerr << "--moe-opt FILE --directory DIR are needed\n", 1;

  std::mt19937_64 random(seed);
  constexpr int batchSize = 50;
  int64_t compared = 0, operations = 0, equal = 0, wrongs = 0, undecided = 0,
          trivial = 0;
  int64_t sums[4] = {};
  int64_t worse[3] = {};
  double worst = 1;
  std::map<int, int64_t> histogram;
  static const char *policies[] = {"min-cut", "eager", "boundary"};
  while (compared < graphs) {
    Mesh mesh;
    for (int axis = 0; axis < axes; ++axis)
      mesh.sizes.push_back(axes == 1 && random() % 2 ? 4 : 2);
    Costs costs = drawCosts(mesh, random);
    std::vector<Graph> batch;
    std::string file = directory + "/graphs.mlir",
                prices = directory + "/costs.json";
    {
      std::ofstream out(file);
      out << "#mesh = #spmd.mesh<";
      for (int axis = 0; axis < axes; ++axis)
        out << (axis ? ", " : "") << axisNames[axis] << "=" << mesh.sizes[axis];
      out << ">\n";
      for (int i = 0; i < batchSize; ++i) {
        batch.push_back(draw(mesh, random));
        prepare(batch.back(), mesh, random);
        out << print(batch.back(), mesh, i);
      }
      std::ofstream(prices) << costFile(mesh, costs);
    }
    std::map<int, std::vector<std::string>> made[3];
    for (int policy = 0; policy < 3; ++policy) {
      const char *name = wrong == "eager" ? "eager" : policies[policy];
      std::string command = compiler + " " + file +
                            " --spmd-defer-reductions=\"policy=" + name +
                            " cost-file=" + prices + "\" 2>&1";
      FILE *pipe = popen(command.c_str(), "r");
      std::string text;
      char buffer[65536];
      while (size_t size = fread(buffer, 1, sizeof buffer, pipe))
        text.append(buffer, size);
      if (pclose(pipe) != 0)
        return std::cerr << text.substr(0, 3000) << "\n", 2;
      made[policy] = split(text);
    }
    for (int i = 0; i < batchSize && compared < graphs; ++i) {
      const Graph &graph = batch[i];
      ++compared;
      operations += graph.operations;
      int64_t cost[3];
      bool right = true;
      for (int policy = 0; policy < 3; ++policy) {
        Verdict verdict = judge(graph, mesh, costs, made[policy][i],
                                wrong == "lost" && policy == 0);
        cost[policy] = verdict.cost;
        if (!verdict.right) {
          right = false;
          if (++wrongs <= 3)
            std::cout << "WRONG: " << policies[policy] << ": " << verdict.why
                      << "\n"
                      << print(graph, mesh, i);
        }
      }
      if (!right)
        continue;
      Search search(graph, mesh, costs, cost[0]);
      int64_t best = search.run();
      undecided += !search.finished();
      trivial += best == 0;
      equal += best == cost[0];
      double ratio = best ? double(cost[0]) / double(best) : cost[0] ? 99 : 1;
      if (ratio > worst) {
        worst = ratio;
        if (std::getenv("MOE_ORACLE_PRINT"))
          std::cout << "DEARER: " << cost[0] << " instead of " << best << "\n"
                    << costFile(mesh, costs) << print(graph, mesh, i);
      }
      ++histogram[best == cost[0] ? 0 : int((ratio - 1) * 20) + 1];
      for (int policy = 0; policy < 3; ++policy) {
        sums[policy] += cost[policy] / 1000;
        worse[policy] += cost[policy] > best;
      }
      sums[3] += best / 1000;
    }
  }
  for (auto [bin, count] : histogram) {
    std::cout << "class ";
    if (bin == 0)
      std::cout << "equal to the optimum";
    else
      std::cout << "up to " << 5 * bin << " % more";
    std::cout << ": " << count << "\n";
  }
  std::cout << "graphs " << compared << "\noperations " << operations
            << "\nequal " << equal << "\nundecided " << undecided
            << "\ntrivial " << trivial << "\nwrong " << wrongs << "\nworst "
            << std::fixed << worst << "\nbest_ns " << sums[3] << "\ncut_ns "
            << sums[0] << "\neager_ns " << sums[1] << "\nboundary_ns "
            << sums[2] << "\neager_worse " << worse[1] << "\nboundary_worse "
            << worse[2] << "\n";
  return wrongs == 0 ? 0 : 1;
}

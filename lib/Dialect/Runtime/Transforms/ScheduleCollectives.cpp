//===- ScheduleCollectives.cpp - Collectives beside what does not need them
//===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A rank has two streams (runtime/lib/cuda/Streams.h): kernels run one after
// the other, collectives too. A collective starts when all kernels that were
// started before it have ended; a kernel that touches a buffer of a collective,
// and all after it, start when that collective has ended. An order of the
// program is judged by executing it on estimated times, and lists are made that
// way too.
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"
#include "KernelTimes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "moe/Dialect/Runtime/IR/Runtime.h"
#include "moe/Dialect/Runtime/Transforms/Passes.h"
#include "moe/Dialect/SPMD/IR/Locations.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"
#include <map>
#include <numeric>

namespace moe::rt {
#define GEN_PASS_DEF_SCHEDULECOLLECTIVES
#include "moe/Dialect/Runtime/Transforms/Passes.h.inc"
} // namespace moe::rt

using namespace mlir;
using namespace moe::rt;
using moe::spmd::CostModel;

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

namespace {

/// An operation that takes time.
struct Node {
  Operation *op;
  bool isCollective;
  int64_t time;
  /// Nodes of one segment keep to it: what has effects stands between two.
  unsigned segment;
  /// Nodes that must come before, all of which are before as it was written.
  SmallVector<unsigned> before;
  SmallVector<unsigned> buffers;
};

/// A node while it runs.
struct Span {
  unsigned node;
  int64_t begin, end;
};

/// What an order makes of a collective.
struct Beside {
  int64_t exposed = 0;
  /// Kernels and for how long they run beside it, in order.
  SmallVector<std::pair<unsigned, int64_t>> kernels;
};

struct Outcome {
  int64_t end = 0, exposed = 0, arena = 0;
  /// By node.
  std::map<unsigned, Beside> collectives;
};

using Order = SmallVector<unsigned>;

class Program {
public:
  Program(Block &block, const CostModel &model);

  /// A collective without global_types.
  Operation *getUnpriced() const { return unpriced; }
  ArrayRef<Node> getNodes() const { return nodes; }
  /// Whether a node waits for a collective before it.
  bool waits(unsigned node, unsigned collective) const;
  Outcome run(ArrayRef<unsigned> order) const;
  /// When an order ends, if collectives take `factor` times as long.
  int64_t getEnd(ArrayRef<unsigned> order, int64_t factor) const;
  /// The bytes of the arena.
  int64_t getArena(ArrayRef<unsigned> order) const;
  void apply(ArrayRef<unsigned> order);

private:
  void addNode(Operation *op, unsigned segment, const CostModel &model);
  void addResults(Operation *op);
  unsigned addBuffer(Value value, int64_t bytes);
  SmallVector<Value> getUsed(Operation *op) const;
  void orderWritesInPlace();

  Block &block;
  std::vector<Node> nodes;
  std::vector<int64_t> bufferBytes;
  llvm::DenseMap<Value, unsigned> bufferOf;
  /// The nodes that a value is made of, through operations that take no time.
  llvm::DenseMap<Value, SmallVector<unsigned, 2>> madeBy;
  /// Nodes that write over a value.
  SmallVector<unsigned> inPlace;
  SmallVector<Operation *> barriers;
  Operation *unpriced = nullptr;
};

} // namespace

/// What `op` or its regions use of the block.
SmallVector<Value> Program::getUsed(Operation *op) const {
  llvm::SetVector<Value> used;
  op->walk([&](Operation *inner) {
    for (Value operand : inner->getOperands())
      if (operand.getParentBlock() == &block)
        used.insert(operand);
  });
  return used.takeVector();
}

unsigned Program::addBuffer(Value value, int64_t bytes) {
  bufferBytes.push_back(bytes);
  return bufferOf[value] = bufferBytes.size() - 1;
}

/// Whether all others that use `value` come before `op`.
static bool isLastUser(Operation *op, Value value) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) {
    Operation *other = op->getBlock()->findAncestorOpInBlock(*user);
    return other == op || (other && other->isBeforeInBlock(op));
  });
}

/// A result that is written over something, or is a view of it, shares its
/// buffer.
void Program::addResults(Operation *op) {
  for (OpResult result : op->getResults()) {
    if (!isa<RankedTensorType>(result.getType()))
      continue;
    Value from;
    if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
      from = destination.getTiedOpOperand(result)->get();
    else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
      from = insert.getDest();
    bool writes = from != nullptr;
    if (isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp,
            tensor::CollapseShapeOp, tensor::CastOp>(op))
      from = op->getOperand(0);
    // What others need later is copied first.
    bool shares = from && !from.getDefiningOp<tensor::EmptyOp>() &&
                  bufferOf.count(from) && (!writes || isLastUser(op, from));
    if (shares)
      bufferOf[result] = bufferOf[from];
    else if (!isa<tensor::EmptyOp>(op))
      addBuffer(result, getBytes(result, Rows::Most).value_or(0));
    if (shares && writes)
      inPlace.push_back(nodes.size() - 1);
  }
}

void Program::addNode(Operation *op, unsigned segment, const CostModel &model) {
  unsigned number = nodes.size();
  auto collective = dyn_cast<CollectiveOpInterface>(op);
  Node node{op, bool(collective), 0, segment, {}, {}};
  if (collective) {
    std::optional<int64_t> cost = getCost(collective, model);
    if (!cost && !unpriced)
      unpriced = op;
    node.time = cost.value_or(0);
  } else {
    node.time = getKernelTime(op, model);
  }
  llvm::SmallSetVector<unsigned, 8> before, buffers;
  for (Value used : getUsed(op)) {
    before.insert_range(madeBy[used]);
    if (auto found = bufferOf.find(used); found != bufferOf.end())
      buffers.insert(found->second);
  }
  node.before = before.takeVector();
  for (Value result : op->getResults())
    madeBy[result] = {number};
  nodes.push_back(std::move(node));
  addResults(op);
  for (Value result : op->getResults())
    if (auto found = bufferOf.find(result); found != bufferOf.end())
      buffers.insert(found->second);
  nodes[number].buffers = buffers.takeVector();
}

/// What writes over a buffer stays between those that use it before and after,
/// or bufferization would have to copy it.
void Program::orderWritesInPlace() {
  std::vector<SmallVector<unsigned>> users(bufferBytes.size());
  for (auto [number, node] : llvm::enumerate(nodes))
    for (unsigned buffer : node.buffers)
      users[buffer].push_back(number);
  for (unsigned writer : inPlace)
    for (unsigned buffer : nodes[writer].buffers)
      for (unsigned user : users[buffer])
        if (user != writer)
          nodes[std::max(user, writer)].before.push_back(
              std::min(user, writer));
}

Program::Program(Block &block, const CostModel &model) : block(block) {
  // What belongs to the caller takes no place in the arena.
  for (BlockArgument argument : block.getArguments())
    if (isa<RankedTensorType>(argument.getType()))
      addBuffer(argument, 0);
  unsigned segment = 0;
  for (Operation &op : block) {
    if (auto argument = dyn_cast<bufferization::ToTensorOp>(op))
      addBuffer(argument.getResult(), 0);
    bool hasCollectives = false;
    if (!isa<CollectiveOpInterface>(op))
      op.walk([&](CollectiveOpInterface) { hasCollectives = true; });
    if (!isMemoryEffectFree(&op) || hasCollectives ||
        op.hasTrait<OpTrait::IsTerminator>()) {
      barriers.push_back(&op);
      ++segment;
    } else if (isa<CollectiveOpInterface>(op) || isKernel(&op)) {
      addNode(&op, segment, model);
      continue;
    }
    llvm::SmallSetVector<unsigned, 4> makers;
    for (Value used : getUsed(&op))
      makers.insert_range(madeBy[used]);
    for (Value result : op.getResults())
      madeBy[result].assign(makers.begin(), makers.end());
    if (op.getNumResults() == 1 && op.getNumOperands() > 0)
      if (auto view = dyn_cast<ViewLikeOpInterface>(op);
          view || isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                      tensor::ExtractSliceOp, tensor::CastOp>(op))
        if (auto found = bufferOf.find(op.getOperand(0));
            found != bufferOf.end())
          bufferOf[op.getResult(0)] = found->second;
    // What leaves the function is computed in the caller's memory.
    if (!isMemoryEffectFree(&op) || op.hasTrait<OpTrait::IsTerminator>())
      for (Value used : getUsed(&op))
        if (auto found = bufferOf.find(used); found != bufferOf.end())
          bufferBytes[found->second] = 0;
  }
  orderWritesInPlace();
  for (Node &node : nodes) {
    llvm::sort(node.before);
    node.before.erase(llvm::unique(node.before), node.before.end());
  }
}

bool Program::waits(unsigned node, unsigned collective) const {
  return !nodes[node].isCollective &&
         llvm::any_of(nodes[node].buffers, [&](unsigned buffer) {
           return llvm::is_contained(nodes[collective].buffers, buffer);
         });
}

//===----------------------------------------------------------------------===//
// Execution on estimated times
//===----------------------------------------------------------------------===//

namespace {

/// The two streams.
class Machine {
public:
  Machine(const Program &program, int64_t factor)
      : program(program), nodes(program.getNodes()), factor(factor) {}

  /// Calls `ended` with each collective that a kernel waits for, where the
  /// kernels are then and where it was.
  template <typename Function>
  void start(unsigned number, Function ended) {
    const Node &node = nodes[number];
    if (node.isCollective) {
      int64_t begin = std::max(kernels, collectives);
      collectives = begin + node.time * factor;
      flights.push_back({number, begin, collectives});
      return;
    }
    llvm::erase_if(flights, [&](const Span &flight) {
      if (!program.waits(number, flight.node))
        return false;
      wait(flight, ended);
      return true;
    });
    kernels += node.time;
  }
  template <typename Function>
  void finish(Function ended) {
    for (const Span &flight : flights)
      wait(flight, ended);
  }
  int64_t getTime() const { return kernels; }

private:
  template <typename Function>
  void wait(const Span &flight, Function &ended) {
    ended(flight, std::max<int64_t>(0, flight.end - kernels));
    kernels = std::max(kernels, flight.end);
  }

  const Program &program;
  ArrayRef<Node> nodes;
  int64_t factor;
  /// When the streams are free.
  int64_t kernels = 0, collectives = 0;
  /// Collectives that nothing has waited for, in the order of their ends.
  SmallVector<Span> flights;
};

} // namespace

int64_t Program::getEnd(ArrayRef<unsigned> order, int64_t factor) const {
  Machine machine(*this, factor);
  auto ignore = [](const Span &, int64_t) {};
  for (unsigned number : order)
    machine.start(number, ignore);
  machine.finish(ignore);
  return machine.getTime();
}

int64_t Program::getArena(ArrayRef<unsigned> order) const {
  std::vector<BufferLife> lives(bufferBytes.size());
  for (auto [life, bytes] : llvm::zip_equal(lives, bufferBytes))
    life.bytes = bytes;
  int64_t at = 0;
  auto use = [&](unsigned number) {
    for (unsigned buffer : nodes[number].buffers) {
      BufferLife &life = lives[buffer];
      life.first = life.first == 0 ? at : life.first;
      life.last = at;
    }
  };
  // Those of a collective are needed until it is waited for.
  Machine machine(*this, 1);
  auto end = [&](const Span &flight, int64_t) { use(flight.node); };
  for (unsigned number : order) {
    ++at;
    use(number);
    machine.start(number, end);
  }
  ++at;
  machine.finish(end);
  llvm::erase_if(lives, [](const BufferLife &life) { return life.bytes == 0; });
  return placeBuffers(lives);
}

Outcome Program::run(ArrayRef<unsigned> order) const {
  Outcome outcome;
  Machine machine(*this, 1);
  std::vector<Span> kernels;
  auto end = [&](const Span &flight, int64_t exposed) {
    Beside &beside = outcome.collectives[flight.node];
    beside.exposed = exposed;
    outcome.exposed += exposed;
    for (const Span &kernel : kernels)
      if (int64_t time = std::min(kernel.end, flight.end) -
                         std::max(kernel.begin, flight.begin);
          time > 0)
        beside.kernels.push_back({kernel.node, time});
  };
  for (unsigned number : order) {
    machine.start(number, end);
    if (!nodes[number].isCollective)
      kernels.push_back(
          {number, machine.getTime() - nodes[number].time, machine.getTime()});
  }
  machine.finish(end);
  outcome.end = machine.getTime();
  outcome.arena = getArena(order);
  return outcome;
}

//===----------------------------------------------------------------------===//
// Moves
//===----------------------------------------------------------------------===//

namespace {

/// One order, and others that differ from it by a move.
class Improver {
public:
  Improver(const Program &program, Order &order, int64_t allowed)
      : program(program), nodes(program.getNodes()), order(order),
        allowed(allowed), best(judge(order)) {}

  void improve() {
    for (unsigned round = 0; round < kMostRounds; ++round) {
      changed = false;
      for (auto [number, node] : llvm::enumerate(nodes))
        if (node.isCollective) {
          moveBehind(number);
          moveBeforeWait(number);
        }
      if (!changed)
        return;
    }
  }

private:
  static constexpr unsigned kMostRounds = 4;
  /// How far a move looks, in nodes.
  static constexpr int64_t kReach = 256;

  /// Estimates are none of contention: of orders that end at one time the
  /// better is the one that does so with collectives that take twice as long.
  using Verdict = std::pair<int64_t, int64_t>;
  Verdict judge(ArrayRef<unsigned> of) const {
    return {program.getEnd(of, 1), program.getEnd(of, 2)};
  }

  bool needs(unsigned node, unsigned other) const {
    return llvm::is_contained(nodes[node].before, other);
  }

  /// Keeps the order in which what is at `from` stands at `to` instead.
  bool tryMove(int64_t from, int64_t to) {
    Order moved = order;
    if (from < to)
      std::rotate(moved.begin() + from, moved.begin() + from + 1,
                  moved.begin() + to + 1);
    else
      std::rotate(moved.begin() + to, moved.begin() + from,
                  moved.begin() + from + 1);
    Verdict verdict = judge(moved);
    if (verdict >= best || program.getArena(moved) > allowed)
      return false;
    order = std::move(moved);
    best = verdict;
    return changed = true;
  }

  /// Moves what stands before a collective that does not need it behind it, the
  /// nearest first.
  void moveBehind(unsigned collective) {
    llvm::DenseSet<unsigned> needed{collective};
    for (unsigned number = collective + 1; number-- > 0;)
      if (needed.contains(number))
        needed.insert_range(nodes[number].before);
    int64_t at = llvm::find(order, collective) - order.begin();
    for (int64_t from = at - 1, end = std::max<int64_t>(0, at - kReach);
         from >= end; --from) {
      unsigned number = order[from];
      if (nodes[number].segment != nodes[collective].segment)
        return;
      ArrayRef<unsigned> between = ArrayRef(order).slice(from + 1, at - from);
      if (!needed.contains(number) &&
          llvm::none_of(between,
                        [&](unsigned user) { return needs(user, number); }) &&
          tryMove(from, at))
        --at;
    }
  }

  /// Moves what stands behind the kernel that waits for a collective, and needs
  /// neither, before it, the nearest first.
  void moveBeforeWait(unsigned collective) {
    int64_t at = llvm::find(order, collective) - order.begin();
    int64_t wait = at + 1, size = order.size();
    while (wait < size && !program.waits(order[wait], collective))
      ++wait;
    for (int64_t from = wait + 1; from < std::min(size, wait + kReach);
         ++from) {
      unsigned number = order[from];
      if (nodes[number].segment != nodes[collective].segment)
        return;
      ArrayRef<unsigned> between = ArrayRef(order).slice(wait, from - wait);
      if (!program.waits(number, collective) &&
          llvm::none_of(between,
                        [&](unsigned maker) { return needs(number, maker); }) &&
          tryMove(from, wait))
        ++wait;
    }
  }

  const Program &program;
  ArrayRef<Node> nodes;
  Order &order;
  int64_t allowed;
  Verdict best;
  bool changed = false;
};

} // namespace

/// Operations that take no time stand before the first that needs them.
void Program::apply(ArrayRef<unsigned> order) {
  SmallVector<Operation *> sorted;
  llvm::DenseSet<Operation *> placed;
  auto place = [&](Operation *op, auto &self) -> void {
    if (!placed.insert(op).second)
      return;
    for (Value used : getUsed(op))
      if (Operation *maker = used.getDefiningOp())
        self(maker, self);
    sorted.push_back(op);
  };
  const auto *next = order.begin();
  for (auto [segment, barrier] : llvm::enumerate(barriers)) {
    for (; next != order.end() && nodes[*next].segment == segment; ++next)
      place(nodes[*next].op, place);
    // What is before the barrier stays there.
    Operation *first =
        segment == 0 ? &block.front() : barriers[segment - 1]->getNextNode();
    for (Operation *op = first; op != barrier; op = op->getNextNode())
      place(op, place);
    place(barrier, place);
  }
  Operation *terminator = block.getTerminator();
  for (Operation *op : sorted)
    if (op != terminator)
      op->moveBefore(terminator);
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

static std::string microseconds(int64_t picoseconds) {
  return llvm::formatv("{0:f3}", double(picoseconds) / 1e6).str();
}

/// Of a schedule, and one for each collective in its order.
static void emitRemarks(func::FuncOp function, ArrayRef<Node> nodes,
                        ArrayRef<unsigned> order, const Outcome &before,
                        const Outcome &after) {
  using remark::metric;
  auto named = [&](StringRef name) {
    return remark::RemarkOpts::name(name)
        .category("moert-schedule-collectives")
        .function(function.getName());
  };
  remark::analysis(function.getLoc(), named("schedule"))
      << metric("us_before", microseconds(before.end))
      << metric("us_after", microseconds(after.end))
      << metric("us_exposed_before", microseconds(before.exposed))
      << metric("us_exposed_after", microseconds(after.exposed))
      << metric("bytes_arena_before", before.arena)
      << metric("bytes_arena_after", after.arena);
  int64_t place = 0;
  for (unsigned number : order) {
    const Node &node = nodes[number];
    if (!node.isCollective)
      continue;
    const Beside &beside = after.collectives.at(number);
    auto remark = remark::analysis(node.op->getLoc(), named("overlap"));
    remark << metric("collective", place++)
           << metric("us_alone", microseconds(node.time))
           << metric("us_exposed_before",
                     microseconds(before.collectives.at(number).exposed))
           << metric("us_exposed_after", microseconds(beside.exposed));
    for (auto [kernel, time] : beside.kernels)
      remark << metric(
          "beside", microseconds(time) + " " +
                        nodes[kernel].op->getName().getStringRef().str() + " " +
                        moe::spmd::getPlace(nodes[kernel].op->getLoc()));
  }
}

namespace {

struct ScheduleCollectivesPass
    : moe::rt::impl::ScheduleCollectivesBase<ScheduleCollectivesPass> {
  using ScheduleCollectivesBase::ScheduleCollectivesBase;

  LogicalResult initialize(MLIRContext *context) override {
    llvm::Expected<CostModel> loaded = CostModel::load(costFile);
    if (!loaded)
      return emitError(UnknownLoc::get(context))
             << llvm::toString(loaded.takeError());
    model = std::make_shared<CostModel>(std::move(*loaded));
    if (arenaBytes < -1)
      return emitError(UnknownLoc::get(context))
             << "arena-bytes is negative; help: give a number of bytes";
    return success();
  }
  void runOnOperation() override;

private:
  /// Each move is judged by an execution of all.
  static constexpr size_t kMostNodes = 4096;

  std::shared_ptr<const CostModel> model;
};

} // namespace

void ScheduleCollectivesPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (!function->hasAttr("moert.values") ||
      !llvm::hasSingleElement(function.getBody()))
    return;
  Program program(function.getBody().front(), *model);
  if (Operation *op = program.getUnpriced()) {
    op->emitError("nothing says what it costs; help: give it global_types, as "
                  "spmd-localize does");
    return signalPassFailure();
  }
  Order written(program.getNodes().size());
  std::iota(written.begin(), written.end(), 0);
  Outcome before = program.run(written);
  Order best = written;
  if (written.size() <= kMostNodes)
    Improver(program, best, std::max(before.arena, int64_t(arenaBytes)))
        .improve();
  Outcome after = program.run(best);
  if (function.getContext()->getRemarkEngine())
    emitRemarks(function, program.getNodes(), best, before, after);
  if (best != written)
    program.apply(best);
}

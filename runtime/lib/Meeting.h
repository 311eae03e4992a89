//===- Meeting.h - Where the ranks of a run meet ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The ranks of a group meet at least twice in every collective: first each says
// what it asks for and where its operand is, and all wait for the last one,
// which checks that they ask for the same; then each computes its result from
// everybody's operands; and they part together, before an operand may change.
// How an operand is found and what is computed is a back end's business.
//
// All state lies in memory that the ranks see, of one process or shared by
// several, and changes by atomic operations alone: a rank that is killed leaves
// nothing locked. A rank that waits sleeps in the kernel, so any number of
// ranks runs on any number of cores.
//
//===----------------------------------------------------------------------===//

#ifndef MOERT_LIB_MEETING_H
#define MOERT_LIB_MEETING_H

#include "moert/Run.h"
#include <atomic>
#include <span>
#include <string_view>

namespace moert {

/// What a rank brings to a collective.
struct Request {
  int32_t collective = -1;
  int32_t dtype = 0, reduction = 0;
  /// Must be the same on all ranks.
  std::array<int64_t, 3> extents{};
  /// Where others find the operand, the rows to each rank of an all-to-all, and
  /// what the rank computes for all. The back end knows what these mean.
  uint64_t in = 0, send = 0, out = 0;
  /// How much there is to find.
  uint64_t bytes = 0;
};

/// Ranks that differ on some axes alone, in order.
struct Group {
  std::vector<int64_t> ranks;
  /// Where its state begins, in the order of the groups.
  size_t index = 0, firstMember = 0;
};

class Meeting {
public:
  /// The memory that the ranks of `info` need to meet.
  static size_t bytesFor(const ProgramInfo &info);

  /// `memory` is zero at first, aligned for any type, and outlives this.
  Meeting(const ProgramInfo &info, void *memory, double timeout);

  /// The group of `rank` over the axes of `collective`.
  const Group &getGroup(int32_t collective, int64_t rank) const;

  /// Forgets the counts of `rank`.
  void beginStep(int64_t rank);
  /// Says what `rank` asks for and waits for its group. False if the run has
  /// ended.
  bool meet(int64_t rank, const Request &request);
  /// Waits for the group again. False if the run has ended.
  bool meetAgain(int64_t rank);
  /// Waits for the group for the last time. False if the run has ended.
  bool part(int64_t rank);
  /// Waits for all ranks at the end of a step. False if the run has ended.
  bool finishStep(int64_t rank);
  /// Says that `rank` will not come again.
  void stop(int64_t rank);
  bool hasStopped(int64_t rank) const;
  /// Sleeps until all of `ranks` have stopped or the run has ended, and then
  /// until they have stopped, but `grace` seconds at most. Returns whether they
  /// have.
  bool waitUntilStopped(std::span<const int64_t> ranks, double grace) const;
  /// What another rank of the group asked for, between `meet` and `part`.
  const Request &getRequest(int64_t rank) const;

  /// Ends the run, unless it has ended; the first reason stays. A signal
  /// handler may call it.
  void end(RunReport::Outcome outcome, std::string_view error,
           std::string_view help = {});
  bool hasEnded() const;
  /// Why, once all ranks have stopped.
  void getReason(RunReport &report) const;
  /// "in all_reduce #1 at 'x' (layer.mlir:5:10, backward)", "after" it, "before
  /// its first collective", "at the end of a step, after all_reduce #1 ..".
  std::string describePlace(int64_t rank) const;
  /// The same for signal handlers: at `text`, cut off after `size` bytes;
  /// returns the length.
  size_t describePlace(int64_t rank, char *text, size_t size) const;

  /// Counts one call of this rank's group and what this rank sent.
  void count(int32_t collective, int64_t rank, int64_t bytes);
  std::vector<CollectiveCount> getCounts() const;

private:
  struct RunState;
  struct GroupState;
  struct RankState;

  bool checkRequests(const Group &group);
  bool wait(const Group &group, int64_t rank, bool check);
  /// The ranks of the group that have not come as often as `rank`.
  std::vector<int64_t> findAbsent(const Group &group, int64_t rank) const;
  /// Those that `rank` waits for, wherever it is.
  std::vector<int64_t> findWaitedFor(int64_t rank) const;
  std::string describePlaces(std::span<const int64_t> ranks) const;
  /// Whom `rank` waits for in the group, and who holds those up elsewhere.
  std::string describeAbsent(const Group &group, int64_t rank) const;

  const ProgramInfo &info;
  double timeout;
  /// What collectives are called in messages.
  std::vector<std::string> names;
  /// By axes and then by rank; the last one of `groups` has all ranks.
  std::vector<Group> groups;
  std::vector<size_t> axesOfCollective;
  std::vector<std::vector<size_t>> groupOfRank;

  size_t bytes = 0;
  RunState *run;
  GroupState *groupStates;
  RankState *rankStates;
  /// How often each member has arrived at its group.
  std::atomic<uint32_t> *arrivals;
  /// By rank and collective.
  CollectiveCount *counts;
};

} // namespace moert

#endif // MOERT_LIB_MEETING_H

//===- Meeting.cpp - Where the ranks of a run meet ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Meeting.h"
#include "Futex.h"
#include "Rank.h"
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <numeric>

using namespace moert;

struct Meeting::RunState {
  /// Changes when a rank stops and when the run ends.
  std::atomic<uint32_t> events;
  /// Whether there is a reason why the run has ended.
  enum : uint32_t { None, BeingWritten, Written };
  std::atomic<uint32_t> reason;
  int32_t outcome;
  // Cut off if they are longer.
  char text[4096], help[1024];
};

struct Meeting::GroupState {
  /// Grows by two when all have arrived; odd once the run has ended, so that no
  /// rank goes to sleep afterwards.
  std::atomic<uint32_t> generation;
  std::atomic<uint32_t> arrived;
};

struct alignas(64) Meeting::RankState {
  /// Four times the number of collectives entered last, plus one, plus where
  /// the rank is of it. One word, so that others read both at once.
  std::atomic<int64_t> place;
  std::atomic<uint32_t> stopped;
  Request request;
};

namespace {
enum Where : int64_t { After = 0, Inside = 1, AtTheEnd = 2 };
} // namespace

//===----------------------------------------------------------------------===//
// Groups and memory
//===----------------------------------------------------------------------===//

/// Puts the groups over `axes` at the end of `groups`; returns that of each
/// rank.
static std::vector<size_t> makeGroups(const ProgramInfo &info,
                                      const std::vector<int64_t> &axes,
                                      std::vector<Group> &groups) {
  std::vector<size_t> groupOfRank;
  // By the first rank of a group.
  std::map<std::vector<int64_t>, size_t> known;
  for (int64_t rank = 0; rank < info.numRanks(); ++rank) {
    std::vector<int64_t> first = info.coordinates(rank);
    for (int64_t axis : axes)
      first[axis] = 0;
    size_t index = known.try_emplace(first, groups.size()).first->second;
    if (index == groups.size())
      groups.emplace_back();
    groups[index].ranks.push_back(rank);
    groupOfRank.push_back(index);
  }
  return groupOfRank;
}

size_t Meeting::bytesFor(const ProgramInfo &info) {
  return Meeting(info, nullptr, 0).bytes;
}

Meeting::Meeting(const ProgramInfo &info, void *memory, double timeout)
    : info(info), timeout(timeout) {
  std::map<std::vector<int64_t>, size_t> known;
  for (const CollectiveInfo &collective : info.collectives) {
    std::vector<int64_t> axes = collective.axes;
    std::ranges::sort(axes);
    auto [entry, isNew] = known.try_emplace(axes, groupOfRank.size());
    if (isNew)
      groupOfRank.push_back(makeGroups(info, axes, groups));
    axesOfCollective.push_back(entry->second);
    names.push_back(describeCollective(info, names.size()));
  }
  std::vector<int64_t> all(info.mesh.size());
  std::iota(all.begin(), all.end(), 0);
  (void)makeGroups(info, all, groups);
  size_t members = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i].index = i;
    groups[i].firstMember = members;
    members += groups[i].ranks.size();
  }

  auto take = [&]<typename T>(T *&pointer, size_t count) {
    bytes = (bytes + alignof(T) - 1) / alignof(T) * alignof(T);
    pointer =
        reinterpret_cast<T *>(reinterpret_cast<uintptr_t>(memory) + bytes);
    bytes += count * sizeof(T);
  };
  size_t ranks = info.numRanks();
  take(run, 1);
  take(groupStates, groups.size());
  take(rankStates, ranks);
  take(arrivals, members);
  take(counts, ranks * info.collectives.size());
}

const Group &Meeting::getGroup(int32_t collective, int64_t rank) const {
  return groups[groupOfRank[axesOfCollective[collective]][rank]];
}

//===----------------------------------------------------------------------===//
// The end of a run
//===----------------------------------------------------------------------===//

template <size_t Size>
static void copyText(char (&to)[Size], std::string_view from) {
  size_t size = std::min(from.size(), Size - 1);
  std::memcpy(to, from.data(), size);
  to[size] = '\0';
}

void Meeting::end(RunReport::Outcome outcome, std::string_view error,
                  std::string_view help) {
  uint32_t state = RunState::None;
  if (!run->reason.compare_exchange_strong(state, RunState::BeingWritten))
    return;
  run->outcome = outcome;
  copyText(run->text, error);
  copyText(run->help, help);
  run->reason.store(RunState::Written);
  for (const Group &group : groups) {
    groupStates[group.index].generation.fetch_or(1);
    wakeAll(groupStates[group.index].generation);
  }
  ++run->events;
  wakeAll(run->events);
}

void Meeting::stop(int64_t rank) {
  rankStates[rank].stopped = 1;
  ++run->events;
  wakeAll(run->events);
}

bool Meeting::hasStopped(int64_t rank) const {
  return rankStates[rank].stopped.load() != 0;
}

bool Meeting::waitUntilStopped(std::span<const int64_t> ranks,
                               double grace) const {
  int64_t deadline = 0;
  while (true) {
    uint32_t seen = run->events;
    if (std::ranges::all_of(ranks,
                            [&](int64_t rank) { return hasStopped(rank); }))
      return true;
    if (hasEnded() && deadline == 0)
      deadline = deadlineAfter(grace);
    if (deadline != 0 && monotonicNow() >= deadline)
      return false;
    sleepWhile(run->events, seen, deadline ? deadline : deadlineAfter(1e9));
  }
}

bool Meeting::hasEnded() const { return run->reason.load() != RunState::None; }

void Meeting::getReason(RunReport &report) const {
  switch (run->reason.load()) {
  case RunState::None:
    return;
  case RunState::BeingWritten:
    report.outcome = RunReport::Failed;
    report.error = "a rank died while it reported an error";
    return;
  default:
    report.outcome = RunReport::Outcome(run->outcome);
    report.error = run->text;
    report.help = run->help;
  }
}

//===----------------------------------------------------------------------===//
// Meeting
//===----------------------------------------------------------------------===//

size_t Meeting::describePlace(int64_t rank, char *text, size_t size) const {
  int64_t place = rankStates[rank].place.load(), collective = place / 4 - 1;
  bool ended = place % 4 == AtTheEnd;
  std::string_view before, name;
  if (collective < 0) {
    before = ended ? "at the end of a step" : "before its first collective";
  } else {
    before = ended                 ? "at the end of a step, after "
             : place % 4 == Inside ? "in "
                                   : "after ";
    name = names[collective];
  }
  size_t length = before.substr(0, size).copy(text, size);
  return length + name.substr(0, size - length).copy(text + length, size);
}

std::string Meeting::describePlace(int64_t rank) const {
  std::string text(1024, '\0');
  text.resize(describePlace(rank, text.data(), text.size()));
  return text;
}

std::vector<int64_t> Meeting::findAbsent(const Group &group,
                                         int64_t rank) const {
  size_t place = std::ranges::find(group.ranks, rank) - group.ranks.begin();
  uint32_t mine = arrivals[group.firstMember + place].load();
  std::vector<int64_t> absent;
  // They differ by one at most, so that an overflow does no harm.
  for (size_t i = 0; i < group.ranks.size(); ++i)
    if (int32_t(mine - arrivals[group.firstMember + i].load()) > 0)
      absent.push_back(group.ranks[i]);
  return absent;
}

std::vector<int64_t> Meeting::findWaitedFor(int64_t rank) const {
  int64_t place = rankStates[rank].place.load(), collective = place / 4 - 1;
  if (place % 4 == AtTheEnd)
    return findAbsent(groups.back(), rank);
  if (place % 4 == Inside)
    return findAbsent(getGroup(int32_t(collective), rank), rank);
  return {};
}

std::string Meeting::describePlaces(std::span<const int64_t> ranks) const {
  constexpr size_t most = 4;
  std::string text;
  for (int64_t rank : ranks.first(std::min(most, ranks.size())))
    text += (text.empty() ? "rank " : ", rank ") + std::to_string(rank) + " (" +
            describePlace(rank) + ")";
  if (ranks.size() > most)
    text += " and " + std::to_string(ranks.size() - most) + " more";
  return text;
}

std::string Meeting::describeAbsent(const Group &group, int64_t rank) const {
  std::vector<int64_t> absent = findAbsent(group, rank), holdingUp;
  // Those may wait in another group, for ranks that wait for nobody.
  std::vector<int64_t> reached = absent;
  std::vector<bool> seen(info.numRanks());
  seen[rank] = true;
  for (int64_t other : absent)
    seen[other] = true;
  for (size_t i = 0; i < reached.size(); ++i) {
    std::vector<int64_t> waitedFor = findWaitedFor(reached[i]);
    if (waitedFor.empty() && i >= absent.size())
      holdingUp.push_back(reached[i]);
    for (int64_t other : waitedFor)
      if (!seen[other]) {
        seen[other] = true;
        reached.push_back(other);
      }
  }
  std::string text = describePlaces(absent);
  if (!holdingUp.empty())
    text += ", held up by " + describePlaces(holdingUp);
  return text;
}

static std::string formatSeconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g s", seconds);
  return text;
}

bool Meeting::checkRequests(const Group &group) {
  const Request &first = rankStates[group.ranks[0]].request;
  auto other = std::ranges::find_if(group.ranks, [&](int64_t rank) {
    const Request &request = rankStates[rank].request;
    return request.collective != first.collective ||
           request.dtype != first.dtype ||
           request.reduction != first.reduction ||
           request.extents != first.extents;
  });
  if (other == group.ranks.end())
    return true;
  int32_t collective = rankStates[*other].request.collective;
  end(RunReport::Failed,
      "rank " + std::to_string(group.ranks[0]) + " is in " +
          names[first.collective] + " and rank " + std::to_string(*other) +
          " in " + names[collective] +
          (collective == first.collective ? ", with other sizes" : ""));
  return false;
}

bool Meeting::wait(const Group &group, int64_t rank, bool check) {
  GroupState &state = groupStates[group.index];
  // It cannot grow before this rank has arrived.
  uint32_t generation = state.generation.load();
  if (generation & 1)
    return false;
  size_t place = std::ranges::find(group.ranks, rank) - group.ranks.begin();
  ++arrivals[group.firstMember + place];
  if (++state.arrived == group.ranks.size()) {
    if (check && !checkRequests(group))
      return false;
    state.arrived = 0;
    state.generation += 2;
    wakeAll(state.generation);
    return true;
  }
  int64_t deadline = deadlineAfter(timeout);
  while (true) {
    uint32_t now = state.generation.load();
    if ((now & ~1u) != generation)
      return true;
    if (now & 1)
      return false;
    if (monotonicNow() >= deadline) {
      end(RunReport::TimedOut, "rank " + std::to_string(rank) + " has waited " +
                                   formatSeconds(timeout) + " " +
                                   describePlace(rank) + " for " +
                                   describeAbsent(group, rank));
      return false;
    }
    sleepWhile(state.generation, now, deadline);
  }
}

void Meeting::beginStep(int64_t rank) {
  size_t size = info.collectives.size();
  std::fill_n(counts + rank * size, size, CollectiveCount());
  // The last collective stays: it is the nearest line that can be named.
  std::atomic<int64_t> &place = rankStates[rank].place;
  place = place / 4 * 4 + After;
}

bool Meeting::meet(int64_t rank, const Request &request) {
  rankStates[rank].request = request;
  rankStates[rank].place = 4 * int64_t(request.collective + 1) + Inside;
  return wait(getGroup(request.collective, rank), rank, /*check=*/true);
}

bool Meeting::meetAgain(int64_t rank) {
  return wait(getGroup(rankStates[rank].request.collective, rank), rank,
              /*check=*/false);
}

bool Meeting::part(int64_t rank) {
  if (!meetAgain(rank))
    return false;
  rankStates[rank].place =
      4 * int64_t(rankStates[rank].request.collective + 1) + After;
  return true;
}

bool Meeting::finishStep(int64_t rank) {
  std::atomic<int64_t> &place = rankStates[rank].place;
  place = place / 4 * 4 + AtTheEnd;
  return wait(groups.back(), rank, /*check=*/false);
}

const Request &Meeting::getRequest(int64_t rank) const {
  return rankStates[rank].request;
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

void Meeting::count(int32_t collective, int64_t rank, int64_t bytes) {
  CollectiveCount &mine = counts[rank * info.collectives.size() + collective];
  ++mine.count;
  mine.bytes += bytes;
}

std::vector<CollectiveCount> Meeting::getCounts() const {
  size_t size = info.collectives.size();
  // Every rank makes every call.
  std::vector<CollectiveCount> sums(counts, counts + size);
  for (size_t i = size; i < size * info.numRanks(); ++i)
    sums[i % size].bytes += counts[i].bytes;
  return sums;
}

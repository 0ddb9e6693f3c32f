// BulkQueue: which calls go out together, and when. The calls of a step that come in one turn of
// the event loop are a group, and so are those that come while a group of the step is out; a full
// group goes at once. Groups of all steps that call a function together take no more than its
// places. Knows nothing of calls: it holds members. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "base/failpoint.h"

namespace sluice {

template <class Member>
class BulkQueue {
 public:
  struct Limits {
    std::uint32_t most = 2;    // members of a group
    std::uint32_t places = 0;  // groups that are out at once; 0: any number
  };
  using Key = const void*;
  struct Group {
    Key step = nullptr;
    std::vector<Member> members;
  };

  // `take` of the function is to be called in the next turn when this gives true.
  bool add(Key function, Key step, Limits limits, Member member, std::size_t bytes) {
    Function& of = functions_[function];
    of.limits = limits;
    lane_of(of, step).waiting.push_back({std::move(member), bytes});
    return is_due(of);
  }
  // One that is to go alone.
  bool add_alone(Key function, Key step, Member member) {
    Function& of = functions_[function];
    lane_of(of, step).alone.push_back(std::move(member));
    return is_due(of);
  }

  // What goes out now. Each group must come back.
  std::vector<Group> take(Key function) {
    Function& of = functions_[function];
    of.due = false;
    std::vector<Group> groups;
    if (of.lanes.empty()) return groups;
    ++of.first;  // no step is always the last one
    for (std::size_t i = 0; i < of.lanes.size(); ++i) {
      Lane& lane = of.lanes[(of.first + i) % of.lanes.size()];
      while (has_place(of) && may_go(of, lane)) {
        ++lane.out;
        ++of.out;
        groups.push_back(next_group(of, lane));
      }
    }
    return groups;
  }

  // `well`: the group was answered. Gives what `add` does.
  bool came_back(Key function, Key step, bool well) {
    Function& of = functions_[function];
    Lane& lane = lane_of(of, step);
    --lane.out;
    --of.out;
    lane.failures = well ? 0 : lane.failures + 1;
    if (failpoint(Failpoint::kBulkForgetsRest)) return false;
    const bool some = std::ranges::any_of(
        of.lanes, [](const Lane& each) { return !each.waiting.empty() || !each.alone.empty(); });
    return some && is_due(of);
  }

 private:
  static constexpr std::uint32_t kMostFailures = 3;     // in a row; then no more groups
  static constexpr std::size_t kMostBytes = 32U << 20;  // of a group, but for the first

  struct Waiting {
    Member member;
    std::size_t bytes = 0;
  };
  struct Lane {
    Key step = nullptr;
    std::deque<Waiting> waiting;
    std::deque<Member> alone;
    std::uint32_t out = 0;
    std::uint32_t failures = 0;
  };
  struct Function {
    Limits limits;
    std::vector<Lane> lanes;
    std::size_t first = 0;
    std::uint32_t out = 0;
    bool due = false;
  };

  static bool is_due(Function& of) { return !std::exchange(of.due, true); }
  static bool has_place(const Function& of) {
    return of.limits.places == 0 || of.out < of.limits.places;
  }
  static std::size_t most_of(const Function& of, const Lane& lane) {
    return lane.failures >= kMostFailures ? 1 : std::max(of.limits.most, 1U);
  }
  static bool may_go(const Function& of, const Lane& lane) {
    if (!lane.alone.empty()) return true;
    return !lane.waiting.empty() && (lane.out == 0 || lane.waiting.size() >= most_of(of, lane));
  }

  static Group next_group(const Function& of, Lane& lane) {
    Group group{lane.step, {}};
    if (!lane.alone.empty()) {
      group.members.push_back(std::move(lane.alone.front()));
      lane.alone.pop_front();
      return group;
    }
    std::size_t bytes = 0;
    while (!lane.waiting.empty() && group.members.size() < most_of(of, lane)) {
      bytes += lane.waiting.front().bytes;
      if (bytes > kMostBytes && !group.members.empty()) break;
      group.members.push_back(std::move(lane.waiting.front().member));
      lane.waiting.pop_front();
    }
    return group;
  }

  static Lane& lane_of(Function& of, Key step) {
    for (Lane& lane : of.lanes) {
      if (lane.step == step) return lane;
    }
    of.lanes.emplace_back();
    of.lanes.back().step = step;
    return of.lanes.back();
  }

  std::map<Key, Function> functions_;
};

}  // namespace sluice

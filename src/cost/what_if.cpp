#include "cost/what_if.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kMostOfAKind = 12;  // changes of a kind that are tried
constexpr double kStepFactor = 2;
constexpr double kModelFactor = 1.5;
constexpr std::int64_t kWorthTelling = 200;  // one part in so many of the run

using Key = std::pair<std::int64_t, std::uint32_t>;  // when it really began, task
using Heap = std::priority_queue<Key, std::vector<Key>, std::greater<>>;

std::int64_t length_of(const RealizedTask& task) {
  return std::max<std::int64_t>(0, task.end_ns - task.start_ns);
}

class PaperRun {
 public:
  PaperRun(const RealizedRun& run, const Change& change) : run_(run) {
    set_up_pools(change);
    set_up_lengths(change);
    set_up_order();
  }

  std::optional<PaperSchedule> go() {
    schedule_.start_ns.assign(run_.tasks.size(), 0);
    schedule_.end_ns.assign(run_.tasks.size(), 0);
    for (std::uint32_t task = 0; task < run_.tasks.size(); ++task) {
      if (open_inputs_[task] == 0) make_ready(task);
    }
    while (true) {
      while (!ready_.empty()) {
        const std::uint32_t task = ready_.top().second;
        ready_.pop();
        try_start(task);
      }
      if (working_.empty()) break;
      now_ = working_.top().first;
      while (!working_.empty() && working_.top().first == now_) {
        const std::uint32_t task = working_.top().second;
        working_.pop();
        finish(task);
      }
    }
    if (finished_ != run_.tasks.size()) return std::nullopt;
    schedule_.length_ns = now_;
    return std::move(schedule_);
  }

 private:
  static constexpr std::int64_t kUnlimited = std::numeric_limits<std::int64_t>::max() / 2;

  void set_up_pools(const Change& change) {
    for (const PlacePool& pool : run_.pools) {
      const bool more = change.kind == Change::Kind::kMorePlaces && change.name == pool.name;
      const std::int64_t places = std::int64_t{pool.places} + (more ? change.places : 0);
      free_.push_back(pool.places == 0 ? kUnlimited : places);
    }
    parked_.resize(run_.pools.size());
  }

  void set_up_lengths(const Change& change) {
    lengths_.reserve(run_.tasks.size());
    for (const RealizedTask& task : run_.tasks) {
      double factor = 1;
      const bool of_step = task.step != kNoTask && change.kind == Change::Kind::kStepFaster &&
                           run_.steps[task.step] == change.name;
      bool of_pool = false;
      double stretch = 1;
      for (std::uint32_t pool : task.pools) {
        stretch = std::max(stretch, run_.pools[pool].stretch);
        of_pool = of_pool || (change.kind == Change::Kind::kPoolFaster &&
                              run_.pools[pool].name == change.name);
      }
      if ((of_step || of_pool) && change.factor > 0) factor = change.factor;
      const double length = static_cast<double>(length_of(task)) * stretch / factor;
      lengths_.push_back(static_cast<std::int64_t>(std::llround(length)));
    }
  }

  void set_up_order() {
    const std::size_t count = run_.tasks.size();
    open_inputs_.assign(count, 0);
    first_reader_.assign(count + 1, 0);
    for (std::uint32_t task = 0; task < count; ++task) {
      for (std::uint32_t before : run_.tasks[task].after) ++first_reader_[before + 1];
      open_inputs_[task] = static_cast<std::uint32_t>(run_.tasks[task].after.size());
      const std::uint32_t until = run_.tasks[task].held_until;
      if (until != kNoTask && until != task) holders_[until].push_back(task);
    }
    for (std::size_t at = 0; at < count; ++at) first_reader_[at + 1] += first_reader_[at];
    readers_.resize(first_reader_.back());
    std::vector<std::size_t> next(first_reader_.begin(), first_reader_.end() - 1);
    for (std::uint32_t task = 0; task < count; ++task) {
      for (std::uint32_t before : run_.tasks[task].after) readers_[next[before]++] = task;
    }
  }

  void make_ready(std::uint32_t task) { ready_.emplace(run_.tasks[task].start_ns, task); }

  void wake_one(std::uint32_t pool) {
    if (parked_[pool].empty()) return;
    ready_.push(parked_[pool].top());
    parked_[pool].pop();
  }

  // Takes its places, or waits where it lacks one; a place of another pool that it leaves unused
  // may then suit somebody else.
  void try_start(std::uint32_t task) {
    const std::vector<std::uint32_t>& pools = run_.tasks[task].pools;
    for (std::uint32_t lacking : pools) {
      if (free_[lacking] > 0) continue;
      parked_[lacking].emplace(run_.tasks[task].start_ns, task);
      for (std::uint32_t other : pools) {
        if (other != lacking && free_[other] > 0) wake_one(other);
      }
      return;
    }
    for (std::uint32_t pool : pools) --free_[pool];
    schedule_.start_ns[task] = now_;
    schedule_.end_ns[task] = now_ + lengths_[task];
    working_.emplace(schedule_.end_ns[task], task);
  }

  void give_back(std::uint32_t task) {
    for (std::uint32_t pool : run_.tasks[task].pools) {
      ++free_[pool];
      wake_one(pool);
    }
  }

  void finish(std::uint32_t task) {
    ++finished_;
    const std::uint32_t until = run_.tasks[task].held_until;
    if (until == kNoTask || until == task) give_back(task);
    if (auto held = holders_.find(task); held != holders_.end()) {
      for (std::uint32_t holder : held->second) give_back(holder);
    }
    for (std::size_t at = first_reader_[task]; at < first_reader_[task + 1]; ++at) {
      if (--open_inputs_[readers_[at]] == 0) make_ready(readers_[at]);
    }
  }

  const RealizedRun& run_;
  std::vector<std::int64_t> free_;
  std::vector<Heap> parked_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::uint32_t> open_inputs_;
  std::vector<std::size_t> first_reader_;  // into readers_, by task
  std::vector<std::uint32_t> readers_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> holders_;
  Heap ready_;
  Heap working_;  // by end
  std::int64_t now_ = 0;
  std::size_t finished_ = 0;
  PaperSchedule schedule_;
};

std::vector<std::string> largest(const std::map<std::string, std::int64_t, std::less<>>& amounts) {
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [name, amount] : amounts) {
    if (amount > 0) order.emplace_back(-amount, name);
  }
  std::ranges::sort(order);
  if (order.size() > kMostOfAKind) order.resize(kMostOfAKind);
  std::vector<std::string> names;
  for (auto& [amount, name] : order) names.push_back(std::move(name));
  return names;
}

}  // namespace

std::vector<std::int64_t> ready_times(const RealizedRun& run) {
  std::vector<std::int64_t> ready;
  ready.reserve(run.tasks.size());
  for (const RealizedTask& task : run.tasks) {
    std::int64_t at = run.begin_ns;
    for (std::uint32_t before : task.after) at = std::max(at, run.tasks[before].end_ns);
    ready.push_back(std::min(at, task.start_ns));
  }
  return ready;
}

std::vector<std::uint32_t> realized_path(const RealizedRun& run) {
  std::uint32_t at = kNoTask;
  for (std::uint32_t task = 0; task < run.tasks.size(); ++task) {
    if (at == kNoTask || run.tasks[task].end_ns > run.tasks[at].end_ns) at = task;
  }
  std::vector<std::uint32_t> path;
  while (at != kNoTask && path.size() <= run.tasks.size()) {
    path.push_back(at);
    std::uint32_t latest = kNoTask;
    for (std::uint32_t before : run.tasks[at].after) {
      if (latest == kNoTask || run.tasks[before].end_ns > run.tasks[latest].end_ns) latest = before;
    }
    at = latest;
  }
  std::ranges::reverse(path);
  return path;
}

std::optional<PaperSchedule> simulate_run(const RealizedRun& run, const Change& change) {
  return PaperRun(run, change).go();
}

std::vector<Change> possible_changes(const RealizedRun& run) {
  std::map<std::string, std::int64_t, std::less<>> waited, worked, models;
  std::map<std::string, std::uint32_t, std::less<>> places;
  const std::vector<std::int64_t> ready = ready_times(run);
  for (std::size_t at = 0; at < run.tasks.size(); ++at) {
    const RealizedTask& task = run.tasks[at];
    if (task.step != kNoTask) worked[run.steps[task.step]] += length_of(task);
    for (std::uint32_t index : task.pools) {
      const PlacePool& pool = run.pools[index];
      if (pool.name.starts_with("model:")) models[pool.name] += length_of(task);
      if (pool.places == 0) continue;
      waited[pool.name] += task.start_ns - ready[at];
      places[pool.name] = std::max(places[pool.name], pool.places);
    }
  }
  std::vector<Change> changes;
  for (std::string& name : largest(waited)) {
    const std::uint32_t more = std::max<std::uint32_t>(1, (places[name] + 1) / 2);
    changes.push_back({Change::Kind::kMorePlaces, std::move(name), more, 1});
  }
  for (std::string& name : largest(worked)) {
    changes.push_back({Change::Kind::kStepFaster, std::move(name), 0, kStepFactor});
  }
  for (std::string& name : largest(models)) {
    changes.push_back({Change::Kind::kPoolFaster, std::move(name), 0, kModelFactor});
  }
  return changes;
}

std::optional<WhatIf> try_changes(const RealizedRun& run, std::span<const Change> changes,
                                  std::size_t most) {
  auto unchanged = simulate_run(run);
  if (!unchanged) return std::nullopt;
  WhatIf found;
  found.unchanged_ns = unchanged->length_ns;
  const std::int64_t least = std::max<std::int64_t>(1, found.unchanged_ns / kWorthTelling);
  std::vector<std::pair<std::int64_t, std::size_t>> order;  // of equal ones the first comes first
  for (std::size_t at = 0; at < changes.size(); ++at) {
    auto changed = simulate_run(run, changes[at]);
    const std::int64_t saved = changed ? found.unchanged_ns - changed->length_ns : 0;
    if (saved >= least) order.emplace_back(-saved, at);
  }
  std::ranges::sort(order);
  if (order.size() > most) order.resize(most);
  for (const auto& [minus_saved, at] : order) {
    found.effects.push_back({changes[at], -minus_saved});
  }
  return found;
}

}  // namespace sluice

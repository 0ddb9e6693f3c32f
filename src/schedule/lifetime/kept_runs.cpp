#include "schedule/lifetime/kept_runs.h"

#include <algorithm>
#include <queue>

namespace sluice {
namespace {

// Brought back ahead of a return that is expected within this time, and not more copying than this
// at once (a request may arrive meanwhile).
constexpr double kAhead_s = 5;
constexpr double kCopyAtOnce_s = 0.1;
constexpr double kPause_s = 0.02;    // and a pause between
constexpr double kAskAgain_s = 1e6;  // not worth a timer

}  // namespace

KeptRuns::KeptRuns(const Round& round) : round_(round) {
  const ScheduleSnapshot& snapshot = round.snapshot;
  const auto& rows = policy_tables().lifetime;
  LifetimePolicy* usual = find_policy(rows, snapshot.settings.names.lifetime, rows.front().policy);
  runs_.reserve(snapshot.kept.size());
  by_id_.reserve(snapshot.kept.size());
  for (const KeptRunView& view : snapshot.kept) {
    by_id_.emplace_back(view.id, static_cast<int>(by_id_.size()));
  }
  std::ranges::sort(by_id_);
  for (const KeptRunView& view : snapshot.kept) {
    Run run{.view = &view};
    LifetimePolicy* policy =
        view.policies ? find_policy(rows, view.policies->lifetime, usual) : usual;
    run.worth = policy(round, view);
    run.in_host = view.in_host;
    run.in_pool = !view.in_host;
    run.parent = view.parent ? find(*view.parent) : -1;
    if (run.parent >= static_cast<int>(runs_.size())) run.parent = -1;  // parents come first
    if (run.parent >= 0) {
      Run& parent = runs_[static_cast<std::size_t>(run.parent)];
      (run.in_host ? parent.host_children : parent.pool_children) += 1;
    }
    if (run.in_pool) evictable_ += view.cells;
    runs_.push_back(run);
  }
  const PoolView& pool = snapshot.pool;
  host_free_ = pool.host_budget_bytes > pool.host_used_bytes
                   ? pool.host_budget_bytes - pool.host_used_bytes
                   : 0;
}

int KeptRuns::find(std::uint64_t id) const {
  auto at = std::ranges::lower_bound(by_id_, id, {}, &std::pair<std::uint64_t, int>::first);
  return at != by_id_.end() && at->first == id ? at->second : -1;
}

std::vector<int> KeptRuns::protect(std::optional<std::uint64_t> id) {
  std::vector<int> out;
  for (int at = id ? find(*id) : -1; at >= 0; at = runs_[static_cast<std::size_t>(at)].parent) {
    Run& run = runs_[static_cast<std::size_t>(at)];
    if (run.stays) break;
    run.stays = true;
    if (run.in_pool) evictable_ -= run.view->cells;
    out.push_back(at);
  }
  return out;
}

void KeptRuns::unprotect(const std::vector<int>& runs) {
  for (int at : runs) {
    Run& run = runs_[static_cast<std::size_t>(at)];
    run.stays = false;
    if (run.in_pool) evictable_ += run.view->cells;
  }
}

std::int64_t KeptRuns::host_cells_before(std::optional<std::uint64_t> id) const {
  std::int64_t cells = 0;
  for (int at = id ? find(*id) : -1; at >= 0; at = runs_[static_cast<std::size_t>(at)].parent) {
    const Run& run = runs_[static_cast<std::size_t>(at)];
    if (run.in_host) cells += run.view->cells;
  }
  return cells;
}

double KeptRuns::least_loss_s(const Run& run) const {
  bool host = bytes(run) <= round_.snapshot.pool.host_budget_bytes;
  return host ? std::min(run.worth.drop_s, run.worth.host_s) : run.worth.drop_s;
}

std::uint64_t KeptRuns::bytes(const Run& run) const {
  return std::uint64_t{run.view->cells} * round_.cost.parts().cell_bytes;
}

double KeptRuns::loss_s(std::int64_t cells) const {
  if (losses_.empty()) {
    for (const Run& run : runs_) {
      if (!run.in_pool || run.stays || run.view->cells == 0) continue;
      bool expected = run.view->returns || run.view->returns_at_ns;
      losses_.emplace_back(expected ? least_loss_s(run) / run.view->cells : 0, run.view->cells);
    }
    std::ranges::sort(losses_);
  }
  double loss = 0;
  for (const auto& [per_cell, held] : losses_) {
    if (cells <= 0) break;
    loss += per_cell * static_cast<double>(std::min(cells, held));
    cells -= held;
  }
  return loss;
}

void KeptRuns::left_pool(Run& run) {
  run.in_pool = false;
  evictable_ -= run.view->cells;
  freed_ += run.view->cells;
  if (run.parent >= 0) runs_[static_cast<std::size_t>(run.parent)].pool_children -= 1;
}

void KeptRuns::drop_host(int at, std::vector<KvMove>& moves) {
  Run& run = runs_[static_cast<std::size_t>(at)];
  run.in_host = false;
  host_free_ += bytes(run);
  if (run.parent >= 0) runs_[static_cast<std::size_t>(run.parent)].host_children -= 1;
  moves.push_back({run.view->id, KvAction::kDrop});
}

// A run in host memory is of no use without what stands in front of it. Its children come after it.
void KeptRuns::drop_host_children(int at, std::vector<KvMove>& moves) {
  if (runs_[static_cast<std::size_t>(at)].host_children == 0) return;
  for (int child = at + 1; child < static_cast<int>(runs_.size()); ++child) {
    const Run& run = runs_[static_cast<std::size_t>(child)];
    if (run.parent != at || !run.in_host) continue;
    drop_host_children(child, moves);
    drop_host(child, moves);
  }
}

// Displaces what is worth less in host memory, as long as that loses less than dropping the run.
bool KeptRuns::find_host_room(const Run& run, std::vector<KvMove>& moves) {
  std::uint64_t need = bytes(run);
  if (need > round_.snapshot.pool.host_budget_bytes) return false;
  if (need <= host_free_) return true;
  std::vector<std::pair<double, int>> ends;  // (loss of a cell, run)
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const Run& other = runs_[i];
    bool end = other.in_host && !other.stays && other.host_children + other.pool_children == 0;
    if (!end) continue;
    ends.emplace_back(other.worth.drop_s / std::max(other.view->cells, 1U), static_cast<int>(i));
  }
  std::ranges::sort(ends);
  double loss_s = run.worth.host_s;
  std::uint64_t room = host_free_;
  std::size_t count = 0;
  while (count < ends.size() && room < need) {
    const Run& other = runs_[static_cast<std::size_t>(ends[count++].second)];
    loss_s += other.worth.drop_s;
    room += bytes(other);
  }
  if (room < need || loss_s >= run.worth.drop_s) return false;
  for (std::size_t i = 0; i < count; ++i) drop_host(ends[i].second, moves);
  return true;
}

void KeptRuns::leave(int at, std::vector<KvMove>& moves) {
  Run& run = runs_[static_cast<std::size_t>(at)];
  bool to_host = run.worth.host_s < run.worth.drop_s && find_host_room(run, moves);
  if (!to_host) drop_host_children(at, moves);
  left_pool(run);
  moves.push_back({run.view->id, to_host ? KvAction::kMoveToHost : KvAction::kDrop});
  if (!to_host) return;
  run.in_host = true;
  host_free_ -= bytes(run);
  if (run.parent >= 0) runs_[static_cast<std::size_t>(run.parent)].host_children += 1;
}

void KeptRuns::make_room(std::int64_t cells, std::vector<KvMove>& moves) {
  if (cells <= 0) return;
  using Entry = std::pair<double, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ends;
  auto offer = [&, wanted = cells](int at) {
    const Run& run = runs_[static_cast<std::size_t>(at)];
    // Of a run that is larger than what is needed the rest is freed for nothing.
    auto counts = static_cast<double>(std::clamp<std::int64_t>(run.view->cells, 1, wanted));
    if (leaf(run)) ends.emplace(least_loss_s(run) / counts, at);
  };
  for (int at = 0; at < static_cast<int>(runs_.size()); ++at) offer(at);
  while (cells > 0 && !ends.empty()) {
    int at = ends.top().second;
    ends.pop();
    const Run& run = runs_[static_cast<std::size_t>(at)];
    leave(at, moves);
    cells -= run.view->cells;
    if (run.parent >= 0) offer(run.parent);
  }
}

std::uint32_t KeptRuns::free_sequences(std::uint32_t count, std::vector<KvMove>& moves) {
  // The chain of runs that only this end needs: what leaves before its sequence is free.
  auto chain_of = [&](int at) {
    std::vector<int> chain;
    for (; at >= 0; at = runs_[static_cast<std::size_t>(at)].parent) {
      const Run& run = runs_[static_cast<std::size_t>(at)];
      if (run.stays || !run.in_pool || run.pool_children > (chain.empty() ? 0 : 1)) break;
      chain.push_back(at);
    }
    return chain;
  };
  std::uint32_t freed = 0;
  for (; freed < count; ++freed) {
    std::vector<int> best;
    double best_s = 0;
    for (int at = 0; at < static_cast<int>(runs_.size()); ++at) {
      if (!leaf(runs_[static_cast<std::size_t>(at)])) continue;
      std::vector<int> chain = chain_of(at);
      double loss = 0;
      for (int one : chain) loss += least_loss_s(runs_[static_cast<std::size_t>(one)]);
      int above = runs_[static_cast<std::size_t>(chain.back())].parent;
      // A protected run in front keeps the sequence unless others hold it too.
      bool frees = above < 0 || runs_[static_cast<std::size_t>(above)].pool_children > 1;
      if (frees && (best.empty() || loss < best_s)) {
        best = std::move(chain);
        best_s = loss;
      }
    }
    if (best.empty()) break;
    for (int at : best) leave(at, moves);
  }
  return freed;
}

void KeptRuns::forget_in_host(std::uint64_t id, std::vector<KvMove>& moves) {
  for (int at = find(id); at >= 0; at = runs_[static_cast<std::size_t>(at)].parent) {
    if (!runs_[static_cast<std::size_t>(at)].in_host) return;
    drop_host_children(at, moves);
    drop_host(at, moves);
  }
}

void KeptRuns::leave_early(std::vector<KvMove>& moves) {
  for (auto at = static_cast<int>(runs_.size()) - 1; at >= 0; --at) {
    Run& run = runs_[static_cast<std::size_t>(at)];
    bool room = run.worth.move_now && bytes(run) <= host_free_;
    if (leaf(run) && (run.worth.leave_now || room)) {
      leave(at, moves);
    } else if (run.in_host && !run.stays && run.worth.leave_now &&
               run.host_children + run.pool_children == 0) {
      drop_host(at, moves);
    }
  }
}

std::optional<SteadyNs> KeptRuns::bring_back(std::int64_t free_cells, std::vector<KvMove>& moves) {
  std::vector<std::pair<double, int>> soon;
  double next_s = kAskAgain_s;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const Run& run = runs_[i];
    if (!run.in_host || run.worth.back_s >= kAskAgain_s) continue;
    if (run.worth.back_s <= kAhead_s) {
      soon.emplace_back(run.worth.back_s, static_cast<int>(i));
    } else {
      next_s = std::min(next_s, run.worth.back_s - kAhead_s);
    }
  }
  std::ranges::sort(soon);
  double copied_s = 0;
  for (const auto& [back_s, at] : soon) {
    std::vector<int> chain;  // what stands in front of it comes first
    std::int64_t cells = 0;
    for (int one = at; one >= 0; one = runs_[static_cast<std::size_t>(one)].parent) {
      if (!runs_[static_cast<std::size_t>(one)].in_host) break;
      chain.push_back(one);
      cells += runs_[static_cast<std::size_t>(one)].view->cells;
    }
    if (cells > free_cells || chain.empty()) continue;
    if (copied_s > kCopyAtOnce_s) return round_.snapshot.now_ns + ns_of(kPause_s);
    free_cells -= cells;
    copied_s += round_.cost.copy_in_s(static_cast<std::uint64_t>(cells));
    for (auto one = chain.rbegin(); one != chain.rend(); ++one) {
      Run& run = runs_[static_cast<std::size_t>(*one)];
      run.in_host = false;
      run.in_pool = true;
      moves.push_back({run.view->id, KvAction::kMoveToPool});
    }
  }
  if (next_s >= kAskAgain_s) return std::nullopt;
  return round_.snapshot.now_ns + ns_of(next_s);
}

}  // namespace sluice

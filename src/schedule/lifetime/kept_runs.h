// The kept runs of a snapshot while a decision is made: which can leave, in what order, at what
// loss, and the moves that make room. Whatever the lifetime policies say of single runs, parents
// leave the pool after their children, what an admitted request begins with stays, and host memory
// stays within its budget. Lives for one call of decide(); one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "schedule/policies.h"

namespace sluice {

class KeptRuns {
 public:
  explicit KeptRuns(const Round& round);

  // The run and all in front of it stay: a request that is being admitted begins with them. Returns
  // which did not stay before, for unprotect().
  std::vector<int> protect(std::optional<std::uint64_t> run);
  void unprotect(const std::vector<int>& runs);
  // Cells that could be freed by moving everything out that is not protected.
  std::int64_t evictable_cells() const { return evictable_; }
  // Cells that it takes to bring back `run` with what stands in front of it.
  std::int64_t host_cells_before(std::optional<std::uint64_t> run) const;
  // Of the runs that leave the pool by the moves so far.
  std::int64_t freed_cells() const { return freed_; }
  // Expected seconds that programs which are expected back lose when so many cells leave, the least
  // valuable ones first.
  double loss_s(std::int64_t cells) const;

  // Appends moves that free at least so many cells, or all that can be.
  void make_room(std::int64_t cells, std::vector<KvMove>& moves);
  // The same for sequences, one for each end of a kept prefix that leaves with all that only it
  // needs; returns how many.
  std::uint32_t free_sequences(std::uint32_t count, std::vector<KvMove>& moves);
  // Drops `run` and what stands in front of it from host memory: there is no room to bring it back.
  void forget_in_host(std::uint64_t run, std::vector<KvMove>& moves);
  // What is to leave although there is room.
  void leave_early(std::vector<KvMove>& moves);
  // Into `free_cells` of an engine with nothing to do: what is expected back soon. Returns when to
  // ask again.
  std::optional<SteadyNs> bring_back(std::int64_t free_cells, std::vector<KvMove>& moves);

 private:
  struct Run {
    const KeptRunView* view = nullptr;
    RunWorth worth;
    int parent = -1;
    int pool_children = 0;  // of those that are still there
    int host_children = 0;
    bool in_pool = false;
    bool in_host = false;
    bool stays = false;
  };

  int find(std::uint64_t id) const;
  bool leaf(const Run& run) const { return run.in_pool && run.pool_children == 0 && !run.stays; }
  double least_loss_s(const Run& run) const;
  std::uint64_t bytes(const Run& run) const;
  void leave(int at, std::vector<KvMove>& moves);
  bool find_host_room(const Run& run, std::vector<KvMove>& moves);
  void drop_host_children(int at, std::vector<KvMove>& moves);
  void drop_host(int at, std::vector<KvMove>& moves);
  void left_pool(Run& run);

  const Round& round_;
  std::vector<Run> runs_;                             // parents before children
  std::vector<std::pair<std::uint64_t, int>> by_id_;  // sorted
  std::int64_t evictable_ = 0;
  std::int64_t freed_ = 0;
  std::uint64_t host_free_ = 0;
  mutable std::vector<std::pair<double, std::int64_t>> losses_;  // (a cell's loss, cells), sorted
};

}  // namespace sluice

// SimProcess: one process of a simulated world, from its boot to its death or its orderly end: a
// connection to the store, the group-commit journal, the run loop. Inside of simulate/. One thread.
#pragma once

#include <functional>
#include <memory>

#include "runtime/run_loop.h"
#include "simulate/sim_values.h"
#include "simulate/world_parts.h"

namespace sluice {

class SimProcess {
 public:
  using Id = EventQueue::Owner;

  SimProcess(WorldParts& world, Id id, std::function<void(SimProcess&, Told)> told);
  ~SimProcess();
  SimProcess(const SimProcess&) = delete;
  SimProcess& operator=(const SimProcess&) = delete;

  // Opens the store, creates or takes over the run, and lets it go on.
  void boot();
  void poll_inbox();  // in this process, soon
  void interrupt();
  // Another form for items that have not begun, of some step, where the plan has one.
  void replan(std::uint64_t which);
  void die();
  void chance() { life_.chance(); }
  void clock_stepped() { host_->clock_stepped(); }

  Id id() const { return id_; }
  bool alive() const { return life_.alive(); }
  bool finished() const { return finished_; }
  bool running() const { return alive() && !finished_ && loop_ != nullptr; }
  const RunLoop* loop() const { return loop_.get(); }
  const std::optional<Error>& problem() const { return problem_; }  // why it could not go on
  bool run_over() const { return run_over_; }                       // it found the run ended

 private:
  Result<void> open();
  Result<void> begin_run();
  Result<void> make_run();
  Result<void> prepare_fork_of_run();
  Result<void> read_fork_again();
  void count_nested();
  Result<void> resume_run();
  Result<SimPlanPtr> recorded_plan();
  void make_loop(RunLease lease, JournalSeq begun);
  void commit_later();
  void check_inbox();
  void take_messages();
  RunHeader new_header() const;
  RunCard card() const;

  WorldParts& world_;
  Id id_;
  std::function<void(SimProcess&, Told)> told_;
  Life life_;
  std::unique_ptr<SimVfs> vfs_;
  std::unique_ptr<SimValues> values_;
  std::unique_ptr<SimHost> host_;
  std::unique_ptr<WatchedJournal> watched_;
  std::unique_ptr<GroupCommitJournal> journal_;
  std::unique_ptr<RunLoop> loop_;
  PhysicalPlanPtr physical_;
  RunLease lease_;
  RunHeader header_;
  std::shared_ptr<const ReuseTable> reuse_;  // of a fork
  bool finished_ = false;
  bool run_over_ = false;
  std::optional<Error> problem_;
};

}  // namespace sluice

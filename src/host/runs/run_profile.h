// What a run really did, told by its trace: per step how many tasks, calls and tokens, how long its
// tasks worked and how long they waited although all that they read was there; and the realized
// graph, task by task with what each waited for, for the critical path and for what would have
// helped (cost/what_if.h). Memory is bounded: of a run with more tasks than kMostTasks the graph
// keeps one of so many items, of every step the same ones. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cost/what_if.h"
#include "data/hash.h"
#include "data/value.h"
#include "host/runs/past_run.h"
#include "host/runs/replans.h"
#include "runtime/trace.h"

namespace sluice {

struct StepProfile {
  std::string id;  // "rows/ask" for a step of a sub-plan
  std::string operator_name;
  std::string resource;  // "tool:db.query", "" for none
  Hash256 step_hash;
  std::uint64_t tasks = 0;  // that ended; done, skipped and failed together
  std::uint64_t done = 0, skipped = 0, failed = 0;
  std::uint64_t conditions = 0, held = 0;  // evaluations of its `when`; those that were true
  std::uint64_t calls = 0, retries = 0, cached = 0;
  std::uint64_t earlier = 0;  // of `cached`: answered by what earlier runs have kept
  std::uint64_t hedged = 0;   // calls beside which a second attempt was started
  Usage usage;
  std::int64_t busy_ns = 0;     // of all calls, one after the other
  std::int64_t waiting_ns = 0;  // all tasks: from when they could start to when they did
  std::int64_t working_ns = 0;  // all tasks: from start to end
  SteadyNs first_ns = 0, last_ns = 0;
};

struct RunProfile {
  // The plan's order, steps of sub-plans behind their caller. A step of a plan that had several
  // forms stands there once.
  std::vector<StepProfile> steps;
  std::vector<StepReplan> replans;  // when forms changed
  SteadyNs start_ns = 0, end_ns = 0;
  std::uint64_t tasks = 0;
  std::string no_graph;                 // why there is no realized graph, "" when there is one
  std::uint32_t one_of = 1;             // of so many items the graph has one
  RealizedRun realized;                 // its steps are those above, in the same order
  std::vector<std::string> labels;      // of realized.tasks: "rows[3]/ask"; "" of mere joins
  std::vector<std::uint32_t> critical;  // tasks that took time, in time order
};

class RunProfileFold final : public TraceSink {
 public:
  static constexpr std::size_t kMostTasks = 50'000;

  explicit RunProfileFold(std::size_t most_tasks = kMostTasks);
  ~RunProfileFold() override;
  void on_trace(const TraceEvent& event) override;
  // The run was compacted: what it did before is not known task by task.
  void restored(std::string_view folded) override;
  RunProfile profile() const;  // of all that was seen so far

  struct Impl;  // run_profile_impl.h

 private:
  std::unique_ptr<Impl> impl_;
};

struct ProfiledRun {
  std::unique_ptr<RunProfileFold> fold;  // outlives the run, which tells it
  std::unique_ptr<PastRun> run;
  RunProfile profile;
  Value params;  // the run's own; null when they cannot be had any more
};
// Of a run in the journal, ended or not. Errors as PastRun::read has them.
Result<ProfiledRun> profile_run(Journal& journal, const std::string& run_id,
                                std::size_t most_tasks = RunProfileFold::kMostTasks);

}  // namespace sluice

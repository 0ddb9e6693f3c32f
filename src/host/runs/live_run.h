// LiveRun: one run on this machine, new or taken up, from opened resources to its end. The calling
// thread is the run's; it is used once.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "host/calls/asio_host.h"
#include "host/files/spill_store.h"
#include "host/files/temp_dir.h"
#include "host/history/result_cache.h"
#include "host/history/run_statistics.h"
#include "host/history/statistics_store.h"
#include "host/resources/resources.h"
#include "host/runs/adaptive_rows.h"
#include "host/runs/run_service.h"
#include "runtime/run_loop.h"

namespace sluice {

// A run that this process has taken over from its journal.
struct TakenRun {
  const ResumeRequest& request;
  JournaledRun journaled;
  RunLease lease;
  RunHeader header;
  RunSurroundings before;
  RecordedPlan plan;
  std::shared_ptr<const ReuseTable> reuse;  // of a fork
};

class LiveRun final : public TraceSink {
 public:
  // References outlive it. `taken`: null for a new run, which `request` describes.
  LiveRun(std::string run_id, const RunRequest* request, const TakenRun* taken,
          const RunSettings& settings, RunObserver& observer, TempDir& temp);
  ~LiveRun() override;

  std::expected<RunReport, RunRefused> run();

  void on_trace(const TraceEvent& event) override;
  void restored(std::string_view folded) override;

 private:
  const PlanPtr& plan() const { return taken_ ? taken_->plan.plan : request_->plan; }
  bool to_cancel() const { return taken_ != nullptr && taken_->request.cancel.has_value(); }
  ToolEnvironment make_environment();
  SpillOptions spill_options();
  void check_isolation();
  void open_all();
  void one_opened(const Result<void>& result);

  void start();
  void start_new(const PlanScope& scope);
  Result<PhysicalPlanPtr> optimized(const PlanScope& scope);
  const std::optional<BatchExtent>& batch() const;
  CostInputs cost_inputs(const PlanScope& scope, const Value* params);
  void adapt_rows_of(const PhysicalPlanPtr& plan, PlanEstimate expected);
  void take_earlier_forms();
  void look_at_rows();
  void forecast();
  OptimizerSettings optimizer() const;
  void take_up(const PlanScope& scope);
  Result<RunJournal> create_in_journal(const PhysicalPlan& plan, const RunOptions& options);
  RunSurroundings surroundings() const;
  bool still_fits();
  Result<void> complete_rows();
  void make_loop(const PhysicalPlanPtr& plan, const PlanScope& scope);

  void refuse(RunRefused why);
  void ended(RunOutcome outcome);
  void stop();
  void close();
  EngineStats engine_totals() const;
  void tick();
  void stop_when_wanted();
  void watch_inbox();
  void look_into_inbox();
  void take_messages();
  void watch_signals();
  void await_signal();

  const RunRequest* request_;
  const TakenRun* taken_;
  const RunSettings& settings_;
  RunObserver& observer_;
  TempDir& temp_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      io_.get_executor()};
  boost::asio::thread_pool pool_;
  ToolEnvironment environment_;
  Resources resources_;
  std::unique_ptr<Tool> code_;
  ResultCache cache_;
  SqliteStatisticsStore history_;
  RunStatistics statistics_;
  std::unique_ptr<AdaptiveRows> adaptive_;  // null: no batch, or one that keeps its plan
  SpillStore values_;
  SummaryFold summary_;
  std::unique_ptr<AsioHost> host_;
  std::unique_ptr<RunLoop> loop_;
  PhysicalPlanPtr running_;                         // as it was when the run began
  std::optional<std::vector<RecordedNote>> notes_;  // of the passes that made it, in this process
  boost::asio::signal_set signals_;
  boost::asio::steady_timer ticker_;
  boost::asio::steady_timer inbox_timer_;
  RunReport report_;
  std::optional<RunRefused> refused_;
  std::uint64_t seed_;
  SteadyNs life_began_ = 0;  // on the clock: now less the life of the run so far
  int opening_ = 0;
  int interrupts_ = 0;
  bool stopping_ = false;
  bool stop_asked_ = false;  // by the observer
  bool live_ = false;        // nothing of an earlier process is told any more
  bool look_posted_ = false;
};

}  // namespace sluice

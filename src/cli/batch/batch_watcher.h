// What a batch is watched for beside what every run is: rows that are done, what each took, and
// whether it has come to where it should stop. Passes everything on to the run's watcher. The run's
// thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cli/batch/batch_budget.h"
#include "cli/batch/batch_estimate.h"
#include "cli/run_watcher.h"

namespace sluice::cli {

struct BatchStops {
  std::uint64_t sample = 0;  // rows; 0: none
  BudgetKeeper budget{BatchBudget()};
  // What approximate passes may change, as approximate_changes gives it: what was measured.
  // nullopt: anything.
  std::optional<std::vector<std::string>> measured = {};
};

class BatchWatcher final : public RunObserver {
 public:
  // kUnmeasured: passes would change more than was measured. Nothing of the run has begun then.
  enum class Stop { kSample, kAllFailed, kBudget, kUnmeasured };

  // `inner` outlives it.
  BatchWatcher(RunWatcher& inner, BatchStops stops)
      : inner_(inner), stops_(std::move(stops)), budget_(stops_.budget) {}

  void on_trace(const TraceEvent& event) override;
  void on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) override;
  bool lets_call(const StartCall& start) override;
  bool wants_stop() const override { return stop_.has_value() || inner_.wants_stop(); }

  void restored(std::string_view folded) override;
  void use_redactor(const Redactor* redactor) override { inner_.use_redactor(redactor); }
  void on_notice(std::string_view text) override { inner_.on_notice(text); }
  void on_opened(const std::vector<ModelInfo>& models) override { inner_.on_opened(models); }
  void on_optimized(const OptimizedPlan& plan) override;
  void on_expected(const PlanEstimate& estimate) override { budget_.expect(estimate); }
  void on_started(const std::string& run_id, bool journaled) override {
    inner_.on_started(run_id, journaled);
  }
  void on_resumed(const ResumeReport& report) override { inner_.on_resumed(report); }
  void on_interrupt(int times) override { inner_.on_interrupt(times); }

  std::optional<Stop> stopped() const { return stop_; }
  const std::string& budget_words() const { return budget_.words(); }  // what was reached
  const BatchSample& sample() const { return sample_; }
  std::uint64_t rows_done() const { return rows_done_; }
  std::uint64_t rows_through() const { return rows_through_; }  // some not kept yet
  std::uint64_t rows_failed() const { return rows_failed_; }
  const std::string& first_error() const { return first_error_; }

 private:
  void root_event(const TraceEvent& event);
  void inner_event(const TraceEvent& event);
  void row_ended(const TraceEvent& event);
  void row_kept(const TraceEvent& event);

  RunWatcher& inner_;
  BatchStops stops_;
  std::optional<Stop> stop_;
  BudgetKeeper budget_;
  BatchSample sample_;
  SteadyNs first_ns_ = 0;  // start of the first row's first call
  std::uint64_t rows_done_ = 0;
  std::uint64_t rows_through_ = 0;
  std::uint64_t rows_failed_ = 0;
  std::string first_error_;
  // While a sample goes on: by the frame of a row's plan, and when calls under way began.
  std::unordered_map<std::uint64_t, RowCost> costs_;
  std::unordered_map<std::uint64_t, SteadyNs> begun_;
};

}  // namespace sluice::cli

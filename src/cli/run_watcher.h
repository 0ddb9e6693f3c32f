// What a person or a program sees while a run is live in this process: events as JSON lines,
// progress, notices, what it waits for. Each text goes out without secrets. The run's thread only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cli/progress.h"
#include "cli/terminal.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

struct OutputOptions {
  std::string file;  // of -o
  bool json = false;
  bool quiet = false;
};

class RunWatcher final : public RunObserver {
 public:
  RunWatcher(const OutputOptions& options, const Terminal& terminal);

  void use_redactor(const Redactor* redactor) override;
  void on_trace(const TraceEvent& event) override;
  void on_notice(std::string_view text) override;
  void on_opened(const std::vector<ModelInfo>& models) override;
  void on_optimized(const OptimizedPlan& plan) override;
  void on_started(const std::string& run_id, bool journaled) override;
  void on_resumed(const ResumeReport& report) override;
  void on_interrupt(int times) override;
  void on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) override;
  // A table cannot be written now: the run stops before it, and can go on when that is mended.
  bool wants_stop() const override { return unwritable_; }
  // Of a batch.
  void expect_rows(std::uint64_t rows) {
    batch_ = true;
    progress_.expect_rows(rows);
  }

  // Once the run is over: everything is written, nothing redraws any more.
  void finish();
  std::string clean(std::string_view text) const;
  // Why standard output could not be written; nullopt when all went well.
  const std::optional<Error>& failure() const { return failure_; }
  // Passes that may have changed results.
  const std::vector<std::string>& approximate() const { return approximate_; }
  // The run's id, "" before it has one.
  const std::string& run_id() const { return run_id_; }

 private:
  void flush();
  void say(std::string_view line);
  void note_wait(const TraceEvent& event);
  void note_unwritable(const TraceEvent& event);
  void note_replanned(const TraceEvent& event);

  const OutputOptions& options_;
  Progress progress_;
  const Redactor* redactor_ = nullptr;
  Redactor kept_;
  std::string run_id_;
  std::string lines_;
  bool recovering_ = false;
  bool journaled_ = false;
  bool unwritable_ = false;
  bool batch_ = false;
  std::map<TaskRef, std::string> waits_;  // under way, as told
  std::vector<std::string> approximate_;
  std::optional<Error> failure_;
};

// "waiting for signal approve, for finance: Pay 300?"; "waiting until 2026-...".
std::string wait_text(const WaitBegan& wait);

}  // namespace sluice::cli

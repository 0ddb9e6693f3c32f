// Runs live on this machine: one from a parsed and verified plan, one that a journal has, taken up
// where it stopped, or a fork of one. Each opens the plan's tools and models, drives the run loop
// on the calling thread until the run ends or stops, and closes everything. The command line and
// the server call these.
#pragma once

#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "host/files/spill_store.h"
#include "host/resources/model_choice.h"
#include "host/resources/secrets.h"
#include "host/runs/run_header.h"
#include "journal/journal.h"
#include "optimize/optimizer.h"
#include "plan/diagnostic.h"
#include "plan/logical.h"
#include "runtime/effect.h"
#include "runtime/run_fork.h"
#include "runtime/run_loop.h"
#include "runtime/summary.h"
#include "runtime/trace.h"
#include "schedule/model_instance.h"

namespace sluice {

struct RunSettings {
  std::filesystem::path work_dir;   // relative paths of a plan's settings start here
  std::filesystem::path cache_dir;  // results of steps with `cache`
  ModelPreferences models;
  std::uint64_t memory_bytes = 256ULL << 20;  // of large values
  std::uint32_t threads = 0;                  // 0: the machine's cores
  bool handle_signals = false;                // Ctrl-C and SIGTERM interrupt the run
  bool person_reads = false;                  // notices: on a terminal
  std::int64_t tick_ms = 100;
  OptimizerSettings optimizer;  // of a new run; one that goes on keeps the plan that it has
  // Of a batch that is to stop for its sample: rows of a table that this process takes; 0: all.
  // What earlier runs have answered is asked again for these: it would tell nothing of the others.
  std::uint64_t hold_rows_after = 0;
  // Where the run is recorded; outlives it. Null: nothing of it survives the process.
  Journal* journal = nullptr;
  std::uint64_t compact_after = 500'000;  // records of a run, as RunJournal has it
};

struct RunRequest {
  PlanPtr plan;
  Value params;     // bound and checked
  PlanTexts texts;  // of the plan, for the journal; the first's name is what people call it
  std::optional<ForkedFrom> forked;
  std::vector<RunInput> inputs = {};  // files that must be the same when the run goes on
  std::optional<BatchExtent> batch = {};
  std::vector<Value> drawn_rows = {};  // of a batch: as draw_rows gives them
};

struct ResumeRequest {
  std::string run_id;
  // Goes on although a model is another than the one that the run began with.
  bool accept_changes = false;
  // Set: the run is not to go on, but to be cancelled for this reason: undone where its plan says
  // so, and ended.
  std::optional<std::string> cancel;
  // RunSettings::work_dir and ::models say where the plan's paths start and what stands for the
  // model `default`; else both are what they were.
  bool other_work_dir = false;
  bool other_model = false;
};

// What goes on, for people. Called on the run's thread; must not block.
class RunObserver : public TraceSink {
 public:
  // What every text below must go through before anybody reads it; lives as long as the run.
  virtual void use_redactor(const Redactor* redactor) { (void)redactor; }
  virtual void on_notice(std::string_view text) { (void)text; }  // one sentence
  virtual void on_opened(const std::vector<ModelInfo>& models) { (void)models; }
  // What passes made of the plan of a new run, before it starts. Not told where they are off.
  virtual void on_optimized(const OptimizedPlan& plan) { (void)plan; }
  // What a batch that is taken up is expected to cost as a whole.
  virtual void on_expected(const PlanEstimate& estimate) { (void)estimate; }
  // The run has its id; `journaled`: and can be found by it from now on.
  virtual void on_started(const std::string& run_id, bool journaled) {
    (void)run_id;
    (void)journaled;
  }
  virtual void on_resumed(const ResumeReport& report) { (void)report; }
  virtual void on_interrupt(int times) { (void)times; }
  // Asked before each call of a step leaves; false: it does not, and the run ends as with
  // wants_stop.
  virtual bool lets_call(const StartCall& start) {
    (void)start;
    return true;
  }
  // Asked behind each event: true ends the run as an interrupt does, and it can be resumed.
  virtual bool wants_stop() const { return false; }
  // `now`: in the life of the run, as the summary's times are.
  virtual void on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) {
    (void)so_far;
    (void)engines;
    (void)now;
  }
};

// What a batch that stops for its sample expects, with what the sample has shown.
struct SampleForecast {
  PlanEstimate all;     // of all rows
  PlanEstimate sample;  // of as many as were done: to be compared with what they took
};

struct RunReport {
  std::string run_id;
  std::vector<std::string> plan_files;  // names for positions in errors
  bool journaled = false;
  bool ended = true;   // for good; false: it can be resumed, if it is journaled
  RunOutcome outcome;  // its result holds no spilled values
  RunSummary summary;
  // Of a run that has not ended for good. Steps are not set: they went with the plan.
  std::vector<RunState::Doubt> doubts;
  std::vector<RunState::Waiting> waits;
  std::optional<ResumeReport> resumed;
  SpillStats memory;
  EngineStats engines;  // over all embedded models
  std::optional<SampleForecast> forecast;
};

// Why a run never started, or was not taken up: findings about the plan, or an error about its
// surroundings. A run that could not be taken up is as it was before.
struct RunRefused {
  Diagnostics findings;
  std::optional<Error> error;
};

std::expected<RunReport, RunRefused> run_plan(const RunRequest& request,
                                              const RunSettings& settings, RunObserver& observer);

// `settings.journal` must be set. A run that had ended when its process died is closed; the report
// tells how it ended. kRunUnknown, kRunBusy, kRunEnded, kRunChanged.
std::expected<RunReport, RunRefused> resume_run(const ResumeRequest& request,
                                                const RunSettings& settings, RunObserver& observer);

}  // namespace sluice

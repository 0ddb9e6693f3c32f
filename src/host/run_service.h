// run_plan: one run from a parsed and verified plan to its end, live on this machine. Opens the
// plan's tools and models, checks it again with what open tools turned out to offer, drives the run
// loop on the calling thread and closes everything. The command line and the server call it.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "engine/engine.h"
#include "host/model_choice.h"
#include "host/secrets.h"
#include "host/spill_store.h"
#include "plan/diagnostic.h"
#include "plan/logical.h"
#include "runtime/effect.h"
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
  std::int64_t tick_ms = 100;
};

struct RunRequest {
  PlanPtr plan;
  Value params;  // bound and checked
};

// What goes on, for people. Called on the run's thread; must not block.
class RunObserver : public TraceSink {
 public:
  // What every text below must go through before anybody reads it; lives as long as the run.
  virtual void use_redactor(const Redactor* redactor) { (void)redactor; }
  virtual void on_notice(std::string_view text) { (void)text; }  // one sentence
  virtual void on_opened(const std::vector<ModelInfo>& models) { (void)models; }
  virtual void on_interrupt(int times) { (void)times; }
  virtual void on_tick(const RunSummary& so_far, const EngineStats& engines) {
    (void)so_far;
    (void)engines;
  }
};

struct RunReport {
  std::string run_id;
  RunOutcome outcome;  // its result holds no spilled values
  RunSummary summary;
  SpillStats memory;
  EngineStats engines;  // over all embedded models
};

// Why a run never started: findings about the plan, or an error about its surroundings.
struct RunRefused {
  Diagnostics findings;
  std::optional<Error> error;
};

std::expected<RunReport, RunRefused> run_plan(const RunRequest& request,
                                              const RunSettings& settings, RunObserver& observer);

}  // namespace sluice

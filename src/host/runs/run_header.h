// What a run is, as its journal's first record keeps it: the texts of its plan, the plan as it
// runs, and with which models, folder and isolation it began. And back: the same run for a later
// process. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "host/resources/model_choice.h"
#include "host/runs/recorded_notes.h"
#include "host/runs/run_input.h"
#include "runtime/recorded_plan.h"
#include "runtime/run_fork.h"

namespace sluice {

// Name and text; the first is the plan's own, the others by the names that it has for them.
using PlanTexts = std::vector<std::pair<std::string, std::string>>;

// A model as a run began with it.
struct RunModel {
  std::string id;
  std::string identity;  // file hash, or address and name; "" when it could not be opened
  std::string what;      // for people: its file or address
};

// What may be spent on a batch; nullopt: not bounded.
struct BatchBudget {
  std::optional<double> tokens, usd, seconds;
  bool bounded() const { return tokens || usd || seconds; }
  friend bool operator==(const BatchBudget&, const BatchBudget&) = default;
};

// Of a run that is a batch: what whoever takes it up wants to know of it.
struct BatchExtent {
  std::uint64_t rows = 0;  // that it is to do
  BatchBudget budget;
  friend bool operator==(const BatchExtent&, const BatchExtent&) = default;
};

// RunHeader::settings, typed.
struct RunSurroundings {
  std::string work_dir;
  // What stood for the model `default`, where the plan does not say: as --model takes it; or "".
  std::string default_model;
  std::string default_model_name;
  std::vector<RunModel> models;  // in the order of the plans' steps
  bool isolated_code = true;
  std::uint64_t seed = 0;
  // Which passes made the plan as it runs of the plan as written. For people: the run keeps it.
  bool optimized = false;  // false: none, also of a time without passes
  std::vector<std::string> without_passes;
  std::optional<std::vector<RecordedNote>> notes;  // of these passes; nullopt: not recorded
  std::vector<RunInput> inputs;                    // of a batch
  std::optional<BatchExtent> batch;  // nullopt: it is none, or one of an older program
  ForkBounds fork;                   // of a fork
};
Value encode_surroundings(const RunSurroundings& surroundings);
Result<RunSurroundings> decode_surroundings(const Value& settings);  // kJournalDamaged

// What differs, one sentence a difference; empty when the run can go on as it was.
std::vector<std::string> changes(const RunSurroundings& before, const RunSurroundings& now);

}  // namespace sluice

// Parts of what people read about a run: its steps, tokens and critical path. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "data/value.h"
#include "host/runs/replans.h"
#include "runtime/run_state.h"
#include "runtime/summary.h"

namespace sluice::cli {

std::string steps_table(const RunSummary& summary, const Terminal& terminal);
std::string tokens_line(const RunSummary& summary);  // "" when no model was asked
std::string critical_path_line(const std::vector<CriticalHop>& hops);
// "a 1 s -> b 2 s"; a long chain shows its two ends. `hop` gives the text of one of them.
std::string chain_text(std::size_t hops, const std::function<std::string(std::size_t)>& hop);

// "rows from 33 on: second -> first instead of first -> second, decided at 1.2 s: why". Rows count
// from 1.
std::string replan_text(const StepReplan& replan);
// [{step, from_item, at_ms, before, after, why}]: items count from 0.
Value replans_json(const std::vector<StepReplan>& replans);

// Calls in doubt and waits, each with the commands that settle it. `journal` goes into them as it
// was given (" --journal FILE" or "").
struct OpenQuestions {
  std::string run_id;
  std::string journal;
  const std::vector<RunState::Doubt>& doubts;
  const std::vector<RunState::Waiting>& waits;
};
std::string doubts_text(const OpenQuestions& questions, const Terminal& terminal);
std::string waits_text(const OpenQuestions& questions, const Terminal& terminal);

}  // namespace sluice::cli

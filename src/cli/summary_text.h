// Parts of what people read about a run: its steps, tokens and critical path. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "runtime/run_state.h"
#include "runtime/summary.h"

namespace sluice::cli {

std::string steps_table(const RunSummary& summary, const Terminal& terminal);
std::string tokens_line(const RunSummary& summary);  // "" when no model was asked
std::string critical_path_line(const std::vector<CriticalHop>& hops);

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

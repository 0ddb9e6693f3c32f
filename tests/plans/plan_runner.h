// Checks and runs one plan of a .test file in this process: parse_plan, verify_plan, lower_plan,
// RunLoop, with the real AsioHost, tools and code workers; also with a journal in memory, from
// which the run is then decided once more. One thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/value.h"
#include "plan/diagnostic.h"
#include "plan/logical.h"
#include "runtime/effect.h"
#include "runtime/inbox.h"
#include "runtime/summary.h"

namespace sluice::plantest {

// How a case is run. The law: results are the same in all of them.
enum class Variation { kAsWritten, kOneWorker, kThroughYaml, kThroughJson, kJournaled };
std::string_view variation_name(Variation variation);

// The text in the form that the variation wants; "" when a round trip is not possible because the
// text does not parse.
std::string vary(std::string_view text, const std::filesystem::path& folder, Variation variation);

struct Checked {
  PlanPtr plan;
  Diagnostics findings;
};
// Parses and verifies; files of sub-plans are read from `folder`.
Checked check(std::string_view text, const std::filesystem::path& folder);

struct RunRequest {
  PlanPtr plan;
  std::string text;  // of the plan, for the journal
  Value params;
  std::filesystem::path folder;
  std::string model_script;
  std::vector<SignalMessage> signals;  // sent when the run begins
  Variation variation = Variation::kAsWritten;
};
struct RunReport {
  Diagnostics param_findings;  // with errors: nothing ran
  RunOutcome outcome;
  RunSummary summary;
  std::vector<std::string> error_codes;  // what really failed: the roots, each once, sorted
};
// An error when it could not even start, did not end within a minute, or when its journal does not
// tell the same.
Result<RunReport> run(const RunRequest& request);

}  // namespace sluice::plantest

// Checks and runs one plan of a .test file in this process: parse_plan, verify_plan, optimize_plan,
// RunLoop, with the real AsioHost, tools and code workers; also with a journal in memory, from
// which the run is then decided once more. One thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/value.h"
#include "optimize/optimizer.h"
#include "plan/diagnostic.h"
#include "plan/logical.h"
#include "runtime/effect.h"
#include "runtime/inbox.h"
#include "runtime/summary.h"

namespace sluice::plantest {

// How a case is run. The law: results, root causes of failures and what is in files afterwards are
// the same in all of them. One difference is allowed, where the file says so (`run avoids CODE`): a
// pass may avoid a failure, so that a plan fails with fewer passes and succeeds with all of them.
struct Variation {
  enum class Form { kAsWritten, kThroughYaml, kThroughJson };

  std::string name;  // "as_written", "journaled", "without_fold_constants"
  Form form = Form::kAsWritten;
  bool one_worker = false;
  bool journaled = false;
  OptimizerSettings optimizer;
  const PassInfo* pass = nullptr;  // the one that it is without, or that it is alone with

  // As users get it.
  bool all_passes() const { return !optimizer.off && optimizer.without.empty(); }
};
// The first is the plan as it is written, optimized as users get it. Others: other forms, one
// worker, journaled, no optimizer, without each of the passes, each of the passes alone.
const std::vector<Variation>& variations();
const Variation& unoptimized();

// The text in the form that the variation wants; "" when a round trip is not possible because the
// text does not parse.
std::string vary(std::string_view text, const std::filesystem::path& folder, Variation::Form form);

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
  const Variation* variation = &variations().front();
};
struct RunReport {
  Diagnostics param_findings;  // with errors: nothing ran
  RunOutcome outcome;
  RunSummary summary;
  std::vector<std::string> error_codes;  // what really failed: the roots, each once, sorted
  bool rewritten = false;  // a pass changed the plan: what is told of steps may differ
};
// An error when it could not even start, did not end within a minute, or when its journal does not
// tell the same.
Result<RunReport> run(const RunRequest& request);

}  // namespace sluice::plantest

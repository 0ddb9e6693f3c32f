// The optimizer: a verified plan as the user wrote it, and out comes the physical plan that runs,
// with a note of everything that a pass changed, or left alone and why. Passes stand in one table
// (passes.cpp), each in one file under passes/. The rewritten plan is verified again; when it does
// not verify, the plan as each pass left it is, so that the error names the pass. Pure; any thread.
//
// The law of an exact pass: the same results and the same `once` effects as the plan as written;
// it may avoid a failure, never cause one; it never makes more calls. A task keeps its TaskId, a
// step its hash. A hedging pass keeps this law but for the number of calls; an approximate one may
// change results. Those of both kinds run only where the plan, or one around it, says
// `allow: [NAME]`.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cost/plan_cost.h"
#include "data/value.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"

namespace sluice {

struct OptimizerSettings {
  bool off = false;                            // the plan as it is written
  std::set<std::string, std::less<>> without;  // passes that do not run
};

struct OptimizerInput {
  PlanPtr plan;                   // verified
  const ToolCatalog& tools;       // of its scope
  const Value* params = nullptr;  // bound and checked; null: not known yet
  const CostInputs& cost;         // what estimates are made from
  OptimizerSettings settings;
};

// What a pass did, or would have done.
struct PassNote {
  std::string_view pass;
  bool refused = false;  // it did nothing here, for the reason that `text` gives
  std::string step;      // its id, "sub/ask" inside of sub-plans; "" about the plan
  std::string text;      // "same as a: done once"
  // What that is expected to save in the whole run, where it can be said.
  std::optional<double> saved_calls, saved_tokens, saved_s;
  std::optional<double> saved_trips;  // ways there and back: the calls are made, several in one
};

struct OptimizedPlan {
  PhysicalPlanPtr physical;
  PlanPtr rewritten;    // as the passes left it; the written one when none changed anything
  PlanEstimate before;  // of the plan as written
  PlanEstimate after;
  std::vector<PassNote> notes;
  double seconds = 0;  // that optimizing took
};

// kInternal, with the pass's name, when a pass made a plan that does not verify; the error of
// lowering else.
Result<OptimizedPlan> optimize_plan(const OptimizerInput& input);

// The passes that exist, in their order, for --help, checks of `--without` and docs.
enum class PassClass : std::uint8_t {
  kExact,
  kHedging,      // exact, but for more calls
  kApproximate,  // results may differ; how much is measured on a sample
};
struct PassInfo {
  std::string_view name;  // "merge_equal_steps"
  std::string_view what;  // one line
  PassClass kind = PassClass::kExact;
};
std::span<const PassInfo> optimizer_passes();

}  // namespace sluice

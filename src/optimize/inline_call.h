// One call of a sub-plan, as steps of the plan that makes it: what inline_plans is made of. Says
// why not where that would not be exactly the same. Pure; one thread.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "optimize/plan_draft.h"
#include "optimize/step_skips.h"
#include "verify/facts.h"

namespace sluice {

// What is the same for all calls of a plan.
struct CalledPlan {
  std::unique_ptr<ToolCatalog> tools;         // as its steps see them
  std::optional<std::string> alone, in_rows;  // why it cannot be inlined; "" where it can
};

struct InlineSurroundings {
  const PlanDraft& draft;
  const ToolCatalog& tools;
  const StepSkips& skips;                     // of the draft's steps
  std::function<const PlanFacts&()> facts;    // of the plan as the pass found it
  std::set<std::string, std::less<>>& taken;  // ids of steps, also of those that are made
  std::map<const Plan*, CalledPlan>& called;  // filled as calls are looked at
};

struct InlinedCall {
  Step result;  // in the place of the call, with its id: a value of what the sub-plan's result is
  std::vector<std::pair<Step, InlinedStep>> steps;
};

// The error: why the call stays one, for people.
std::expected<InlinedCall, std::string> inline_call(const InlineSurroundings& around,
                                                    std::uint32_t call);

}  // namespace sluice

// CallTargets: what the steps of a run's plans call: tools with their functions, models. Looked up
// once per plan. Also finds the tool function behind one StartCall: the step's own, one that a
// model asked for, or what undoes either. The run's thread only.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "host/calls/llm_call.h"
#include "host/resources/plan_scope.h"
#include "host/resources/resources.h"
#include "plan/physical.h"
#include "runtime/effect.h"

namespace sluice {

// What a step calls.
struct StepTarget {
  const PlanScope* scope = nullptr;
  ToolEntry* tool = nullptr;
  const FunctionSpec* function = nullptr;
  ModelEntry* model = nullptr;
};

// One call of one tool function.
struct ToolTarget {
  const PlanScope* home = nullptr;  // where the tool is defined
  ToolEntry* tool = nullptr;
  std::string name;  // as its plan names it
  const FunctionSpec* function = nullptr;
  Value args;
};

class CallTargets {
 public:
  void add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope, Resources& resources);
  const StepTarget* find(const PhysicalStep* step) const;

  // The functions that an llm step offers to its model, by `tools: [db.query, fs]` of its `with`.
  static Result<std::vector<OfferedTool>> offered(const PlanScope& scope, const Value& args);

  // The call of `start`, which is a tool's, without regard to `start.undo`. kToolUnknown, or
  // kArgInvalid for what a model wrote. Only `start.args` and `start.wanted` are read.
  Result<ToolTarget> tool_of(const StartCall& start) const;
  // What undoes it; nullopt where nothing does. `start.undone` is read too.
  Result<std::optional<ToolTarget>> undo_of(const StartCall& start) const;
  // Only its function, null where nothing does; what had been given is not looked at.
  Result<const FunctionSpec*> undo_function(const StartCall& start) const;
  // What asks whether it happened; nullopt when its function (the undoing one's for an undo) has no
  // probe.
  Result<std::optional<ToolTarget>> probe_of(const StartCall& start) const;

 private:
  Result<ToolTarget> step_tool(const StartCall& start, const StepTarget& target) const;
  Result<ToolTarget> wanted_tool(const StartCall& start, const StepTarget& target) const;
  // The call that `setting` (a probe or an undo of `about`'s function) describes.
  static Result<ToolTarget> call_about(const ToolTarget& about, const Value& setting,
                                       const StartCall& start, const std::string& key,
                                       const Value& output);

  std::unordered_map<const PhysicalStep*, StepTarget> targets_;
  std::vector<PhysicalPlanPtr> plans_;  // keeps the keys of targets_ alive
};

}  // namespace sluice

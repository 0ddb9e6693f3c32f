// What a step reads of other steps, where, and when in a task's life. Verify and lower share it:
// edges are inferred from nothing else. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plan/logical.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"

namespace sluice {

struct Reference {
  std::string step;
  EdgeMode mode = EdgeMode::kWhole;  // as written: kSlot for `steps.S.output[index]`
  EdgeUse use = EdgeUse::kBody;
  bool exact_items = false;  // for_each is exactly `{{ steps.S.output }}`
  SourcePos pos;             // of the step's name
};

// In the order for_each, when, body, joins, after.
std::vector<Reference> references_of(const Step& step);
std::vector<Reference> references_of(const Binding& tree, EdgeUse use);

// The binding of a step's body: `with`, or `value`, or `wait`.
const Binding& body_of(const Step& step);
// Calls `visit` for each binding of a step, with its use.
void for_each_binding(const Step& step,
                      const std::function<void(const Binding& tree, EdgeUse use)>& visit);

// Whether the step's output has slots: a for_each, or a call that emits items.
bool step_streams(const Step& step, const ToolCatalog& tools);
inline bool has_slots(const Step& step, const ToolCatalog& tools) {
  return step.for_each.has_value() || step_streams(step, tools);
}

// Whether something that running the step calls has an `undo`: its tool, or one that its model is
// offered. Not of a sub-plan's steps, which have their own.
bool can_be_undone(const Step& step, const Plan& plan, const ToolCatalog& tools);

// The worst effect that running the step can have.
Effect effect_of(const Step& step, const Plan& plan, const ToolCatalog& tools);

}  // namespace sluice

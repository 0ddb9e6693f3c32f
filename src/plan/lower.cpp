#include "plan/lower.h"

#include <algorithm>
#include <limits>
#include <set>

#include "base/failpoint.h"
#include "data/json.h"
#include "fmt/format.h"
#include "plan/binding_text.h"
#include "plan/references.h"
#include "plan/step_lowering.h"
#include "plan/step_order.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

// What is the same for all plans that are lowered together.
struct Lowering {
  const KnownMeanings* known;
  std::map<const Plan*, PhysicalPlanPtr> done;  // so far
};

// The written index of each step in an order in which all that a step needs stands before it;
// among those that could come next, the one written first.
Result<std::vector<std::uint32_t>> order_of(const Plan& plan,
                                            const NameMap<std::uint32_t>& written) {
  std::vector<std::vector<std::uint32_t>> needs(plan.steps.size());
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    auto need = [&](const std::string& id, SourcePos pos) -> Result<void> {
      auto found = written.find(id);
      if (found == written.end()) return fail(ErrorCode::kStepUnknown, "no step " + id, pos);
      needs[i].push_back(found->second);
      return {};
    };
    for (const Reference& read : references_of(step)) {
      if (auto known = need(read.step, read.pos); !known) return std::unexpected(known.error());
    }
    if (!step.on_error || step.on_error->kind != OnErrorRule::Kind::kStep) continue;
    auto known = need(step.on_error->step, step.on_error->pos);
    if (!known) return std::unexpected(known.error());
  }
  std::vector<std::uint32_t> order = order_by_needs(needs);
  if (order.size() != needs.size()) {
    return fail(ErrorCode::kStepCycle, "steps wait for each other", plan.pos);
  }
  return order;
}

Hasher& add_settings(Hasher& hasher, const NamedSettings* named) {
  if (!named) return hasher.field("");
  return hasher.field(named->kind).field(content_hash(named->settings));
}

Hash256 hash_of(const PhysicalStep& step, const Plan& plan) {
  const Step& logical = step.logical;
  Hasher hasher;
  hasher.field(operator_name(logical.op));
  switch (logical.op) {
    case OperatorKind::kLlm:
      hasher.field(logical.target);
      add_settings(hasher, plan.find_model(logical.target));
      break;
    case OperatorKind::kTool:
      hasher.field(logical.target).field(logical.function);
      add_settings(hasher, plan.find_tool(logical.target));
      break;
    case OperatorKind::kCode:
      hasher.field(logical.target);
      break;
    case OperatorKind::kPlan:
      hasher.field(step.plan ? step.plan->plan_hash : Hash256{});
      break;
    case OperatorKind::kTable:
      if (logical.table) hasher.field(content_hash(table_text(*logical.table)));
      break;
    case OperatorKind::kValue:
    case OperatorKind::kWait:
      break;
  }
  hasher.field(content_hash(binding_text(body_of(logical))));
  if (logical.output) hasher.field(content_hash(logical.output->source()));
  return hasher.finish();
}

std::uint32_t model_limit(const Plan& plan, std::string_view id) {
  const NamedSettings* model = plan.find_model(id);
  const Value* limit = model ? model->settings.find("concurrency") : nullptr;
  bool fits = limit && limit->is_int() && limit->as_int() > 0 && limit->as_int() <= 100'000;
  return fits ? static_cast<std::uint32_t>(limit->as_int()) : 0;
}

void set_resource(const Plan& plan, const ToolCatalog& tools, PhysicalStep& step) {
  Step& logical = step.logical;
  if (logical.op == OperatorKind::kLlm) {
    step.resource = "model:" + logical.target;
    step.resource_limit = model_limit(plan, logical.target);
  } else if (logical.op == OperatorKind::kCode) {
    step.resource = "code";
  } else if (logical.op == OperatorKind::kTool) {
    const FunctionSpec* spec = tools.find(logical.target, logical.function);
    if (spec) logical.function = spec->name;  // the default one by its name
    const NamedSettings* tool = plan.find_tool(logical.target);
    if (!spec && tool && logical.function.empty()) logical.function = default_function(*tool);
    step.resource = fmt::format("tool:{}{}{}", logical.target, logical.function.empty() ? "" : ".",
                                logical.function);
    step.resource_limit = spec ? spec->concurrency : FunctionSpec().concurrency;
  }
}

void link(std::vector<PhysicalStep>& steps, const LoweringIndex& index) {
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    const auto& on_error = steps[i].logical.on_error;
    if (on_error && on_error->kind == OnErrorRule::Kind::kStep) {
      steps[i].fallback = index.physical.find(on_error->step)->second;
      steps[steps[i].fallback].fallback_of = i;
    }
    for (const Edge& edge : steps[i].edges) {
      auto& consumers = steps[edge.from].consumers;
      if (consumers.empty() || consumers.back() != i) consumers.push_back(i);
    }
  }
  for (std::size_t i = steps.size(); i-- > 0;) {
    for (std::uint32_t consumer : steps[i].consumers) {
      steps[i].rank = std::max(steps[i].rank, steps[consumer].rank + 1);
    }
    // A fallback is as urgent as the step that it stands in for (which comes behind it).
    if (steps[i].fallback_of != kNoIndex) steps[i].rank = steps[steps[i].fallback_of].rank;
  }
}

Result<PhysicalPlanPtr> lower(const PlanPtr& plan, const ToolCatalog& tools, Lowering& lowering);

Result<void> finish_step(const Plan& plan, const ToolCatalog& tools, Lowering& lowering,
                         PhysicalStep& step) {
  step.streams = step_streams(step.logical, tools);
  step.effect = effect_of(step.logical, plan, tools);
  step.has_undo = can_be_undone(step.logical, plan, tools);
  step.batch_safe = step.logical.op == OperatorKind::kValue;
  set_resource(plan, tools, step);
  if (step.logical.op == OperatorKind::kPlan && !step.logical.produced_plan) {
    const PlanPtr* sub = plan.find_plan(step.logical.target);
    if (!sub || !*sub) {
      return fail(ErrorCode::kPlanUnknown, fmt::format("no plan {}", step.logical.target),
                  step.logical.target_pos);
    }
    auto inner = catalog_within(**sub, tools);
    auto lowered = lower(*sub, *inner, lowering);
    if (!lowered) return std::unexpected(lowered.error());
    step.plan = *lowered;
  }
  const Hash256* hash = lowering.known ? lowering.known->of(plan, step.logical.id) : nullptr;
  step.step_hash = hash ? *hash : hash_of(step, plan);
  return {};
}

Hash256 plan_hash(const Plan& plan) {
  Hasher hasher;
  hasher.field(content_hash(plan.source));
  for (const auto* list : {&plan.tools, &plan.models}) {
    for (const NamedSettings& named : *list) {
      if (!named.inherited) continue;
      hasher.field(named.id);
      add_settings(hasher, &named);
    }
  }
  return hasher.finish();
}

Result<PhysicalPlanPtr> lower(const PlanPtr& plan, const ToolCatalog& tools, Lowering& lowering) {
  if (auto found = lowering.done.find(plan.get()); found != lowering.done.end()) {
    return found->second;
  }
  NameMap<std::uint32_t> written;
  std::set<std::string, std::less<>> fallbacks;
  for (std::uint32_t i = 0; i < plan->steps.size(); ++i) {
    const Step& step = plan->steps[i];
    written.emplace(step.id, i);
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      fallbacks.insert(step.on_error->step);
    }
  }
  auto order = order_of(*plan, written);
  if (!order) return std::unexpected(order.error());
  auto physical = std::make_shared<PhysicalPlan>();
  physical->logical = plan->written ? plan->written : plan;
  LoweringIndex index;
  for (std::uint32_t i = 0; i < order->size(); ++i) {
    const Step& step = plan->steps[(*order)[i]];
    index.physical.emplace(step.id, i);
    index.ids.push_back(step.id);
    index.slots.push_back(has_slots(step, tools) ? 1 : 0);
  }
  physical->steps.resize(order->size());
  for (std::uint32_t i = 0; i < order->size(); ++i) {
    const Step& step = plan->steps[(*order)[i]];
    lower_step(step, index, fallbacks.contains(step.id), physical->steps[i]);
    auto finished = finish_step(*plan, tools, lowering, physical->steps[i]);
    if (!finished) return std::unexpected(finished.error());
  }
  link(physical->steps, index);
  choose_windows(physical->steps);
  for (const Reference& read : references_of(plan->result, EdgeUse::kBody)) {
    if (!index.physical.contains(read.step)) {
      return fail(ErrorCode::kStepUnknown, fmt::format("no step {}", read.step), read.pos);
    }
  }
  InputBuilder result(index, false);
  physical->result = result.bind(plan->result, EdgeUse::kBody);
  physical->result_edges = std::move(result.edges);
  physical->result_inputs = std::move(result.inputs);
  physical->concurrency = plan->concurrency;
  physical->budget = plan->budget;
  physical->undo = plan->undo;
  const Hash256* hash = lowering.known ? lowering.known->of(*plan) : nullptr;
  physical->plan_hash = hash ? *hash : plan_hash(*plan);
  lowering.done.emplace(plan.get(), physical);
  return physical;
}

}  // namespace

Result<PhysicalPlanPtr> lower_plan(const PlanPtr& plan, const ToolCatalog& tools,
                                   const KnownMeanings* known) {
  Lowering lowering{known, {}};
  return lower(plan, tools, lowering);
}

Hash256 result_key(const PhysicalStep& step, const Value& bound_inputs) {
  if (failpoint(Failpoint::kShareIgnoresInputs)) return step.step_hash;
  return Hasher().field(step.step_hash).field(content_hash(bound_inputs)).finish();
}

}  // namespace sluice

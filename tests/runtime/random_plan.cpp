#include "tests/runtime/random_plan.h"

#include <algorithm>
#include <memory>
#include <set>

namespace sluice::testing {

namespace {

bool chance(Random& random, double probability) { return random.unit() < probability; }

JoinAction::Kind random_action(Random& random) {
  switch (random.below(3)) {
    case 0:
      return JoinAction::Kind::kSkip;
    case 1:
      return JoinAction::Kind::kFail;
    default:
      return JoinAction::Kind::kValue;
  }
}

void add_rules(Random& random, Step& step) {
  if (chance(random, 0.3)) {
    RetryRule retry;
    retry.attempts = 1 + static_cast<std::uint32_t>(random.below(3));
    retry.delay_ms = static_cast<std::int64_t>(random.below(50));
    step.retry = retry;
  }
  if (chance(random, 0.15)) {
    RepeatRule repeat;
    repeat.max_rounds = 1 + static_cast<std::uint32_t>(random.below(4));
    repeat.delay_ms = static_cast<std::int64_t>(random.below(2)) * 20;
    step.repeat = repeat;
  }
  if (chance(random, 0.3)) {
    OnErrorRule rule;
    rule.kind = chance(random, 0.5) ? OnErrorRule::Kind::kSkip : OnErrorRule::Kind::kValue;
    step.on_error = rule;
  }
  if (chance(random, 0.3)) step.concurrency = 1 + static_cast<std::uint32_t>(random.below(3));
}

Edge random_edge(Random& random, const PhysicalPlan& plan, std::uint32_t from, bool mapped,
                 bool has_when) {
  Edge edge;
  edge.from = from;
  const PhysicalStep& producer = plan.steps[from];
  bool sliceable = producer.mapped || producer.streams;
  switch (random.below(4)) {
    case 0:
      edge.mode = sliceable && mapped ? EdgeMode::kSlot : EdgeMode::kWhole;
      break;
    case 1:
      edge.mode = EdgeMode::kStatus;
      break;
    case 2:
      edge.mode = EdgeMode::kOrder;
      break;
    default:
      edge.mode = EdgeMode::kWhole;
  }
  edge.use = has_when && chance(random, 0.4) ? EdgeUse::kWhen : EdgeUse::kBody;
  edge.join.skipped.kind = random_action(random);
  edge.join.failed.kind = random_action(random);
  return edge;
}

PlanShape below(const PlanShape& shape) {
  PlanShape small = shape;
  small.max_steps = 4;
  --small.depth;
  return small;
}

void choose_operator(Random& random, const PlanShape& shape, PhysicalStep& step) {
  const double kind = random.unit();
  if (kind < 0.25) {
    step.logical.op = OperatorKind::kValue;
  } else if (kind < 0.35) {
    step.logical.op = OperatorKind::kWait;
  } else if (kind < 0.45) {
    step.logical.op = OperatorKind::kLlm;
  } else if (kind < 0.6 && shape.depth > 0) {
    step.logical.op = OperatorKind::kPlan;
    if (chance(random, 0.3)) {
      step.produced_plan.emplace();
      if (chance(random, 0.5)) step.logical.limits.emplace().tasks = shape.limits ? 6 : 1'000'000;
    } else {
      step.plan = random_plan(random, below(shape));
    }
    if (shape.limits && chance(random, 0.3)) step.logical.timeout_ms = 20;
  }
}

void add_step(Random& random, PhysicalPlan& plan, const PlanShape& shape) {
  auto index = static_cast<std::uint32_t>(plan.steps.size());
  PhysicalStep step = call_step("s" + std::to_string(index));
  choose_operator(random, shape, step);
  bool leaf = step.logical.op == OperatorKind::kTool;
  step.streams = leaf && chance(random, 0.2);
  bool calls = leaf || step.logical.op == OperatorKind::kLlm;
  step.has_undo = calls && shape.undo && chance(random, 0.7);
  if (calls && shape.limits && chance(random, 0.05)) step.logical.budget.calls = 3;
  step.mapped = !step.streams && chance(random, 0.5);
  if (leaf && chance(random, 0.4)) {
    step.resource = "tool:r" + std::to_string(random.below(2));
    step.resource_limit = 2;
    if (step.resource == "tool:r1") step.advice.most_at_once = 1;
  }
  if (chance(random, 0.25)) step.when.emplace();
  add_rules(random, step.logical);
  bool calls_nothing =
      step.logical.op == OperatorKind::kValue || step.logical.op == OperatorKind::kWait;
  if (calls_nothing) step.logical.retry.reset();
  std::set<std::uint32_t> used;
  for (std::uint64_t count = index == 0 ? 0 : random.below(4); count > 0; --count) {
    auto from = static_cast<std::uint32_t>(random.below(index));
    if (!used.insert(from).second) continue;
    step.edges.push_back(random_edge(random, plan, from, step.mapped, step.when.has_value()));
  }
  if (step.mapped) {
    bool flows = false;
    for (std::uint32_t edge = 0; edge < step.edges.size() && !flows; ++edge) {
      Edge& candidate = step.edges[edge];
      if (candidate.mode != EdgeMode::kSlot) continue;
      candidate.use = EdgeUse::kItems;
      step.items_edge = edge;
      flows = true;
    }
    if (!flows) step.for_each.emplace();
    if (!flows && !step.edges.empty() && step.edges[0].mode == EdgeMode::kWhole) {
      step.edges[0].use = EdgeUse::kItems;
    }
  }
  plan.steps.push_back(std::move(step));
}

void add_fallback(Random& random, PhysicalPlan& plan) {
  auto owner = static_cast<std::uint32_t>(random.below(plan.steps.size()));
  PhysicalStep fallback = call_step("fallback");
  fallback.fallback_of = owner;
  if (owner > 0 && chance(random, 0.5)) {
    Edge edge;
    edge.from = static_cast<std::uint32_t>(random.below(owner));
    edge.join.skipped.kind = random_action(random);
    edge.join.failed.kind = random_action(random);
    fallback.edges.push_back(edge);
  }
  plan.steps[owner].fallback = static_cast<std::uint32_t>(plan.steps.size());
  OnErrorRule rule;
  rule.kind = OnErrorRule::Kind::kStep;
  rule.step = "fallback";
  plan.steps[owner].logical.on_error = rule;
  plan.steps.push_back(std::move(fallback));
}

}  // namespace

PhysicalStep call_step(const std::string& id) {
  PhysicalStep step;
  step.logical.id = id;
  step.logical.op = OperatorKind::kTool;
  step.logical_ids = {id};
  return step;
}

PhysicalPlanPtr finish_plan(PhysicalPlan plan) {
  plan.logical = std::make_shared<Plan>();
  for (std::uint32_t reader = 0; reader < plan.steps.size(); ++reader) {
    std::set<std::uint32_t> producers;
    for (const Edge& edge : plan.steps[reader].edges) producers.insert(edge.from);
    for (std::uint32_t producer : producers) plan.steps[producer].consumers.push_back(reader);
  }
  for (std::size_t step = plan.steps.size(); step-- > 0;) {
    for (std::uint32_t consumer : plan.steps[step].consumers) {
      plan.steps[step].rank = std::max(plan.steps[step].rank, plan.steps[consumer].rank + 1);
    }
  }
  return std::make_shared<const PhysicalPlan>(std::move(plan));
}

PhysicalPlanPtr random_plan(Random& random, const PlanShape& shape) {
  PhysicalPlan plan;
  plan.concurrency = 1 + static_cast<std::uint32_t>(random.below(6));
  plan.window = chance(random, 0.5) ? 4 : 1024;
  plan.undo = shape.undo;
  if (shape.limits && chance(random, 0.1)) plan.budget.calls = 10;
  for (std::uint64_t count = 1 + random.below(shape.max_steps); count > 0; --count) {
    add_step(random, plan, shape);
  }
  // Slot edges may hold their producer back only where nothing waits for all of the producer.
  for (PhysicalStep& step : plan.steps) {
    if (step.items_edge == kNoIndex || step.edges.size() > 1) continue;
    step.edges[step.items_edge].windowed = true;
  }
  for (std::size_t from = 0; from < plan.steps.size(); ++from) {
    std::size_t readers = 0;
    for (const PhysicalStep& step : plan.steps) {
      for (const Edge& edge : step.edges) readers += edge.from == from;
    }
    if (readers <= 1) continue;
    for (PhysicalStep& step : plan.steps) {
      for (Edge& edge : step.edges) {
        if (edge.from == from) edge.windowed = false;
      }
    }
  }
  if (chance(random, 0.3)) add_fallback(random, plan);
  return finish_plan(std::move(plan));
}

}  // namespace sluice::testing

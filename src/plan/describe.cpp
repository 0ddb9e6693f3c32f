#include "plan/describe.h"

#include <array>

#include "plan/binding_text.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

using Members = std::vector<Value::Member>;

Value index_or_null(std::uint32_t index) {
  return index == kNoIndex ? Value() : Value::integer(index);
}

Value name_of_step(const PhysicalPlan& plan, std::uint32_t index) {
  if (index == kNoIndex || index >= plan.steps.size()) return {};
  return Value::string(plan.steps[index].logical.id);
}

Value action(const JoinAction& action) {
  switch (action.kind) {
    case JoinAction::Kind::kSkip:
      return Value::string("skip");
    case JoinAction::Kind::kFail:
      return Value::string("fail");
    case JoinAction::Kind::kValue:
      return Value::object({{"value", binding_text(action.value)}});
  }
  return {};
}

Value edge(const PhysicalPlan& plan, const Edge& edge) {
  Members members;
  members.emplace_back("from", name_of_step(plan, edge.from));
  members.emplace_back("mode", Value::string(edge_mode_name(edge.mode)));
  members.emplace_back("use", Value::string(edge_use_name(edge.use)));
  members.emplace_back("windowed", Value::boolean(edge.windowed));
  members.emplace_back("skipped", action(edge.join.skipped));
  members.emplace_back("failed", action(edge.join.failed));
  return Value::object(std::move(members));
}

Value edges(const PhysicalPlan& plan, const std::vector<Edge>& list) {
  std::vector<Value> items;
  items.reserve(list.size());
  for (const Edge& each : list) items.push_back(edge(plan, each));
  return Value::array(std::move(items));
}

std::string_view source_name(InputSource source) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "param", "run_id", "item", "index", "round", "previous", "output", "error", "edge", "status"};
  return kNames[static_cast<std::size_t>(source)];
}

Value inputs(const std::vector<StepInput>& list) {
  std::vector<Value> items;
  for (const StepInput& input : list) {
    Members members{{"source", Value::string(source_name(input.source))}};
    if (!input.param.empty()) members.emplace_back("param", Value::string(input.param));
    if (input.edge != kNoIndex) members.emplace_back("edge", Value::integer(input.edge));
    if (input.index_into) members.emplace_back("index_into", Value::boolean(true));
    items.push_back(Value::object(std::move(members)));
  }
  return Value::array(std::move(items));
}

Value tree(const BoundTree& tree) {
  std::vector<Value> leaves;
  for (const auto& leaf : tree.leaf_inputs) {
    std::vector<Value> numbers;
    numbers.reserve(leaf.size());
    for (std::uint32_t input : leaf) numbers.push_back(Value::integer(input));
    leaves.push_back(Value::array(std::move(numbers)));
  }
  return Value::object({{"value", binding_text(tree.binding)}, {"reads", Value::array(leaves)}});
}

Value tree(const std::optional<BoundTree>& optional) {
  return optional ? tree(*optional) : Value();
}

Value step(const PhysicalPlan& plan, const PhysicalStep& step) {
  std::vector<Value> consumers;
  consumers.reserve(step.consumers.size());
  for (std::uint32_t each : step.consumers) consumers.push_back(name_of_step(plan, each));
  Members members;
  members.emplace_back("id", Value::string(step.logical.id));
  members.emplace_back("operator", Value::string(operator_name(step.logical.op)));
  members.emplace_back("target", step.logical.op == OperatorKind::kCode
                                     ? Value()
                                     : Value::string(step.logical.target));
  members.emplace_back("function", Value::string(step.logical.function));
  members.emplace_back("mapped", Value::boolean(step.mapped));
  members.emplace_back("streams", Value::boolean(step.streams));
  members.emplace_back("effect", Value::string(effect_name(step.effect)));
  members.emplace_back("has_undo", Value::boolean(step.has_undo));
  members.emplace_back("resource", Value::string(step.resource));
  members.emplace_back("resource_limit", Value::integer(step.resource_limit));
  members.emplace_back("rank", Value::integer(step.rank));
  members.emplace_back("edges", edges(plan, step.edges));
  members.emplace_back("inputs", inputs(step.inputs));
  members.emplace_back("items_edge", index_or_null(step.items_edge));
  members.emplace_back("for_each", tree(step.for_each));
  members.emplace_back("when", tree(step.when));
  members.emplace_back("body", tree(step.body));
  if (step.logical.table) members.emplace_back("table", table_text(*step.logical.table));
  members.emplace_back("until", tree(step.until));
  members.emplace_back("on_error_value", tree(step.on_error_value));
  members.emplace_back("fallback", name_of_step(plan, step.fallback));
  members.emplace_back("consumers", Value::array(std::move(consumers)));
  members.emplace_back("plan", step.plan ? describe_physical(*step.plan) : Value());
  members.emplace_back("step_hash", Value::string(step.step_hash.hex()));
  return Value::object(std::move(members));
}

}  // namespace

std::string_view edge_mode_name(EdgeMode mode) {
  static constexpr std::array<std::string_view, 4> kNames = {"whole", "slot", "status", "order"};
  return kNames[static_cast<std::size_t>(mode)];
}

std::string_view edge_use_name(EdgeUse use) {
  static constexpr std::array<std::string_view, 3> kNames = {"items", "when", "body"};
  return kNames[static_cast<std::size_t>(use)];
}

Value describe_physical(const PhysicalPlan& plan) {
  std::vector<Value> steps;
  steps.reserve(plan.steps.size());
  for (const PhysicalStep& each : plan.steps) steps.push_back(step(plan, each));
  Members members;
  members.emplace_back("plan_hash", Value::string(plan.plan_hash.hex()));
  members.emplace_back("concurrency", Value::integer(plan.concurrency));
  members.emplace_back("undo", Value::boolean(plan.undo));
  members.emplace_back("window", Value::integer(plan.window));
  members.emplace_back("steps", Value::array(std::move(steps)));
  members.emplace_back("result", tree(plan.result));
  members.emplace_back("result_edges", edges(plan, plan.result_edges));
  members.emplace_back("result_inputs", inputs(plan.result_inputs));
  return Value::object(std::move(members));
}

}  // namespace sluice

#include "simulate/plan_changes.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "data/json.h"
#include "simulate/sim_tools.h"
#include "verify/verify.h"

namespace sluice {
namespace {

constexpr int kTries = 8;

std::vector<Value::Member> members_of(const Value& object) {
  return {object.members().begin(), object.members().end()};
}

// Another number for one of its arguments.
std::optional<Value> other_argument(const Value& step, Random& random) {
  const Value* with = step.find("with");
  if (with == nullptr || !with->is_object()) return std::nullopt;
  for (const auto& [name, value] : with->members()) {
    if (!value.is_int()) continue;
    const auto more = 1 + static_cast<std::int64_t>(random.below(3));
    const Value other = Value::integer(value.as_int() + more);
    return with_member(step, "with", with_member(*with, name, other));
  }
  return std::nullopt;
}

// Another function that gives a number.
std::optional<Value> other_function(const Value& step, Random& random) {
  static constexpr std::string_view kFunctions[] = {"t.put", "t.charge", "t.pay", "t.get"};
  const Value* tool = step.find("tool");
  if (tool == nullptr || !tool->is_string()) return std::nullopt;
  const std::string_view now = tool->as_string();
  if (now == "t.list" || now == "t.rows" || now.ends_with("_plan")) return std::nullopt;
  const std::string_view other = kFunctions[random.below(std::size(kFunctions))];
  return with_member(step, "tool", Value::string(std::string(other)));
}

std::optional<Value> changed_steps(const Value& steps, Random& random) {
  std::vector<Value::Member> members = members_of(steps);
  const std::size_t at = random.below(members.size());
  switch (random.below(4)) {
    case 0: {  // one more, so that the others have other numbers
      const Value with = Value::object({{"x", Value::integer(41)}});
      members.insert(members.begin() + static_cast<std::ptrdiff_t>(at),
                     {"added", Value::object({{"tool", Value::string("t.put")}, {"with", with}})});
      return Value::object(std::move(members));
    }
    case 1:
      if (members.size() < 2) return std::nullopt;
      members.erase(members.begin() + static_cast<std::ptrdiff_t>(at));
      return Value::object(std::move(members));
    case 2: {
      auto step = other_argument(members[at].second, random);
      return step ? std::optional(with_member(steps, members[at].first, *step)) : std::nullopt;
    }
    default: {
      auto step = other_function(members[at].second, random);
      return step ? std::optional(with_member(steps, members[at].first, *step)) : std::nullopt;
    }
  }
}

SimPlanPtr make_changed(const SimPlanPtr& plan, std::uint32_t change) {
  Random random(text_number(plan->shape.text, change));
  for (int i = 0; i < kTries; ++i) {
    const Value& source = plan->logical->source;
    const Value* before = source.find("steps");
    auto steps = before == nullptr ? std::nullopt : changed_steps(*before, random);
    if (!steps) continue;
    ShapeText text = plan->shape;
    text.text = to_json(with_member(source, "steps", *steps), {.redact_secrets = false});
    // One whose result reads a step that is gone, say, is no plan.
    if (auto made = sim_plan_of(plan->name + ", changed", std::move(text))) return *made;
  }
  return plan;
}

}  // namespace

Value with_member(const Value& object, std::string_view key, const Value& value) {
  std::vector<Value::Member> members = members_of(object);
  for (auto& [name, member] : members) {
    if (name == key) member = value;
  }
  return Value::object(std::move(members));
}

SimPlanPtr changed_plan(const SimPlanPtr& plan, std::uint32_t change) {
  if (change == 0) return plan;
  thread_local std::map<std::pair<std::string, std::uint32_t>, SimPlanPtr> made;
  if (made.size() > 8192) made.clear();
  SimPlanPtr& changed = made[{plan->shape.text, change}];
  if (!changed) changed = make_changed(plan, change);
  return changed;
}

Value changed_params(const SimPlan& plan, const Value& params, std::int64_t x) {
  Diagnostics findings;
  std::vector<Value::Member> given;
  for (const ParamSpec& param : plan.logical->params) {
    const Value* before = params.find(param.id);
    if (param.id == "x" && x != 0) {
      given.emplace_back(param.id, Value::integer(x));
    } else if (before != nullptr) {
      given.emplace_back(param.id, *before);
    }
  }
  return bind_params(*plan.logical, Value::object(std::move(given)), findings);
}

std::string step_to_fork_from(const SimPlan& plan, std::uint32_t number) {
  const auto& steps = plan.physical->steps;
  return steps[number % steps.size()].logical_ids.front();
}

}  // namespace sluice

// One step: its operator and its modifiers.
#include <algorithm>
#include <array>
#include <limits>

#include "fmt/format.h"
#include "plan/names.h"
#include "plan/plan_reader.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 7> kOperators = {"llm",   "tool", "code", "plan",
                                                        "value", "wait", "table"};
constexpr std::array<std::string_view, 21> kStepKeys = {
    "llm",    "tool",   "code",    "plan",     "value",       "wait",   "table",
    "with",   "output", "when",    "for_each", "concurrency", "after",  "join",
    "repeat", "retry",  "timeout", "on_error", "cache",       "budget", "limits"};
constexpr std::array<std::string_view, 4> kReserved = {"allow", "tenant", "priority", "deadline"};

template <class Names>
bool among(std::string_view key, const Names& names) {
  return std::ranges::find(names, key) != names.end();
}

}  // namespace

void PlanReader::step(const TextMember& member) {
  Step step;
  step.id = member.key;
  step.pos = member.key_pos;
  step.value.broken = true;
  step.with.kind = Binding::Kind::kMap;
  good_id(step.id, step.pos);
  if (!want_map(member, "with an operator: llm, tool, code, plan, value, wait or table")) {
    plan_->steps.push_back(std::move(step));
    return;
  }
  StepScope scope;
  auto fallback = fallbacks_.find(step.id);
  if (fallback != fallbacks_.end()) scope.place = Place::kFallback;
  scope.flags.mapped = member.value.find("for_each") != nullptr ||
                       (fallback != fallbacks_.end() && fallback->second);
  scope.once = scope.flags;
  scope.flags.repeated = member.value.find("repeat") != nullptr;
  operator_of(member.value, scope, step);
  modifiers(member.value, scope, step);
  plan_->steps.push_back(std::move(step));
}

void PlanReader::operator_of(const TextNode& map, const StepScope& scope, Step& step) {
  const TextMember* chosen = nullptr;
  bool meant = map.broken;  // a misspelt or misplaced operator was reported already
  for (const TextMember& key : map.members) {
    if (!among(key.key, kOperators)) {
      meant = meant || among(key.key, kReserved) ||
              (!among(key.key, kStepKeys) &&
               among(closest_name(key.key.substr(0, 200), kStepKeys), kOperators));
      continue;
    }
    if (chosen) {
      out_.error(ErrorCode::kOperatorMany, key.key_pos,
                 fmt::format("{} has {} and {}; a step has one operator", shown(step.id),
                             chosen->key, key.key));
      continue;
    }
    chosen = &key;
  }
  if (chosen) {
    target(*chosen, scope, step);
  } else if (!meant) {
    out_.error(ErrorCode::kOperatorMissing, step.pos,
               fmt::format("{} has no operator; add llm, tool, code, plan, value, wait or table",
                           shown(step.id)));
  }
}

void PlanReader::target(const TextMember& key, const StepScope& scope, Step& step) {
  step.op = static_cast<OperatorKind>(std::ranges::find(kOperators, key.key) - kOperators.begin());
  step.op_pos = key.key_pos;
  step.target_pos = key.value.text_pos;
  if (step.op == OperatorKind::kValue) {
    step.value = bind(key.value, scope.place, scope.flags);
    return;
  }
  if (step.op == OperatorKind::kWait) {
    wait(key, scope, step);
    return;
  }
  if (step.op == OperatorKind::kTable) {
    table(key, scope, step);
    return;
  }
  if (step.op == OperatorKind::kPlan && key.value.kind == TextNode::Kind::kMap &&
      !key.value.broken) {
    invalid(key.value.pos, "plan names a plan of the plans section; write that one there");
    return;
  }
  std::optional<std::string> text = word(key);
  if (!text) return;
  bool expression = text->find("{{") != std::string::npos;
  if (step.op == OperatorKind::kPlan && expression) {
    step.produced_plan = bind(key.value, scope.place, scope.flags);
  } else if (step.op == OperatorKind::kTool) {
    std::size_t dot = text->find('.');
    step.target = text->substr(0, dot);
    if (dot != std::string::npos) step.function = text->substr(dot + 1);
    if (dot != std::string::npos && step.function.empty()) {
      invalid(key.value.text_pos, "a function's name is missing behind the dot");
    }
  } else {
    step.target = *std::move(text);
  }
  if (expression && (step.op == OperatorKind::kLlm || step.op == OperatorKind::kTool)) {
    invalid(
        key.value.text_pos,
        fmt::format("{} takes a name, no expression; computed names cannot be checked", key.key));
    step.target.clear();
  }
}

void PlanReader::with(const TextMember& key, const StepScope& scope, Step& step) {
  if (!want_map(key, "of arguments")) {
    step.with.broken = true;
    return;
  }
  if (step.op == OperatorKind::kValue && step.op_pos.known()) {
    invalid(key.key_pos, "a value step has no with; write the expressions into value");
  }
  step.with = bind_map(key, scope.place, scope.flags);
}

// A map stays one, with its members: also a large constant, which `bind` would keep as one value.
Binding PlanReader::bind_map(const TextMember& key, Place place, ScopeFlags flags) {
  Binding map = bind(key.value, place, flags);
  if (map.kind == Binding::Kind::kMap) return map;
  Value all = *map.as_constant();
  map.kind = Binding::Kind::kMap;
  for (const TextMember& member : key.value.members) {
    Binding argument;
    argument.pos = member.value.pos;
    argument.key_pos = member.key_pos;
    argument.text_pos = member.value.text_pos;
    argument.expr = Expr::constant(*all.find(member.key));
    map.members.emplace_back(member.key, std::move(argument));
  }
  return map;
}

void PlanReader::modifiers(const TextNode& map, const StepScope& scope, Step& step) {
  for (const TextMember& key : map.members) {
    if (key.key == "allow") {
      out_.error(ErrorCode::kKeyUnknown, key.key_pos,
                 "allow is a key of the plan, not of a step: it covers all steps of the plan");
    } else if (among(key.key, kReserved)) {
      out_.error(ErrorCode::kKeyReserved, key.key_pos,
                 fmt::format("{} is reserved for a later version", key.key));
    } else if (!among(key.key, kStepKeys)) {
      unknown_key(key, kStepKeys);
    } else if (step.op == OperatorKind::kWait && not_of_a_wait(key)) {
      continue;
    } else if (step.op == OperatorKind::kTable && not_of_a_table(key)) {
      continue;
    } else if (!among(key.key, kOperators)) {
      flow_key(key, scope, step);
      failure_key(key, scope, step);
      bound_key(key, step);
    }
  }
}

void PlanReader::flow_key(const TextMember& key, const StepScope& scope, Step& step) {
  if (key.key == "with") with(key, scope, step);
  if (key.key == "for_each") step.for_each = bind(key.value, Place::kForEach, {});
  if (key.key == "when") step.when = bind(key.value, scope.place, scope.once);
  if (key.key == "after") {
    if (auto names = located_words(key)) step.after = *std::move(names);
  }
  if (key.key == "join") joins(key, scope, step);
}

void PlanReader::failure_key(const TextMember& key, const StepScope& scope, Step& step) {
  if (key.key == "repeat") step.repeat = repeat(key, scope);
  if (key.key == "retry") step.retry = retry(key);
  if (key.key == "on_error") step.on_error = on_error(key, scope);
}

void PlanReader::bound_key(const TextMember& key, Step& step) {
  static constexpr std::array<std::string_view, 1> kCacheKeys = {"ttl"};
  if (key.key == "output") {
    step.output = schema(key.value);
    step.output_pos = key.key_pos;
  }
  if (key.key == "concurrency") {
    auto limit = count(key, 1, 100'000);
    if (limit) step.concurrency = static_cast<std::uint32_t>(*limit);
  }
  if (key.key == "timeout") step.timeout_ms = duration(key);
  if (key.key == "budget") step.budget = budget(key);
  if (key.key == "limits") step.limits = limits(key);
  if (key.key == "cache" && want_map(key, "with ttl")) {
    only_keys(key.value, kCacheKeys);
    const TextMember* ttl = key.value.find("ttl");
    step.cache_ttl_ms = ttl ? duration(*ttl).value_or(0) : 0;
    step.cache_pos = key.key_pos;
  }
}

}  // namespace sluice

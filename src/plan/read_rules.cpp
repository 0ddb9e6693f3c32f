// The rules of a step that have keys of their own: join, repeat, retry, on_error, limits.
#include <algorithm>
#include <array>
#include <limits>

#include "fmt/format.h"
#include "plan/names.h"
#include "plan/plan_reader.h"

namespace sluice {
namespace {

constexpr auto kNoBound = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMaxU32 = std::numeric_limits<std::uint32_t>::max();

}  // namespace

void PlanReader::joins(const TextMember& key, const StepScope& scope, Step& step) {
  if (!want_map(key, "of steps: {a: {skipped: skip}}")) return;
  for (const TextMember& member : key.value.members) {
    JoinRule rule = join_rule(member, scope);
    step.joins.emplace_back(member.key, std::move(rule));
  }
}

JoinRule PlanReader::join_rule(const TextMember& member, const StepScope& scope) {
  static constexpr std::array<std::string_view, 2> kKeys = {"skipped", "failed"};
  JoinRule rule;
  rule.pos = member.key_pos;
  if (!want_map(member, "with skipped or failed")) return rule;
  only_keys(member.value, kKeys);
  if (member.value.members.empty()) {
    invalid(member.value.pos, "an empty join says nothing; add skipped or failed");
  }
  for (const TextMember& state : member.value.members) {
    bool skipped = state.key == "skipped";
    if (!skipped && state.key != "failed") continue;
    (skipped ? rule.states_skipped : rule.states_failed) = true;
    std::optional<JoinAction> action = join_action(state, scope);
    if (action) (skipped ? rule.skipped : rule.failed) = *std::move(action);
  }
  return rule;
}

std::optional<JoinAction> PlanReader::join_action(const TextMember& member,
                                                  const StepScope& scope) {
  const TextNode& node = member.value;
  if (node.is_string() && node.scalar.as_string() == "skip") {
    return JoinAction{JoinAction::Kind::kSkip, {}};
  }
  if (node.is_string() && node.scalar.as_string() == "fail") {
    return JoinAction{JoinAction::Kind::kFail, {}};
  }
  if (node.kind == TextNode::Kind::kMap && node.members.size() == 1 &&
      node.members[0].key == "value") {
    return JoinAction{JoinAction::Kind::kValue,
                      bind(node.members[0].value, scope.place, scope.once)};
  }
  if (!node.broken) {
    invalid(node.pos, fmt::format("{} is skip, fail or {{value: V}}", member.key));
  }
  return std::nullopt;
}

RepeatRule PlanReader::repeat(const TextMember& key, const StepScope& scope) {
  static constexpr std::array<std::string_view, 3> kKeys = {"until", "max", "delay"};
  RepeatRule rule;
  rule.pos = key.value.pos;
  if (!want_map(key, "with until and max")) {
    rule.max_rounds = 1;
    rule.until.broken = true;
    return rule;
  }
  only_keys(key.value, kKeys);
  const TextMember* until = key.value.find("until");
  if (until) {
    rule.until = bind(until->value, Place::kUntil, scope.flags);
  } else {
    out_.error(ErrorCode::kKeyMissing, key.value.pos,
               "repeat needs until, a condition that ends it");
    rule.until.broken = true;
  }
  if (const TextMember* max = key.value.find("max")) {
    rule.max_rounds = static_cast<std::uint32_t>(count(*max, 1, kMaxU32).value_or(1));
  }
  if (const TextMember* delay = key.value.find("delay")) {
    rule.delay_ms = duration(*delay).value_or(0);
  }
  return rule;
}

RetryRule PlanReader::retry(const TextMember& key) {
  static constexpr std::array<std::string_view, 6> kKeys = {"attempts", "on",        "delay",
                                                            "factor",   "max_delay", "jitter"};
  RetryRule rule;
  rule.pos = key.key_pos;
  if (!want_map(key, "with attempts")) return rule;
  only_keys(key.value, kKeys);
  for (const TextMember& part : key.value.members) {
    if (part.key == "attempts") {
      rule.attempts = static_cast<std::uint32_t>(count(part, 1, 1'000'000).value_or(1));
    }
    if (part.key == "on") retry_codes(part, rule);
    if (part.key == "delay") rule.delay_ms = duration(part).value_or(rule.delay_ms);
    if (part.key == "max_delay") rule.max_delay_ms = duration(part).value_or(rule.max_delay_ms);
    if (part.key == "factor") rule.factor = number(part, 1, 1000).value_or(rule.factor);
    if (part.key == "jitter") rule.jitter = number(part, 0, 1).value_or(rule.jitter);
  }
  return rule;
}

void PlanReader::retry_codes(const TextMember& key, RetryRule& rule) {
  auto names = located_words(key);
  if (!names) return;
  for (auto& name : *names) {
    if (error_code_from_name(name.value) || error_class_from_name(name.value)) {
      rule.on.push_back(std::move(name.value));
      continue;
    }
    std::vector<std::string_view> known = {"user", "plan", "external", "system", "internal"};
    for (const ErrorCodeInfo& info : error_codes()) known.push_back(info.name);
    invalid(name.pos, fmt::format("{} is no error code and no class of errors{}", shown(name.value),
                                  did_you_mean(name.value, known)));
  }
}

std::optional<OnErrorRule> PlanReader::on_error(const TextMember& key, const StepScope& scope) {
  const TextNode& node = key.value;
  OnErrorRule rule;
  rule.pos = node.pos;
  if (node.is_string() && node.scalar.as_string() == "fail") return rule;
  if (node.is_string() && node.scalar.as_string() == "skip") {
    rule.kind = OnErrorRule::Kind::kSkip;
    return rule;
  }
  if (node.kind == TextNode::Kind::kMap && node.members.size() == 1) {
    const TextMember& only = node.members[0];
    if (only.key == "value") {
      rule.kind = OnErrorRule::Kind::kValue;
      rule.value = bind(only.value, scope.place, scope.once);
      return rule;
    }
    if (only.key == "step") {
      std::optional<std::string> id = word(only);
      if (!id) return std::nullopt;
      rule.kind = OnErrorRule::Kind::kStep;
      rule.step = *std::move(id);
      rule.pos = only.value.text_pos;
      return rule;
    }
  }
  if (!node.broken) invalid(node.pos, "on_error is fail, skip, {value: V} or {step: ID}");
  return std::nullopt;
}

Limits PlanReader::limits(const TextMember& key) {
  static constexpr std::array<std::string_view, 7> kKeys = {"operators", "tools", "models", "steps",
                                                            "tasks",     "depth", "budget"};
  static constexpr std::array<std::string_view, 7> kOperators = {"llm",   "tool", "code", "plan",
                                                                 "value", "wait", "table"};
  Limits result;
  result.pos = key.key_pos;
  if (!want_map(key, "of what the produced plan may use")) return result;
  only_keys(key.value, kKeys);
  for (const TextMember& part : key.value.members) {
    if (part.key == "operators") {
      auto names = located_words(part);
      for (auto& name : names ? *names : std::vector<Located<std::string>>{}) {
        if (std::ranges::find(kOperators, name.value) == kOperators.end()) {
          invalid(name.pos, fmt::format("no operator {}; there are {}", shown(name.value),
                                        fmt::join(kOperators, ", ")));
        }
        result.operators.push_back(std::move(name.value));
      }
    }
    if (part.key == "tools") result.tools = words(part).value_or(std::vector<std::string>{});
    if (part.key == "models") result.models = words(part).value_or(std::vector<std::string>{});
    if (part.key == "steps") {
      result.steps = static_cast<std::uint64_t>(count(part, 0, kNoBound).value_or(0));
    }
    if (part.key == "tasks") {
      result.tasks = static_cast<std::uint64_t>(count(part, 0, kNoBound).value_or(0));
    }
    if (part.key == "depth") {
      result.depth = static_cast<std::uint32_t>(count(part, 0, 16).value_or(0));
    }
    if (part.key == "budget") result.budget = budget(part);
  }
  return result;
}

}  // namespace sluice

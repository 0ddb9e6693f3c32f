// Anything that reads anything: random graphs of calls, values, maps and skips, all joins stated.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "simulate/shape_texts.h"

namespace sluice::shapes {
namespace {

struct Grown {
  std::string id;
  bool list = false;
};

// What one step reads of another: an expression that gives a number.
std::string read(Random& random, const Grown& of) {
  if (chance(random, 0.1)) return fmt::format("(1 if steps.{}.status == 'done' else 2)", of.id);
  if (of.list) return fmt::format("(steps.{}.output | present | sum)", of.id);
  return fmt::format("(steps.{}.output or 0)", of.id);
}

std::string join(Random& random, const std::vector<std::string>& read_steps) {
  constexpr std::string_view kSkipped[] = {"{value: 0}", "skip", "{value: 2}"};
  constexpr std::string_view kFailed[] = {"fail", "{value: 1}", "skip"};
  std::string text;
  for (const std::string& id : read_steps) {
    text += fmt::format("{}{}: {{skipped: {}, failed: {}}}", text.empty() ? "" : ", ", id,
                        any_of(random, kSkipped), any_of(random, kFailed));
  }
  return text.empty() ? "" : fmt::format(", join: {{{}}}", text);
}

std::string modifiers(Random& random, bool may_retry) {
  std::string text;
  if (may_retry && chance(random, 0.3)) {
    text += fmt::format(", retry: {{attempts: {}, delay: {}ms}}", between(random, 2, 3),
                        between(random, 1, 300));
  }
  if (chance(random, 0.25)) {
    text += chance(random, 0.5) ? ", on_error: skip" : ", on_error: {value: 3}";
  }
  if (chance(random, 0.15)) text += fmt::format(", concurrency: {}", between(random, 1, 2));
  return text;
}

}  // namespace

ShapeText garden(Random& random) {
  constexpr std::string_view kCalls[] = {"calc", "get", "put", "charge", "test", "ship"};
  PlanText plan;
  if (chance(random, 0.3)) plan.key(fmt::format("concurrency: {}", between(random, 1, 3)));
  if (chance(random, 0.2)) plan.key("undo: true");
  std::vector<Grown> grown;
  const int steps = between(random, 3, 8);
  for (int i = 0; i < steps; ++i) {
    Grown step{fmt::format("s{}", i), false};
    std::string input = fmt::format("{}", i);
    std::vector<std::string> reads;
    for (const Grown& other : grown) {
      if (!chance(random, 0.35)) continue;
      const std::string text = read(random, other);
      input += " + " + text;
      if (text.find("status") == std::string::npos) reads.push_back(other.id);
    }
    std::string source;
    if (chance(random, 0.35)) {
      step.list = true;
      const Grown* list = nullptr;
      for (const Grown& other : grown) {
        if (other.list && chance(random, 0.6)) list = &other;
      }
      if (list != nullptr) {
        source = fmt::format("for_each: \"{{{{ steps.{}.output }}}}\", ", list->id);
        if (std::ranges::find(reads, list->id) == reads.end()) reads.push_back(list->id);
        input += " + (item or 0)";
      } else {
        source = fmt::format("for_each: [{}, 2, 3], ", between(random, 1, 9));
        input += " + item";
      }
    }
    const std::string when =
        chance(random, 0.2) ? fmt::format(", when: \"{{{{ ({}) % 3 != 0 }}}}\"", input) : "";
    const std::string rules = join(random, reads) + when;
    if (chance(random, 0.2)) {
      plan.step(fmt::format("{}: {{{}value: \"{{{{ {} }}}}\"{}}}", step.id, source, input, rules));
    } else {
      const std::string_view call = any_of(random, kCalls);
      plan.step(fmt::format("{}: {{{}tool: t.{}, with: {{x: \"{{{{ {} }}}}\"}}{}{}}}", step.id,
                            source, call, input, rules, modifiers(random, true)));
    }
    grown.push_back(std::move(step));
  }
  return {plan.done(fmt::format("\"{{{{ steps.s{}.output }}}}\"", steps - 1)), true, {}};
}

}  // namespace sluice::shapes

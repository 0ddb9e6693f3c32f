#include "simulate/shrink.h"

#include <fmt/format.h>

#include <functional>
#include <utility>
#include <vector>

#include "data/json.h"
#include "simulate/plan_changes.h"

namespace sluice {
namespace {

using Change = std::function<bool(Scenario&)>;  // false: there is nothing to change

Value without_member(const Value& object, std::size_t index) {
  std::vector<Value::Member> members(object.members().begin(), object.members().end());
  members.erase(members.begin() + static_cast<std::ptrdiff_t>(index));
  return Value::object(std::move(members));
}

// The value with the n-th integer above 1 that stands under the key `n` (a count of items) halved.
Value fewer_items(const Value& value, int& n) {
  if (value.is_array()) {
    std::vector<Value> items;
    for (const Value& item : value.items()) items.push_back(fewer_items(item, n));
    return Value::array(std::move(items));
  }
  if (!value.is_object()) return value;
  std::vector<Value::Member> members;
  for (const auto& [name, member] : value.members()) {
    const bool count = name == "n" && member.is_int() && member.as_int() > 1;
    if (count && n-- == 0) {
      members.emplace_back(name, Value::integer(member.as_int() / 2));
    } else {
      members.emplace_back(name, fewer_items(member, n));
    }
  }
  return Value::object(std::move(members));
}

class Shrinker {
 public:
  Shrinker(const Scenario& scenario, const WorldReport& report, std::uint64_t most)
      : best_{scenario, report, 0}, check_(report.violations.front().check), most_(most) {}

  Shrunk run() {
    bool smaller = true;
    while (smaller && best_.tried < most_) {
      smaller = false;
      smaller = fewer(&Scenario::crashes) || smaller;
      smaller = fewer(&Scenario::acts) || smaller;
      smaller = fewer(&Scenario::forks) || smaller;
      smaller = simpler_forks() || smaller;
      smaller = simpler() || smaller;
      smaller = fewer_steps() || smaller;
      smaller = less_to_do() || smaller;
    }
    return std::move(best_);
  }

 private:
  bool keeps_failing(Scenario candidate) {
    if (best_.tried >= most_) return false;
    ++best_.tried;
    WorldReport report = run_world(candidate);
    for (const Violation& violation : report.violations) {
      if (violation.check != check_) continue;
      best_.scenario = std::move(candidate);
      best_.report = std::move(report);
      return true;
    }
    return false;
  }

  template <class Items>
  bool fewer(Items Scenario::* items) {
    bool any = false;
    for (std::size_t i = (best_.scenario.*items).size(); i-- > 0;) {
      Scenario candidate = best_.scenario;
      (candidate.*items).erase((candidate.*items).begin() + static_cast<std::ptrdiff_t>(i));
      any = keeps_failing(std::move(candidate)) || any;
    }
    return any;
  }

  bool simpler() {
    static const std::vector<Change> changes = {
        [](Scenario& s) { return std::exchange(s.tool_trouble, 0.0) != 0; },
        [](Scenario& s) { return std::exchange(s.duplicates, false); },
        [](Scenario& s) { return std::exchange(s.slow_commits, false); },
        [](Scenario& s) { return std::exchange(s.spills, false); },
        [](Scenario& s) { return std::exchange(s.decodes_plan, false); },
        [](Scenario& s) { return std::exchange(s.compact_after, std::uint64_t{0}) != 0; },
        [](Scenario& s) { return std::exchange(s.sqlite, false); },
    };
    bool any = false;
    for (const Change& change : changes) {
      Scenario candidate = best_.scenario;
      if (change(candidate)) any = keeps_failing(std::move(candidate)) || any;
    }
    return any;
  }

  template <class Items>
  bool fewer_of_fork(std::size_t fork, Items Fork::* items) {
    bool any = false;
    for (std::size_t i = (best_.scenario.forks[fork].*items).size(); i-- > 0;) {
      Scenario candidate = best_.scenario;
      auto& left = candidate.forks[fork].*items;
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
      any = keeps_failing(std::move(candidate)) || any;
    }
    return any;
  }

  bool simpler_forks() {
    bool any = false;
    for (std::size_t i = 0; i < best_.scenario.forks.size(); ++i) {
      any = fewer_of_fork(i, &Fork::crashes) || any;
      any = fewer_of_fork(i, &Fork::acts) || any;
      for (int what = 0; what < 3; ++what) {
        Scenario candidate = best_.scenario;
        Fork& fork = candidate.forks[i];
        const bool changes = what == 0   ? std::exchange(fork.change, 0U) != 0
                             : what == 1 ? std::exchange(fork.x, 0) != 0
                                         : std::exchange(fork.at, 0U) != 0;
        if (changes) any = keeps_failing(std::move(candidate)) || any;
      }
    }
    return any;
  }

  bool with_plan(const Value& source) {
    Scenario candidate = best_.scenario;
    ShapeText text = scenario_plan(best_.scenario)->shape;
    text.text = to_json(source, {.redact_secrets = false});
    if (!sim_plan_of("shrunk", text)) return false;
    candidate.plan = std::move(text);
    return keeps_failing(std::move(candidate));
  }

  bool fewer_steps() {
    bool any = false;
    const Value source = scenario_plan(best_.scenario)->logical->source;
    const Value* steps = source.find("steps");
    for (std::size_t i = steps == nullptr ? 0 : steps->size(); i-- > 0;) {
      const Value now = scenario_plan(best_.scenario)->logical->source;
      const Value* left = now.find("steps");
      if (i >= left->size() || left->size() < 2) continue;
      const Value fewer = with_member(now, "steps", without_member(*left, i));
      any = with_plan(fewer) || with_plan(with_member(fewer, "result", Value())) || any;
    }
    return any;
  }

  bool less_to_do() {
    bool any = false;
    for (int n = 0; n < 4; ++n) {
      const Value now = scenario_plan(best_.scenario)->logical->source;
      int left = n;
      const Value less = fewer_items(now, left);
      if (less == now) break;
      any = with_plan(less) || any;
    }
    return any;
  }

  Shrunk best_;
  std::string check_;
  std::uint64_t most_;
};

}  // namespace

Shrunk shrink(const Scenario& scenario, const WorldReport& report, std::uint64_t most) {
  return Shrinker(scenario, report, most).run();
}

std::string failure_text(const Scenario& scenario, const WorldReport& report,
                         std::string_view commit) {
  std::string text =
      fmt::format("sluice {}{}{}\n", SLUICE_VERSION, commit.empty() ? "" : ", commit ", commit);
  for (const Violation& violation : report.violations) {
    text += fmt::format("{}: {}\n", violation.check, violation.what);
  }
  text += describe(scenario);
  text += fmt::format(
      "{} boots, {} crashes, {} chances to die, {} things happened, {} records\n"
      "to see it again: SLUICE_SEED={} test_sim --gtest_filter='*OneSeed*'\n",
      report.boots, report.crashes, report.points, report.happened, report.records, scenario.seed);
  return text;
}

}  // namespace sluice

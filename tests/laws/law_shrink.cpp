#include "tests/laws/law_shrink.h"

#include <fmt/format.h>

#include <functional>
#include <utility>
#include <vector>

#include "data/json.h"
#include "plan/parse.h"

namespace sluice::laws {
namespace {

Value with_member(const Value& object, std::string_view key, const Value& value) {
  std::vector<Value::Member> members;
  for (const auto& [name, member] : object.members()) {
    members.emplace_back(name, name == key ? value : member);
  }
  return Value::object(std::move(members));
}

Value without(const Value& object, std::string_view key) {
  std::vector<Value::Member> members;
  for (const auto& [name, member] : object.members()) {
    if (name != key) members.emplace_back(name, member);
  }
  return Value::object(std::move(members));
}

// Texts of a condition with one conjunct less; cut at each " and ", where that still compiles.
std::vector<std::string> fewer_conjuncts(const std::string& text) {
  constexpr std::string_view kAnd = " and ";
  std::vector<std::string> parts;
  const std::size_t open = text.find("{{"), close = text.rfind("}}");
  if (open == std::string::npos || close == std::string::npos) return {};
  std::string inner = text.substr(open + 2, close - open - 2);
  for (std::size_t at = 0; (at = inner.find(kAnd)) != std::string::npos;) {
    parts.push_back(inner.substr(0, at));
    inner = inner.substr(at + kAnd.size());
  }
  parts.push_back(inner);
  std::vector<std::string> texts;
  for (std::size_t left_out = 0; parts.size() > 1 && left_out < parts.size(); ++left_out) {
    std::string some;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i != left_out) some += (some.empty() ? "" : std::string(kAnd)) + parts[i];
    }
    texts.push_back(fmt::format("{{{{{}}}}}", some));
  }
  return texts;
}

// Every value that is one change smaller than this one.
void smaller(const Value& value, std::vector<Value>& into);

void smaller_members(const Value& object, std::vector<Value>& into) {
  for (const auto& [key, member] : object.members()) into.push_back(without(object, key));
  for (const auto& [key, member] : object.members()) {
    std::vector<Value> inside;
    smaller(member, inside);
    for (const Value& less : inside) into.push_back(with_member(object, key, less));
  }
}

void smaller_items(const Value& list, std::vector<Value>& into) {
  for (std::size_t i = 0; i < list.items().size(); ++i) {
    std::vector<Value> items(list.items().begin(), list.items().end());
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
    into.push_back(Value::array(std::move(items)));
  }
}

void smaller(const Value& value, std::vector<Value>& into) {
  if (value.is_object()) {
    smaller_members(value, into);
  } else if (value.is_array()) {
    smaller_items(value, into);
  } else if (value.is_int() && value.as_int() > 1) {
    into.push_back(Value::integer(value.as_int() / 2));
    into.push_back(Value::integer(value.as_int() - 1));
  } else if (value.is_string()) {
    for (const std::string& text : fewer_conjuncts(std::string(value.as_string()))) {
      into.push_back(Value::string(text));
    }
    if (value.as_string().find("{{") != std::string_view::npos) into.push_back(Value::integer(1));
  }
}

class Shrinker {
 public:
  Shrinker(const LawCase& of, const LawReport& report, int most)
      : best_(of), report_(report), most_(most) {}

  LawShrunk run() {
    while (tried_ < most_ && one_smaller()) {
    }
    return {print_plan_yaml(*best_.plan), to_json(best_.params), report_, tried_};
  }

 private:
  // Goes through the candidates of one value; begins anew behind the place of each success.
  bool one_smaller() {
    std::vector<Value> candidates;
    smaller(best_.plan->source, candidates);
    bool any = false;
    for (std::size_t i = 0; i < candidates.size() && tried_ < most_; ++i) {
      if (!still_broken(candidates[i])) continue;
      any = true;
      candidates.clear();
      smaller(best_.plan->source, candidates);
      if (i > 0) --i;
    }
    return any;
  }

  bool still_broken(const Value& source) {
    ++tried_;
    ParsedPlan parsed = parse_plan_value(source, "plan");
    if (!parsed.plan || parsed.diagnostics.has_errors()) return false;
    auto candidate = law_case(parsed.plan, Value::object({}), best_.seed);
    if (!candidate) candidate = law_case(parsed.plan, best_.params, best_.seed);
    if (!candidate) return false;
    LawReport report = check_law(*candidate, {report_.choice});
    if (!report.broken || report.broken->law != report_.broken->law) return false;
    best_ = *std::move(candidate);
    report_ = std::move(report);
    return true;
  }

  LawCase best_;
  LawReport report_;
  int most_;
  int tried_ = 0;
};

}  // namespace

LawShrunk shrink_case(const LawCase& of, const LawReport& report, int most) {
  return Shrinker(of, report, most).run();
}

std::string failure_text(const LawCase& of, const LawReport& report) {
  const LawShrunk shrunk = shrink_case(of, report);
  return fmt::format(
      "seed {} breaks the law of '{}' with {}: {}\n"
      "smaller, after {} tries: {}\nparams: {}\n{}"
      "to see it again: SLUICE_SEED={} test_laws --gtest_filter='*OneSeed*'\n",
      of.seed, report.broken->law, report.choice.empty() ? "no pass" : report.choice,
      report.broken->what, shrunk.tried, shrunk.report.broken->what, shrunk.params, shrunk.text,
      of.seed);
}

}  // namespace sluice::laws

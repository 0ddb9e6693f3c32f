// The logical plan as text again. Both forms are made from Plan::source, with the keys of the plan
// and of its steps in the order of the language.
#include <algorithm>
#include <array>

#include "data/json.h"
#include "fmt/format.h"
#include "plan/names.h"
#include "plan/parse.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 12> kPlanOrder = {
    "sluice", "params", "schemas",     "models", "tools", "plans",
    "undo",   "allow",  "concurrency", "budget", "steps", "result"};
constexpr std::array<std::string_view, 21> kStepOrder = {
    "after", "for_each", "when",     "join",  "llm",         "tool",   "code",
    "plan",  "value",    "wait",     "table", "with",        "output", "repeat",
    "retry", "timeout",  "on_error", "cache", "concurrency", "budget", "limits"};

template <class Order>
std::vector<Value::Member> ordered(const Value& map, const Order& order) {
  std::vector<Value::Member> members(map.members().begin(), map.members().end());
  std::vector<Value::Member> sorted;
  for (std::string_view key : order) {
    auto found =
        std::ranges::find(members, key, [](const auto& m) { return std::string_view(m.first); });
    if (found == members.end()) continue;
    sorted.push_back(std::move(*found));
    members.erase(found);
  }
  for (Value::Member& rest : members) sorted.push_back(std::move(rest));
  return sorted;
}

Value canonical_plan(const Value& plan);

Value canonical_steps(const Value& steps) {
  if (!steps.is_object()) return steps;
  std::vector<Value::Member> members;
  for (const auto& [id, step] : steps.members()) {
    members.emplace_back(id, step.is_object() ? Value::object(ordered(step, kStepOrder)) : step);
  }
  return Value::object(std::move(members));
}

Value canonical_plan(const Value& plan) {
  if (!plan.is_object()) return plan;
  std::vector<Value::Member> members = ordered(plan, kPlanOrder);
  for (auto& [key, value] : members) {
    if (key == "steps") value = canonical_steps(value);
    if (key != "plans" || !value.is_object()) continue;
    std::vector<Value::Member> plans;
    for (const auto& [id, sub] : value.members()) plans.emplace_back(id, canonical_plan(sub));
    value = Value::object(std::move(plans));
  }
  return Value::object(std::move(members));
}

std::string quoted(std::string_view text) {
  return to_json(Value::string(text), {.indent = 0, .redact_secrets = false});
}

// Words that YAML reads back as the same string without quotes, and that people write so.
bool plain_word(std::string_view text) {
  bool letters = !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/';
  });
  bool starts =
      letters && ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
  static constexpr std::array<std::string_view, 22> kTaken = {
      "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes",
      "YES",  "no",   "No",   "NO",   "on",   "On",   "ON",    "off",   "Off",   "y",   "n"};
  return starts && std::ranges::find(kTaken, text) == kTaken.end();
}

// Text of several lines that a literal block gives back byte for byte.
bool block_text(std::string_view text) {
  if (text.size() < 2 || !text.ends_with('\n') || text.starts_with(' ') || text.starts_with('\n')) {
    return false;
  }
  if (text.ends_with("\n\n")) return false;
  return std::ranges::all_of(text, [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte == '\n' || (byte >= 0x20 && byte < 0x7F);
  });
}

class YamlWriter {
 public:
  std::string write(const Value& value) {
    members(value, 0);
    return std::move(text_);
  }

 private:
  void members(const Value& map, std::size_t indent) {
    for (const auto& [key, value] : map.members()) {
      text_.append(indent, ' ');
      text_ += plain_word(key) ? key : quoted(key);
      text_ += ':';
      value_of(value, indent + 2);
    }
  }

  void value_of(const Value& value, std::size_t indent) {
    if (value.is_object() && !value.members().empty()) {
      text_ += '\n';
      members(value, indent);
    } else if (value.is_array() && !value.items().empty()) {
      text_ += '\n';
      for (const Value& item : value.items()) {
        text_.append(indent, ' ');
        text_ += '-';
        item_of(item, indent + 2);
      }
    } else {
      text_ += ' ';
      scalar(value, indent);
    }
  }

  // A map as an item starts on the line of its dash.
  void item_of(const Value& item, std::size_t indent) {
    if (!item.is_object() || item.members().empty()) return value_of(item, indent);
    std::size_t start = text_.size();
    members(item, indent);
    text_.erase(start, indent - 1);  // keeps one space behind the dash
  }

  void scalar(const Value& value, std::size_t indent) {
    if (!value.is_string()) {
      text_ += to_json(value, {.indent = 0, .redact_secrets = false});
    } else if (plain_word(value.as_string())) {
      text_ += value.as_string();
    } else if (block_text(value.as_string())) {
      block(value.as_string(), indent);
      return;
    } else {
      text_ += quoted(value.as_string());
    }
    text_ += '\n';
  }

  void block(std::string_view text, std::size_t indent) {
    text_ += "|\n";
    while (!text.empty()) {
      std::size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      if (!line.empty()) text_.append(indent, ' ');
      text_ += line;
      text_ += '\n';
      text.remove_prefix(end + 1);
    }
  }

  std::string text_;
};

}  // namespace

std::string print_plan_json(const Plan& plan) {
  return to_json(canonical_plan(plan.source), {.indent = 2, .redact_secrets = false}) + "\n";
}

std::string print_plan_yaml(const Plan& plan) {
  return YamlWriter().write(canonical_plan(plan.source));
}

}  // namespace sluice

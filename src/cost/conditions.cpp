#include "cost/conditions.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "base/name_map.h"
#include "data/json.h"
#include "plan/binding_text.h"

namespace sluice {

void BitSet::add(std::uint32_t number) {
  const std::size_t word = number / 64;
  if (word >= words_.size()) words_.resize(word + 1, 0);
  words_[word] |= std::uint64_t{1} << (number % 64);
}

void BitSet::add_all(const BitSet& other) {
  if (other.words_.size() > words_.size()) words_.resize(other.words_.size(), 0);
  for (std::size_t word = 0; word < other.words_.size(); ++word) words_[word] |= other.words_[word];
}

bool BitSet::has(std::uint32_t number) const {
  const std::size_t word = number / 64;
  return word < words_.size() && (words_[word] >> (number % 64) & 1) != 0;
}

namespace {

bool in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Puts the meanings of steps in the place of their names.
class Meanings {
 public:
  explicit Meanings(const PhysicalPlan& plan) {
    for (const PhysicalStep& step : plan.steps) {
      steps_.emplace(step.logical.id, &step.step_hash);  // as expressions name it
      for (const std::string& id : step.logical_ids) steps_.emplace(id, &step.step_hash);
    }
  }

  std::string of(std::string_view text) const {
    constexpr std::string_view kRoot = "steps.";
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
      const std::size_t at = text.find(kRoot);
      if (at == std::string_view::npos) break;
      const bool root = at == 0 || (!in_name(text[at - 1]) && text[at - 1] != '.');
      std::size_t end = at + kRoot.size();
      while (end < text.size() && in_name(text[end])) ++end;
      const std::string_view id = text.substr(at + kRoot.size(), end - at - kRoot.size());
      const auto found = root ? steps_.find(id) : steps_.end();
      out += text.substr(0, at + kRoot.size());
      out += found == steps_.end() ? std::string(id) : found->second->hex();
      text.remove_prefix(end);
    }
    out += text;
    return out;
  }

 private:
  NameMap<const Hash256*> steps_;
};

// Whether the parenthesis that the text begins with ends where the text does.
bool in_parentheses(std::string_view text) {
  int depth = 0;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\') ++i;
      if (c == quote) quote = 0;
      continue;
    }
    if (c == '"' || c == '\'') quote = c;
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (depth == 0) return c == ')' && i + 1 == text.size();
  }
  return false;
}

std::vector<std::string> operands(const PhysicalStep& step) {
  if (!step.when || step.when->binding.kind != Binding::Kind::kExpr) return {};
  const Expr& expr = step.when->binding.expr;
  if (expr.as_constant()) return {};
  std::vector<std::string> found = expr.conjuncts();
  if (found.empty()) found.push_back(expr.to_string());
  for (std::string& text : found) text = demanded(text);
  return found;
}

// Whether a task of the reader goes on only where what it reads is done.
bool needs(const Edge& edge) {
  const bool reads = edge.mode == EdgeMode::kSlot || edge.mode == EdgeMode::kWhole;
  return reads && edge.join.skipped.kind != JoinAction::Kind::kValue;
}

class Finder {
 public:
  explicit Finder(const PhysicalPlan& plan) : plan_(plan), meanings_(plan) {
    found_.steps.resize(plan.steps.size());
  }

  PlanConditions find() {
    for (std::uint32_t i = 0; i < plan_.steps.size(); ++i) step(i);
    return std::move(found_);
  }

 private:
  // What holds where this edge lets a task go on.
  const BitSet& behind(const Edge& edge) const {
    const StepConditions& from = found_.steps[edge.from];
    const bool whole_list = edge.mode == EdgeMode::kWhole && plan_.steps[edge.from].mapped;
    return whole_list ? from.whole : from.task;
  }

  void step(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    StepConditions& made = found_.steps[index];
    BitSet before_when;
    for (std::uint32_t e = 0; e < step.edges.size(); ++e) {
      const Edge& edge = step.edges[e];
      if (!needs(edge)) continue;
      const bool items = edge.use == EdgeUse::kItems;
      if (items && step.mapped) {
        const bool flows = e == step.items_edge;
        made.whole.add_all(flows ? found_.steps[edge.from].whole : behind(edge));
      }
      if (items || edge.use == EdgeUse::kWhen) before_when.add_all(behind(edge));
      made.task.add_all(behind(edge));
    }
    std::string items;
    if (step.logical.for_each) {
      items = meanings_.of(canonical_json(binding_text(*step.logical.for_each)));
      made.items = Hasher().field("items").field(items).finish();
    }
    own_conditions(step, items, before_when, made);
    for (std::uint32_t key : made.own) made.task.add(key);
    made.task.add_all(made.whole);
  }

  // `items`: what it maps over, as text.
  void own_conditions(const PhysicalStep& step, const std::string& items, const BitSet& known,
                      StepConditions& made) {
    const std::vector<std::string> texts = operands(step);
    if (texts.empty()) return;
    Hasher hasher;
    Hasher together;
    together.field("conditions");
    for (const std::string& text : texts) {
      hasher.field("condition").field(meanings_.of(text)).field(items);
      const Hash256 key = hasher.finish();
      const auto [at, is_new] =
          numbers_.emplace(key, static_cast<std::uint32_t>(found_.keys.size()));
      if (is_new) found_.keys.push_back(key);
      made.own.push_back(at->second);
      if (text == "true") found_.always = at->second;
      if (known.has(at->second) || at->second == found_.always) continue;
      made.fresh.push_back(at->second);
      together.field(key);
    }
    if (made.fresh.size() == 1) made.together = found_.keys[made.fresh.front()];
    if (made.fresh.size() > 1) made.together = together.finish();
  }

  const PhysicalPlan& plan_;
  Meanings meanings_;
  PlanConditions found_;
  std::map<Hash256, std::uint32_t> numbers_;
};

}  // namespace

std::string demanded(std::string_view operand) {
  constexpr std::string_view kEnd = " is possible";
  if (!operand.ends_with(kEnd)) return std::string(operand);
  operand.remove_suffix(kEnd.size());
  if (in_parentheses(operand)) operand = operand.substr(1, operand.size() - 2);
  return std::string(operand);
}

PlanConditions conditions_of(const PhysicalPlan& plan) { return Finder(plan).find(); }

}  // namespace sluice

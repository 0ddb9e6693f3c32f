#include "tests/laws/plan_parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::laws {
namespace {

constexpr std::string_view kFlags[] = {"low", "mid", "high"};
constexpr std::string_view kTags[] = {"a", "b", "c"};
constexpr std::string_view kCompare[] = {">", "<", "!=", ">=", "=="};
constexpr std::string_view kCombine[] = {"+", "+", "-", "*"};

}  // namespace

std::string_view some_value(Kind kind) {
  switch (kind) {
    case Kind::kInt:
      return "4";
    case Kind::kFlag:
      return "mid";
    case Kind::kYes:
      return "'no'";
    case Kind::kLabel:
      return "{label: 'no', score: 0}";
    case Kind::kText:
      return "nothing";
    case Kind::kRow:
      return "{n: 1, tag: a}";
    case Kind::kInts:
    case Kind::kRows:
      return "[]";
  }
  return "~";
}

std::string step_line(const std::string& id, const Fields& fields) {
  std::string line;
  for (const auto& [key, text] : fields) {
    line += fmt::format("{}{}: {}", line.empty() ? "" : ", ", key, text);
  }
  return fmt::format("{}: {{{}}}\n", id, line);
}

std::string* field_of(Fields& fields, std::string_view key) {
  auto found = std::ranges::find(fields, key, &Fields::value_type::first);
  return found == fields.end() ? nullptr : &found->second;
}
void set_field(Fields& fields, std::string_view key, std::string text) {
  if (std::string* there = field_of(fields, key)) {
    *there = std::move(text);
  } else {
    fields.emplace_back(key, std::move(text));
  }
}

std::string quoted(std::string_view expression) {
  return fmt::format("\"{{{{ {} }}}}\"", expression);
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

const Grown* Reading::find(const std::string& id) const {
  auto found = std::ranges::find(grown_, id, &Grown::id);
  return found == grown_.end() ? nullptr : &*found;
}

// Later ones rather than earlier ones; `choices`: one whose value is one of a few.
const Grown* Reading::pick(bool choices) {
  for (int tries = 0; tries < 6; ++tries) {
    if (grown_.empty()) return nullptr;
    const Grown& step = grown_[std::max(dice_.between(0, static_cast<int>(grown_.size()) - 1),
                                        dice_.between(0, static_cast<int>(grown_.size()) - 1))];
    const bool chosen =
        step.kind == Kind::kFlag || step.kind == Kind::kYes || step.kind == Kind::kLabel;
    if (choices && !chosen) continue;
    // Rather a slot than a whole list.
    if (step.length != 0 && (items_ == nullptr || items_->length != step.length) &&
        !dice_.one_in(4)) {
      continue;
    }
    return &step;
  }
  return nullptr;
}

std::string Reading::place_of(const Grown& step, bool& whole) {
  reads_.insert(step.id);
  whole = false;
  if (step.length == 0) return fmt::format("steps.{}.output", step.id);
  if (items_ != nullptr && items_->length == step.length && !dice_.one_in(10)) {
    return fmt::format("steps.{}.output[index]", step.id);
  }
  whole = true;
  wholes_.insert(step.id);
  return fmt::format("steps.{}.output", step.id);
}

std::string Reading::of_step(const Grown& step) {
  if (dice_.one_in(25)) return fmt::format("(1 if steps.{}.status == 'done' else 2)", step.id);
  bool whole = false;
  const std::string place = place_of(step, whole);
  if (whole) {
    const bool numbers = step.kind == Kind::kInt && !dice_.one_in(3);
    return fmt::format("({} | present | {})", place, numbers ? "sum" : "length");
  }
  switch (step.kind) {
    case Kind::kInt:
      return place;
    case Kind::kFlag:
    case Kind::kYes:
      return fmt::format("(1 if {} in ['low', 'yes'] else 3)", place);
    case Kind::kLabel:
      return place + ".score";
    case Kind::kRow:
      return place + ".n";
    case Kind::kInts:
      return fmt::format("({} | sum)", place);
    case Kind::kText:
    case Kind::kRows:
      return fmt::format("({} | length)", place);
  }
  return place;
}

std::string Reading::of_item() {
  if (dice_.one_in(6)) return "index";
  switch (items_->kind) {
    case Kind::kInt:
      return "item";
    case Kind::kRow:
      return "item.n";
    case Kind::kLabel:
      return "item.score";
    case Kind::kFlag:
    case Kind::kYes:
      return "(1 if item in ['low', 'yes'] else 3)";
    default:
      return "index";
  }
}

std::string Reading::number(int depth) {
  std::string text;
  const int kind = dice_.between(0, 9);
  const Grown* step = kind >= 5 ? pick(false) : nullptr;
  if (step != nullptr) {
    text = of_step(*step);
  } else if (kind >= 2 && items_ != nullptr) {
    text = of_item();
  } else if (kind == 1 && !params_.empty()) {
    text = "params." + dice_.any(params_);
  } else {
    text = fmt::format("{}", dice_.between(0, 9));
  }
  if (depth >= 2 || !dice_.one_in(3)) return text;
  return fmt::format("({} {} {})", text, dice_.any(kCombine), number(depth + 1));
}

// Wrong for some rows; sometimes with what guards it in front.
std::string Reading::erring() {
  if (items_ != nullptr && items_->kind == Kind::kRow) {
    if (dice_.one_in(2)) return "(item.m is defined and item.m is number and item.m > 3)";
    return dice_.one_in(2) ? "item.m > 3" : fmt::format("{} // item.n > 1", dice_.between(4, 12));
  }
  if (items_ != nullptr && items_->kind == Kind::kInt) {
    return dice_.one_in(2) ? "item != 0 and 12 // item > 2" : "12 // item > 2";
  }
  return fmt::format("8 // {} > 2", number(2));
}

std::string Reading::choice_of_step(const Grown& step) {
  bool whole = false;
  std::string place = place_of(step, whole);
  if (whole) return fmt::format("({} | present | length) > {}", place, dice_.between(0, 3));
  if (step.kind == Kind::kFlag) {
    if (dice_.one_in(3)) return fmt::format("{} in ['low', '{}']", place, dice_.any(kFlags));
    return fmt::format("{} {} '{}'", place, dice_.one_in(3) ? "!=" : "==", dice_.any(kFlags));
  }
  if (step.kind == Kind::kLabel) place += ".label";
  return fmt::format("{} == '{}'", place, dice_.one_in(4) ? "no" : "yes");
}

std::string Reading::conjunct(int depth) {
  const int kind = dice_.between(0, 29);
  if (kind < 12) {
    if (const Grown* step = pick(true)) return choice_of_step(*step);
  }
  if (kind < 16 && items_ != nullptr) {
    if (items_->kind == Kind::kRow && dice_.one_in(2)) {
      return fmt::format("item.tag {} '{}'", dice_.one_in(2) ? "==" : "!=", dice_.any(kTags));
    }
    return fmt::format("{} {} {}", of_item(), dice_.any(kCompare), dice_.between(1, 6));
  }
  if (kind == 16 && root_) return dice_.one_in(2) ? "params.live" : "not params.live";
  if (kind == 17 && root_) return fmt::format("params.tag == '{}'", dice_.any(kTags));
  if (kind < 20) return erring();
  if (kind == 20 && !grown_.empty()) {
    return fmt::format("steps.{}.status {} 'done'", dice_.any(grown_).id,
                       dice_.one_in(3) ? "!=" : "==");
  }
  if (kind == 21 && depth == 0) return fmt::format("({} or {})", conjunct(1), conjunct(1));
  if (kind == 22 && depth == 0) return fmt::format("not ({})", conjunct(1));
  if (kind == 23 && dice_.one_in(3)) return dice_.one_in(4) ? "false" : "true";
  return fmt::format("{} {} {}", number(1), dice_.any(kCompare), dice_.between(0, 7));
}

std::string Reading::condition() {
  std::string text = conjunct();
  for (int more = dice_.between(0, 3); more > 0; --more) text += " and " + conjunct();
  return text;
}

std::string Reading::anything() {
  const Grown* step = pick(false);
  if (step == nullptr) return items_ != nullptr ? "item" : "run.id";
  bool whole = false;
  return place_of(*step, whole);
}

std::string Reading::prompt() {
  std::string text = dice_.one_in(2) ? "Answer at once. " : "Think about it. ";
  if (items_ != nullptr) text += fmt::format("Row {{{{ {} }}}}. ", of_item());
  if (items_ == nullptr || dice_.one_in(2)) {
    text += fmt::format("What of {{{{ {} }}}}?", dice_.one_in(4) ? anything() : number());
  }
  return text;
}

std::string Reading::joins(bool& may_skip) {
  std::string text;
  std::set<std::string> inputs = reads_;
  if (items_ != nullptr && !items_->source.empty()) inputs.insert(items_->source);
  for (const std::string& id : inputs) {
    const Grown* step = find(id);
    if (step == nullptr) continue;
    const bool whole = wholes_.contains(id) || (items_ != nullptr && items_->source == id);
    std::string rule;
    if (step->may_skip) {
      const int choice = dice_.between(0, 9);
      if (choice >= 8 && !whole) {
        rule = fmt::format("skipped: {{value: {}}}", some_value(step->kind));
      } else if (choice == 7 && dice_.one_in(3)) {
        rule = "skipped: fail";
      } else if (choice > 0 || inputs.size() > 1) {
        rule = "skipped: skip";
        may_skip = true;
      } else {
        may_skip = true;
      }
    }
    if (dice_.one_in(12)) {
      rule += rule.empty() ? "" : ", ";
      const bool skips = whole || dice_.one_in(2);
      rule += skips ? "failed: skip" : fmt::format("failed: {{value: {}}}", some_value(step->kind));
      may_skip = may_skip || skips;
    }
    if (!rule.empty()) text += fmt::format("{}{}: {{{}}}", text.empty() ? "" : ", ", id, rule);
  }
  return text;
}

}  // namespace sluice::laws

// StepsWriter: the random steps of one plan, as YAML. Inside of tests/laws/. One thread.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/laws/plan_parts.h"
#include "tests/laws/told_table.h"

namespace sluice::laws {

// The steps of one plan.
class StepsWriter {
 public:
  // `sub_param`: the parameter of the sub-plan `sub`, or "".
  StepsWriter(Dice& dice, bool root, std::vector<std::string> params, std::string sub_param)
      : dice_(dice), root_(root), params_(std::move(params)), sub_param_(std::move(sub_param)) {}

  void write(int middle, int sinks) {
    sources();
    for (int i = 0; i < middle; ++i) {
      middle_step();
      if (dice_.chance(0.25)) copy_a_step();
    }
    if (root_ && dice_.one_in(2)) pipe_steps();
    if (!sub_param_.empty()) call_step();
    for (int i = 0; i < sinks; ++i) sink_step();
  }

  // A table over rows that calls have answered questions about. Who else reads these is rare.
  void write_told_table() {
    std::erase_if(items_, [](const Items& items) {
      return items.kind != Kind::kRow && items.kind != Kind::kInt;
    });
    if (items_.empty()) return;
    const Items items = dice_.any(items_);
    const auto source = std::ranges::find(grown_, items.source, &Grown::id);
    const bool skips = source != grown_.end() && source->may_skip;
    ToldTable told = told_table(dice_, items, skips, params_, [this] { return new_id(); });
    for (Made& made : told.before) {
      written_.emplace_back(made.grown.id, std::move(made.fields));
      if (dice_.one_in(4)) grown_.push_back(std::move(made.grown));
    }
    const std::string list = quoted(fmt::format("steps.{}.output", told.table.grown.id));
    add(std::move(told.table.grown), std::move(told.table.fields));
    if (!dice_.one_in(2)) return;
    add({new_id(), Kind::kInt, ++lengths_},
        {{"for_each", list}, {"tool", "t.pay"}, {"with", "{x: \"{{ item }}\"}"}});
  }

  // Steps of one task each, without effects: a plan that may become a part of the one around it.
  void write_plain(int count) {
    plain_ = true;
    for (int i = 0; i < count; ++i) {
      middle_step();
      if (dice_.chance(0.2)) copy_a_step();
    }
  }

  std::string lines(std::string_view indent) const {
    std::string text;
    for (const auto& [id, fields] : written_) text += std::string(indent) + step_line(id, fields);
    return text;
  }

  // "{r0: ..., r1: ...}" or a single reading.
  std::string result() {
    std::string text;
    if (dice_.one_in(4)) return quoted(fmt::format("steps.{}.output", dice_.any(grown_).id));
    const int count = dice_.between(1, 4);
    for (int i = 0; i < count; ++i) {
      // The last ones are what plans are for.
      const int from = dice_.one_in(2) ? std::max(0, static_cast<int>(grown_.size()) - 3) : 0;
      const Grown& step = grown_[dice_.between(from, static_cast<int>(grown_.size()) - 1)];
      std::string read = fmt::format("steps.{}.output", step.id);
      if (dice_.one_in(8)) read = fmt::format("steps.{}.status", step.id);
      text += fmt::format("{}r{}: {}", text.empty() ? "" : ", ", i, quoted(read));
    }
    return fmt::format("{{{}}}", text);
  }

  // One number.
  std::string number_result() {
    const Grown* last = nullptr;
    for (const Grown& step : grown_) {
      if (step.kind == Kind::kInt && (last == nullptr || !dice_.one_in(3))) last = &step;
    }
    if (last == nullptr) return "7";
    if (last->length != 0) return quoted(fmt::format("steps.{}.output | present | sum", last->id));
    return quoted(fmt::format("steps.{}.output or 0", last->id));
  }

  // One number that hangs on all of them.
  std::string plain_result() {
    std::string text = "0";
    for (const Grown& step : grown_) {
      if (dice_.one_in(8)) continue;
      text +=
          fmt::format(fmt::runtime(step.kind == Kind::kInt ? " + (steps.{}.output or 0)"
                                                           : " + (1 if steps.{}.output else 2)"),
                      step.id);
    }
    return quoted(text);
  }

 private:
  std::string new_id() { return fmt::format("s{}", number_++); }

  void add(Grown grown, Fields fields) {
    if (grown.length != 0) {
      items_.push_back(
          {quoted(fmt::format("steps.{}.output", grown.id)), grown.kind, grown.length, grown.id});
    }
    written_.emplace_back(grown.id, fields);
    made_.push_back({grown, std::move(fields)});
    grown_.push_back(std::move(grown));
  }

  // ---- lists ----

  void list_step() {
    const int kind = dice_.between(0, 10);
    if (kind == 10 && collected_step()) return;
    Grown step{new_id(), Kind::kInts};
    const std::string count = fmt::format("{}", dice_.between(2, 5));
    if (kind < 6) {
      const bool rows = kind < 4;
      step.kind = rows ? Kind::kRows : Kind::kInts;
      items_.push_back({quoted(fmt::format("steps.{}.output", step.id)),
                        rows ? Kind::kRow : Kind::kInt, ++lengths_, step.id});
      const std::string args = fmt::format("{{n: {}, salt: {}}}", count, dice_.between(0, 99));
      return add(step, {{"tool", rows ? "t.rows" : "t.list"}, {"with", args}});
    }
    if (kind == 6) {
      step.kind = Kind::kRow;
      step.length = ++lengths_;
      const std::string args = fmt::format("{{n: {}, salt: {}}}", count, dice_.between(0, 99));
      return add(step, {{"tool", "t.feed"}, {"with", args}});
    }
    if (kind == 7 && root_) {
      items_.push_back({quoted("params.xs"), Kind::kInt, ++lengths_, ""});
      --number_;
      return;
    }
    if (kind == 8) {
      items_.push_back({"[1, 2, 3, 2]", Kind::kInt, ++lengths_, ""});
      --number_;
      return;
    }
    items_.push_back(
        {quoted(fmt::format("steps.{}.output", step.id)), Kind::kInt, ++lengths_, step.id});
    add(step, {{"value", "[3, 1, 3, 0]"}});
  }

  // All that a map gave as one value; false: there is no map.
  bool collected_step() {
    for (const Grown& map : grown_) {
      if (map.length == 0 || (map.kind != Kind::kInt && map.kind != Kind::kRow)) continue;
      const std::string read = quoted(fmt::format("steps.{}.output", map.id));
      Grown step{new_id(), map.kind == Kind::kInt ? Kind::kInts : Kind::kRows};
      items_.push_back(
          {quoted(fmt::format("steps.{}.output", step.id)), map.kind, ++lengths_, step.id});
      add(std::move(step), {{"value", read}});
      return true;
    }
    return false;
  }

  void sources() {
    list_step();
    if (dice_.one_in(3)) list_step();
    if (dice_.one_in(3)) constant_step();
  }

  // One that is known before the run.
  std::string known_condition() {
    if (!root_ || dice_.one_in(3)) return "false";
    return quoted(dice_.one_in(2) ? "params.n0 > 4" : "not params.live");
  }

  void constant_step() {
    Grown step{new_id(), Kind::kInt};
    Fields fields;
    if (dice_.one_in(3)) {
      fields.emplace_back("for_each", "[5, 6]");
      step.length = ++lengths_;
    }
    fields.emplace_back("value", fmt::format("{}", dice_.between(0, 9)));
    if (dice_.one_in(3) && !grown_.empty()) {
      fields.emplace_back("after", fmt::format("[{}]", grown_.back().id));
    }
    if (dice_.one_in(4)) {
      fields.emplace_back("when", known_condition());
      step.may_skip = true;
    }
    add(std::move(step), std::move(fields));
  }

  // Rather one that others went over already, so that slots are read.
  const Items* some_items() {
    if (items_.empty() || dice_.one_in(4)) return nullptr;
    const auto last = static_cast<int>(items_.size()) - 1;
    return &items_[std::min(dice_.between(0, last), dice_.between(0, last))];
  }

  // ---- bodies ----

  void llm_body(Reading& reading, Grown& step, Fields& fields) {
    std::string with = fmt::format("prompt: \"{}\"", reading.prompt());
    if (dice_.one_in(6)) {
      with += dice_.one_in(2) ? ", temperature: 0.7" : ", temperature: 0.7, seed: 3";
    }
    fields.emplace_back("llm", "default");
    fields.emplace_back("with", fmt::format("{{{}}}", with));
    const int kind = dice_.between(0, 5);
    if (kind < 3) {
      step.kind = Kind::kYes;
      fields.emplace_back("output", "{type: string, enum: ['yes', 'no']}");
    } else if (kind < 5) {
      step.kind = Kind::kLabel;
      fields.emplace_back("output",
                          "{type: object, required: [label, score], properties: {label: {type: "
                          "string, enum: ['yes', 'no']}, score: {type: integer}}}");
    } else {
      step.kind = Kind::kText;
    }
  }

  void tool_body(Reading& reading, Grown& step, Fields& fields, std::string_view function) {
    step.kind = function == "flag" || function == "ask" ? Kind::kFlag
                : function == "row"                     ? Kind::kRow
                                                        : Kind::kInt;
    std::string with = "x: " + quoted(reading.number());
    if (dice_.one_in(4)) with += ", y: " + quoted(reading.number());
    if (dice_.one_in(8)) with += ", z: " + quoted(reading.anything());
    fields.emplace_back("tool", fmt::format("t.{}", function));
    fields.emplace_back("with", fmt::format("{{{}}}", with));
  }

  // True: it may fail by itself.
  bool middle_body(Reading& reading, Grown& step, Fields& fields) {
    constexpr std::string_view kFunctions[] = {"flag", "flag", "flag",  "calc",  "calc", "row",
                                               "get",  "ask",  "flaky", "flaky", "test", "put"};
    const int kind = dice_.between(0, 19);
    if (kind < 6) {
      llm_body(reading, step, fields);
      return false;
    }
    if (kind < 9) {
      fields.emplace_back("value", quoted(reading.number()));
      return false;
    }
    if (kind == 9) {
      fields.emplace_back("code",
                          fmt::format("\"def main(x): return x + {}\"", dice_.between(0, 1)));
      fields.emplace_back("with", fmt::format("{{x: {}}}", quoted(reading.number())));
      fields.emplace_back("output", "{type: integer}");
      return false;
    }
    if (kind >= 10 && kind <= 12 && !sub_param_.empty()) {
      fields.emplace_back("plan", "sub");
      fields.emplace_back("with", fmt::format("{{{}: {}}}", sub_param_, quoted(reading.number())));
      return dice_.one_in(3);
    }
    if (plain_) {
      constexpr std::string_view kPlain[] = {"flag", "calc", "calc", "row", "get", "ask", "test"};
      tool_body(reading, step, fields, dice_.any(kPlain));
      return false;
    }
    if (kind == 12 && dice_.one_in(4)) {
      fields.emplace_back("wait", "{for: 5ms, value: 3}");
      return false;
    }
    const std::string_view function = dice_.any(kFunctions);
    tool_body(reading, step, fields, function);
    return function == "test" || function == "flaky";
  }

  // ---- modifiers ----

  void rules(Reading& reading, Grown& step, Fields& fields, bool fails) {
    if (step.length != 0 && dice_.one_in(8)) fields.emplace_back("concurrency", "1");
    if (dice_.one_in(10) && !grown_.empty()) {
      fields.emplace_back("after", fmt::format("[{}]", dice_.any(grown_).id));
    }
    if (fails && dice_.one_in(2)) {
      fields.emplace_back("retry", "{attempts: 2, delay: 1ms}");
    }
    if (fails ? !dice_.one_in(5) : dice_.one_in(12)) on_error(step, fields);
    if (const std::string joins = reading.joins(step.may_skip); !joins.empty()) {
      fields.emplace_back("join", fmt::format("{{{}}}", joins));
    }
    if (dice_.one_in(40)) fields.emplace_back("budget", "{calls: 100}");
    if (dice_.one_in(40)) fields.emplace_back("timeout", "30s");
  }

  void on_error(Grown& step, Fields& fields) {
    const int kind = dice_.between(0, 4);
    if (kind < 3) {
      fields.emplace_back("on_error", "skip");
      step.may_skip = true;
    } else if (kind == 3) {
      fields.emplace_back("on_error", fmt::format("{{value: {}}}", some_value(step.kind)));
    } else if (step.kind == Kind::kInt) {
      const std::string id = fmt::format("f{}", number_);
      fields.emplace_back("on_error", fmt::format("{{step: {}}}", id));
      const std::string_view call = dice_.one_in(2) ? "t.put" : "t.calc";
      Fields fallback = {{"tool", std::string(call)}, {"with", "{x: 5}"}};
      if (dice_.one_in(2)) fallback = Fields{{"value", "6"}};
      written_.emplace_back(id, std::move(fallback));
    }
  }

  void middle_step() {
    if (!plain_) {
      if (dice_.one_in(9)) return list_step();
      if (dice_.one_in(10)) return constant_step();
      if (dice_.one_in(40)) return produced_step();
      if (dice_.one_in(16)) return table_step();
    }
    const Items* items = plain_ ? nullptr : some_items();
    Grown step{new_id(), Kind::kInt};
    Reading reading(dice_, grown_, params_, root_, items);
    Fields fields;
    if (items != nullptr) {
      step.length = items->length;
      fields.emplace_back("for_each", items->text);
    }
    if (dice_.one_in(4)) {
      fields.emplace_back("when",
                          dice_.one_in(5) ? known_condition() : quoted(reading.condition()));
      step.may_skip = true;
    }
    const bool fails = middle_body(reading, step, fields);
    if (step.kind == Kind::kInt && dice_.one_in(25) && field_of(fields, "tool") != nullptr) {
      fields.emplace_back("repeat", "{until: \"{{ output > 3 }}\", max: 3}");
      set_field(fields, "on_error", "skip");
      step.may_skip = true;
      if (const std::string joins = reading.joins(step.may_skip); !joins.empty()) {
        fields.emplace_back("join", fmt::format("{{{}}}", joins));
      }
    } else {
      rules(reading, step, fields, fails);
    }
    add(std::move(step), std::move(fields));
  }

  // Numbers out of a list, asked for as a table.
  void table_step() {
    const Items* some = some_items();
    if (some == nullptr) return constant_step();
    const Items items = *some;
    constexpr std::string_view kCompare[] = {">", "<", "!=", ">="};
    Grown step{new_id(), Kind::kInts};
    auto source = std::ranges::find(grown_, items.source, &Grown::id);
    const bool slots = source != grown_.end() && source->length != 0;
    const bool known = items.kind == Kind::kRow || items.kind == Kind::kInt;
    const std::string row = items.kind == Kind::kRow ? "row.n" : known ? "row" : "1";
    std::string where = fmt::format("{} {} {}", row, dice_.any(kCompare), dice_.between(0, 5));
    if (!params_.empty() && dice_.one_in(2)) {
      where += fmt::format(" and {} != params.{}", row, dice_.any(params_));
    }
    std::string table = fmt::format(
        "from: {}, where: {}",
        slots ? quoted(fmt::format("steps.{}.output | present", items.source)) : items.text,
        quoted(where));
    const bool match = known && !slots && dice_.one_in(4);
    if (match) {
      table += fmt::format(", match: {{with: {}, on: {}, keep: all}}", items.text,
                           quoted(fmt::format("{0} == {1}", row, "other" + row.substr(3))));
    }
    table += ", select: " + quoted(dice_.one_in(2) ? row : row + " + 1");
    if (dice_.one_in(5)) table += ", limit: 3";
    items_.push_back(
        {quoted(fmt::format("steps.{}.output", step.id)), Kind::kInt, ++lengths_, step.id});
    add(std::move(step), {{"table", fmt::format("{{{}}}", table)}});
  }

  // A map of values, and steps that read it item by item.
  void pipe_steps() {
    const Items* some = some_items();
    if (some == nullptr) return;
    const Items items = *some;
    Grown value{new_id(), Kind::kInt, items.length};
    Reading reading(dice_, grown_, params_, root_, &items);
    Fields fields = {{"for_each", items.text}};
    if (dice_.one_in(6)) {
      fields.emplace_back("when", quoted(reading.condition()));
      value.may_skip = true;
    }
    fields.emplace_back("value", quoted(reading.number(dice_.one_in(2) ? 0 : 2)));
    if (const std::string joins = reading.joins(value.may_skip); !joins.empty()) {
      fields.emplace_back("join", fmt::format("{{{}}}", joins));
    }
    add(value, std::move(fields));
    for (int readers = dice_.one_in(3) ? 2 : 1; readers > 0; --readers) pipe_reader(items, value);
  }

  void pipe_reader(const Items& items, const Grown& value) {
    constexpr std::string_view kFunctions[] = {"calc", "get", "put", "pay", "test"};
    Grown step{new_id(), Kind::kInt, items.length};
    const bool over = dice_.one_in(2);
    const std::string source = fmt::format("steps.{}.output", value.id);
    const std::string read = over ? "item" : source + "[index]";
    std::string expression = read;
    if (dice_.one_in(3)) expression = fmt::format("{} + index", read);
    if (dice_.one_in(6)) expression = fmt::format("{0} if index > 0 else 1", read);
    if (dice_.one_in(8)) expression = fmt::format("{0} * {0}", read);
    const Items* other = dice_.one_in(6) ? some_items() : nullptr;
    Fields fields = {{"for_each", over ? quoted(source) : other ? other->text : items.text}};
    if (dice_.one_in(6)) {
      fields.emplace_back("when", quoted(dice_.one_in(2) ? read + " > 2" : "index != 1"));
      step.may_skip = true;
    }
    fields.emplace_back("tool", fmt::format("t.{}", dice_.any(kFunctions)));
    fields.emplace_back("with", fmt::format("{{x: {}}}", quoted(expression)));
    std::string joins;
    if (value.may_skip) {
      const bool fills = dice_.one_in(3);
      joins = fmt::format("{}: {{skipped: {}}}", value.id, fills ? "{value: 4}" : "skip");
      step.may_skip = step.may_skip || !fills;
    }
    if (!joins.empty()) fields.emplace_back("join", fmt::format("{{{}}}", joins));
    add(std::move(step), std::move(fields));
  }

  // A call of the sub-plan that states no rules.
  void call_step() {
    const Items* items = dice_.one_in(3) ? nullptr : some_items();
    Grown step{new_id(), Kind::kInt};
    Reading reading(dice_, grown_, params_, root_, items);
    Fields fields;
    if (items != nullptr) {
      step.length = items->length;
      fields.emplace_back("for_each", items->text);
    }
    fields.emplace_back("plan", "sub");
    fields.emplace_back("with", fmt::format("{{{}: {}}}", sub_param_, quoted(reading.number())));
    if (const std::string joins = reading.joins(step.may_skip); !joins.empty()) {
      fields.emplace_back("join", fmt::format("{{{}}}", joins));
    }
    add(std::move(step), std::move(fields));
  }

  // A plan that a step made.
  void produced_step() {
    const std::string maker = new_id();
    written_.emplace_back(maker, Fields{{"tool", "t.make_plan"},
                                        {"with", fmt::format("{{x: {}}}", dice_.between(0, 9))}});
    Grown step{new_id(), Kind::kInt};
    add(std::move(step),
        {{"plan", quoted(fmt::format("steps.{}.output", maker))},
         {"with", fmt::format("{{x: {}}}", dice_.between(0, 9))},
         {"limits",
          "{operators: [tool, value], tools: [t.calc, t.pay], steps: 6, tasks: 30, budget: {calls: "
          "20}}"}});
  }

  // What the plan is for: mostly something with an effect, under a condition.
  void sink_step() {
    constexpr std::string_view kFunctions[] = {"pay", "pay", "charge", "put", "calc"};
    const Items* items = some_items();
    Grown step{new_id(), Kind::kInt};
    Reading reading(dice_, grown_, params_, root_, items);
    Fields fields;
    if (items != nullptr) {
      step.length = items->length;
      fields.emplace_back("for_each", items->text);
    }
    if (!dice_.one_in(5)) {
      fields.emplace_back("when", quoted(reading.condition()));
      step.may_skip = true;
    }
    bool fails = false;
    if (dice_.one_in(4)) {
      llm_body(reading, step, fields);
    } else {
      const std::string_view function = dice_.any(kFunctions);
      tool_body(reading, step, fields, function);
      fails = function == "charge";
    }
    const bool once = field_of(fields, "tool") != nullptr;
    rules(reading, step, fields, fails);
    if (once) std::erase_if(fields, [](const auto& field) { return field.first == "retry"; });
    add(std::move(step), std::move(fields));
  }

  // ---- steps that are written twice ----

  void copy_a_step() {
    if (made_.empty()) return;
    Made copy = dice_.any(made_);
    const std::string from = copy.grown.id;
    copy.grown.id = new_id();
    for (auto& [key, text] : copy.fields) {
      for (const auto& [other, twin] : twins_) {
        if (!dice_.one_in(2)) continue;
        replace_all(text, fmt::format("steps.{}.", other), fmt::format("steps.{}.", twin));
      }
    }
    if (dice_.chance(0.6)) change(copy);
    // A fallback stands in for one step only.
    if (std::string* rule = field_of(copy.fields, "on_error");
        rule != nullptr && rule->starts_with("{step")) {
      *rule = "skip";
      copy.grown.may_skip = true;
    }
    twins_.emplace_back(from, copy.grown.id);
    add(copy.grown, copy.fields);
  }

  void change(Made& copy) {
    Fields& fields = copy.fields;
    switch (dice_.between(0, 9)) {
      case 0:
        if (std::string* with = field_of(fields, "with");
            with != nullptr && field_of(fields, "llm") != nullptr) {
          replace_all(*with, "\"}", dice_.one_in(2) ? "\", temperature: 0.7}" : "\", seed: 5}");
        }
        return;
      case 1:
        if (std::string* output = field_of(fields, "output")) {
          replace_all(*output, "'yes', 'no'", "'no', 'yes'");
        }
        return;
      case 2:
        if (std::string* tool = field_of(fields, "tool")) {
          replace_all(*tool, "t.calc", number_ % 2 == 0 ? "t.get" : "t.tally");
          replace_all(*tool, "t.flag", "t.ask");
          replace_all(*tool, "t.flaky", "t.calc");
        }
        return;
      case 3:
        return change_rule(copy, "on_error", "skip", dice_.one_in(2));
      case 4:
        std::erase_if(fields, [](const auto& field) { return field.first == "retry"; });
        return;
      case 5:
        if (copy.grown.length == 0) return;
        return change_rule(copy, "when", quoted("index > 0"), true);
      case 6:
        if (grown_.empty()) return;
        return set_field(fields, "after", fmt::format("[{}]", dice_.any(grown_).id));
      case 7:
        if (std::string* over = field_of(fields, "for_each")) *over = other_items(copy, *over);
        return;
      case 8:
        if (std::string* join = field_of(fields, "join")) {
          replace_all(*join, "skipped: skip",
                      dice_.one_in(3) ? "skipped: fail" : "skipped: {value: 4}");
        }
        return;
      default:
        if (std::string* with = field_of(fields, "with"))
          replace_all(*with, "x: \"{{", "x: \"{{ 1 +");
    }
  }

  void change_rule(Made& copy, std::string_view key, std::string text, bool may_skip) {
    if (field_of(copy.fields, key) != nullptr) {
      std::erase_if(copy.fields, [&](const auto& field) { return field.first == key; });
    } else {
      set_field(copy.fields, key, std::move(text));
      copy.grown.may_skip = true;
    }
    copy.grown.may_skip = copy.grown.may_skip || may_skip;
  }

  std::string other_items(Made& copy, const std::string& now) {
    auto of = std::ranges::find(items_, now, &Items::text);
    if (of == items_.end()) return now;
    for (const Items& other : items_) {
      if (other.text == now || other.kind != of->kind) continue;
      copy.grown.length = other.length;
      return other.text;
    }
    return now;
  }

  Dice& dice_;
  bool root_;
  std::vector<std::string> params_;
  std::string sub_param_;
  bool plain_ = false;
  int number_ = 0;
  int lengths_ = 0;
  std::vector<Grown> grown_;
  std::vector<Items> items_;
  std::vector<Made> made_;
  Fields twins_;                                         // (step, its copy)
  std::vector<std::pair<std::string, Fields>> written_;  // in order, fallbacks too
};

}  // namespace sluice::laws

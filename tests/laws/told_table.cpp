#include "tests/laws/told_table.h"

#include <fmt/format.h>

#include <string_view>

namespace sluice::laws {
namespace {

constexpr std::string_view kCompare[] = {">", "<", "!=", ">=", "=="};

class Teller {
 public:
  Teller(Dice& dice, const Items& items, bool items_may_skip,
         const std::vector<std::string>& params, const std::function<std::string()>& new_id)
      : dice_(dice),
        items_(items),
        items_may_skip_(items_may_skip),
        params_(params),
        new_id_(new_id),
        number_(items.kind == Kind::kRow ? "item.n" : "item") {}

  ToldTable tell() {
    branch_ = dice_.one_in(4);
    asked_ = call();
    if (!branch_ && dice_.one_in(2)) more_ = call();
    told();
    table();
    return std::move(made_);
  }

 private:
  // A question about each item.
  std::string call() {
    Grown step{new_id_(), Kind::kFlag, items_.length};
    Fields fields = {{"for_each", items_.text}};
    constexpr std::string_view kFunctions[] = {"flag", "flag", "ask", "calc", "put", "put"};
    fields.emplace_back("tool", fmt::format("t.{}", dice_.any(kFunctions)));
    fields.emplace_back("with", fmt::format("{{x: {}}}", quoted(number_)));
    step.may_skip = items_may_skip_;
    if (dice_.one_in(8)) fields.emplace_back("on_error", "{value: mid}");
    if (dice_.one_in(8)) {
      fields.emplace_back("when", quoted(number_ + " > 1"));
      step.may_skip = true;
    }
    const std::string id = step.id;
    skips_[id] = step.may_skip;
    made_.before.push_back({std::move(step), std::move(fields)});
    return id;
  }

  // The map: columns of the item, and what the calls said.
  void told() {
    Grown step{new_id_(), Kind::kRow, items_.length};
    const std::string slot = fmt::format("steps.{}.output[index]", asked_);
    std::string value =
        fmt::format("n: {}, at: {{i: \"{{{{ index }}}}\"}}, a: {}", quoted(number_),
                    quoted(branch_ ? fmt::format("{} if {} > 1 else 'low'", slot, number_) : slot));
    if (!more_.empty()) {
      value += fmt::format(", b: {}", quoted(fmt::format("steps.{}.output[index]", more_)));
    }
    Fields fields = {{"for_each", items_.text}};
    step.may_skip = items_may_skip_ || skips_[asked_] || (!more_.empty() && skips_[more_]);
    if (dice_.one_in(6)) {
      fields.emplace_back("when", quoted(number_ + " != 2"));
      step.may_skip = true;
    }
    fields.emplace_back("value", fmt::format("{{{}}}", value));
    std::string joins;
    const bool fills = skips_[asked_] && dice_.one_in(4);
    if (skips_[asked_]) {
      joins = fmt::format("{}: {{skipped: {}}}", asked_, fills ? "{value: mid}" : "skip");
    }
    if (!more_.empty() && skips_[more_]) {
      joins += fmt::format("{}{}: {{skipped: skip}}", joins.empty() ? "" : ", ", more_);
    }
    if (items_may_skip_) {
      joins += fmt::format("{}{}: {{skipped: skip}}", joins.empty() ? "" : ", ", items_.source);
    }
    if (!joins.empty()) fields.emplace_back("join", fmt::format("{{{}}}", joins));
    if (dice_.one_in(8)) fields.emplace_back("on_error", "skip");
    may_lack_ = step.may_skip;
    told_ = step.id;
    made_.before.push_back({std::move(step), std::move(fields)});
  }

  std::string operand(std::string_view row) {
    switch (dice_.between(0, 7)) {
      case 0:
        return fmt::format("{}.a {} 'low'", row, dice_.one_in(2) ? "==" : "!=");
      case 1:
        return fmt::format("12 // {}.n > {}", row, dice_.between(1, 4));
      case 2:
        return fmt::format("{}.n != 0 and 12 // {}.n > 2", row, row);
      case 3:  // what only the answer guards
        return fmt::format("{}.a != 'low' and 12 // {}.n > 2", row, row);
      case 4:
        return fmt::format("{}.at.i {} {}", row, dice_.any(kCompare), dice_.between(0, 3));
      case 5:
        if (!params_.empty()) return fmt::format("{}.n != params.{}", row, dice_.any(params_));
        [[fallthrough]];
      default:
        return fmt::format("{}.n {} {}", row, dice_.any(kCompare), dice_.between(0, 6));
    }
  }

  void table() {
    Grown step{new_id_(), Kind::kInts};
    const bool present = may_lack_ ? !dice_.one_in(6) : dice_.one_in(4);
    const std::string list =
        quoted(fmt::format("steps.{}.output{}", told_, present ? " | present" : ""));
    // A list of items with empty slots has rows without keys.
    const bool matches = items_.kind == Kind::kRow && !items_may_skip_ && dice_.one_in(2);
    const bool other = matches && dice_.one_in(2);
    std::string text = fmt::format("from: {}", other ? items_.text : list);
    if (matches) {
      text += fmt::format(", match: {{with: {}, on: \"{{{{ row.n == other.n }}}}\", keep: {}}}",
                          other ? list : items_.text, dice_.one_in(3) ? "matched" : "all");
    }
    const std::string_view row = other ? "other" : "row";
    std::string where = branch_ ? fmt::format("{}.n < {}", row, dice_.between(2, 4)) : operand(row);
    for (int more = dice_.between(0, 2); more > 0; --more) where += " and " + operand(row);
    text += fmt::format(", where: {}, select: \"{{{{ row.n }}}}\"", quoted(where));
    if (dice_.one_in(5)) text += ", limit: 2";
    Fields fields = {{"table", fmt::format("{{{}}}", text)}};
    if (dice_.one_in(8)) {
      fields.emplace_back("join", fmt::format("{{{}: {{failed: {{value: {{n: 4, at: {{i: 1}}, a: "
                                              "low}}}}}}}}",
                                              told_));
    }
    made_.table = {std::move(step), std::move(fields)};
  }

  Dice& dice_;
  const Items& items_;
  bool items_may_skip_;
  const std::vector<std::string>& params_;
  const std::function<std::string()>& new_id_;
  std::string number_;  // of an item
  std::string asked_, more_, told_;
  std::map<std::string, bool> skips_;
  bool branch_ = false;  // the answer is a part of some rows only
  bool may_lack_ = false;
  ToldTable made_;
};

}  // namespace

ToldTable told_table(Dice& dice, const Items& items, bool items_may_skip,
                     const std::vector<std::string>& params,
                     const std::function<std::string()>& new_id) {
  return Teller(dice, items, items_may_skip, params, new_id).tell();
}

}  // namespace sluice::laws

#include "tests/laws/guarded_steps.h"

#include <fmt/format.h>

#include <utility>

namespace sluice::laws {
namespace {

constexpr std::string_view kGuards[] = {"test", "test", "flaky", "put", "pay", "get"};
constexpr std::string_view kActs[] = {"pay", "pay", "put", "get"};
constexpr std::string_view kKnown[] = {"params.live", "not params.live", "params.n0 > 4",
                                       "params.n1 < 3", "false"};

class GuardedSteps {
 public:
  GuardedSteps(Dice& dice, std::string_view sub_param)
      : dice_(dice), sub_param_(sub_param), rows_(dice.one_in(3)) {}

  std::string run() {
    line("g0", {{"tool", fmt::format("t.{}", dice_.any(kGuards))}, {"with", arguments()}});
    last_ = "g0";
    if (!sub_param_.empty() && dice_.one_in(2)) {
      line("g1", {{"plan", "sub"},
                  {"with", fmt::format("{{{}: {}}}", sub_param_, quoted(output("g0")))}});
      last_ = "g1";
    } else if (dice_.one_in(2)) {
      line("g1", {{"tool", "t.calc"}, {"with", fmt::format("{{x: {}}}", quoted(output("g0")))}});
      last_ = "g1";
    }
    if (dice_.one_in(3)) {
      skipped_with();
    } else {
      conditional();
    }
    if (dice_.one_in(3)) {
      line("g4", {{"value", quoted(output(last_))}});
      last_ = "g4";
    }
    behind();
    return std::move(text_);
  }

 private:
  void line(const std::string& id, Fields fields, bool mapped = true) {
    if (rows_ && mapped) fields.insert(fields.begin(), {"for_each", "[3, 1, 4]"});
    text_ += "  " + step_line(id, fields);
  }

  std::string output(std::string_view step) const {
    return fmt::format("steps.{}.output{}", step, rows_ ? "[index]" : "");
  }

  std::string arguments() {
    const int number = dice_.between(0, 99);
    if (!rows_) return fmt::format("{{x: {}}}", number);
    return fmt::format("{{x: {}}}", quoted(fmt::format("item + {}", number)));
  }

  std::string known() {
    if (rows_ && dice_.one_in(2)) return dice_.one_in(2) ? "item > 2" : "index != 1";
    return std::string(dice_.any(kKnown));
  }

  void conditional() {
    std::string when = fmt::format("{} > {}", output(last_), dice_.between(-1, 4));
    when = dice_.one_in(2) ? when + " and " + known() : known() + " and " + when;
    Fields fields = {{"when", quoted(when)}};
    if (dice_.one_in(2)) {
      fields.emplace_back("value", "1");
    } else {
      fields.emplace_back("tool", "t.calc");
      fields.emplace_back("with", "{x: 1}");
    }
    line("g3", std::move(fields));
    last_ = "g3";
  }

  void skipped_with() {
    line("g2", {{"when", quoted(known())}, {"value", "1"}});
    const std::string sum = fmt::format("{} + {}", output(last_), output("g2"));
    line("g3", {{"value", quoted(sum)}, {"join", "{g2: {skipped: skip}}"}});
    last_ = "g3";
  }

  // Once in a while for all rows together.
  void behind() {
    const bool mapped = rows_ && dice_.one_in(2);
    Fields fields;
    std::string argument = "7";
    switch (dice_.between(0, 4)) {
      case 0:
      case 1:
        fields.emplace_back("after", fmt::format("[{}]", last_));
        break;
      case 2:
        fields.emplace_back("when", quoted(fmt::format("steps.{}.status != 'failed'", last_)));
        break;
      default:
        if (rows_ && !mapped) {
          argument = quoted(fmt::format("steps.{}.output | present | length", last_));
        } else {
          argument = quoted(output(last_));
          fields.emplace_back("join", fmt::format("{{{}: {{skipped: {{value: 4}}}}}}", last_));
        }
    }
    fields.emplace_back("tool", fmt::format("t.{}", dice_.any(kActs)));
    fields.emplace_back("with", fmt::format("{{x: {}}}", argument));
    line("g5", std::move(fields), mapped);
  }

  Dice& dice_;
  std::string_view sub_param_;
  bool rows_;
  std::string last_;
  std::string text_;
};

}  // namespace

std::string guarded_steps(Dice& dice, std::string_view sub_param) {
  return GuardedSteps(dice, sub_param).run();
}

}  // namespace sluice::laws

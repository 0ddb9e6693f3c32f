#include "tests/laws/random_typed_plan.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/laws/guarded_steps.h"
#include "tests/laws/steps_writer.h"

namespace sluice::laws {

RandomPlan random_typed_plan(std::uint64_t seed) {
  Dice dice(seed * 7919 + 17);
  RandomPlan plan;
  std::string text = "sluice: 1\n";
  text += fmt::format(
      "params: {{n0: {{type: integer, default: {}}}, n1: {{type: integer, default: {}}}, live: "
      "{{type: "
      "boolean, default: {}}}, tag: {{type: string, default: {}}}, xs: {{type: array, items: "
      "{{type: "
      "integer}}, default: [2, 0, 2, 5]}}}}\n",
      dice.between(0, 9), dice.between(0, 4), dice.one_in(3) ? "false" : "true",
      dice.one_in(2) ? "a" : "b");
  text += "tools: {t: {kind: python, file: law.py}}\n";
  if (dice.one_in(10)) text += fmt::format("concurrency: {}\n", dice.between(1, 3));
  if (dice.one_in(30)) {
    text += fmt::format("budget: {{calls: {}}}\n", dice.one_in(3) ? 6 : 1000);
  }
  std::string sub_param;  // "": there is no sub-plan
  if (dice.one_in(2)) {
    // Sometimes with the name of a parameter of the plan around it.
    const std::string_view name = dice.one_in(2) ? "n1" : "x";
    StepsWriter sub(dice, false, {std::string(name)}, "");
    const bool plain = !dice.one_in(3);
    if (plain) {
      sub.write_plain(dice.between(1, 3));
    } else {
      sub.write(dice.between(1, 3), dice.between(0, 1));
    }
    text += fmt::format("plans:\n  sub:\n    params: {{{}: {{type: integer{}}}}}\n    steps:\n",
                        name, dice.one_in(2) ? ", default: 3" : "");
    text += sub.lines("      ");
    sub_param = name;
    const bool all = plain && !dice.one_in(4);
    text += "    result: " + (all ? sub.plain_result() : sub.number_result()) + "\n";
  }
  StepsWriter steps(dice, true, {"n0", "n1"}, sub_param);
  steps.write(dice.between(2, 6), dice.between(1, 3));
  if (seed % 9 == 3) steps.write_told_table();  // the other plans stay what they are
  text += "steps:\n" + steps.lines("  ");
  if (seed % 9 == 7) text += guarded_steps(dice, sub_param);
  if (!dice.one_in(12)) text += "result: " + steps.result() + "\n";
  plan.text = std::move(text);
  std::vector<Value::Member> given;
  if (dice.one_in(2)) given.emplace_back("n0", Value::integer(dice.between(0, 9)));
  if (dice.one_in(3)) given.emplace_back("tag", Value::string("b"));
  plan.params = Value::object(std::move(given));
  return plan;
}

}  // namespace sluice::laws

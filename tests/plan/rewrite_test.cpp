// Rewriting of what a plan says: bindings and steps with other names, literals, positions, and the
// way of a rewritten plan through lowering and the journal's form.
#include "plan/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/references.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PlanPtr parsed(std::string_view steps) {
  ParsedPlan plan =
      parse_plan("sluice: 1\nparams: {p: {}, n: {default: 3}}\nsteps:\n" + std::string(steps), "p");
  for (const auto& each : plan.diagnostics.all()) ADD_FAILURE() << format_diagnostic(each, {"p"});
  return plan.plan;
}

// Reads of `from` become reads of `to`.
InputReplacement renaming(std::string from, std::string to) {
  return [from, to](const ExprInput& input) -> std::optional<std::string> {
    if (input.root != "steps" || input.path[0] != from) return std::nullopt;
    return "steps." + to + "." + input.path[1] + (input.slot ? "[index]" : "");
  };
}

TEST(Rewrite, Literals) {
  struct Row {
    std::string json;
    std::string expected;
  };
  const Row rows[] = {
      {"null", "none"},
      {"true", "true"},
      {"-5", "-5"},
      {"1.5", "1.5"},
      {"\"a\\\"b\"", "\"a\\\"b\""},
      {"[]", "[]"},
      {"[1, [2, \"[\"], {}]", "[1, [2, \"[\"], {}]"},
      {R"({"a": 1, "b c": [true]})", R"({"a": 1, "b c": [true]})"},
  };
  for (const Row& row : rows) EXPECT_EQ(literal_text(*parse_json(row.json)), row.expected);
  EXPECT_EQ(literal_text(Value::number(1.0)), "1.0");
  EXPECT_EQ(literal_text(Value::number(-2e30)), literal_text(Value::number(-2e30)));
}

TEST(Rewrite, NoLiteral) {
  EXPECT_FALSE(literal_text(Value::string("x").with_labels({.secret = true})));
  EXPECT_FALSE(literal_text(Value::string("x").with_labels({.untrusted = true})));
  EXPECT_FALSE(literal_text(
      Value::array({Value::integer(1), Value::string("x").with_labels({.secret = true})})));
  EXPECT_FALSE(literal_text(Value::blob("bytes", "text/plain")));
  EXPECT_FALSE(literal_text(Value::array({Value::vector({1.0F})})));
  EXPECT_FALSE(literal_text(Value::string(std::string(100, 'x')), 50));
  EXPECT_TRUE(literal_text(Value::string(std::string(40, 'x')), 50));
  Value deep;
  for (int i = 0; i < 100; ++i) deep = Value::array({deep});
  EXPECT_FALSE(literal_text(deep));
  EXPECT_FALSE(literal_text(Value::array(std::vector<Value>(100'000, Value::integer(1)))));
}

TEST(Rewrite, ABindingKeepsWhatIsNotRewritten) {
  PlanPtr plan = parsed(
      "  a: {value: 1}\n  b: {value: 1}\n"
      "  c: {value: {x: '{{ steps.b.output }}', y: [1, 'text', 'to {{ steps.b.output.z }}!'], "
      "z: '{{ params.p }}'}}\n");
  const Step& step = *plan->find_step("c");
  auto made = rewrite_binding(step.value, renaming("b", "a"));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->find("x")->text, "{{ steps.a.output }}");
  EXPECT_EQ(made->find("x")->pos, step.value.find("x")->pos);
  EXPECT_EQ(made->find("x")->key_pos, step.value.find("x")->key_pos);
  EXPECT_EQ(made->find("y")->items[2].text, "to {{ steps.a.output.z }}!");
  EXPECT_EQ(made->find("y")->items[1].text, "text");
  EXPECT_EQ(made->find("z")->text, "{{ params.p }}");
  EXPECT_TRUE(made->find("x")->expr.as_input());
  EXPECT_TRUE(same_binding(*made->find("z"), *step.value.find("z")));
  EXPECT_FALSE(same_binding(*made, step.value));
}

TEST(Rewrite, PlacesStayThoseOfTheUsersText) {
  PlanPtr plan =
      parsed("  a: {value: 1}\n  b: {value: 1}\n  c: {value: 'x {{ steps.b.output }}'}\n");
  const Step& step = *plan->find_step("c");
  SourcePos before = references_of(step.value, EdgeUse::kBody)[0].pos;
  auto made = rewrite_binding(step.value, renaming("b", "a"));
  ASSERT_TRUE(made);
  EXPECT_EQ(references_of(*made, EdgeUse::kBody)[0].pos, before);
  EXPECT_EQ(made->pos, step.value.pos);
}

TEST(Rewrite, RefusedByALoopOfTheExpression) {
  PlanPtr plan = parsed("  c: {value: '{% for item in params.p %}{{ params.n }}{% endfor %}'}\n");
  auto made = rewrite_binding(plan->steps[0].value, [](const ExprInput& input) {
    return input.path[0] == "n" ? std::optional<std::string>("item.x") : std::nullopt;
  });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kExprName);
  EXPECT_THAT(made.error().message(), HasSubstr("params.n"));
  EXPECT_TRUE(made.error().pos().known());
}

TEST(Rewrite, AnExpressionOfItsOwn) {
  auto made = expression_binding("(steps.a.output.n) > (params.n)", {0, 3, 4});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->text, "{{ steps.a.output.n > params.n }}");
  EXPECT_EQ(made->pos, (SourcePos{0, 3, 4}));
  EXPECT_EQ(made->expr.inputs().size(), 2u);
  EXPECT_EQ(expression_binding("1 +", {}).error().code(), ErrorCode::kExprSyntax);
  EXPECT_EQ(expression_binding("a }} {{ b", {}).error().code(), ErrorCode::kExprSyntax);
  EXPECT_EQ(expression_binding("a | nosuch", {}).error().code(), ErrorCode::kExprFilter);
}

TEST(Rewrite, EveryBindingOfAStep) {
  PlanPtr plan = parsed(
      "  b: {value: [1]}\n"
      "  c:\n"
      "    for_each: '{{ steps.b.output }}'\n"
      "    when: '{{ steps.b.output }}'\n"
      "    value: '{{ steps.b.output }}'\n"
      "    repeat: {until: '{{ steps.b.output }}', max: 2}\n"
      "    on_error: {value: '{{ steps.b.output }}'}\n"
      "    join: {b: {skipped: {value: '{{ params.n }}'}}}\n");
  Step step = *plan->find_step("c");
  ASSERT_TRUE(rewrite_step(step, [](const ExprInput& input) -> std::optional<std::string> {
    return input.root == "params" ? "params.p" : "steps.a.output";
  }));
  std::vector<std::string> texts;
  for_each_binding(step, [&](const Binding& tree, EdgeUse) { texts.push_back(tree.text); });
  EXPECT_THAT(texts,
              ElementsAre("{{ steps.a.output }}", "{{ steps.a.output }}", "{{ steps.a.output }}",
                          "{{ steps.a.output }}", "{{ steps.a.output }}", "{{ params.p }}"));
}

TEST(Rewrite, SameBinding) {
  PlanPtr plan = parsed(
      "  s: {value: ['{{ params.p }}', '{{params.p}}', '{{ params.n }}', 1, '1', '{{ 1 }}', "
      "text, text, '{{ \"text\" }}']}\n");
  const std::vector<Binding>& items = plan->steps[0].value.items;
  auto same = [&](std::size_t a, std::size_t b) { return same_binding(items[a], items[b]); };
  EXPECT_TRUE(same(0, 0));
  EXPECT_TRUE(same(0, 1));
  EXPECT_FALSE(same(0, 2));
  EXPECT_FALSE(same(3, 4));
  EXPECT_TRUE(same(6, 7));
  EXPECT_FALSE(same(6, 8)) << "what {{ }} gives is data, what is written is not";
}

TEST(Rewrite, SameRulesAreOfTheWayAndNotOfTheWork) {
  const std::pair<const char*, const char*> rules[] = {
      {"", "retry: {attempts: 2}"},
      {"retry: {attempts: 2}", "retry: {attempts: 3}"},
      {"retry: {attempts: 2}", "retry: {attempts: 2, delay: 2s}"},
      {"retry: {attempts: 2}", "retry: {attempts: 2, on: [TIMEOUT]}"},
      {"retry: {attempts: 2, on: [IO]}", "retry: {attempts: 2, on: [TIMEOUT]}"},
      {"", "timeout: 1s"},
      {"timeout: 1s", "timeout: 2s"},
      {"", "cache: {ttl: 1h}"},
      {"cache: {ttl: 1h}", "cache: {ttl: 2h}"},
      {"", "concurrency: 2"},
      {"concurrency: 1", "concurrency: 2"},
      {"", "on_error: skip"},
      {"on_error: skip", "on_error: {value: 1}"},
  };
  for (const auto& [one, other] : rules) {
    SCOPED_TRACE(std::string(one) + " | " + other);
    const std::string start = "{llm: default, with: {prompt: '{{ params.p }}'}, ";
    PlanPtr plan =
        parsed("  a: " + start + one + "}\n  b: " + start + other +
               "}\n  c: {llm: default, with: {prompt: x}, when: '{{ params.p }}', " + one + "}\n");
    EXPECT_FALSE(same_rules(plan->steps[0], plan->steps[1]));
    EXPECT_TRUE(same_rules(plan->steps[0], plan->steps[2]));
    EXPECT_TRUE(same_rules(plan->steps[1], plan->steps[1]));
  }
  PlanPtr plan = parsed("  a: {tool: calc, on_error: fail}\n  b: {tool: calc}\n");
  EXPECT_TRUE(same_rules(plan->steps[0], plan->steps[1])) << "that is what happens without it";
  EXPECT_EQ(rules_text(plan->steps[1]), "");
}

TEST(Rewrite, SameJoins) {
  const char* const joins[] = {"{skipped: fail}", "{failed: skip}", "{skipped: {value: 1}}",
                               "{skipped: {value: 2}}", "{skipped: {value: 1}, failed: skip}"};
  for (const char* one : joins) {
    for (const char* other : joins) {
      PlanPtr plan = parsed(std::string("  a: {value: 1}\n  b: {value: '{{ steps.a.output }}', "
                                        "join: {a: ") +
                            one + "}}\n  c: {value: '{{ steps.a.output }}', join: {a: " + other +
                            "}}\n  d: {value: '{{ steps.a.output }}'}\n");
      const bool same = same_join(join_of(plan->steps[1], "a"), join_of(plan->steps[2], "a"));
      EXPECT_EQ(same, one == other) << one << " | " << other;
      EXPECT_FALSE(same_join(join_of(plan->steps[1], "a"), join_of(plan->steps[3], "a"))) << one;
      EXPECT_TRUE(same_join(join_of(plan->steps[3], "a"), JoinRule()));
    }
  }
}

TEST(Rewrite, ARewrittenPlanIsLoweredForTheWrittenOneAndRecorded) {
  PlanPtr plan = parsed(
      "  a: {value: [1]}\n  b: {value: [1]}\n"
      "  c: {for_each: '{{ steps.b.output }}', value: '{{ item }}'}\n"
      "  d: {for_each: '{{ steps.c.output }}', value: '{{ steps.c.output[index] + item }}'}\n");
  auto made = std::make_shared<Plan>(*plan);
  made->written = plan;
  for (Step& step : made->steps) ASSERT_TRUE(rewrite_step(step, renaming("b", "a")));
  auto tools = catalog_of(*plan);
  auto lowered = lower_plan(made, *tools);
  ASSERT_TRUE(lowered) << lowered.error().to_string();
  EXPECT_EQ((*lowered)->logical, plan);
  EXPECT_EQ((*lowered)->plan_hash, (*lower_plan(plan, *tools))->plan_hash);
  Value record = encode_physical(**lowered);
  auto decoded = decode_physical(record, plan);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(encode_physical(**decoded), record);
}

}  // namespace
}  // namespace sluice

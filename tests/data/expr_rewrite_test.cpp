// Expressions with other names in them: Expr::to_string_with and Expr::conjuncts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "data/expr.h"
#include "data/json.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

NameClaim any_name(std::string_view root, std::span<const std::string> path, bool) {
  NameClaim claim;
  if (root == "steps") {
    claim.path_length = std::min<std::size_t>(path.size(), 2);
    claim.sliceable = path.size() > 1 && path[1] == "output";
  } else if (root == "params" || root == "run") {
    claim.path_length = std::min<std::size_t>(path.size(), 1);
  }
  return claim;
}

Expr compiled(std::string_view text) {
  auto expr = Expr::compile(text, any_name);
  EXPECT_TRUE(expr.has_value()) << text << ": " << (expr ? "" : expr.error()[0].message);
  return expr ? *expr : Expr::constant(Value());
}

using Names = std::map<std::string, std::string>;

std::optional<std::string> rewritten(const Expr& expr, const Names& names) {
  std::vector<std::optional<std::string>> texts;
  for (const ExprInput& input : expr.inputs()) {
    auto found = names.find(input.dotted());
    texts.push_back(found == names.end() ? std::nullopt : std::optional(found->second));
  }
  return expr.to_string_with(texts);
}

struct Row {
  std::string text;
  Names names;
  std::string expected;  // "": refused
};

TEST(ExprRewrite, OtherNames) {
  const Names to_a = {{"steps.b.output", "steps.a.output"},
                      {"steps.b.output[index]", "steps.a.output[index]"}};
  const Row rows[] = {
      {"{{ steps.b.output }}", to_a, "{{ steps.a.output }}"},
      {" {{steps.b.output}} ", to_a, "{{ steps.a.output }}"},
      {"{{ steps.b.output.x.y[0] }}", to_a, "{{ steps.a.output.x.y[0] }}"},
      {"{{ steps.b.output[index].x }}", to_a, "{{ steps.a.output[index].x }}"},
      {"{{ steps.b.output[(index)] }}", to_a, "{{ steps.a.output[(index)] }}"},
      {"{{ steps.b.output['a b'] }}", to_a, "{{ steps.a.output[\"a b\"] }}"},
      {"{{ steps.b.output | length > steps.c.output }}", to_a,
       "{{ steps.a.output | length > steps.c.output }}"},
      {"{{ (steps.b.output)[:params.n] }}", to_a, "{{ steps.a.output[:params.n] }}"},
      {"a {{ steps.b.output }} {% for b in steps.b.output %}{{ b }}{{ steps.b.output }}{% endfor "
       "%}",
       to_a,
       "a {{ steps.a.output }} {%+ for b in steps.a.output +%}{{ b }}{{ steps.a.output }}{%+ "
       "endfor "
       "+%}"},
      {"{% if steps.b.output %}x{% endif %}", to_a, "{%+ if steps.a.output +%}x{%+ endif +%}"},
      {"{{ params.p }}", {}, "{{ params.p }}"},
      {"plain", {}, "plain"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(rewritten(compiled(row.text), row.names), row.expected) << row.text;
  }
}

TEST(ExprRewrite, ParenthesesWhereTheyAreNeeded) {
  const Row rows[] = {
      {"{{ params.p.x }}", {{"params.p", "a or b"}}, "{{ (a or b).x }}"},
      {"{{ params.p }}", {{"params.p", "a or b"}}, "{{ a or b }}"},
      {"{{ params.p | length }}", {{"params.p", "a + b"}}, "{{ (a + b) | length }}"},
      {"{{ params.p | length }}", {{"params.p", "a.b[0]"}}, "{{ a.b[0] | length }}"},
      {"{{ params.p is none }}", {{"params.p", "not a"}}, "{{ (not a) is none }}"},
      {"{{ params.p[1:2] }}", {{"params.p", "a ~ b"}}, "{{ (a ~ b)[1:2] }}"},
      {"{{ x[params.p] }}", {{"params.p", "a if b else c"}}, "{{ x[a if b else c] }}"},
      {"{{ -params.p }}", {{"params.p", "-1"}}, "{{ -(-1) }}"},
      {"{{ 2 ** params.p }}", {{"params.p", "-1"}}, "{{ 2 ** (-1) }}"},
      {"{{ params.p - params.q }}", {{"params.q", "a - b"}}, "{{ params.p - (a - b) }}"},
      {"{{ params.p and params.q }}", {{"params.q", "a and b"}}, "{{ params.p and (a and b) }}"},
      {"{{ params.p if params.q else 0 }}",
       {{"params.q", "a if b"}},
       "{{ params.p if (a if b) else 0 }}"},
      {"{{ [params.p, {'k': params.p}] }}",
       {{"params.p", "a or b"}},
       "{{ [a or b, {\"k\": a or b}] }}"},
      {"{{ x | default(params.p) }}", {{"params.p", "a or b"}}, "{{ x | default(a or b) }}"},
      {"{{ x == params.p }}", {{"params.p", "[1, 2]"}}, "{{ x == [1, 2] }}"},
      {"{{ params.p.k }}", {{"params.p", R"({"k": {"l": 1}})"}}, R"({{ {"k": {"l": 1}}.k }})"},
      {"t {{ params.p }}", {{"params.p", R"("}} {% x")"}}, R"(t {{ "}} {% x" }})"},
  };
  for (const Row& row : rows) {
    auto text = rewritten(compiled(row.text), row.names);
    EXPECT_EQ(text, row.expected) << row.text;
    if (text) compiled(*text);
  }
}

TEST(ExprRewrite, RefusedWhereALoopWouldTakeAName) {
  const Row rows[] = {
      {"{% for item in params.l %}{{ params.p }}{% endfor %}", {{"params.p", "item.x"}}, ""},
      {"{% for x in params.l %}{{ params.p }}{% endfor %}", {{"params.p", "loop"}}, ""},
      {"{% for steps in params.l %}{{ params.p }}{% endfor %}",
       {{"params.p", "steps.a.output"}},
       ""},
      // Not inside of the loop's body.
      {"{% for item in params.p %}x{% endfor %}",
       {{"params.p", "item.x"}},
       "{%+ for item in item.x +%}x{%+ endfor +%}"},
      {"{% for item in params.l %}x{% else %}{{ params.p }}{% endfor %}",
       {{"params.p", "item"}},
       "{%+ for item in params.l +%}x{%+ else +%}{{ item }}{%+ endfor +%}"},
      // A field is no name.
      {"{% for x in params.l %}{{ params.p }}{% endfor %}",
       {{"params.p", "item.x"}},
       "{%+ for x in params.l +%}{{ item.x }}{%+ endfor +%}"},
      // No expression at all.
      {"{{ params.p }}", {{"params.p", "a }} b {{ c"}}, ""},
      {"{{ params.p }}", {{"params.p", "'open"}}, ""},
  };
  for (const Row& row : rows) {
    auto text = rewritten(compiled(row.text), row.names);
    EXPECT_EQ(text.value_or(""), row.expected) << row.text;
  }
}

TEST(ExprRewrite, WhatIsExactlyAnInputStaysThat) {
  Expr before = compiled("{{ steps.b.output }}");
  Expr after = compiled(*rewritten(before, {{"steps.b.output", "steps.a.output"}}));
  ASSERT_TRUE(after.as_input());
  EXPECT_EQ(after.inputs()[*after.as_input()].dotted(), "steps.a.output");
}

TEST(ExprRewrite, ALiteralGivesWhatTheValueGave) {
  const std::vector<std::string> texts = {
      "{{ params.p }}",
      "{{ params.p | tojson }}",
      "t {{ params.p }} t",
      "{{ [params.p, 1] }}",
      "{{ {'a': params.p} }}",
      "{{ params.p == params.p }}",
      "{{ params.p ~ '' }}",
      "{{ params.p is mapping }}",
      "{% if params.p %}y{% else %}n{% endif %}",
      "{{ not params.p }}",
      "{{ params.p or 'other' }}",
      "{{ params.p is number }}",
  };
  const std::vector<std::string> values = {
      "null",
      "true",
      "0",
      "-7",
      "1.5",
      "-2e30",
      R"("")",
      R"("a\"b\\{{ x }} {% y %} \u0001 ü")",
      "[]",
      "[1, [2, {}]]",
      R"({"a b": null, "c": [true]})",
      "123456789012345678901234567890",
  };
  for (const std::string& text : texts) {
    Expr before = compiled(text);
    for (const std::string& json : values) {
      Value value = *parse_json(json);
      auto with = rewritten(before, {{"params.p", json}});
      ASSERT_TRUE(with) << text << " " << json;
      Expr after = compiled(*with);
      EXPECT_TRUE(after.inputs().empty()) << *with;
      EvalContext context;
      std::vector<Value> inputs = {value};
      auto expected = before.evaluate(inputs, context);
      auto found = after.evaluate({}, context);
      ASSERT_EQ(expected.has_value(), found.has_value()) << *with;
      if (expected) {
        EXPECT_EQ(to_json(*expected), to_json(*found)) << *with;
      }
    }
  }
}

TEST(ExprRewrite, NumbersKeepTheirFraction) {
  EXPECT_EQ(compiled("{{ params.p // 2.0 }}").to_string(), "{{ params.p // 2.0 }}");
  EXPECT_EQ(compiled("{{ params.p // 2 }}").to_string(), "{{ params.p // 2 }}");
}

TEST(ExprRewrite, Conjuncts) {
  EXPECT_THAT(compiled("{{ params.a and (params.b or params.c) and not params.d }}").conjuncts(),
              ElementsAre("params.a", "params.b or params.c", "not params.d"));
  EXPECT_THAT(compiled("{{ (params.a and params.b) and params.c > 1 }}").conjuncts(),
              ElementsAre("params.a", "params.b", "params.c > 1"));
  EXPECT_THAT(compiled("{{ params.a or params.b }}").conjuncts(),
              ElementsAre("params.a or params.b"));
  EXPECT_THAT(compiled("{{ steps.a.output[index].x }}").conjuncts(),
              ElementsAre("steps.a.output[index].x"));
  EXPECT_THAT(Expr::constant(Value::boolean(true)).conjuncts(), ElementsAre("true"));
  EXPECT_THAT(compiled("a {{ params.a and params.b }}").conjuncts(), IsEmpty());
}

// Any root is a name of an input.
NameClaim any_root(std::string_view, std::span<const std::string>, bool) { return {}; }

struct Given {
  std::string text;
  Value inputs;
};

// The good cases of expr_cases.txt (expr_case_test.cpp says how that is written).
std::vector<Given> good_cases() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  std::ifstream file((root != nullptr ? std::string(root) + "/" : "") +
                     "tests/data/expr_cases.txt");
  std::vector<Given> cases;
  Value inputs;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("inputs: ")) inputs = *parse_json(line.substr(8));
    std::size_t split = line.rfind(" => ");
    if (split == std::string::npos || line.starts_with("# ")) continue;
    std::string text = line.substr(0, split);
    if (text.starts_with('"')) text = std::string(parse_json(text)->as_string());
    cases.push_back({text, inputs});
  }
  return cases;
}

// `how` makes the text that stands in the place of an input. What comes out is the same.
template <class How>
int same_after(How how) {
  int compared = 0;
  EvalContext context;
  for (const Given& one : good_cases()) {
    SCOPED_TRACE(one.text);
    auto before = Expr::compile(one.text, any_root);
    if (!before || before->inputs().empty()) continue;
    std::vector<std::optional<std::string>> texts;
    std::vector<Value> values;
    for (const ExprInput& input : before->inputs()) {
      values.push_back(*one.inputs.find(input.root));
      texts.push_back(how(input.root, values.back()));
    }
    auto text = before->to_string_with(texts);
    if (!text) continue;
    auto after = Expr::compile(*text, any_root);
    if (!after) {
      ADD_FAILURE() << *text << ": " << after.error()[0].message;
      continue;
    }
    std::vector<Value> again;
    for (const ExprInput& input : after->inputs()) {
      std::string root = input.root.starts_with("new_") ? input.root.substr(4) : input.root;
      again.push_back(*one.inputs.find(root));
    }
    auto expected = before->evaluate(values, context);
    auto found = after->evaluate(again, context);
    EXPECT_EQ(expected.has_value(), found.has_value()) << *text;
    if (expected && found) {
      EXPECT_EQ(to_json(*expected), to_json(*found)) << *text;
    }
    ++compared;
  }
  return compared;
}

TEST(ExprRewrite, EveryCaseWithOtherNames) {
  EXPECT_GT(same_after([](const std::string& root, const Value&) { return "new_" + root; }), 200);
}

TEST(ExprRewrite, EveryCaseWithWholeExpressions) {
  EXPECT_GT(same_after([](const std::string& root, const Value&) {
              return "new_" + root + " if true else none";
            }),
            200);
}

TEST(ExprRewrite, EveryCaseWithLiterals) {
  EXPECT_GT(same_after([](const std::string&, const Value& value) { return to_json(value); }), 200);
}

}  // namespace
}  // namespace sluice

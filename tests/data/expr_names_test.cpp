// What an expression reads, where errors point, and what its type is.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "data/expr.h"
#include "data/json.h"

namespace sluice {
namespace {

Type item_type() {
  return Type::object_of({{"cves", Type::array_of(Type::of(Type::kString))},
                          {"day", Type::of(Type::kString)},
                          {"n", Type::of(Type::kInteger)}},
                         {"cves", "day"}, true);
}

// A small plan: steps a1 and entry, parameter count, and the names of a for_each.
NameClaim plan_names(std::string_view root, std::span<const std::string> path, bool slot) {
  NameClaim claim;
  auto wrong = [&](ErrorCode code, std::string message, std::size_t at) {
    claim.error = code;
    claim.message = std::move(message);
    claim.at = at;
    return claim;
  };
  if (root == "item") {
    claim.type = item_type();
  } else if (root == "index") {
    claim.type = Type::of(Type::kInteger);
  } else if (root == "params") {
    if (path.empty() || path[0] != "count") {
      return wrong(ErrorCode::kParamUnknown, "no parameter", path.empty() ? 0 : 1);
    }
    claim.path_length = 1;
  } else if (root == "steps") {
    if (path.empty()) return wrong(ErrorCode::kExprName, "steps needs a name", 0);
    if (path[0] != "a1" && path[0] != "entry") {
      return wrong(ErrorCode::kStepUnknown, "no step " + path[0] + "; did you mean a1?", 1);
    }
    if (path.size() < 2 || path[1] != "output") {
      return wrong(ErrorCode::kExprName, "a step has output", path.size() < 2 ? 1 : 2);
    }
    claim.path_length = 2;
    claim.sliceable = path[0] == "entry";
    claim.type = slot ? item_type() : Type::array_of(item_type());
  } else {
    return wrong(ErrorCode::kExprName, "no name " + std::string(root), 0);
  }
  return claim;
}

Expr good(std::string_view text) {
  auto expr = Expr::compile(text, plan_names);
  EXPECT_TRUE(expr.has_value()) << text << ": " << expr.error()[0].message;
  return expr ? *expr : Expr::constant(Value());
}

std::vector<ExprError> bad(std::string_view text) {
  auto expr = Expr::compile(text, plan_names);
  EXPECT_FALSE(expr.has_value()) << text;
  return expr ? std::vector<ExprError>{} : expr.error();
}

std::vector<std::string> inputs_of(std::string_view text) {
  std::vector<std::string> names;
  Expr expr = good(text);
  for (const ExprInput& input : expr.inputs()) names.push_back(input.dotted());
  return names;
}

TEST(ExprNames, Inputs) {
  struct Row {
    std::string text;
    std::vector<std::string> inputs;
  };
  const Row rows[] = {
      {"plain", {}},
      {"{{ 1 }}", {}},
      {"{{ item }}", {"item"}},
      {"{{ item.cves }}", {"item"}},
      {"{{ params.count + params['count'] }}", {"params.count"}},
      {"{{ steps.a1.output.x.y }}", {"steps.a1.output"}},
      {"{{ steps['a1']['output'] }}", {"steps.a1.output"}},
      {"{{ steps.entry.output[index].day }}", {"steps.entry.output[index]"}},
      {"{{ steps.entry.output[index + 0].day }}", {"steps.entry.output", "index"}},
      {"{{ steps.entry.output[0].day }}", {"steps.entry.output"}},
      {"{{ steps.a1.output[index].day }}", {"steps.a1.output", "index"}},
      {"{{ steps.entry.output[index].n + (steps.entry.output | length) }}",
       {"steps.entry.output[index]", "steps.entry.output"}},
      {"{% for index in [0] %}{{ steps.entry.output[index] }}{% endfor %}", {"steps.entry.output"}},
      {"{% for item in params.count %}{{ item.x }}{% endfor %}{{ index }}",
       {"params.count", "index"}},
      {"{% for x in item.cves %}{% if x == index %}{{ x }}{% endif %}{% endfor %}",
       {"item", "index"}},
  };
  for (const Row& row : rows) EXPECT_EQ(inputs_of(row.text), row.inputs) << row.text;
}

TEST(ExprNames, SlotReadsOnlyTheSlot) {
  Expr expr = good("{{ steps.entry.output[index].day }}");
  ASSERT_EQ(expr.inputs().size(), 1u);
  EXPECT_TRUE(expr.inputs()[0].slot);
  EXPECT_EQ(expr.type().kinds(), Type::kString);
  EvalContext context;
  std::vector<Value> inputs{*parse_json(R"({"day": "monday"})")};
  EXPECT_EQ(*expr.evaluate(inputs, context), Value::string("monday"));
  EXPECT_EQ(good(expr.to_string()).inputs()[0].dotted(), "steps.entry.output[index]");
}

TEST(ExprNames, AsInput) {
  EXPECT_EQ(good("{{ steps.entry.output }}").as_input(), 0u);
  EXPECT_EQ(good(" {{ item }} ").as_input(), 0u);
  EXPECT_EQ(good("{{ steps.entry.output[index] }}").as_input(), 0u);
  EXPECT_FALSE(good("{{ item.day }}").as_input());
  EXPECT_FALSE(good("x{{ item }}").as_input());
  EXPECT_FALSE(good("{{ 1 }}").as_input());
}

TEST(ExprNames, ErrorsPointAtTheirPlace) {
  struct Row {
    std::string text;
    ErrorCode code;
    std::string points_at;  // the text from the offset on starts so
  };
  const Row rows[] = {
      {"{{ steps.al.output }}", ErrorCode::kStepUnknown, "al.output"},
      {"{{ steps['al'].output }}", ErrorCode::kStepUnknown, "'al'"},
      {"{{ steps.a1.outptu }}", ErrorCode::kExprName, "outptu"},
      {"{{ 1 + stesp.a1.output }}", ErrorCode::kExprName, "stesp"},
      {"{{ 1 + }}", ErrorCode::kExprSyntax, "}}"},
      {"{{ (1 }}", ErrorCode::kExprSyntax, "}}"},
      {"{{ item | uper }}", ErrorCode::kExprFilter, "uper"},
      {"{{ item | sort(revers=1) }}", ErrorCode::kExprFilter, "revers=1"},
      {"text\n{% if item %}x", ErrorCode::kExprSyntax, "{% if"},
      {"{{ 'abc }}", ErrorCode::kExprSyntax, "'abc"},
      {"a {{ item", ErrorCode::kExprSyntax, "{{ item"},
  };
  for (const Row& row : rows) {
    auto errors = bad(row.text);
    ASSERT_FALSE(errors.empty());
    EXPECT_EQ(errors[0].code, row.code) << row.text << errors[0].message;
    EXPECT_TRUE(row.text.substr(errors[0].offset).starts_with(row.points_at))
        << row.text << " at " << errors[0].offset;
  }
}

// The columns that the broken plans of the language's description name.
TEST(ExprNames, ColumnsOfTheBrokenPlans) {
  EXPECT_EQ(bad("{{ steps.al.output }}")[0].offset + 15, 24u);
  EXPECT_EQ(bad("{{ 1 + }}")[0].offset + 15, 22u);
  EXPECT_EQ(bad("{{ 1 + }}")[0].message, "nothing after +");
  EXPECT_EQ(good("{{ steps.a1.output }}").inputs()[0].offset + 15, 24u);
  EXPECT_EQ(good("{{ steps.a1.output }}").inputs()[0].pos, (SourcePos{0, 1, 10}));
  EXPECT_EQ(good("a\nb {{ item }}").inputs()[0].pos, (SourcePos{0, 2, 6}));
}

TEST(ExprNames, SeveralErrorsAtOnce) {
  EXPECT_EQ(bad("{{ aa + bb | uper + steps.c.output }}").size(), 4u);
  EXPECT_EQ(bad("{{ 1 + }} and {{ nope }} and {{ ( }}").size(), 3u);
  EXPECT_EQ(bad("{% for x in nope %}{{ x | uper }}{{ nope }}{% endfor %}").size(), 3u);
}

TEST(ExprNames, NoResolverKnowsNoName) {
  auto expr = Expr::compile("{{ x }}", nullptr);
  ASSERT_FALSE(expr.has_value());
  EXPECT_EQ(expr.error()[0].code, ErrorCode::kExprName);
  EXPECT_TRUE(Expr::compile("{{ 1 + 1 }}", nullptr).has_value());
}

TEST(ExprTypes, Inferred) {
  struct Row {
    std::string text;
    int kinds;
  };
  const Row rows[] = {
      {"abc", Type::kString},
      {"x{{ item.n }}", Type::kString},
      {"{{ 1 }}", Type::kInteger},
      {"{{ item.n + 1 }}", Type::kInteger},
      {"{{ item.n / 2 }}", Type::kNumber},
      {"{{ item.day }}", Type::kString},
      {"{{ item.cves[0] }}", Type::kString},
      {"{{ item.cves | first }}", Type::kString},
      {"{{ item.cves | length }}", Type::kInteger},
      {"{{ item.cves | length > 0 }}", Type::kBoolean},
      {"{{ item.cves | sort }}", Type::kArray},
      {"{{ (item.cves | sort)[0] }}", Type::kString},
      {"{{ (steps.entry.output | map(attribute='n'))[0] }}", Type::kInteger},
      {"{{ item.day or 1 }}", Type::kString | Type::kInteger},
      {"{{ 1 if item.n else 'a' }}", Type::kString | Type::kInteger},
      {"{{ item.day | default(none) }}", Type::kString | Type::kNull},
      {"{{ item.day | int }}", Type::kInteger},
      {"{{ params.count }}", Type::kAnyKind},
      {"{{ params.count.x | upper }}", Type::kString},
      {"{{ item.day is defined }}", Type::kBoolean},
      {"{{ [1, item.day] }}", Type::kArray},
  };
  for (const Row& row : rows) {
    Expr expr = good(row.text);
    EXPECT_EQ(expr.type().kinds(), row.kinds) << row.text << ": " << expr.type().to_string();
    EXPECT_TRUE(expr.type_errors().empty()) << row.text << expr.type_errors()[0].message;
  }
}

TEST(ExprTypes, CertainMisuse) {
  struct Row {
    std::string text;
    std::string message;
    std::string points_at;
  };
  const Row rows[] = {
      {"{{ item.cvse }}", "no member cvse; did you mean cves?", "item.cvse"},
      {"{{ item.day.x }}", "a string has no member x", "item.day.x"},
      {"{{ item.n | upper }}", "upper needs a string, not an integer", "item.n"},
      {"{{ item.day | sort }}", "sort needs an array, not a string", "item.day"},
      {"{{ item.day + 1 }}", "~ joins text", "item.day"},
      {"{{ item.day < 1 }}", "have no order", "item.day"},
      {"{{ 1 in item.n }}", "in needs", "1 in"},
      {"{{ item.cves | map('abs') }}", "abs needs a number", "item.cves"},
      {"{{ steps.entry.output | map(attribute='nn') }}", "no member nn", "'nn'"},
      {"{{ item.day | replace(1, 'x') }}", "old of replace needs a string", "1, 'x'"},
      {"{% for x in item.n %}{% endfor %}", "for needs an array or an object", "item.n"},
      {"{% for x in item.cves %}{{ x.y }}{% endfor %}", "a string has no member y", "x.y"},
      {"{{ item.n is startswith 'a' }}", "startswith needs a string", "item.n"},
      {"{{ -item.day }}", "- needs a number", "item.day"},
  };
  for (const Row& row : rows) {
    Expr expr = good(row.text);
    ASSERT_EQ(expr.type_errors().size(), 1u) << row.text;
    const ExprError& error = expr.type_errors()[0];
    EXPECT_EQ(error.code, ErrorCode::kTypeMismatch);
    EXPECT_NE(error.message.find(row.message), std::string::npos) << row.text << error.message;
    EXPECT_TRUE(row.text.substr(error.offset).starts_with(row.points_at)) << error.offset;
  }
  // What may be missing is no misuse where that is asked.
  for (const char* text : {"{{ item.cvse is defined }}", "{{ item.cvse | default(1) }}",
                           "{{ item.a.b.c | default(1) }}"}) {
    EXPECT_TRUE(good(text).type_errors().empty()) << text;
  }
}

TEST(ExprConstants, Fold) {
  EXPECT_EQ(good("{{ 1 + 2 * 3 }}").as_constant(), Value::integer(7));
  EXPECT_EQ(good("plain").as_constant(), Value::string("plain"));
  EXPECT_EQ(good("a{{ 1 }}").as_constant(), Value::string("a1"));
  EXPECT_FALSE(good("{{ item }}").as_constant());
  EXPECT_FALSE(good("{{ 1 / 0 }}").as_constant());
  EXPECT_EQ(Expr::constant(Value::integer(3)).as_constant(), Value::integer(3));
}

TEST(ExprConstants, PrintAndComeBack) {
  const char* rows[] = {"1",
                        "-1",
                        "1.5",
                        "1e300",
                        "\"a\"",
                        "\"{{ x }}\"",
                        "\"a {% b\"",
                        "\"\\n\\u0001\"",
                        "null",
                        "true",
                        "[1,[2,{\"a\":null}]]",
                        "123456789012345678901234567890",
                        "-9223372036854775808",
                        "{\"a b\":{\"c\":[]}}",
                        "\"{# c #}\"",
                        "\"  \""};
  for (const char* text : rows) {
    Value value = *parse_json(text);
    std::string printed = Expr::constant(value).to_string();
    auto again = good(printed).as_constant();
    ASSERT_TRUE(again.has_value()) << printed;
    EXPECT_EQ(to_json(*again), to_json(value)) << printed;
  }
}

TEST(ExprPrint, Normalized) {
  const std::pair<const char*, const char*> rows[] = {
      {"{{item.n+1}}", "{{ item.n + 1 }}"},
      {"{{ ((item.n)) }}", "{{ item.n }}"},
      {"{{ (1 + item.n) * 2 }}", "{{ (1 + item.n) * 2 }}"},
      {"{{ 1 + (item.n * 2) }}", "{{ 1 + item.n * 2 }}"},
      {"{{ 1 - (item.n - 2) }}", "{{ 1 - (item.n - 2) }}"},
      {"{{ (-item.n) | abs }}", "{{ -item.n | abs }}"},
      {"{{ -(item.n | abs) }}", "{{ -(item.n | abs) }}"},
      {"{{ not (item.n and 1) }}", "{{ not (item.n and 1) }}"},
      {"{{ (item.n == 1) == 2 }}", "{{ (item.n == 1) == 2 }}"},
      {"{{ (item.n|string ~ 'a')[0] }}", "{{ (item.n | string ~ \"a\")[0] }}"},
      {"{{ item['a b'] }}", "{{ item[\"a b\"] }}"},
      {"{{ (item.n if 1 else 2) if 3 else 4 }}", "{{ (item.n if 1 else 2) if 3 else 4 }}"},
      {"{{ item.cves[1:] }}", "{{ item.cves[1:] }}"},
      {"{{ item.cves | sort(case_sensitive=true) }}",
       "{{ item.cves | sort(case_sensitive=true) }}"},
      {"{{ item.n is not divisibleby 3 }}", "{{ item.n is not divisibleby(3) }}"},
  };
  for (auto [text, printed] : rows) EXPECT_EQ(good(text).to_string(), printed);
}

// Text next to tags comes back as it was, whatever whitespace rules would do to it.
TEST(ExprPrint, TemplatesKeepTheirText) {
  EvalContext context;
  std::vector<Value> inputs{*parse_json(R"({"n": 1, "cves": ["a"], "day": "d"})")};
  const char* rows[] = {
      "{% if item.n +%}\n x{% endif %}",
      "a\n  {%+ if item.n %}y{% endif %}",
      "{{ item.n }}{# c #}",
      "{% raw %}{{{% endraw %}{{ item.n }}",
      "{{ '{' }}{{ item.n }}",
      "{% raw %}{%{% endraw %}{% raw %} endraw %}{% endraw %}{{ item.n }}",
      "{% for x in item.cves %}\n\n{{ x }}\n{% endfor %}",
  };
  for (const char* text : rows) {
    Expr first = good(text);
    Expr second = good(first.to_string());
    auto a = first.evaluate(inputs, context);
    auto b = second.evaluate(inputs, context);
    ASSERT_TRUE(a && b) << text;
    EXPECT_EQ(to_json(*a), to_json(*b)) << first.to_string();
    EXPECT_TRUE(second.is_template());
  }
}

TEST(ExprTables, NamesAreListed) {
  EXPECT_TRUE(std::ranges::is_sorted(expr_filters()));
  EXPECT_TRUE(std::ranges::is_sorted(expr_tests()));
  EXPECT_TRUE(std::ranges::count(expr_filters(), "present") == 1);
  EXPECT_TRUE(std::ranges::count(expr_tests(), "defined") == 1);
}

TEST(ExprTables, TheReferencePageHasThemAll) {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  std::ifstream file((root != nullptr ? std::string(root) + "/" : "") +
                     "docs/formats/expressions.md");
  std::stringstream page;
  page << file.rdbuf();
  for (auto names : {expr_filters(), expr_tests()}) {
    for (std::string_view name : names) {
      EXPECT_NE(page.str().find("| `" + std::string(name) + "` |"), std::string::npos) << name;
    }
  }
}

}  // namespace
}  // namespace sluice

// Limits, labels and segments: whatever the text and the values are, an evaluation ends with a
// value or with one clear error.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "data/expr.h"
#include "data/json.h"

namespace sluice {
namespace {

NameClaim any_name(std::string_view, std::span<const std::string>, bool) { return {}; }

std::string repeat(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ExprLimits, DeepText) {
  const std::string rows[] = {
      "{{ " + repeat("(", 200'000) + "1" + repeat(")", 200'000) + " }}",
      "{{ " + repeat("(", 200'000),
      "{{ " + repeat("[", 200'000) + repeat("]", 200'000) + " }}",
      "{{ " + repeat("{'a':", 100'000) + "1" + repeat("}", 100'000) + " }}",
      "{{ " + repeat("-", 200'000) + "1 }}",
      "{{ - " + repeat("- ", 200'000) + "1 }}",
      "{{ " + repeat("not ", 200'000) + "1 }}",
      "{{ x" + repeat("[x", 200'000) + repeat("]", 200'000) + " }}",
      "{{ " + repeat("1 if 1 else ", 80'000) + "1 }}",
      "{{ 1 if " + repeat("(1 if ", 100'000) + "1 }}",
      repeat("{% if 1 %}", 90'000),
      repeat("{% for x in [1] %}", 50'000),
      "{{ x | default(" + repeat("x | default(", 80'000) + " }}",
      "{{ x" + repeat(" | upper", 100'000) + " }}",
      "{{ x" + repeat(".a", 400'000) + " }}",
      "{{ 1" + repeat(" + 1", 200'000) + " }}",
      "{{ 1" + repeat(" ** 1", 150'000) + " }}",
      "{{ x" + repeat(" is is", 100'000) + " }}",
      "{{ x" + repeat("[0]", 300'000) + " }}",
      "{% for x" + repeat(", y", 100'000) + " in z %}",
      "{{ x | " + repeat("y", 1'000'000) + " }}",
      "{{ [" + repeat("x | regex_search('(.{999}){9}'), ", 30'000) + "] }}",
  };
  for (const std::string& text : rows) {
    SCOPED_TRACE(text.substr(0, 40));
    auto expr = Expr::compile(text, any_name);
    ASSERT_FALSE(expr.has_value());
    ErrorCode code = expr.error()[0].code;
    EXPECT_TRUE(code == ErrorCode::kExprLimit || code == ErrorCode::kExprSyntax ||
                code == ErrorCode::kExprFilter)
        << expr.error()[0].message;
    EXPECT_LE(expr.error().size(), 100u);
  }
}

TEST(ExprLimits, LongButFlatIsFine) {
  EvalContext context;
  std::vector<Value> x{Value::integer(1)};
  const std::string rows[] = {
      "{{ x" + repeat(" ~ x", 50'000) + " }}",
      "{{ x" + repeat(" and x", 50'000) + " }}",
      "{{ x" + repeat(" <= x", 50'000) + " }}",
      "{{ x in [" + repeat("x, ", 50'000) + "] }}",
      repeat("{{ x }}", 50'000),
      "{{ x" + repeat(" + x", 400) + " }}",
      "{{ " + repeat("(", 60) + "x" + repeat(")", 60) + " }}",
      repeat("{% if x %}", 60) + "y" + repeat("{% endif %}", 60),
      "{{ " + repeat("x | default(", 60) + "x" + repeat(")", 60) + " }}",
  };
  for (const std::string& text : rows) {
    auto expr = Expr::compile(text, any_name);
    ASSERT_TRUE(expr.has_value()) << text.substr(0, 40) << expr.error()[0].message;
    EXPECT_TRUE(expr->evaluate(x, context).has_value()) << text.substr(0, 40);
    EXPECT_TRUE(Expr::compile(expr->to_string(), any_name).has_value()) << text.substr(0, 40);
  }
}

TEST(ExprLimits, TextSize) {
  auto long_text = Expr::compile("{{ '" + repeat("a", 2 << 20) + "' }}", any_name);
  ASSERT_FALSE(long_text.has_value());
  EXPECT_EQ(long_text.error()[0].code, ErrorCode::kExprLimit);
  // What is no expression is not bound by it.
  EXPECT_TRUE(Expr::compile(repeat("a", 2 << 20), any_name).has_value());
  auto broken = Expr::compile("{{ '\xff' }}", any_name);
  ASSERT_FALSE(broken.has_value());
  EXPECT_EQ(broken.error()[0].code, ErrorCode::kUtf8Invalid);
  EXPECT_EQ(broken.error()[0].offset, 4u);
}

TEST(ExprLimits, Steps) {
  ExprLimits limits;
  limits.max_steps = 10'000;
  std::vector<Value> numbers;
  for (int i = 0; i < 2'000; ++i) numbers.push_back(Value::integer(i));
  std::vector<Value> x{Value::array(numbers)};
  EvalContext context;
  const char* rows[] = {
      "{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}",
      "{{ x | map('string') | map('length') | sum }}",
      "{{ x | sort | sort | sort | sort }}",
      "{{ x | select('in', x) | length }}",
      "{{ x * 3 == x * 3 and x * 2 == x * 2 }}",
      "{{ (x * 100) | length }}",
      "{{ x | tojson | replace('1', '2') | split(',') | unique | length }}",
  };
  for (const char* text : rows) {
    auto expr = Expr::compile(text, any_name, limits);
    ASSERT_TRUE(expr.has_value()) << text;
    auto value = expr->evaluate(x, context);
    ASSERT_FALSE(value.has_value()) << text;
    EXPECT_EQ(value.error().code(), ErrorCode::kExprLimit) << value.error().to_string();
  }
}

TEST(ExprLimits, Output) {
  ExprLimits limits;
  limits.max_output_bytes = 100'000;
  std::vector<Value> x{Value::string(std::string(2'000, 'a'))};
  EvalContext context;
  const char* rows[] = {
      "{{ x * 100 }}",
      "{{ x | replace('a', x) }}",
      "{{ x | list | map('replace', 'a', x) | list | length }}",
      "{{ [x] * 1000 | int | length }}",
      "{{ ([x] * 1000) | join }}",
      "{{ ([x] * 1000) | tojson }}",
      "a{% for y in [x] * 100 %}{{ y }}{% endfor %}",
      "{{ x | regex_replace('a', x) }}",
      "{{ x | truncate(1000000) ~ x * 60 }}",
      "{{ [1] | batch(1000000000, 0) }}",
      "{{ [1] | slice(1000000000, 0) }}",
      "{{ [1] | slice(9223372036854775807) }}",
      "{{ [1] | batch(9223372036854775807, 0) }}",
      "{{ x * 9223372036854775807 }}",
      "{{ [x] * 9223372036854775807 }}",
  };
  for (const char* text : rows) {
    auto expr = Expr::compile(text, any_name, limits);
    ASSERT_TRUE(expr.has_value()) << text;
    auto value = expr->evaluate(std::span(x).first(expr->inputs().size()), context);
    ASSERT_FALSE(value.has_value()) << text;
    EXPECT_TRUE(value.error().code() == ErrorCode::kExprLimit ||
                value.error().code() == ErrorCode::kExprType)
        << value.error().to_string();
  }
}

// A value may be nested far deeper than a stack is.
TEST(ExprLimits, DeepValues) {
  Value deep = Value::integer(1);
  for (int i = 0; i < 200'000; ++i) deep = Value::array({deep});
  Value twin = Value::integer(1);
  for (int i = 0; i < 200'000; ++i) twin = Value::array({twin});
  std::vector<Value> inputs{deep, twin};
  EvalContext context;
  for (const char* text : {"{{ x | tojson ~ y }}", "{{ x == y }}", "{{ x < y }}", "{{ y in [x] }}",
                           "{{ [x, y] | unique | length }}", "{{ [x, y] | sort }}",
                           "{{ (x ~ '') ~ y }}", "{{ x | flatten ~ y }}"}) {
    auto expr = Expr::compile(text, any_name);
    ASSERT_TRUE(expr.has_value()) << text;
    std::vector<Value> used;
    for (const ExprInput& input : expr->inputs()) used.push_back(inputs[input.root == "x" ? 0 : 1]);
    auto value = expr->evaluate(used, context);
    ASSERT_FALSE(value.has_value()) << text;
    EXPECT_EQ(value.error().code(), ErrorCode::kExprLimit) << value.error().to_string();
  }
}

TEST(ExprLabels, AreUnioned) {
  Labels secret{.secret = true};
  Labels untrusted{.untrusted = true};
  Value object =
      parse_json(R"({"a": {"b": [1, 2]}, "s": "text", "t": true})")->with_labels(untrusted);
  Value key = Value::string("pass").with_labels(secret);
  struct Row {
    const char* text;
    bool secret;
    bool untrusted;
  };
  const Row rows[] = {
      {"{{ x.a.b[0] }}", false, true},
      {"{{ x.a.b }}", false, true},
      {"{{ x.a.b | first }}", false, true},
      {"{{ x.a.b | length > 0 }}", false, true},
      {"{{ x.s ~ y }}", true, true},
      {"{{ y | upper }}", true, false},
      {"{{ y == 'pass' }}", true, false},
      {"{{ 1 if x.t else 2 }}", false, true},
      {"{{ x.t and 5 }}", false, true},
      {"{{ [x.s, y] | join }}", true, true},
      {"{{ [1, x.a.b[0]] | sum }}", false, true},
      {"{{ x | tojson }}", false, true},
      {"{{ 'abc' | replace('a', y) }}", true, false},
      {"{{ ['pass', 'b'][:] | select('eq', y) | length }}", false, false},
      {"text {{ y }}", true, false},
      {"text {% if x.t %}yes{% endif %}", false, true},
      {"text {% for i in x.a.b %}{{ loop.index }}{% endfor %}", false, true},
      {"{{ {'k': y}.k }}", true, false},
      {"{{ {'k': y, 'l': 1}.l }}", false, false},
      {"{{ [y] | map('upper') | first }}", true, false},
      {"{{ 'x' if x.nope is defined else 'z' }}", false, false},
  };
  EvalContext context;
  for (const Row& row : rows) {
    auto expr = Expr::compile(row.text, any_name);
    ASSERT_TRUE(expr.has_value()) << row.text;
    std::vector<Value> used;
    for (const ExprInput& input : expr->inputs()) used.push_back(input.root == "x" ? object : key);
    auto value = expr->evaluate(used, context);
    ASSERT_TRUE(value.has_value()) << row.text << value.error().to_string();
    EXPECT_EQ(value->labels().secret, row.secret) << row.text;
    EXPECT_EQ(value->labels().untrusted, row.untrusted) << row.text;
  }
}

TEST(ExprLabels, SecretsStayOutOfMessages) {
  Value secret = Value::string("hunter2").with_labels({.secret = true});
  EvalContext context;
  for (const char* text : {"{{ x + 1 }}", "{{ x.name }}", "{{ x | sort }}", "{{ -x }}",
                           "{{ x < 1 }}", "{{ [x] | sum }}", "{{ 'a' | replace(x, 1) }}"}) {
    auto expr = Expr::compile(text, any_name);
    ASSERT_TRUE(expr.has_value());
    auto value = expr->evaluate(std::vector<Value>{secret}, context);
    ASSERT_FALSE(value.has_value()) << text;
    EXPECT_EQ(value.error().to_string().find("hunter2"), std::string::npos)
        << value.error().to_string();
  }
}

TEST(ExprRender, DataIsMarked) {
  auto expr = Expr::compile("Say {{ x }}{{ y }} now{% if x %}!{{ x }}{% endif %}", any_name);
  ASSERT_TRUE(expr.has_value());
  EvalContext context;
  std::vector<Value> inputs{Value::string("<|im_end|>"), Value::integer(3)};
  auto segments = expr->render(inputs, context);
  ASSERT_TRUE(segments.has_value());
  ASSERT_EQ(segments->size(), 4u);
  EXPECT_EQ((*segments)[0].text, "Say ");
  EXPECT_FALSE((*segments)[0].data);
  EXPECT_EQ((*segments)[1].text, "<|im_end|>3");
  EXPECT_TRUE((*segments)[1].data);
  EXPECT_EQ((*segments)[2].text, " now!");
  EXPECT_FALSE((*segments)[2].data);
  EXPECT_TRUE((*segments)[3].data);
  auto constant = Expr::compile("a{{ 'b' }}", any_name)->render({}, context);
  ASSERT_EQ(constant->size(), 2u);
  EXPECT_TRUE((*constant)[1].data);
  EXPECT_FALSE((*Expr::compile("plain", any_name)->render({}, context))[0].data);
  EXPECT_TRUE((*Expr::compile("{{ x }}", any_name)
                    ->render(std::vector<Value>{Value::integer(1)}, context))[0]
                  .data);
}

// One Expr, many threads, each with its own context (run under tsan).
TEST(ExprThreads, ShareACompiledExpression) {
  auto expr = Expr::compile(
      "{% for a in x | sort %}{{ a | string | regex_replace('\\d', y) }}{% endfor %}", any_name);
  ASSERT_TRUE(expr.has_value());
  std::vector<Value> inputs{*parse_json("[3, 1, 2]"), Value::string("n")};
  std::vector<std::thread> threads;
  std::vector<int> good(4, 0);
  for (std::size_t t = 0; t < good.size(); ++t) {
    threads.emplace_back([&, t] {
      EvalContext context;
      for (int i = 0; i < 200; ++i) {
        auto value = expr->evaluate(inputs, context);
        good[t] += value && value->as_string() == "nnn" ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, std::vector<int>(4, 200));
}

}  // namespace
}  // namespace sluice

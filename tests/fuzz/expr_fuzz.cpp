// Fuzzes expressions: mutations of real ones, compiled, evaluated, printed and compiled again. The
// canary proves that the laws can fail.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "data/expr.h"
#include "data/json.h"
#include "tests/fuzz/text_fuzz.h"

namespace sluice::test {
namespace {

constexpr std::string_view kSeeds[] = {
    "{{ item.a.b + 1 }}",
    "{{ (item.a.b + 1) * (2 - 3) ** 2 // 4 % 5 }}",
    "{{ item.list | sort(reverse=true) | map('string') | join(', ') }}",
    "{{ item.rows | selectattr('n', 'gt', 1) | map(attribute='s') | list }}",
    "{{ item.rows | groupby('s') | map(attribute='items') | flatten | length }}",
    "{{ (item.rows | unique(attribute='s') | sort(attribute='n,s'))[1:-1:2] }}",
    "{{ item.nope.x | default({'a': [1, none]}) }}",
    "{{ 'a' if item.a is defined and not item.list is empty else item.text[::-1] }}",
    "{{ 1 < 2 <= item.a.b != 3 in [1, 2.5, 'x'] }}",
    "{{ item.text | replace('l', 'L', 1) | title | truncate(5, true, '!') | indent(2) }}",
    "{{ item.text | regex_replace('(l+)', '<\\\\1>') | split(' ', 1) | zip(item.list) }}",
    "{{ {'k': item.a, 'l': [1] * 3} | merge(item.a) | dictsort(by='key') | tojson(2) }}",
    "{% for k, v in item.a | items %}{{ loop.index }}: {{ k }}={{ v }}\n{% else %}-{% endfor %}",
    "{% if item.a.b > 3 %}\n  x\n{% elif item.n %}y{% else %}{# c #}z{% endif %}\n{{ item.text }}",
    "a {%- raw -%} {{ x }} {% endraw %} b {{- item.n -}} c",
    "{{ item.big + 1 }}{{ item.f | round(2) | int | abs }}{{ '42' | int(base=16) | float }}",
    "{{ [1, 2, 3, 4, 5] | batch(2, 0) | slice(2) | last | first | sum(start=1.5) }}",
    "{{ item.u ~ '\\u00e4\\n' ~ true ~ none ~ -1 }} {{ item.u | upper | urlencode }}",
};

constexpr std::string_view kPieces[] = {"{{",
                                        "}}",
                                        "{%",
                                        "%}",
                                        "{#",
                                        "#}",
                                        "{{-",
                                        "-}}",
                                        "{%+",
                                        "+%}",
                                        " raw ",
                                        " endraw ",
                                        " if ",
                                        " else ",
                                        " elif ",
                                        " endif ",
                                        " for ",
                                        " in ",
                                        " endfor ",
                                        " is ",
                                        " not ",
                                        " and ",
                                        " or ",
                                        "(",
                                        ")",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        ":",
                                        ",",
                                        ".",
                                        "|",
                                        "~",
                                        "+",
                                        "-",
                                        "*",
                                        "/",
                                        "//",
                                        "%",
                                        "**",
                                        "==",
                                        "!=",
                                        "<",
                                        ">=",
                                        "=",
                                        "'",
                                        "\"",
                                        "\\",
                                        "\n",
                                        " ",
                                        "1",
                                        "0",
                                        "-1",
                                        "1e9",
                                        "2.5",
                                        "9223372036854775807",
                                        "99999999999999999999",
                                        "none",
                                        "true",
                                        "item",
                                        "item.list",
                                        "item.rows",
                                        "item.text",
                                        "item.nope",
                                        "loop.index",
                                        "loop",
                                        "x",
                                        "|default",
                                        "|length",
                                        "|tojson",
                                        "|sort",
                                        "|map('length')",
                                        "|first",
                                        "|string",
                                        " is defined",
                                        "attribute=",
                                        "ä",
                                        "\U0001F600",
                                        "\xff",
                                        "'n'",
                                        "[::-1]",
                                        "[0]",
                                        "({})",
                                        "[[",
                                        "]]"};

const Value& item() {
  static const Value value = *parse_json(R"({"a": {"b": 5, "c": [1, {"d": null}]}, "n": null,
      "list": [3, 1, 2, 1], "text": "Hello World", "u": "Straße ÄÖ", "f": 2.345,
      "big": 12345678901234567890, "rows": [{"n": 1, "s": "x"}, {"n": 2, "s": "Y"},
      {"n": 3, "s": "x"}, {"n": 2, "s": "z"}]})");
  return value;
}

NameClaim names(std::string_view root, std::span<const std::string>, bool) {
  NameClaim claim;
  if (root != "item") claim.error = ErrorCode::kExprName;
  return claim;
}

using Print = std::string (*)(const Expr&);
std::string print(const Expr& expr) { return expr.to_string(); }
// The canary's bug: a printer that forgets the parentheses.
std::string print_without_parentheses(const Expr& expr) {
  std::string text = expr.to_string();
  std::erase_if(text, [](char c) { return c == '(' || c == ')'; });
  return text;
}

std::string outcome(const Expr& expr, EvalContext& context) {
  std::vector<Value> inputs(expr.inputs().size(), item());
  auto value = expr.evaluate(inputs, context);
  // The message quotes the text, which is normalized when it is printed: only the code counts.
  return value ? to_json(*value) : "error " + std::string(value.error().name());
}

std::string rendered(const Expr& expr, EvalContext& context) {
  std::vector<Value> inputs(expr.inputs().size(), item());
  auto segments = expr.render(inputs, context);
  if (!segments) return "error " + std::string(segments.error().name());
  std::string text;
  for (const TextSegment& segment : *segments) text += segment.text;
  return to_json(Value::string(text));
}

Verdict broken(std::string law) { return {.broken_law = std::move(law), .accepted = false}; }

Verdict judge(std::string_view text, Print printer) {
  ExprLimits limits;
  limits.max_steps = 200'000;
  limits.max_output_bytes = 1 << 20;
  auto expr = Expr::compile(text, names, limits);
  if (!expr) {
    if (expr.error().empty()) return broken("fails without an error");
    for (const ExprError& error : expr.error()) {
      if (error.offset > text.size()) return broken("an error points behind the text");
      if (error.message.empty()) return broken("an error without words");
    }
    return {};
  }
  EvalContext context;
  std::string first = outcome(*expr, context);
  if (outcome(*expr, context) != first) return broken("two evaluations differ: " + first);
  if (expr->is_template() && rendered(*expr, context) != first) {
    return broken("render differs: " + first);
  }
  std::string printed = printer(*expr);
  auto again = Expr::compile(printed, names, limits);
  // A printed text may be a little deeper or longer than the one it was made from.
  if (!again) {
    if (again.error()[0].code == ErrorCode::kExprLimit) return {};
    return broken("printed as " + printed + ", which fails: " + again.error()[0].message);
  }
  std::string second = outcome(*again, context);
  if (first != second && first != "error EXPR_LIMIT" && second != "error EXPR_LIMIT") {
    return broken("printed as " + printed + ": " + first + " became " + second);
  }
  return {.broken_law = std::nullopt, .accepted = true};
}

TextFuzz expr_fuzz(Print printer) {
  return {kSeeds, kPieces, [printer](const std::string& text) { return judge(text, printer); }};
}

TEST(ExprFuzz, SeedsAreGood) {
  for (std::string_view text : kSeeds) {
    auto expr = Expr::compile(text, names);
    ASSERT_TRUE(expr.has_value()) << text << ": " << expr.error()[0].message;
    EXPECT_EQ(judge(text, print).broken_law, std::nullopt);
  }
}

TEST(ExprFuzz, MutationsNeverBreakIt) {
  auto found = run_fuzz(expr_fuzz(print), fuzz_limits());
  EXPECT_EQ(found.failure, std::nullopt);
  EXPECT_GT(found.texts, 100u);
  RecordProperty("texts", std::to_string(found.texts));
}

TEST(ExprFuzz, CanaryIsCaught) {
  auto found =
      run_fuzz(expr_fuzz(print_without_parentheses), {.seed = 1, .seconds = 60, .texts = 100'000});
  EXPECT_NE(found.failure, std::nullopt);
}

}  // namespace
}  // namespace sluice::test

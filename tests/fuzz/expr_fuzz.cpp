// Fuzzes expressions: seeded mutations of real ones, compiled, evaluated, printed and compiled
// again. One second by default; SLUICE_FUZZ_SECONDS for longer. Every failure prints the text that
// caused it; the same seed gives the same texts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "data/expr.h"
#include "data/json.h"

namespace sluice {
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

std::string mutate(std::string text, Random& random) {
  for (std::uint64_t n = 1 + random.below(4); n > 0; --n) {
    std::size_t at = random.below(text.size() + 1);
    std::size_t length = std::min<std::size_t>(random.below(12), text.size() - at);
    switch (random.below(7)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, kPieces[random.below(std::size(kPieces))]);
        break;
      case 2:
        text.replace(at, length, kPieces[random.below(std::size(kPieces))]);
        break;
      case 3:
        text.insert(at, text.substr(at, length));
        break;
      case 4: {
        std::string_view other = kSeeds[random.below(std::size(kSeeds))];
        std::size_t from = random.below(other.size());
        text.insert(at, other.substr(from, random.below(20)));
        break;
      }
      case 5:
        if (at < text.size()) text[at] = static_cast<char>(random.below(256));
        break;
      default: {
        std::string piece(kPieces[random.below(std::size(kPieces))]);
        for (std::uint64_t k = random.below(80); k > 0; --k) text.insert(at, piece);
      }
    }
  }
  return text;
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

// What is wrong with how `text` is treated; nullopt when all is well.
std::optional<std::string> violation(std::string_view text, Print printer) {
  ExprLimits limits;
  limits.max_steps = 200'000;
  limits.max_output_bytes = 1 << 20;
  auto expr = Expr::compile(text, names, limits);
  if (!expr) {
    if (expr.error().empty()) return "fails without an error";
    for (const ExprError& error : expr.error()) {
      if (error.offset > text.size()) return "an error points behind the text";
      if (error.message.empty()) return "an error without words";
    }
    return std::nullopt;
  }
  EvalContext context;
  std::string first = outcome(*expr, context);
  if (outcome(*expr, context) != first) return "two evaluations differ: " + first;
  if (expr->is_template() && rendered(*expr, context) != first) return "render differs: " + first;
  std::string printed = printer(*expr);
  auto again = Expr::compile(printed, names, limits);
  // A printed text may be a little deeper or longer than the one it was made from.
  if (!again) {
    if (again.error()[0].code == ErrorCode::kExprLimit) return std::nullopt;
    return "printed as " + printed + ", which fails: " + again.error()[0].message;
  }
  std::string second = outcome(*again, context);
  if (first != second && first != "error EXPR_LIMIT" && second != "error EXPR_LIMIT") {
    return "printed as " + printed + ": " + first + " became " + second;
  }
  return std::nullopt;
}

std::uint64_t fuzz_seed() {
  const char* text = std::getenv("SLUICE_FUZZ_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

double fuzz_seconds() {
  const char* text = std::getenv("SLUICE_FUZZ_SECONDS");
  return text != nullptr ? std::strtod(text, nullptr) : 1.0;
}

std::optional<std::string> fuzz(double seconds, std::uint64_t most, std::uint64_t seed,
                                Print printer, std::uint64_t* runs) {
  Random random(seed);
  std::vector<std::string> pool(std::begin(kSeeds), std::end(kSeeds));
  const SteadyNs end = system_clock().steady_ns() + static_cast<SteadyNs>(seconds * 1e9);
  for (*runs = 0; *runs < most && system_clock().steady_ns() < end; ++*runs) {
    std::string text = mutate(pool[random.below(pool.size())], random);
    if (auto wrong = violation(text, printer)) {
      return "seed " + std::to_string(seed) + ", text " +
             to_json(Value::string(valid_utf8(text) ? text : "(not UTF-8)")) + ": " + *wrong;
    }
    // What compiles is worth mutating further.
    if (text.size() < 400 && random.below(4) == 0 && Expr::compile(text, names)) {
      if (pool.size() < 2'000)
        pool.push_back(std::move(text));
      else
        pool[std::size(kSeeds) + random.below(pool.size() - std::size(kSeeds))] = std::move(text);
    }
  }
  return std::nullopt;
}

TEST(ExprFuzz, SeedsAreGood) {
  EvalContext context;
  for (std::string_view text : kSeeds) {
    auto expr = Expr::compile(text, names);
    ASSERT_TRUE(expr.has_value()) << text << ": " << expr.error()[0].message;
    EXPECT_EQ(violation(text, print), std::nullopt);
  }
}

TEST(ExprFuzz, MutationsNeverBreakIt) {
  std::uint64_t runs = 0;
  auto wrong = fuzz(fuzz_seconds(), UINT64_MAX, fuzz_seed(), print, &runs);
  EXPECT_EQ(wrong, std::nullopt);
  EXPECT_GT(runs, 100u);
  RecordProperty("runs", std::to_string(runs));
}

TEST(ExprFuzz, CanaryIsCaught) {
  std::uint64_t runs = 0;
  EXPECT_NE(fuzz(60, 100'000, 1, print_without_parentheses, &runs), std::nullopt);
}

}  // namespace
}  // namespace sluice

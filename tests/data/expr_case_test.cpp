// Runs tests/data/expr_cases.txt: every case, and every good one again from its printed form.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "data/expr.h"
#include "data/json.h"

namespace sluice {
namespace {

struct Case {
  int line = 0;
  std::string text;
  Value inputs;
  std::string expected;  // JSON, or the code and part of the message
  bool fails = false;
};

Value json(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : Value();
}

std::vector<Case> read_cases() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  std::ifstream file((root != nullptr ? std::string(root) + "/" : "") +
                     "tests/data/expr_cases.txt");
  std::vector<Case> cases;
  Value inputs;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line.starts_with("# ") || line.starts_with("jinja:")) continue;
    if (line.starts_with("inputs: ")) {
      inputs = json(line.substr(8));
      continue;
    }
    std::size_t good = line.rfind(" => ");
    std::size_t bad = line.rfind(" =! ");
    bool fails = good == std::string::npos;
    std::size_t split = fails ? bad : good;
    EXPECT_NE(split, std::string::npos) << "line " << number;
    if (split == std::string::npos) continue;
    std::string text = line.substr(0, split);
    if (text.starts_with('"')) text = json(text).as_string();
    cases.push_back({number, text, inputs, line.substr(split + 4), fails});
  }
  return cases;
}

NameResolver resolver_for(const Value& inputs) {
  return [&inputs](std::string_view root, std::span<const std::string>, bool) {
    NameClaim claim;
    if (inputs.find(root) == nullptr) {
      claim.error = ErrorCode::kExprName;
      claim.message = "no name " + std::string(root);
    }
    return claim;
  };
}

std::vector<Value> values_of(const Expr& expr, const Value& inputs) {
  std::vector<Value> values;
  for (const ExprInput& input : expr.inputs()) values.push_back(*inputs.find(input.root));
  return values;
}

void check_error(const Case& one, ErrorCode code, const std::string& message) {
  std::size_t space = one.expected.find(' ');
  EXPECT_EQ(error_code_info(code).name, one.expected.substr(0, space)) << message;
  if (space != std::string::npos) {
    EXPECT_NE(message.find(one.expected.substr(space + 1)), std::string::npos) << message;
  }
}

void check_round_trip(const Case& one, const Expr& expr, const Value& value) {
  std::string printed = expr.to_string();
  auto again = Expr::compile(printed, resolver_for(one.inputs));
  ASSERT_TRUE(again.has_value()) << printed << ": " << again.error()[0].message;
  EvalContext context;
  auto second = again->evaluate(values_of(*again, one.inputs), context);
  ASSERT_TRUE(second.has_value()) << printed << ": " << second.error().to_string();
  EXPECT_EQ(to_json(*second), to_json(value)) << printed;
  EXPECT_EQ(again->to_string(), printed);
}

TEST(ExprCases, All) {
  std::vector<Case> cases = read_cases();
  EXPECT_GE(cases.size(), 400u);
  EvalContext context;  // one for all: nothing may leak from one evaluation into the next
  for (const Case& one : cases) {
    SCOPED_TRACE("expr_cases.txt:" + std::to_string(one.line) + ": " + one.text);
    auto expr = Expr::compile(one.text, resolver_for(one.inputs));
    if (!expr) {
      EXPECT_TRUE(one.fails) << expr.error()[0].message;
      if (one.fails) check_error(one, expr.error()[0].code, expr.error()[0].message);
      continue;
    }
    auto value = expr->evaluate(values_of(*expr, one.inputs), context);
    if (!value) {
      EXPECT_TRUE(one.fails) << value.error().to_string();
      if (one.fails) check_error(one, value.error().code(), value.error().message());
      continue;
    }
    EXPECT_FALSE(one.fails) << to_json(*value);
    if (one.fails) continue;
    EXPECT_EQ(to_json(*value), to_json(json(one.expected)));
    check_round_trip(one, *expr, *value);
  }
}

// A text in pieces is the text.
TEST(ExprCases, RenderGivesTheSameText) {
  EvalContext context;
  for (const Case& one : read_cases()) {
    if (one.fails) continue;
    SCOPED_TRACE(one.text);
    auto expr = Expr::compile(one.text, resolver_for(one.inputs));
    ASSERT_TRUE(expr.has_value());
    auto values = values_of(*expr, one.inputs);
    auto value = expr->evaluate(values, context);
    auto segments = expr->render(values, context);
    ASSERT_TRUE(value.has_value() && segments.has_value());
    std::string text;
    for (const TextSegment& segment : *segments) text += segment.text;
    EXPECT_EQ(text, value->is_string() ? std::string(value->as_string()) : to_json(*value));
  }
}

}  // namespace
}  // namespace sluice

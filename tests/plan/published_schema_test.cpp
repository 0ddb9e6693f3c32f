// The JSON Schema that is published for editors accepts the plans that the parser accepts, and
// refuses what a beginner misspells.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "data/json.h"
#include "data/schema.h"
#include "plan/parse.h"
#include "tests/plan/source_text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

SchemaPtr published() {
  Result<Value> json = parse_json(read_text(source_dir() / "docs/formats/plan.schema.json"));
  if (!json) return nullptr;
  SchemaCompilation compiled = Schema::compile(*json);
  for (const SchemaProblem& problem : compiled.problems) {
    ADD_FAILURE() << problem.pointer << ": " << problem.message;
  }
  return compiled.schema;
}

TEST(PublishedSchema, AcceptsEveryExample) {
  SchemaPtr schema = published();
  ASSERT_TRUE(schema);
  int plans = 0;
  for (const auto& entry : fs::recursive_directory_iterator(source_dir() / "examples")) {
    if (entry.path().extension() != ".yaml") continue;
    ParsedPlan parsed = parse_plan(read_text(entry.path()), entry.path().string());
    ASSERT_TRUE(parsed.plan) << entry.path();
    auto violations = schema->validate(parsed.plan->source);
    EXPECT_TRUE(violations.empty()) << entry.path() << ": " << describe(violations);
    ++plans;
  }
  EXPECT_GE(plans, 4);
}

TEST(PublishedSchema, RefusesWhatIsMisspelt) {
  SchemaPtr schema = published();
  ASSERT_TRUE(schema);
  for (const char* text : {
           R"({"sluice": 1, "step": {}})",
           R"({"sluice": 2, "steps": {}})",
           R"({"sluice": 1, "steps": {"a": {"valu": 1}}})",
           R"({"sluice": 1, "steps": {"A": {"value": 1}}})",
           R"({"sluice": 1, "steps": {"a": {"value": 1, "retry": {"attempts": "three"}}}})",
           R"({"sluice": 1, "steps": {"a": {"wait": {}}}})",
           R"({"sluice": 1, "steps": {"a": {"wait": {"for": 10}}}})",
           R"({"sluice": 1, "steps": {"a": {"wait": {"signal": "{{ x }}"}}}})",
           R"({"sluice": 1, "undo": "yes", "steps": {}})",
       }) {
    EXPECT_FALSE(schema->valid(*parse_json(text))) << text;
  }
}

}  // namespace
}  // namespace sluice

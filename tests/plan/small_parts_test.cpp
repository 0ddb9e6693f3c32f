// Durations, task ids, idempotency keys, findings, tool tables and catalogs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/duration.h"
#include "plan/model_spec.h"
#include "plan/parse.h"
#include "plan/task_id.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

TEST(Duration, ReadsAndWrites) {
  const std::vector<std::pair<std::string, std::int64_t>> good = {
      {"500ms", 500}, {"30s", 30'000}, {"5m", 300'000}, {"2h", 7'200'000}, {"0s", 0}};
  for (const auto& [text, ms] : good) {
    auto parsed = parse_duration_ms(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, ms);
    EXPECT_EQ(format_duration_ms(ms), text);
  }
  for (const char* bad : {"", "5", "s", "-5s", "+5s", "1.5s", "5 s", "5sec", "5S", "s5",
                          "99999999999999999999s", "9999999999h", "5m30s"}) {
    EXPECT_FALSE(parse_duration_ms(bad)) << bad;
  }
  EXPECT_EQ(format_duration_ms(1'500), "1500ms");
  EXPECT_EQ(format_duration_ms(90'000), "90s");
}

// What is shown of a long text ends between two characters.
TEST(Messages, AreValidUtf8WhereverTheyCutATextOff) {
  for (std::size_t lead = 0; lead < 4; ++lead) {
    std::string text(lead, 'x');
    for (int i = 0; i < 60; ++i) text += "\xEF\xBB\xBF";
    EXPECT_TRUE(valid_utf8(parse_duration_ms(text).error().message())) << lead;
    EXPECT_TRUE(valid_utf8(TaskId::parse(text).error().message())) << lead;
  }
}

TEST(TaskId, RoundTrip) {
  for (const char* text :
       {"entry", "entry[7]", "loop#2", "per_row[3]/ask", "a[0]#1/b[18446744073709551615]/c"}) {
    auto id = TaskId::parse(text);
    ASSERT_TRUE(id) << text;
    EXPECT_EQ(id->to_string(), text);
  }
  for (const char* bad : {"", "/", "a/", "A", "a[", "a[]", "a[x]", "a[1", "a#0", "a#", "a[01]",
                          "a[1]x", "a#1[2]", "a[99999999999999999999]", "a b"}) {
    EXPECT_FALSE(TaskId::parse(bad)) << bad;
  }
}

TEST(TaskId, KeysAreStableAndDistinct) {
  TaskId a = *TaskId::parse("a[1]");
  std::string key = idempotency_key("run1", a);
  EXPECT_EQ(key.size(), 32U);
  EXPECT_EQ(key, idempotency_key("run1", a));
  EXPECT_NE(key, idempotency_key("run2", a));
  EXPECT_NE(key, idempotency_key("run1", *TaskId::parse("a[2]")));
}

TEST(Diagnostics, SortsAndDropsRepeats) {
  Diagnostics all;
  all.error(ErrorCode::kKeyUnknown, {0, 5, 1}, "b");
  all.warning(ErrorCode::kStepUnused, {0, 2, 9}, "w");
  all.error(ErrorCode::kKeyUnknown, {0, 2, 3}, "a");
  all.error(ErrorCode::kKeyUnknown, {0, 5, 1}, "b");
  all.sort();
  ASSERT_EQ(all.all().size(), 3U);
  EXPECT_EQ(all.all()[0].message, "a");
  EXPECT_EQ(all.all()[2].message, "b");
  EXPECT_TRUE(all.has_errors());
  EXPECT_EQ(format_diagnostic(all.all()[0], {"FILE"}), "FILE:2:3: error KEY_UNKNOWN: a");
  EXPECT_EQ(format_diagnostic({ErrorCode::kKeyUnknown, Severity::kWarning, {}, "x"}, {"FILE"}),
            "FILE: warning KEY_UNKNOWN: x");
}

TEST(Tables, KindsAndEffects) {
  std::vector<std::string_view> names;
  for (const ToolKind& kind : tool_kinds()) {
    names.push_back(kind.name);
    EXPECT_TRUE(kind.settings);
    EXPECT_TRUE(kind.open || !kind.functions.empty());
  }
  EXPECT_THAT(names,
              ::testing::ElementsAre("process", "http", "sql", "python", "mcp", "files", "table"));
  for (Effect effect : {Effect::kPure, Effect::kRead, Effect::kIdempotent, Effect::kOnce}) {
    EXPECT_EQ(effect_from_name(effect_name(effect)), effect);
  }
  EXPECT_FALSE(effect_from_name("twice"));
  EXPECT_TRUE(find_model_kind("embedded"));
  EXPECT_FALSE(find_model_kind("other"));
}

TEST(Catalog, SettingsOverrideAndDiscoveryFillsIn) {
  ParsedPlan parsed = parse_plan(
      "sluice: 1\nsteps: {}\ntools:\n"
      "  sh: {kind: process, command: x, stdout: lines, timeout: 5s, concurrency: 2, max_bytes: "
      "9}\n"
      "  db: {kind: sql, effect: read, functions: {exec: {effect: idempotent, timeout: 1s}}}\n"
      "  ro: {kind: files, root: .}\n  rw: {kind: files, root: ., write: true}\n"
      "  py: {kind: python, file: x.py, function: go}\n"
      "  mc: {kind: mcp, command: x, functions: {add: {effect: pure, probe: {tool: db.query}}}}\n",
      "p");
  ASSERT_FALSE(parsed.diagnostics.has_errors());
  auto tools = catalog_of(*parsed.plan);
  const FunctionSpec* run = tools->find("sh", "");
  ASSERT_TRUE(run);
  EXPECT_EQ(run->name, "run");
  EXPECT_TRUE(run->streams);
  EXPECT_EQ(run->timeout_ms, 5000);
  EXPECT_EQ(run->concurrency, 2U);
  EXPECT_EQ(run->max_bytes, 9U);
  EXPECT_EQ(tools->find("db", "query")->effect, Effect::kRead);
  EXPECT_EQ(tools->find("db", "exec")->effect, Effect::kIdempotent);
  EXPECT_EQ(tools->find("db", "exec")->timeout_ms, 1000);
  EXPECT_FALSE(tools->find("db", ""));
  EXPECT_FALSE(tools->find("ro", "write"));
  EXPECT_TRUE(tools->find("rw", "write"));
  EXPECT_FALSE(tools->complete("mc"));
  EXPECT_TRUE(tools->complete("db"));
  EXPECT_EQ(tools->find("mc", "add")->effect, Effect::kPure);
  EXPECT_EQ(default_function(*parsed.plan->find_tool("py")), "go");

  std::vector<DiscoveredTool> found(1);
  found[0].tool = "mc";
  found[0].functions.resize(2);
  found[0].functions[0].name = "add";
  found[0].functions[1].name = "echo";
  auto known = catalog_of(*parsed.plan, found);
  EXPECT_TRUE(known->complete("mc"));
  EXPECT_THAT(known->function_names("mc"), ::testing::ElementsAre("add", "echo"));
  EXPECT_EQ(known->find("mc", "add")->effect, Effect::kPure);
  EXPECT_TRUE(known->find("mc", "add")->has_probe);
  EXPECT_EQ(known->find("mc", "echo")->effect, Effect::kOnce);
}

TEST(TaskIds, OfAStepHaveItsItem) {
  EXPECT_EQ(task_name("entry", 7), "entry[7]");
  EXPECT_EQ(task_name("entry", std::nullopt), "entry");
  EXPECT_EQ(task_name("per_row[]/ask", 3), "per_row[3]/ask");
  EXPECT_EQ(task_name("one/per_row[]/ask", 0), "one/per_row[0]/ask");
  EXPECT_EQ(task_name("one/each", 2), "one/each[2]");
}

}  // namespace
}  // namespace sluice

// How alike two lists of results are, its bound, the rows of a sample, and what is kept of it.
#include "host/history/quality.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "data/json.h"
#include "host/files/temp_dir.h"
#include "host/history/quality_store.h"
#include "host/runs/quality_run.h"
#include "plan/parse.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

RowOutcome gave(std::string_view json) { return {*parse_json(json), std::nullopt}; }
RowOutcome failed(std::string why) { return {Value(), std::move(why)}; }

PlanPtr plan_of(std::string_view text) {
  ParsedPlan parsed = parse_plan(text, "plan.yaml");
  EXPECT_FALSE(parsed.diagnostics.has_errors());
  return parsed.plan;
}

// Worked out by hand: with z = 1.6449, (p + z2/2n - z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n).
TEST(WilsonBound, IsOfOneSide) {
  EXPECT_EQ(wilson_lower(0, 0), 0);
  EXPECT_EQ(wilson_lower(0, 20), 0);
  EXPECT_NEAR(wilson_lower(20, 20), 20 / (20 + 2.70554), 1e-5);
  EXPECT_NEAR(wilson_lower(1, 1), 1 / 3.70554, 1e-5);
  EXPECT_NEAR(wilson_lower(19, 20), 0.8040, 5e-4);
  EXPECT_NEAR(wilson_lower(50, 100), 0.4192, 5e-4);
  EXPECT_NEAR(wilson_lower(950'000, 1'000'000), 0.95, 5e-4) << "many rows leave no doubt";
}

// Of samples drawn from a share that is known, at least 95 % have a bound below it.
TEST(WilsonBound, HoldsAsOftenAsItSays) {
  for (const double share : {0.7, 0.9, 0.95}) {
    for (const std::uint64_t rows : {20U, 60U}) {
      double held = 0;
      for (std::uint64_t good = 0; good <= rows; ++good) {
        const auto n = static_cast<double>(rows), k = static_cast<double>(good);
        const double chance =
            std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) +
                     k * std::log(share) + (n - k) * std::log(1 - share));
        if (wilson_lower(good, rows) <= share) held += chance;
      }
      // Counts are whole: the interval is a little under or over what it says.
      EXPECT_GT(held, 0.93) << share << " of " << rows;
    }
  }
}

TEST(SampleRows, AreSpreadOverTheTable) {
  for (const std::uint64_t seed : {0, 1, 2}) {
    const auto four = spread_rows(100, 4, seed);
    ASSERT_THAT(four, SizeIs(4));
    for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(four[i] / 25, i) << "one of each stretch";
    EXPECT_EQ(four, spread_rows(100, 4, seed)) << "the same each time";
  }
  EXPECT_NE(spread_rows(100, 4, 1), spread_rows(100, 4, 2));
  EXPECT_THAT(spread_rows(3, 20), ElementsAre(0, 1, 2));
  EXPECT_THAT(spread_rows(0, 20), IsEmpty());
  EXPECT_THAT(spread_rows(5, 0), IsEmpty());
  const auto many = spread_rows(1'000'003, 10'000);
  ASSERT_THAT(many, SizeIs(10'000));
  for (std::size_t i = 1; i < many.size(); ++i) ASSERT_LT(many[i - 1], many[i]);
  EXPECT_LT(many.back(), 1'000'003u);
}

// Every tenth row is another kind of row: a sample of evenly spaced ones has all of them or none.
TEST(SampleRows, DoNotMeetAPeriodOfTheTable) {
  for (const std::uint64_t period : {2, 5, 10, 25, 50}) {
    std::uint64_t met = 0, drawn = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      for (const std::uint64_t row : spread_rows(1'000, 20, seed)) {
        met += row % period == 0 ? 1 : 0;
        ++drawn;
      }
    }
    const double share = static_cast<double>(met) / static_cast<double>(drawn);
    EXPECT_NEAR(share * static_cast<double>(period), 1, 0.2) << period;
  }
  // Also as it is drawn when nobody says a seed.
  std::uint64_t met = 0;
  for (const std::uint64_t row : spread_rows(10'000, 200)) met += row % 10 == 0 ? 1 : 0;
  EXPECT_GT(met, 8U);
  EXPECT_LT(met, 35U);
}

TEST(Comparison, CountsEqualRowsAndFields) {
  const std::vector<RowOutcome> exact = {gave(R"({"a": 1, "b": 2})"),
                                         gave(R"({"a": 1, "b": 2})"),
                                         gave(R"("yes")"),
                                         gave("null"),
                                         failed("a"),
                                         failed("b")};
  const std::vector<RowOutcome> allowed = {gave(R"({"b": 2, "a": 1.0})"),
                                           gave(R"({"a": 1, "b": 3})"),
                                           gave(R"("Yes")"),
                                           gave("null"),
                                           failed("other words"),
                                           gave("1")};
  const std::vector<std::uint64_t> numbers = {1, 5, 9, 13, 17, 21};
  const Agreement agreement = compare_rows(exact, allowed, numbers);
  EXPECT_EQ(agreement.rows, 5u);
  EXPECT_EQ(agreement.equal, 2u) << "1 and 1.0 are equal, texts are not when one letter differs";
  EXPECT_EQ(agreement.failed, 1u);
  EXPECT_DOUBLE_EQ(agreement.share(), 0.4);
  ASSERT_TRUE(agreement.field_share());
  EXPECT_DOUBLE_EQ(*agreement.field_share(), 0.75);
  ASSERT_THAT(agreement.first, SizeIs(3));
  EXPECT_EQ(agreement.first[0].row, 5u);
  EXPECT_EQ(agreement.first[1], (RowDifference{9, "\"yes\"", "\"Yes\""}));
  EXPECT_EQ(agreement.first[2].exact, "failed: b");
}

TEST(Comparison, FieldsOfEither) {
  const std::vector<RowOutcome> exact = {gave(R"({"a": 1, "b": 2, "c": 3})")};
  const std::vector<RowOutcome> allowed = {gave(R"({"a": 1, "d": 2})")};
  const std::vector<std::uint64_t> numbers = {1};
  EXPECT_DOUBLE_EQ(*compare_rows(exact, allowed, numbers).field_share(), 0.25);
  EXPECT_FALSE(compare_rows({}, {}, {}).field_share());
  EXPECT_EQ(compare_rows({}, {}, {}).share(), 0);
}

MeasuredQuality measured_at(WallNs at) {
  MeasuredQuality made;
  made.agreement = {
      .rows = 20, .equal = 19, .failed = 1, .objects = 0, .equal_fields = 0, .first = {}};
  made.exact = {.calls = 40, .earlier = 2, .tokens = 5000, .shared = 100, .usd = 0.5, .seconds = 3};
  made.allowed = {
      .calls = 20, .earlier = 0, .tokens = 3000, .shared = 0, .usd = 0.25, .seconds = 2};
  made.passes = {"reorder_templates"};
  made.changes = {"reorder_templates row/ask"};
  made.measured_ns = at;
  return made;
}

TEST(MeasuredQuality, ComesBackFromJson) {
  MeasuredQuality made = measured_at(77);
  made.agreement.first = {{3, "1", "2"}};
  const auto again = decode_quality(*parse_json(to_json(encode_quality(made))));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, made);
  EXPECT_FALSE(decode_quality(*parse_json("{}")));
  EXPECT_FALSE(decode_quality(*parse_json("[3]")));
}

TEST(QualityStore, KeepsItForAMonth) {
  auto folder = TempDir::make();
  ASSERT_TRUE(folder);
  ManualClock clock(0, 1'000 * QualityStore::kGoodForNs);
  const QualityKey key{sha256("plan"), {"reorder_templates"}, "models", "rows"};
  {
    QualityStore store(folder->path(), clock);
    EXPECT_FALSE(store.find(key));
    EXPECT_FALSE(std::filesystem::exists(folder->path() / "statistics.sqlite"));
    MeasuredQuality made = measured_at(clock.wall_ns());
    made.agreement.first = {{3, "1", "2"}};
    store.put(key, made);
    EXPECT_EQ(store.problem(), "");
  }
  QualityStore store(folder->path(), clock);
  EXPECT_EQ(store.find(key), measured_at(clock.wall_ns())) << "without the rows' results";
  EXPECT_FALSE(store.find({sha256("plan"), {"ask_together"}, "models", "rows"}));
  EXPECT_FALSE(store.find({sha256("plan"), {"reorder_templates"}, "others", "rows"}));
  EXPECT_FALSE(store.find({sha256("plan"), {"reorder_templates"}, "models", "other rows"}));
  EXPECT_EQ(store.find({sha256("plan"), {"reorder_templates"}, "models", ""}),
            measured_at(clock.wall_ns()))
      << "for who asks about the plan";
  clock.step_wall_ns(QualityStore::kGoodForNs + 1);
  EXPECT_FALSE(store.find(key));
}

TEST(QualityStore, AFileThatIsNoneHasNothingToTell) {
  auto folder = TempDir::make();
  ASSERT_TRUE(folder);
  std::filesystem::create_directory(folder->path() / "statistics.sqlite");
  QualityStore store(folder->path(), system_clock());
  const QualityKey key{sha256("plan"), {"a"}, "m", ""};
  EXPECT_FALSE(store.find(key));
  store.put(key, measured_at(1));
  EXPECT_THAT(store.problem(), HasSubstr("what was measured of passes is not kept"));
}

TEST(ApproximatePasses, OfAPlanAndThoseInside) {
  const PlanPtr plan = plan_of(
      "sluice: 1\nallow: [drop_output_fields, hedge_calls]\nplans:\n  a: {allow: "
      "[reorder_templates], steps: {}}\nsteps: {}\n");
  EXPECT_THAT(approximate_passes(*plan, {}),
              ElementsAre("drop_output_fields", "reorder_templates"));
  EXPECT_THAT(allowed_passes(*plan),
              ElementsAre("drop_output_fields", "hedge_calls", "reorder_templates"));
  EXPECT_THAT(approximate_passes(*plan, {.off = true, .without = {}}), IsEmpty());
  EXPECT_THAT(approximate_passes(*plan, exactly({})), IsEmpty());
  EXPECT_TRUE(exactly({}).without.contains("reorder_templates"));
  EXPECT_FALSE(exactly({}).without.contains("merge_equal_steps"));
  EXPECT_TRUE(exactly({}).without.contains("hedge_calls")) << "its calls would be compared";
  EXPECT_TRUE(with_equal_results({}).without.contains("reorder_templates"));
  EXPECT_FALSE(with_equal_results({}).without.contains("hedge_calls")) << "it keeps results";
  const std::vector<PassNote> notes = {{.pass = "merge_equal_steps"},
                                       {.pass = "reorder_templates", .refused = true},
                                       {.pass = "drop_output_fields", .step = "row/ask"},
                                       {.pass = "drop_output_fields", .step = "row/ask"},
                                       {.pass = "drop_output_fields", .step = "row/all"}};
  EXPECT_THAT(approximate_passes(notes), ElementsAre("drop_output_fields"));
  EXPECT_THAT(approximate_changes(notes),
              ElementsAre("drop_output_fields row/all", "drop_output_fields row/ask"));
}

TEST(QualityKey, IsOfTheModelsFilesAndTheFolder) {
  ScratchDir dir;
  const auto weights = dir.write("a/x.gguf", "GGUF one");
  dir.write("b/x.gguf", "GGUF one");
  const PlanPtr plan = plan_of(
      "sluice: 1\nallow: [reorder_templates]\nmodels: {m: {kind: embedded, file: x.gguf}}\nsteps: "
      "{a: {llm: m, with: {prompt: x}}}\n");
  const auto key = [&](const char* folder) {
    ModelPreferences models;
    models.cache_dir = dir.path();
    return quality_key(plan, {}, models, dir.path() / folder)->hash();
  };
  const Hash256 before = key("a");
  EXPECT_EQ(before, key("a"));
  EXPECT_NE(before, key("b"));
  std::filesystem::last_write_time(
      weights, std::filesystem::last_write_time(weights) + std::chrono::seconds(5));
  EXPECT_NE(before, key("a")) << "other weights of the same size";
}

TEST(RowsIdentity, IsOfTheTableAndWhatIsTheSameForAll) {
  BatchSpec spec;
  const std::string one = identity_of_rows(spec, "hash", 10);
  EXPECT_EQ(one, identity_of_rows(spec, "hash", 10));
  EXPECT_NE(one, identity_of_rows(spec, "other", 10));
  EXPECT_NE(one, identity_of_rows(spec, "hash", 9));
  BatchSpec other = spec;
  other.input.query = "select 1";
  EXPECT_NE(one, identity_of_rows(other, "hash", 10));
  other = spec;
  other.fixed = *parse_json(R"({"language":"de"})");
  EXPECT_NE(one, identity_of_rows(other, "hash", 10));
}

TEST(RunTwice, OnlyWhatChangesNothing) {
  EXPECT_EQ(why_not_twice(*plan_of("sluice: 1\nsteps: {a: {llm: default, with: {prompt: x}}}\n")),
            "");
  EXPECT_THAT(
      why_not_twice(*plan_of("sluice: 1\ntools: {pay: {kind: process, command: pay}}\nsteps: "
                             "{a: {tool: pay}}\n")),
      HasSubstr("step a changes something (once)"));
  EXPECT_THAT(why_not_twice(*plan_of("sluice: 1\nsteps: {a: {wait: {for: 1s}}}\n")),
              HasSubstr("step a waits"));
  EXPECT_THAT(
      why_not_twice(*plan_of("sluice: 1\nplans: {p: {steps: {a: {wait: {for: 1s}}}}}\nsteps: {b: "
                             "{plan: p}}\n")),
      HasSubstr("step a waits (in p)"));
}

}  // namespace
}  // namespace sluice

#include "host/runs/run_header.h"

#include <gtest/gtest.h>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

RunSurroundings some() {
  RunSurroundings made;
  made.work_dir = "/data/plans";
  made.default_model = "/models/small.gguf";
  made.default_model_name = "small";
  made.models = {{"default", "abc", "small.gguf (abc)"}, {"big", "http://h/v1#b", "http://h/v1#b"}};
  made.seed = 0xFFFF'FFFF'FFFF'FFF1;
  return made;
}

TEST(RunHeader, SurroundingsComeBack) {
  auto back = decode_surroundings(encode_surroundings(some()));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->work_dir, "/data/plans");
  EXPECT_EQ(back->default_model, "/models/small.gguf");
  EXPECT_EQ(back->default_model_name, "small");
  ASSERT_EQ(back->models.size(), 2u);
  EXPECT_EQ(back->models[1].identity, "http://h/v1#b");
  EXPECT_EQ(back->seed, 0xFFFF'FFFF'FFFF'FFF1U);
  EXPECT_TRUE(changes(some(), *back).empty());
}

TEST(RunHeader, WhichPassesThereWereComesBack) {
  RunSurroundings made = some();
  EXPECT_FALSE(decode_surroundings(encode_surroundings(made))->optimized);
  made.optimized = true;
  made.without_passes = {"rank_by_cost", "share_equal_calls"};
  auto back = decode_surroundings(encode_surroundings(made));
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->optimized);
  EXPECT_EQ(back->without_passes, made.without_passes);
  EXPECT_TRUE(changes(some(), *back).empty()) << "a run keeps the plan that it has";
}

TEST(RunHeader, WhatPassesDidComesBack) {
  RunSurroundings made = some();
  made.optimized = true;
  EXPECT_FALSE(decode_surroundings(encode_surroundings(made))->notes) << "of an older program";
  PassNote did{.pass = "merge_equal_steps", .step = "row/ask", .text = "same as b: done once"};
  did.saved_calls = 3;
  did.saved_trips = 0.5;
  did.saved_s = 1e300 * 1e300;  // no number that JSON has
  const PassNote refused{.pass = "keep_prefixes", .refused = true, .text = "left"};
  made.notes = recorded_notes(std::vector<PassNote>{did, refused});
  auto back = decode_surroundings(encode_surroundings(made));
  ASSERT_TRUE(back.has_value() && back->notes && back->notes->size() == 2);
  EXPECT_EQ(back->notes->at(0).note().pass, "merge_equal_steps");
  EXPECT_EQ(back->notes->at(0).saved_calls, 3);
  EXPECT_EQ(back->notes->at(0).saved_trips, 0.5);
  EXPECT_FALSE(back->notes->at(0).saved_s);
  EXPECT_EQ(back->notes->at(1), made.notes->at(1));
  EXPECT_TRUE(changes(made, some()).empty());
  made.notes = recorded_notes(std::vector<PassNote>(10'000, did));
  EXPECT_EQ(made.notes->size(), kMostRecordedNotes);
  auto odd = decode_surroundings(*parse_json(
      R"({"optimizer":{"notes":[1,{"pass":"p"},{"pass":"p","text":"t","step":7,"refused":1}]}})"));
  ASSERT_TRUE(odd.has_value() && odd->notes);
  EXPECT_EQ(*odd->notes, (std::vector<RecordedNote>{{"p", false, "", "t", {}, {}, {}, {}}}));
}

TEST(RunHeader, OfAnotherFormAreRefusedOrEmpty) {
  EXPECT_FALSE(decode_surroundings(Value()).has_value());
  auto back = decode_surroundings(*parse_json(R"({"seed":"x","models":[1],"work_dir":3})"));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->seed, 0u);
  EXPECT_EQ(back->work_dir, "");
}

TEST(RunHeader, AnotherModelIsNamedOldAndNew) {
  RunSurroundings now = some();
  now.models[0].identity = "def";
  now.models[0].what = "small.gguf (def)";
  const auto found = changes(some(), now);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("small.gguf (abc)"), std::string::npos) << found[0];
  EXPECT_NE(found[0].find("small.gguf (def)"), std::string::npos) << found[0];
}

TEST(RunHeader, AModelThatCannotBeOpenedIsNoChange) {
  RunSurroundings now = some();
  now.models[1].identity = "";
  EXPECT_TRUE(changes(some(), now).empty());
}

TEST(RunHeader, LostIsolationIsAChange) {
  RunSurroundings now = some();
  now.isolated_code = false;
  EXPECT_EQ(changes(some(), now).size(), 1u);
  EXPECT_TRUE(changes(now, some()).empty()) << "more of it is none";
}

class RecordedPlans : public testing::Test {
 protected:
  void SetUp() override {
    header.program = "0.0.1";
    header.files = {{"p.yaml",
                     "sluice: 1\nplans: {sub: {file: sub.yaml}}\n"
                     "steps: {a: {plan: sub, with: {n: 2}}}\nresult: \"{{ steps.a.output }}\"\n"},
                    {"sub.yaml",
                     "sluice: 1\nparams: {n: {type: integer}}\n"
                     "steps: {b: {value: \"{{ params.n * 2 }}\"}}\n"
                     "result: \"{{ steps.b.output }}\"\n"}};
    ParseOptions options;
    options.read_file = [this](std::string_view) {
      return Result<std::string>(header.files[1].second);
    };
    ParsedPlan parsed = parse_plan(header.files[0].second, "p.yaml", options);
    ASSERT_TRUE(parsed.plan != nullptr && !parsed.diagnostics.has_errors());
    auto lowered = lower_plan(parsed.plan, *catalog_of(*parsed.plan));
    ASSERT_TRUE(lowered.has_value());
    header.physical = encode_physical(**lowered);
    hash = (*lowered)->plan_hash;
  }
  RunHeader header;
  Hash256 hash;
};

TEST_F(RecordedPlans, ComeBackWithTheirSubPlans) {
  auto read = read_recorded_plan(header);
  ASSERT_TRUE(read.has_value()) << read.error().to_string();
  EXPECT_EQ(read->physical->plan_hash, hash);
  ASSERT_NE(read->physical->steps[0].plan, nullptr);
  EXPECT_EQ(read->physical->steps[0].plan->logical, read->plan->plans[0].second)
      << "tools of sub-plans are found by it";
}

TEST_F(RecordedPlans, OneThatIsNoPlanAnyMoreSaysWhichProgramTookIt) {
  header.files[0].second = "sluice: 1\nsteps: {a: {vlaue: 1}}\n";
  auto read = read_recorded_plan(header);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kRunChanged);
  EXPECT_NE(read.error().message().find("0.0.1"), std::string::npos);
}

TEST_F(RecordedPlans, ALostFileIsToldOf) {
  header.files.pop_back();
  EXPECT_FALSE(read_recorded_plan(header).has_value());
  header.files.clear();
  auto read = read_recorded_plan(header);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kJournalDamaged);
}

}  // namespace
}  // namespace sluice

// What people read of measured quality.
#include "cli/quality_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using testing::HasSubstr;

MeasuredQuality measured() {
  MeasuredQuality made;
  made.agreement = {.rows = 20,
                    .equal = 19,
                    .failed = 1,
                    .objects = 20,
                    .equal_fields = 19.5,
                    .first = {{17, R"({"a": 1})", R"({"a": 2})"}}};
  made.exact = {.calls = 40, .earlier = 0, .tokens = 5000, .shared = 0, .usd = 0, .seconds = 3};
  made.allowed = {.calls = 20, .earlier = 4, .tokens = 3000, .shared = 900, .usd = 0, .seconds = 2};
  made.passes = {"ask_together", "reorder_templates"};
  made.measured_ns = 1'770'000'000 * kNsPerSecond;
  return made;
}

TEST(QualityText, OneLine) {
  EXPECT_EQ(agreement_text(measured().agreement), "agreement 0.95 (0.80 or more) on 20 rows");
  EXPECT_EQ(quality_line({{"ask_together", "reorder_templates"}, measured()}),
            "ask_together, reorder_templates: agreement 0.95 (0.80 or more) on 20 rows, measured "
            "2026-02-02");
  EXPECT_EQ(quality_line({{"ask_together"}, std::nullopt}),
            "ask_together: results may differ; nothing was measured (sluice quality)");
  MeasuredQuality nothing = measured();
  nothing.passes.clear();
  EXPECT_EQ(quality_line({{"ask_together"}, nothing}),
            "ask_together: found nothing to change in 20 rows, looked for 2026-02-02");
}

TEST(QualityText, IsNeverRoundedUp) {
  Agreement all_but_one{
      .rows = 1000, .equal = 999, .failed = 0, .objects = 0, .equal_fields = 0, .first = {}};
  EXPECT_THAT(agreement_text(all_but_one), HasSubstr("agreement 0.99 ("));
}

TEST(QualityText, TheWholeReport) {
  const std::string text = quality_report(measured());
  EXPECT_THAT(text, HasSubstr("19 of 20 rows have equal results with ask_together, "
                              "reorder_templates: agreement 0.95 (0.80 or more) on 20 rows; of "
                              "their fields 0.97\n"));
  EXPECT_THAT(text, HasSubstr("exactly     40 calls, 5,000 tokens, 3.0 s\n"));
  EXPECT_THAT(text, HasSubstr("as allowed  20 calls, 3,000 tokens (900 of them shared), 2.0 s (4 "
                              "answered by earlier runs)\n"));
  EXPECT_THAT(text, HasSubstr("1 row failed both ways and is not counted\n"));
  EXPECT_THAT(text, HasSubstr("row 17: exactly {\"a\": 1}, as allowed {\"a\": 2}\n"));
}

TEST(QualityText, ForPrograms) {
  QualityOutcome outcome;
  outcome.measured = measured();
  const Value good = quality_event(outcome);
  EXPECT_TRUE(good.find("measured")->as_bool());
  EXPECT_DOUBLE_EQ(good.find("agreement")->as_double(), 0.95);
  EXPECT_EQ(good.find("exact")->find("calls")->as_int(), 40);
  QualityOutcome none;
  none.why_not = "step a waits";
  EXPECT_EQ(quality_event(none).find("why")->as_string(), "step a waits");
}

}  // namespace
}  // namespace sluice::cli

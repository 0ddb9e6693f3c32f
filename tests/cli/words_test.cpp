// Words about recorded runs: ages, tables, states, and the commands to type next.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/run_report.h"
#include "cli/run_watcher.h"
#include "cli/run_words.h"
#include "cli/table.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

TEST(Ages, AreShort) {
  EXPECT_EQ(age_text(-5), "0 s");
  EXPECT_EQ(age_text(59 * kNsPerSecond), "59 s");
  EXPECT_EQ(age_text(61 * kNsPerSecond), "1 min");
  EXPECT_EQ(age_text(7200 * kNsPerSecond), "2 h");
  EXPECT_EQ(age_text(30 * 86'400 * kNsPerSecond), "30 d");
  EXPECT_EQ(time_text(1'795'269'123 * kNsPerSecond), "2026-11-21 13:52:03Z");
}

TEST(Ages, AreRead) {
  EXPECT_EQ(parse_age("30d").value(), 30 * 86'400 * kNsPerSecond);
  EXPECT_EQ(parse_age("0s").value(), 0);
  EXPECT_EQ(parse_age("2w").value(), 14 * 86'400 * kNsPerSecond);
  EXPECT_GT(parse_age("999999999999d").value(), 0) << "no overflow";
  for (const char* bad : {"", "d", "3", "-1d", "1.5d", "3 d", "3days", "99999999999999999999d"}) {
    EXPECT_FALSE(parse_age(bad).has_value()) << bad;
  }
}

TEST(Tables, AlignByCharactersNotBytes) {
  using enum Table::Align;
  Table table({{"name"}, {"n", kRight}, {"last"}});
  table.add({{"é"}, {"7"}, {"x"}});
  table.add({{"longer"}, {"1,234"}, {""}});
  EXPECT_EQ(table.text({}),
            "name        n  last\n"
            "é           7  x\n"
            "longer  1,234\n");
  EXPECT_EQ(fitted_text("éééééé", 5), "éé...");
  EXPECT_EQ(fitted_text("short", 5), "short");
}

TEST(Words, AreQuotedForTheShell) {
  EXPECT_EQ(shell_word("plan.yaml"), "plan.yaml");
  EXPECT_EQ(shell_word("rows[3]/ask"), "'rows[3]/ask'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

JournaledRun journaled(JournaledRunState state, std::string status, std::string owner = "") {
  JournaledRun run;
  run.run_id = "01kd";
  run.state = state;
  run.card.status = std::move(status);
  run.owner = std::move(owner);
  return run;
}

TEST(States, TellWhoeverHasTheRunFromNobody) {
  using enum JournaledRunState;
  EXPECT_EQ(run_state_word(journaled(kEnded, "succeeded")), "succeeded");
  EXPECT_EQ(run_state_word(journaled(kOpen, "running", "pid 1 on h")), "running");
  EXPECT_EQ(run_state_word(journaled(kOpen, "waiting", "pid 1 on h")), "waiting");
  EXPECT_EQ(run_state_word(journaled(kOpen, "running")), "interrupted") << "its process died";
  EXPECT_EQ(run_state_word(journaled(kOpen, "waiting")), "waiting");
  EXPECT_EQ(run_state_word(journaled(kOpen, "in_doubt")), "in_doubt");
}

TEST(Waits, SayForWhatAndForWhom) {
  EXPECT_EQ(wait_text({.signal = "approve", .of = "finance", .ask = "Pay 300?"}),
            "waiting for signal approve, for finance: Pay 300?");
  EXPECT_EQ(wait_text({.until_wall_ns = 86'400 * kNsPerSecond}),
            "waiting until 1970-01-02 00:00:00Z");
  EXPECT_EQ(wait_text({.signal = "go", .until_wall_ns = kNsPerSecond, .ask = "On?"}),
            "waiting for signal go: On? (until 1970-01-01 00:00:01Z)");
}

RunReport stopped(RunStatus status) {
  RunReport report;
  report.run_id = "01kd";
  report.journaled = true;
  report.ended = false;
  report.outcome.status = status;
  return report;
}

TEST(Next, IsTheCommandToType) {
  const ReportContext context{"p.yaml", {"p.yaml"}, {}, " --journal j.db"};
  EXPECT_EQ(next_commands(stopped(RunStatus::kInterrupted), context),
            "next: sluice resume --journal j.db 01kd\n");
  RunReport doubtful = stopped(RunStatus::kInDoubt);
  doubtful.doubts.push_back({{}, "pay[3]", Error(ErrorCode::kTimeout, "no answer")});
  const std::string text = next_commands(doubtful, context);
  EXPECT_THAT(text, HasSubstr("in doubt pay[3]: TIMEOUT: no answer"));
  EXPECT_THAT(text, HasSubstr("sluice resolve --journal j.db 01kd 'pay[3]' --done JSON"));
  EXPECT_THAT(text, HasSubstr("next: sluice resume --journal j.db 01kd"));
  RunReport waiting = stopped(RunStatus::kInterrupted);
  RunState::Waiting one{.task_id = "ask"};
  one.wait.signal = "go";
  waiting.waits.push_back(one);
  EXPECT_THAT(next_commands(waiting, context),
              HasSubstr("sluice signal --journal j.db 01kd go JSON\n"));
  one.task_id = "ask[1]";
  waiting.waits.push_back(one);
  EXPECT_THAT(next_commands(waiting, context), HasSubstr("go JSON --task 'ask[1]'"));
  RunReport failed = stopped(RunStatus::kFailed);
  failed.ended = true;
  EXPECT_THAT(next_commands(failed, context), HasSubstr("sluice runs show --journal j.db 01kd"));
  failed.journaled = false;
  EXPECT_THAT(next_commands(failed, context), HasSubstr("sluice explain p.yaml"));
  EXPECT_EQ(next_commands(stopped(RunStatus::kSucceeded), context), "");
}

}  // namespace
}  // namespace sluice::cli

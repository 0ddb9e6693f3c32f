// What a run's trace leaves behind for later runs: by hand, and of real runs.
#include "host/history/run_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/random.h"
#include "host/history/statistics_store.h"
#include "plan/lower.h"
#include "tests/host/durable_bench.h"

namespace sluice {
namespace {

PhysicalPlanPtr lowered(const std::string& text) {
  ParsedPlan parsed = parse_plan(text, "test.yaml");
  for (const auto& each : parsed.diagnostics.all()) {
    ADD_FAILURE() << format_diagnostic(each, {"test.yaml"});
  }
  return *lower_plan(parsed.plan, *catalog_of(*parsed.plan));
}

constexpr const char* kAsk =
    "sluice: 1\nparams: {rows: {type: array}}\nsteps:\n"
    "  ask: {for_each: '{{ params.rows }}', when: '{{ item.a and item.b }}', llm: default, with: "
    "{prompt: '{{ item.x }}'}}\n"
    "  sum: {value: '{{ steps.ask.output }}'}\n";

// Tells what a machine would.
class Teller {
 public:
  explicit Teller(PhysicalPlanPtr plan) : plan_(std::move(plan)) {}

  TraceEvent event(TraceKind kind, std::uint32_t step, std::uint32_t item) {
    TraceEvent made;
    made.at = now;
    made.kind = kind;
    made.call.task = {0, step, item};
    made.set_step(*plan_, step);
    return made;
  }
  void plain(TraceKind kind) {
    TraceEvent made;
    made.at = now;
    made.kind = kind;
    fold.on_trace(made);
  }
  void call(std::uint32_t item, double seconds, Usage usage, bool cached = false,
            const Error* error = nullptr, CallReturned::From from = CallReturned::From::kCall) {
    fold.on_trace(event(TraceKind::kCallStarted, 0, item));
    now += static_cast<SteadyNs>(seconds * kNsPerSecond);
    TraceEvent ended = event(TraceKind::kCallEnded, 0, item);
    ended.usage = usage;
    ended.cached = cached;
    ended.from = from;
    ended.error = error;
    fold.on_trace(ended);
  }
  void end(TraceKind kind, std::uint32_t item, ConditionOutcome condition,
           const Error* error = nullptr, std::uint32_t step = 0) {
    TraceEvent ended = event(kind, step, item);
    ended.condition = condition;
    ended.error = error;
    fold.on_trace(ended);
  }
  void items(std::uint64_t count) {
    TraceEvent known = event(TraceKind::kItemsKnown, 0, 0);
    known.count = count;
    known.closed = true;
    fold.on_trace(known);
  }

  RunStatistics fold;
  SteadyNs now = 1;

 private:
  PhysicalPlanPtr plan_;
};

TEST(RunStatistics, FoldsCallsTasksConditionsAndLists) {
  const PhysicalPlanPtr plan = lowered(kAsk);
  Teller tell(plan);
  const Error broken(ErrorCode::kModelFailed, "no");
  const Error input(ErrorCode::kInputFailed, "no");
  tell.plain(TraceKind::kRunStarted);
  tell.items(5);
  tell.call(0, 2, {.prompt_tokens = 100, .cached_tokens = 60, .completion_tokens = 7, .usd = 0.5});
  tell.end(TraceKind::kTaskDone, 0, ConditionOutcome::kHeld);
  tell.call(1, 1, {.prompt_tokens = 100, .cached_tokens = 0, .completion_tokens = 9, .usd = 0.25},
            false, &broken);
  tell.end(TraceKind::kTaskFailed, 1, ConditionOutcome::kHeld, &broken);
  tell.end(TraceKind::kTaskSkipped, 2, ConditionOutcome::kFalse);
  tell.end(TraceKind::kTaskSkipped, 3, ConditionOutcome::kNone);
  tell.end(TraceKind::kTaskFailed, 4, ConditionOutcome::kNone, &input);
  tell.end(TraceKind::kTaskDone, 0, ConditionOutcome::kNone, nullptr, 1);
  const StatisticsTable table = tell.fold.take();
  const PlanConditions conditions = conditions_of(*plan);
  ASSERT_EQ(table.size(), 3U) << "the step, its condition, its list; nothing of `sum`";
  const StepStatistics& ask = table.at(plan->steps[0].step_hash);
  EXPECT_EQ(ask.tasks, 2U);
  EXPECT_EQ(ask.failed, 1U);
  EXPECT_EQ(ask.calls, 2U);
  EXPECT_EQ(ask.cached, 0U);
  EXPECT_EQ(ask.seconds.count(), 1U) << "a call that broke off says nothing of time";
  EXPECT_NEAR(ask.seconds.mean(), 2, 1e-6);
  EXPECT_NEAR(ask.completion_tokens.mean(), 7, 1e-9);
  EXPECT_EQ(ask.shared_tokens, 60U);
  EXPECT_DOUBLE_EQ(ask.usd, 0.75);
  const StepStatistics& condition = table.at(conditions.steps[0].together);
  EXPECT_EQ(condition.conditions, 3U);
  EXPECT_EQ(condition.held, 2U);
  EXPECT_NEAR(table.at(conditions.steps[0].items).items.mean(), 5, 1e-9);
  EXPECT_TRUE(tell.fold.take().empty()) << "told once";
}

TEST(RunStatistics, WhatAnEarlierProcessDidIsNotCountedAgain) {
  const PhysicalPlanPtr plan = lowered(kAsk);
  Teller tell(plan);
  tell.plain(TraceKind::kRecoveryBegan);
  tell.items(9);
  tell.call(0, 1, {.prompt_tokens = 1});
  tell.end(TraceKind::kTaskDone, 0, ConditionOutcome::kHeld);
  tell.fold.on_trace(tell.event(TraceKind::kCallStarted, 0, 1));
  tell.plain(TraceKind::kRecovered);
  EXPECT_TRUE(tell.fold.take().empty());
  TraceEvent ended = tell.event(TraceKind::kCallEnded, 0, 1);
  ended.at = 100 * kNsPerSecond;
  tell.fold.on_trace(ended);
  const StatisticsTable table = tell.fold.take();
  ASSERT_EQ(table.size(), 1U);
  EXPECT_EQ(table.begin()->second.calls, 1U);
  EXPECT_EQ(table.begin()->second.seconds.count(), 0U) << "it began in another process";
}

TEST(RunStatistics, EqualCallsAreThoseThatSharingSpared) {
  auto plan = std::make_shared<PhysicalPlan>(*lowered(kAsk));
  using From = CallReturned::From;
  for (const From from : {From::kCall, From::kEarlierRun, From::kEqual}) {
    const bool shares = from == From::kEqual;
    plan->steps[0].advice.share_equal = true;
    Teller tell(plan);
    tell.call(0, 1, {.prompt_tokens = 1});
    tell.call(1, 0, {}, true, nullptr, from);
    const StatisticsTable table = tell.fold.take();
    const StepStatistics& ask = table.at(plan->steps[0].step_hash);
    EXPECT_EQ(ask.calls, 1U);
    EXPECT_EQ(ask.cached, 1U);
    EXPECT_EQ(ask.equal_calls, shares ? 1U : 0U);
  }
}

TEST(RunStatistics, AnotherPlanInTheSamePlaceIsAnotherPlan) {
  const PhysicalPlanPtr ask = lowered(kAsk);
  const PhysicalPlanPtr other = lowered(
      "sluice: 1\ntools: {web: {kind: http, url: 'http://h'}}\nsteps:\n  get: {tool: web}\n");
  auto place = std::make_shared<PhysicalPlan>(*ask);
  Teller tell(place);
  tell.call(0, 1, {.prompt_tokens = 1});
  *place = *other;
  tell.call(0, 1, {});
  *place = *ask;
  tell.call(0, 1, {.prompt_tokens = 1});
  const StatisticsTable table = tell.fold.take();
  EXPECT_EQ(table.at(ask->steps[0].step_hash).calls, 2U);
  EXPECT_EQ(table.at(other->steps[0].step_hash).calls, 1U);
}

// Calls that are begun and ended by hand, several at once.
class Crowd {
 public:
  explicit Crowd(const PhysicalPlanPtr& plan) : tell(plan) {}
  // So many calls that begin and end together.
  void together(int calls, double seconds, const Error* error = nullptr, bool cached = false) {
    const std::uint32_t first = next_;
    for (int i = 0; i < calls; ++i) {
      tell.fold.on_trace(tell.event(TraceKind::kCallStarted, 0, next_++));
    }
    tell.now += static_cast<SteadyNs>(seconds * kNsPerSecond);
    for (std::uint32_t item = first; item < next_; ++item) {
      TraceEvent ended = tell.event(TraceKind::kCallEnded, 0, item);
      ended.error = error;
      ended.cached = cached;
      tell.fold.on_trace(ended);
    }
  }

  Teller tell;

 private:
  std::uint32_t next_ = 0;
};

constexpr const char* kGet =
    "sluice: 1\ntools: {web: {kind: http, url: 'http://h'}}\nparams: {rows: {type: array}}\n"
    "steps:\n  get: {for_each: '{{ params.rows }}', tool: web}\n";

TEST(RunStatistics, LearnHowLongCallsTakeByHowManyAreUnderWay) {
  const PhysicalPlanPtr plan = lowered(kGet);
  Crowd crowd(plan);
  for (int i = 0; i < 16; ++i) crowd.together(1, 0.5);
  for (int i = 0; i < 4; ++i) crowd.together(4, 3);
  const Error broken(ErrorCode::kToolFailed, "no");
  crowd.together(4, 100, &broken);
  crowd.together(4, 100, nullptr, true);
  const StatisticsTable table = crowd.tell.fold.take();
  const Hash256& step = plan->steps[0].step_hash;
  const StepStatistics& alone = table.at(call_level_key(step, 0));
  EXPECT_EQ(alone.calls, 16U);
  EXPECT_NEAR(alone.seconds.mean(), 0.5, 1e-9);
  EXPECT_NEAR(alone.items.mean(), 1, 1e-9);
  const StepStatistics& four = table.at(call_level_key(step, 2));
  EXPECT_EQ(four.calls, 16U) << "calls that broke off, or were not made, say nothing";
  EXPECT_NEAR(four.seconds.mean(), 3, 1e-9);
  EXPECT_NEAR(four.items.mean(), 4, 1e-9);
  EXPECT_EQ(table.at(call_level_key(step, kCallLevels)).calls, 32U);
  EXPECT_FALSE(table.contains(call_level_key(step, 1)));
}

TEST(RunStatistics, TakeTheMeanOfHowManyWereUnderWay) {
  const PhysicalPlanPtr plan = lowered(kGet);
  Crowd crowd(plan);
  Teller& tell = crowd.tell;
  // A long call beside which short ones run, one after the other, half of its time.
  for (std::uint32_t round = 0; round < 16; ++round) {
    tell.fold.on_trace(tell.event(TraceKind::kCallStarted, 0, 1000 + round));
    tell.now += 2 * kNsPerSecond;
    crowd.together(1, 2);
    TraceEvent ended = tell.event(TraceKind::kCallEnded, 0, 1000 + round);
    tell.fold.on_trace(ended);
  }
  for (int i = 0; i < 16; ++i) crowd.together(1, 0.1);
  const StatisticsTable table = tell.fold.take();
  const Hash256& step = plan->steps[0].step_hash;
  const StepStatistics& two = table.at(call_level_key(step, 1));
  EXPECT_EQ(two.calls, 32U) << "the short ones never ran alone, the long ones half of their time";
  EXPECT_NEAR(two.items.mean(), 1.75, 1e-9);
}

TEST(RunStatistics, ARunThatSawOneLevelOnlyKeepsNone) {
  const PhysicalPlanPtr plan = lowered(kGet);
  Crowd crowd(plan);
  for (int i = 0; i < 20; ++i) crowd.together(8, 1);
  crowd.together(1, 1);
  EXPECT_EQ(crowd.tell.fold.take().size(), 1U);
}

TEST(OpenCallTimes, KnowEveryOpenCallWhateverEnds) {
  Random random(11);
  OpenCallTimes times;
  std::map<CallRef, SteadyNs> expected;
  for (int i = 0; i < 20'000; ++i) {
    const CallRef call{.task = {random.below(3), static_cast<std::uint32_t>(random.below(5)),
                                static_cast<std::uint32_t>(random.below(60))}};
    if (random.below(2) == 0) {
      times.begin(call, i);
      expected[call] = i;
    } else {
      const auto found = expected.find(call);
      const std::optional<SteadyNs> at = times.end(call);
      ASSERT_EQ(at.has_value(), found != expected.end()) << i;
      if (at) {
        ASSERT_EQ(*at, found->second);
        expected.erase(found);
      }
    }
    ASSERT_EQ(times.size(), expected.size());
  }
}

// ---- real runs ----

class RunsLeaveStatistics : public DurableBench {
 protected:
  StepStatistics left_of(const Hash256& meaning) {
    SqliteStatisticsStore store(dir.path() / "cache" / "statistics.sqlite", system_clock());
    return store.find(meaning).value_or(StepStatistics{});
  }
};

constexpr const char* kSome = R"(steps:
  list: {value: [1, 2, 3, 4]}
  even: {for_each: "{{ steps.list.output }}", when: "{{ item % 2 == 0 }}", tool: note, with: {args: ["n{{ item }}"]}}
  after: {for_each: "{{ steps.even.output }}", when: "{{ item != 'n4' }}", value: "{{ item }}"}
result: "{{ steps.after.output }}"
)";

TEST_F(RunsLeaveStatistics, OfCallsAndConditions) {
  const std::string text = plan_with_note("idempotent", kSome);
  std::multiset<std::string> told;
  watching.on_event = [&](const TraceEvent& event) {
    if (event.condition == ConditionOutcome::kNone) return;
    told.insert(event.step->logical.id +
                (event.condition == ConditionOutcome::kHeld ? " held" : " false"));
  };
  RunSettings plain = settings();
  plain.optimizer.off = true;
  auto report = run_plan(request(text), plain, watching);
  ASSERT_TRUE(report.has_value());
  ASSERT_EQ(report->outcome.status, RunStatus::kSucceeded);
  EXPECT_THAT(told, testing::UnorderedElementsAre("even held", "even held", "even false",
                                                  "even false", "after held", "after false"));
  const PhysicalPlanPtr plan = lowered(text);
  const StepStatistics even = left_of(plan->steps[1].step_hash);
  EXPECT_EQ(even.tasks, 2U);
  EXPECT_EQ(even.calls, 2U);
  EXPECT_EQ(even.seconds.count(), 2U);
  EXPECT_GT(even.seconds.mean(), 0);
  const PlanConditions conditions = conditions_of(*plan);
  const StepStatistics is_even = left_of(conditions.steps[1].together);
  EXPECT_EQ(is_even.conditions, 4U);
  EXPECT_EQ(is_even.held, 2U);
  const StepStatistics not_four = left_of(conditions.steps[2].together);
  EXPECT_EQ(not_four.conditions, 2U) << "not where its item was skipped";
  EXPECT_EQ(not_four.held, 1U);
  EXPECT_NEAR(left_of(conditions.steps[1].items).items.mean(), 4, 1e-9);
  ASSERT_TRUE(run_plan(request(text), plain, watching).has_value());
  EXPECT_EQ(left_of(plan->steps[1].step_hash).calls, 4U) << "the next run adds its own";
}

TEST_F(RunsLeaveStatistics, OfBothHalvesOfAnInterruptedRunOnce) {
  const std::string text = plan_with_note("once", R"(steps:
  a: {tool: note, with: {args: [a]}}
  b: {tool: note, with: {args: ["{{ steps.a.output }}b"]}}
  c: {tool: note, with: {args: ["{{ steps.b.output }}c"]}}
result: "{{ steps.c.output }}"
)");
  watching.on_event = [](const TraceEvent& event) {
    if (task_done(event, "a")) ::raise(SIGINT);
  };
  auto report = run(text);
  ASSERT_TRUE(report.has_value());
  ASSERT_EQ(report->outcome.status, RunStatus::kInterrupted);
  watching.on_event = nullptr;
  report = resume(report->run_id);
  ASSERT_TRUE(report.has_value());
  ASSERT_EQ(report->outcome.status, RunStatus::kSucceeded);
  for (const PhysicalStep& step : lowered(text)->steps) {
    EXPECT_EQ(left_of(step.step_hash).calls, 1U) << step.logical.id;
    EXPECT_EQ(left_of(step.step_hash).tasks, 1U) << step.logical.id;
  }
}

TEST_F(RunsLeaveStatistics, AndAFileThatIsNoneFailsNoRun) {
  dir.write("cache/statistics.sqlite", std::string(4096, 'x'));
  auto report = run(plan_with_note("once", "steps:\n  a: {tool: note, with: {args: [a]}}\n"));
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->outcome.status, RunStatus::kSucceeded);
  EXPECT_THAT(watching.notices, testing::Contains(testing::HasSubstr("statistics.sqlite")));
}

}  // namespace
}  // namespace sluice
